//! A real redis-server for one test: it can be killed, started again, frozen, filled.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::pki::Ca;
use super::{breathe, within};

/// A server; killed when dropped.
pub struct Redis {
    dir: tempfile::TempDir,
    options: Vec<String>,
    password: Option<String>,
    child: Option<Child>,
    /// The port, for those that need one.
    pub port: u16,
}

impl Redis {
    /// On a Unix socket, without a password; keeps nothing on disk.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With further options, such as `--requirepass`.
    pub async fn with(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::within_folder(dir, 0, options).await
    }

    /// On a free port of loopback beside its socket.
    pub async fn on_port(options: &[&str]) -> Self {
        let port = free_port();
        let (port_text, dir) = (port.to_string(), tempfile::tempdir().unwrap());
        let mut all = vec!["--port", port_text.as_str(), "--bind", "127.0.0.1"];
        all.extend(options);
        Self::within_folder(dir, port, &all).await
    }

    /// With TLS on a free port, with a certificate of `ca` for `localhost`.
    pub async fn tls(ca: &Ca) -> Self {
        let (port, dir) = (free_port(), tempfile::tempdir().unwrap());
        let leaf = ca.leaf(&["localhost"]);
        let path = |name: &str| dir.path().join(name).display().to_string();
        let (certificate, key, authority, port_text) = (path("r.crt"), path("r.key"), path("ca.crt"), port.to_string());
        std::fs::write(&certificate, leaf.certificate).unwrap();
        std::fs::write(&key, leaf.key).unwrap();
        std::fs::write(&authority, ca.pem()).unwrap();
        let options = [
            "--tls-port",
            &port_text,
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &authority,
            "--tls-auth-clients",
            "no",
        ];
        Self::within_folder(dir, port, &options).await
    }

    /// A Sentinel that watches `master` (a server on a port) under the name `mymaster`, and fails it over within two seconds.
    pub async fn sentinel(master: &Self) -> Self {
        let (port, dir) = (free_port(), tempfile::tempdir().unwrap());
        let lines = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor mymaster 127.0.0.1 {} 1\nsentinel down-after-milliseconds mymaster 500\nsentinel failover-timeout mymaster 3000\n",
            master.port
        );
        std::fs::write(dir.path().join("sentinel.conf"), lines).unwrap();
        let mut sentinel = Self { dir, options: Vec::new(), password: None, child: None, port };
        sentinel.restart().await;
        sentinel
    }

    async fn within_folder(dir: tempfile::TempDir, port: u16, options: &[&str]) -> Self {
        let mut all: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        if !options.contains(&"--port") {
            all.extend(["--port".to_owned(), "0".to_owned()]);
        }
        let password = options.iter().position(|option| *option == "--requirepass").map(|at| options[at + 1].to_owned());
        let mut redis = Self { dir, options: all, password, child: None, port };
        redis.restart().await;
        redis
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("redis.sock")
    }

    /// How Doorward names it, by its socket.
    pub fn url(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    /// Asks it something with its own client.
    pub fn ask(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        if self.dir.path().join("sentinel.conf").exists() {
            command.args(["-p", &self.port.to_string()]);
        } else {
            command.arg("-s").arg(self.socket());
        }
        if let Some(password) = &self.password {
            command.env("REDISCLI_AUTH", password);
        }
        let output = command.args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Waits until its answer to `arguments` is as wanted.
    pub async fn says(&self, arguments: &[&str], wanted: impl Fn(&str) -> bool) {
        within(&format!("redis: {arguments:?}"), async {
            while !wanted(&self.ask(arguments)) {
                breathe().await;
            }
        })
        .await;
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id();
        assert!(Command::new("kill").args([&format!("-{name}"), &id.to_string()]).status().unwrap().success());
    }

    /// Ends it at once, without a word.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it, again if need be: empty, for it keeps nothing.
    pub async fn restart(&mut self) {
        self.kill();
        let mut command = Command::new("redis-server");
        let sentinel = self.dir.path().join("sentinel.conf");
        if sentinel.exists() {
            command.arg(sentinel).arg("--sentinel");
        } else {
            command.args(["--save", "", "--appendonly", "no", "--daemonize", "no", "--dir"]).arg(self.dir.path());
            command.arg("--unixsocket").arg(self.socket()).args(&self.options);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("redis-server is installed");
        self.child = Some(child);
        self.says(&["PING"], |answer| answer == "PONG").await;
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that was free a moment ago: redis-server cannot choose one itself.
pub fn free_port() -> u16 {
    // A Cluster's node takes a second port, 10000 above its first.
    loop {
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        if port < 55_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}
