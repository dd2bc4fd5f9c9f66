//! An HTTP/1.1 server on threads of its own that keeps every byte of every head, and answers what a script says.
//!
//! It is also the judge of smuggling: it parses framing strictly by itself and notes each head that is not canonical.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::{folded, within};

/// A connection, of whatever kind.
pub trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

/// A request as it arrived.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub method: String,
    pub target: String,
    /// Lines of the head, as they were on the wire, without CRLF and without the request line.
    pub lines: Vec<String>,
    pub body: Vec<u8>,
    pub body_length: u64,
    pub trailers: Vec<String>,
    /// Counts connections from 0.
    pub connection: usize,
}

/// What to do with a request.
pub enum Act {
    /// A JSON description of the request.
    Echo,
    /// These bytes, then the next request.
    Reply(Vec<u8>),
    /// These bytes, then the end of the connection.
    Close(Vec<u8>),
    /// Whatever this does, then the end of the connection.
    Talk(Talk),
    /// No answer at all, until the other side hangs up.
    Hang,
}

/// What to do with a connection.
pub type Talk = Box<dyn FnOnce(&mut dyn Wire) + Send>;

type Script = dyn Fn(&Seen) -> Act + Send + Sync;

#[derive(Default)]
pub struct Record {
    pub requests: Vec<Seen>,
    /// Requests that were answered or broken off; counts also those taken.
    pub total: usize,
    pub connections: usize,
    /// Why a head was not canonical.
    pub violations: Vec<String>,
    /// Requests whose body never came to its end.
    pub cut: usize,
    /// Bytes of bodies, also of those still on their way.
    pub body_bytes: u64,
    /// How often the other side hung up on a request that was not answered.
    pub hung_up: usize,
}

/// A running upstream; its threads end with the process.
pub struct Upstream {
    pub address: SocketAddr,
    record: Arc<watch::Sender<Record>>,
    script: Arc<Mutex<Arc<Script>>>,
}

impl Seen {
    /// The values of all lines whose name folds to the same variable as `name`.
    pub fn folding_to(&self, name: &str) -> Vec<&str> {
        self.pairs().into_iter().filter(|(have, _)| folded(have) == folded(name)).map(|(_, value)| value).collect()
    }

    /// The values of all lines of exactly this name, in any case.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.pairs().into_iter().filter(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    /// The value of the only line of this name.
    #[track_caller]
    pub fn one(&self, name: &str) -> &str {
        match self.all(name)[..] {
            [value] => value,
            ref other => panic!("{name} arrived {} times: {:#?}", other.len(), self.lines),
        }
    }

    pub fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    pub fn pairs(&self) -> Vec<(&str, &str)> {
        self.lines.iter().filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim())).collect()
    }

    /// Whom the application would take this request to come from; asserts that no second spelling is there.
    #[track_caller]
    pub fn user(&self) -> Option<&str> {
        match self.folding_to("X-Forwarded-User")[..] {
            [] => None,
            [value] => Some(value),
            ref other => panic!("several users: {other:?}"),
        }
    }
}

impl Upstream {
    /// Answers every request with its description.
    pub fn echo() -> Self {
        Self::scripted(|_| Act::Echo)
    }

    pub fn scripted(script: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let upstream = Self::unbound(address, script);
        upstream.accept(move || listener.accept().map(|(stream, _)| stream), |stream| stream);
        upstream
    }

    /// Speaks TLS with this certificate.
    pub fn tls(leaf: &super::pki::Leaf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = Self::unbound(listener.local_addr().unwrap(), |_| Act::Echo);
        let config = leaf.server_config();
        upstream.accept(
            move || listener.accept().map(|(stream, _)| stream),
            move |stream| rustls::StreamOwned::new(rustls::ServerConnection::new(config.clone()).unwrap(), stream),
        );
        upstream
    }

    /// On a socket in the file system.
    pub fn unix(path: &std::path::Path) -> Self {
        let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
        let upstream = Self::unbound(SocketAddr::from(([127, 0, 0, 1], 0)), |_| Act::Echo);
        upstream.accept(move || listener.accept().map(|(stream, _)| stream), |stream| stream);
        upstream
    }

    fn unbound(address: SocketAddr, script: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Self {
        Self { address, record: Arc::new(watch::Sender::new(Record::default())), script: Arc::new(Mutex::new(Arc::new(script))) }
    }

    fn accept<S: Send + 'static, W: Wire>(
        &self,
        accept: impl Fn() -> io::Result<S> + Send + 'static,
        wrap: impl Fn(S) -> W + Clone + Send + 'static,
    ) {
        let (record, script) = (self.record.clone(), self.script.clone());
        std::thread::spawn(move || {
            while let Ok(stream) = accept() {
                let (record, script, wrap) = (record.clone(), script.clone(), wrap.clone());
                let mut connection = 0;
                record.send_modify(|all| {
                    connection = all.connections;
                    all.connections += 1;
                });
                std::thread::spawn(move || Exchange { wire: &mut wrap(stream), left: Vec::new(), connection, record: &record }.run(&script));
            }
        });
    }

    /// From now on, requests are answered by this script.
    pub fn script(&self, script: impl Fn(&Seen) -> Act + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Arc::new(script);
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests arrived so far.
    pub fn count(&self) -> usize {
        self.record.borrow().total
    }

    pub fn connections(&self) -> usize {
        self.record.borrow().connections
    }

    /// The requests since the last call.
    pub fn take(&self) -> Vec<Seen> {
        let mut taken = Vec::new();
        self.record.send_modify(|all| taken = std::mem::take(&mut all.requests));
        taken
    }

    /// The one request since the last call.
    #[track_caller]
    pub fn only(&self) -> Seen {
        let mut all = self.take();
        assert_eq!(all.len(), 1, "requests: {all:#?}");
        all.remove(0)
    }

    /// Waits until the record says so.
    pub async fn until(&self, what: &str, condition: impl FnMut(&Record) -> bool) {
        let mut record = self.record.subscribe();
        within(what, record.wait_for(condition)).await.unwrap();
    }

    /// Fails when any head was not canonical.
    #[track_caller]
    pub fn assert_canonical(&self) {
        let record = self.record.borrow();
        assert!(record.violations.is_empty(), "{:#?}", record.violations);
    }
}

struct Exchange<'a> {
    wire: &'a mut dyn Wire,
    left: Vec<u8>,
    connection: usize,
    record: &'a watch::Sender<Record>,
}

impl Exchange<'_> {
    fn run(&mut self, script: &Mutex<Arc<Script>>) {
        while let Some(mut seen) = self.head() {
            let whole = self.body(&mut seen);
            self.record.send_modify(|all| {
                all.requests.push(seen.clone());
                all.total += 1;
                all.cut += usize::from(!whole);
            });
            if !whole {
                return;
            }
            let script = script.lock().unwrap().clone();
            let done = match script(&seen) {
                Act::Echo => self.wire.write_all(&described(&seen)),
                Act::Reply(bytes) => self.wire.write_all(&bytes),
                Act::Close(bytes) => {
                    let _ = self.wire.write_all(&bytes);
                    return;
                }
                Act::Talk(talk) => return talk(self.wire),
                Act::Hang => {
                    let _ = self.wire.read(&mut [0; 1]);
                    return self.record.send_modify(|all| all.hung_up += 1);
                }
            };
            if done.and_then(|()| self.wire.flush()).is_err() {
                return;
            }
        }
    }

    fn more(&mut self) -> bool {
        let mut buffer = [0; 64 * 1024];
        match self.wire.read(&mut buffer) {
            Ok(0) | Err(_) => false,
            Ok(length) => {
                self.left.extend_from_slice(&buffer[..length]);
                true
            }
        }
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = self.left.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.left[..end].to_vec();
                self.left.drain(..end + 2);
                return Some(line);
            }
            if !self.more() {
                return None;
            }
        }
    }

    fn violation(&self, text: String) {
        self.record.send_modify(|all| all.violations.push(text));
    }

    fn head(&mut self) -> Option<Seen> {
        let first = String::from_utf8_lossy(&self.line()?).into_owned();
        let mut seen = Seen { connection: self.connection, ..Seen::default() };
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            seen.lines.push(String::from_utf8_lossy(&line).into_owned());
        }
        let parts: Vec<&str> = first.split(' ').collect();
        if let [method, target, "HTTP/1.1"] = parts[..] {
            (seen.method, seen.target) = (method.to_owned(), target.to_owned());
        } else {
            self.violation(format!("request line {first:?}"));
        }
        for problem in uncanonical(&seen) {
            self.violation(format!("{problem} in {first:?} {:#?}", seen.lines));
        }
        Some(seen)
    }

    /// Reads the body; `false` when it was cut off.
    fn body(&mut self, seen: &mut Seen) -> bool {
        if seen.has("transfer-encoding") {
            return self.chunked(seen).is_some();
        }
        let Some(length) = seen.all("content-length").first().map(|value| value.parse::<u64>().unwrap_or(0)) else { return true };
        self.exactly(length, seen)
    }

    fn exactly(&mut self, length: u64, seen: &mut Seen) -> bool {
        let mut rest = length;
        while rest > 0 {
            if self.left.is_empty() && !self.more() {
                return false;
            }
            let take = usize::try_from(rest).unwrap_or(usize::MAX).min(self.left.len());
            let piece: Vec<u8> = self.left.drain(..take).collect();
            rest -= piece.len() as u64;
            seen.body_length += piece.len() as u64;
            self.record.send_modify(|all| all.body_bytes += piece.len() as u64);
            if seen.body.len() < 4 << 20 {
                seen.body.extend_from_slice(&piece);
            }
        }
        true
    }

    fn chunked(&mut self, seen: &mut Seen) -> Option<()> {
        loop {
            let line = String::from_utf8(self.line()?).ok()?;
            let size = u64::from_str_radix(&line, 16).ok()?;
            if size == 0 {
                break;
            }
            if !self.exactly(size, seen) || !self.line()?.is_empty() {
                return None;
            }
        }
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Some(());
            }
            seen.trailers.push(String::from_utf8_lossy(&line).into_owned());
        }
    }
}

/// At most one of Content-Length and Transfer-Encoding, each once and in its only form; one Host; names of token characters.
fn uncanonical(seen: &Seen) -> Vec<String> {
    let (lengths, encodings, hosts) = (seen.all("content-length"), seen.all("transfer-encoding"), seen.all("host"));
    let mut problems = Vec::new();
    if lengths.len() + encodings.len() > 1 {
        problems.push("more than one framing header".to_owned());
    }
    if lengths.iter().any(|value| value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) || (value.len() > 1 && value.starts_with('0'))) {
        problems.push(format!("Content-Length {lengths:?}"));
    }
    if encodings.iter().any(|value| *value != "chunked") {
        problems.push(format!("Transfer-Encoding {encodings:?}"));
    }
    if hosts.len() != 1 {
        problems.push(format!("Host {hosts:?}"));
    }
    for line in &seen.lines {
        let name = line.split(':').next().unwrap_or_default();
        if !line.contains(':') || name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)) {
            problems.push(format!("line {line:?}"));
        }
        if line.bytes().any(|b| b < b' ' && b != b'\t') {
            problems.push(format!("control character in {line:?}"));
        }
    }
    problems
}

/// An HTTP response of this body.
pub fn answer(status: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len()).into_bytes();
    for header in headers {
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

fn described(seen: &Seen) -> Vec<u8> {
    let description: Value = json!({
        "method": seen.method,
        "target": seen.target,
        "lines": seen.lines,
        "body": String::from_utf8_lossy(&seen.body),
        "body_length": seen.body_length,
    });
    let body = if seen.method == "HEAD" { String::new() } else { description.to_string() };
    answer("200 OK", &["Content-Type: application/json"], body)
}
