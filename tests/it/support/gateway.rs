//! The gateway as a process: its listeners, what it writes, signals.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ExitStatus};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use super::client::{Call, Raw};
use super::setup::{HOST, Setup};
use super::within;

/// Lines that a process has written so far.
pub type Lines = Arc<watch::Sender<Vec<String>>>;

/// A running gateway; killed when dropped.
pub struct Gateway {
    child: Child,
    pub setup: Setup,
    pub stdout: Lines,
    pub stderr: Lines,
    pub https: SocketAddr,
    pub http: Option<SocketAddr>,
    pub admin: Option<SocketAddr>,
}

impl Gateway {
    /// Reads what `child` writes until it has said that `expected` listeners stand.
    pub async fn attach(mut child: Child, setup: Setup, expected: usize) -> Self {
        let stdout = follow(child.stdout.take().unwrap());
        let stderr = follow(child.stderr.take().unwrap());
        let mut lines = stderr.subscribe();
        let ended = |lines: &Vec<String>| lines.last().is_some_and(|line| line == END);
        within("the listeners", lines.wait_for(|lines| listening(lines).len() >= expected || ended(lines))).await.unwrap();
        let found = listening(&stderr.borrow());
        assert!(found.len() >= expected, "the gateway did not start:\n{}\n{}", setup.config_text(), stderr.borrow().join("\n"));
        let at = |name: &str| found.iter().find(|(listener, _)| listener == name).and_then(|(_, address)| address.parse().ok());
        let https = at("https").unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        Self { child, setup, stdout, stderr, https, http: at("http"), admin: at("admin") }
    }

    /// A request over TLS.
    pub fn call(&self, method: &str, target: &str) -> Call {
        Call::new(self.https, self.setup.ca.client_config(&[]), method, target)
    }

    pub fn get(&self, target: &str) -> Call {
        self.call("GET", target)
    }

    /// A request to the admin listener.
    pub fn admin(&self, target: &str) -> Call {
        Call::plain(self.admin.expect("an admin listener"), "GET", target)
    }

    /// A TLS connection that offers HTTP/1.1, for bytes of any kind.
    pub async fn raw(&self) -> Raw {
        self.raw_as(HOST, b"http/1.1").await
    }

    pub async fn raw_as(&self, sni: &str, alpn: &[u8]) -> Raw {
        Raw::tls(self.https, sni, self.setup.ca.client_config(&[alpn])).await
    }

    /// Lines of the access log so far.
    pub fn access(&self) -> Vec<Value> {
        self.stdout.borrow().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for an access-log line.
    pub async fn access_line(&self, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let mut lines = self.stdout.subscribe();
        let parsed = |lines: &Vec<String>| lines.iter().filter_map(|line| serde_json::from_str(line).ok()).find(|value| condition(value));
        let found = within(what, lines.wait_for(|lines| parsed(lines).is_some())).await.unwrap();
        parsed(&found).unwrap()
    }

    /// Waits until a line of the diagnostics holds `text`.
    pub async fn said(&self, text: &str) {
        self.said_times(text, 1).await;
    }

    /// Waits until `times` lines of the diagnostics hold `text`.
    pub async fn said_times(&self, text: &str, times: usize) {
        let mut lines = self.stderr.subscribe();
        within(text, lines.wait_for(|lines| lines.iter().filter(|line| line.contains(text)).count() >= times)).await.unwrap();
    }

    /// Everything written so far, to both outputs.
    pub fn output(&self) -> String {
        format!("{}\n{}", self.stdout.borrow().join("\n"), self.stderr.borrow().join("\n"))
    }

    /// How much memory the process holds, in KiB.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse().unwrap()
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let status = std::process::Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status().unwrap();
        assert!(status.success());
    }

    /// Waits until the process has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        for lines in [&self.stdout, &self.stderr] {
            within("the end of the process", lines.subscribe().wait_for(|lines| lines.last().is_some_and(|line| line == END))).await.unwrap();
        }
        self.child.wait().unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the gateway's output ---\n{}", self.output());
        }
    }
}

/// The last line of an output that was closed.
const END: &str = "--- end of output ---";

fn follow(output: impl Read + Send + 'static) -> Lines {
    let lines: Lines = Arc::new(watch::Sender::new(Vec::new()));
    let sender = lines.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            sender.send_modify(|all| all.push(String::from_utf8_lossy(&line).into_owned()));
        }
        sender.send_modify(|all| all.push(END.to_owned()));
    });
    lines
}

/// Which listeners the diagnostics name, as (listener, address).
fn listening(lines: &[String]) -> Vec<(String, String)> {
    let parsed = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    parsed
        .filter(|line| line["message"] == "listening")
        .filter_map(|line| Some((line["listener"].as_str()?.to_owned(), line["address"].as_str()?.to_owned())))
        .collect()
}
