//! The connection to the shared store: made in the background, watched, and made anew when it broke.
//!
//! ```text
//! connect --ok--> up: PING each second; a call that broke, or no PONG --> down
//!    ^                                                                     |
//!    +------------------- after 0, 50 ms, 100 ms … 1 s --------------------+
//! ```
//!
//! While it is down, a call waits for the rest of its own time only if the link has not been down for as long already:
//! a store that is away for minutes costs no request any waiting.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};

use super::super::Unavailable;
use super::super::health::Health;
use super::{SOURCE, Target};

/// How long connecting may take, asking Sentinels and finding a Cluster's nodes included.
const CONNECT: Duration = Duration::from_secs(5);
/// Between two looks whether the server still answers.
const PING_EVERY: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A connection to the shared store. Cheap to clone; clones share it.
#[derive(Clone)]
pub enum Line {
    /// To one server.
    One(MultiplexedConnection),
    /// To the nodes of a Cluster.
    Many(ClusterConnection),
}

impl ConnectionLike for Line {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(line) => line.req_packed_command(cmd),
            Self::Many(line) => line.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(&'a mut self, pipeline: &'a Pipeline, offset: usize, count: usize) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(line) => line.req_packed_commands(pipeline, offset, count),
            Self::Many(line) => line.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(line) => line.get_db(),
            Self::Many(line) => line.get_db(),
        }
    }
}

#[derive(Clone)]
enum State {
    Up(Line),
    Down { since: Instant, cause: Arc<str> },
}

/// The link. It ends with the last handle.
pub(super) struct Link {
    state: watch::Receiver<State>,
    broken: Arc<Notify>,
    health: Arc<Health>,
    keeper: tokio::task::AbortHandle,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("up", &matches!(*self.state.borrow(), State::Up(_))).finish_non_exhaustive()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Link {
    pub(super) fn new(target: Arc<Target>, health: Arc<Health>, deadline: Duration, aux: &Handle) -> Self {
        let (tell, state) = watch::channel(State::Down { since: Instant::now(), cause: "not connected yet".into() });
        let broken = Arc::new(Notify::new());
        let keeper = aux.spawn(keep(target, tell, Arc::clone(&broken), Arc::clone(&health), deadline)).abort_handle();
        Self { state, broken, health, keeper }
    }

    /// Runs `work` within `deadline`, the wait for a connection included.
    pub(super) async fn call<T, F>(&self, deadline: Duration, work: impl FnOnce(Line) -> F) -> Result<T, Unavailable>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let ends = Instant::now() + deadline;
        let line = self.line(deadline).await?;
        match tokio::time::timeout_at(ends, work(line)).await {
            Ok(Ok(answer)) => {
                self.health.answered();
                Ok(answer)
            }
            Ok(Err(error)) => {
                let cause = described(&error);
                if breaks(&error) {
                    self.broken.notify_one();
                }
                self.health.failed(&cause);
                Err(Unavailable::new(SOURCE, cause))
            }
            Err(_) => {
                self.broken.notify_one();
                let cause = format!("no answer within {} ms", deadline.as_millis());
                self.health.failed(&cause);
                Err(Unavailable::new(SOURCE, cause))
            }
        }
    }

    async fn line(&self, patience: Duration) -> Result<Line, Unavailable> {
        let mut state = self.state.clone();
        let (since, cause) = match &*state.borrow_and_update() {
            State::Up(line) => return Ok(line.clone()),
            State::Down { since, cause } => (*since, Arc::clone(cause)),
        };
        let left = patience.saturating_sub(since.elapsed());
        let up = timeout(left, state.wait_for(|state| matches!(state, State::Up(_)))).await;
        match up.as_ref().map(|up| up.as_deref()) {
            Ok(Ok(State::Up(line))) => Ok(line.clone()),
            _ => Err(Unavailable::new(SOURCE, cause)),
        }
    }
}

/// What an operator is told. The server's own words, which hold no password.
fn described(error: &RedisError) -> String {
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        _ => error.to_string(),
    }
}

/// Whether a connection that gave this error is to be made anew. A server that became a replica would go on refusing.
fn breaks(error: &RedisError) -> bool {
    error.is_io_error() || error.is_connection_dropped() || error.is_unrecoverable_error() || matches!(error.code(), Some("READONLY" | "MASTERDOWN"))
}

async fn keep(target: Arc<Target>, tell: watch::Sender<State>, broken: Arc<Notify>, health: Arc<Health>, deadline: Duration) {
    let mut pause = Duration::ZERO;
    loop {
        sleep(pause).await;
        let cause: Arc<str> = match connect(&target, deadline).await {
            Ok(line) => {
                tracing::info!("the shared store is connected");
                health.answered();
                tell.send_replace(State::Up(line.clone()));
                let cause = watch_over(line, &broken, &health, deadline).await;
                tell.send_replace(State::Down { since: Instant::now(), cause: cause.as_str().into() });
                tracing::warn!(cause, "the shared store is lost");
                pause = Duration::ZERO;
                continue;
            }
            Err(cause) => cause.into(),
        };
        if pause.is_zero() {
            tracing::warn!(%cause, "the shared store cannot be reached; it is tried again and again");
        }
        health.failed(&cause);
        tell.send_modify(|state| {
            if let State::Down { cause: before, .. } = state {
                *before = Arc::clone(&cause);
            }
        });
        pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
    }
}

async fn connect(target: &Target, deadline: Duration) -> Result<Line, String> {
    let mut line = match timeout(CONNECT, target.connect(deadline)).await {
        Ok(Ok(line)) => line,
        Ok(Err(error)) => return Err(described(&error)),
        Err(_) => return Err(format!("no connection within {} s", CONNECT.as_secs())),
    };
    // A server that takes connections and says nothing is not there yet.
    ping(&mut line, deadline).await?;
    warn_of_eviction(&mut line, deadline).await;
    Ok(line)
}

/// Until the connection is of no use any more. Returns why.
async fn watch_over(mut line: Line, broken: &Notify, health: &Health, deadline: Duration) -> String {
    loop {
        tokio::select! {
            () = broken.notified() => return "a call broke".to_owned(),
            () = sleep(PING_EVERY) => match ping(&mut line, deadline).await {
                Ok(()) => health.answered(),
                Err(cause) => {
                    health.failed(&cause);
                    return cause;
                }
            },
        }
    }
}

async fn ping(line: &mut Line, deadline: Duration) -> Result<(), String> {
    match timeout(deadline, redis::cmd("PING").query_async::<Value>(line)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(described(&error)),
        Err(_) => Err(format!("no answer within {} ms", deadline.as_millis())),
    }
}

/// A server that makes room by throwing keys away forgets signatures that could come again.
async fn warn_of_eviction(line: &mut Line, deadline: Duration) {
    let Ok(Ok(info)) = timeout(deadline, redis::cmd("INFO").arg("memory").query_async::<Value>(line)).await else { return };
    if evicts(&info) {
        tracing::warn!("the shared store throws keys away when it is full, and used signatures with them; set its maxmemory-policy to noeviction");
    }
}

/// Whether any server of this answer has a limit of memory and a policy of keeping below it other than to refuse.
fn evicts(info: &Value) -> bool {
    let of_text = |text: &str| {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        field("maxmemory:").is_some_and(|limit| limit != "0") && field("maxmemory_policy:").is_some_and(|policy| policy != "noeviction")
    };
    #[allow(clippy::wildcard_enum_match_arm, reason = "the library's enum may grow; no other variant holds a text")]
    match info {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).is_ok_and(of_text),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => of_text(text),
        Value::Array(values) | Value::Set(values) => values.iter().any(evicts),
        Value::Map(pairs) => pairs.iter().any(|(_, value)| evicts(value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_with_a_limit_and_another_policy_than_refusing_evicts() {
        let info = |limit: &str, policy: &str| {
            Value::BulkString(
                format!("# Memory\r\nused_memory:1\r\nmaxmemory:{limit}\r\nmaxmemory_human:x\r\nmaxmemory_policy:{policy}\r\n").into_bytes(),
            )
        };
        for (limit, policy, expected) in
            [("0", "allkeys-lru", false), ("100", "noeviction", false), ("100", "allkeys-lru", true), ("100", "volatile-ttl", true)]
        {
            assert_eq!(evicts(&info(limit, policy)), expected, "{limit} {policy}");
            let nodes = Value::Map(vec![
                (Value::SimpleString("a".to_owned()), info("0", "noeviction")),
                (Value::SimpleString("b".to_owned()), info(limit, policy)),
            ]);
            assert_eq!(evicts(&nodes), expected, "one node of a Cluster: {limit} {policy}");
        }
        assert!(!evicts(&Value::Nil));
    }
}
