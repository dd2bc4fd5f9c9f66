//! Follows the list of revocations that replicas share.
//!
//! ```text
//! subscribe; read all of the list  <------------------------------+
//!   message VERSION, the next one: listed                         |
//!   message of another VERSION ------------------------ a gap ----+
//!   each second: GET version, another one ------- a lost push ----+
//! ```
//!
//! A list that lacks what is known here (the shared store was started anew, or was away when this process revoked) is
//! given it back.

use std::collections::HashSet;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use redis::Script;

use super::super::shared::Shared;
use super::super::{CacheSettings, OnStoreError, Unavailable};
use super::record::Revoked;
use super::{MOST, Revocations, SOURCE};
use crate::types::unix_now;

/// Between two looks whether a push was lost.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// How long subscribing may take.
const SUBSCRIBE: Duration = Duration::from_secs(5);
/// The list is believed for at least so long after it was read, whatever `max_age` is: it is looked at each second.
const LEAST_AGE: Duration = Duration::from_secs(10);

/// Forgets what has passed, refuses to grow without bound, adds, numbers and publishes: at one stroke.
const TELL: &str = "
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1])
local new = (#ARGV - 3) / 2
if redis.call('ZCARD', KEYS[1]) + new > tonumber(ARGV[2]) then
  return redis.error_reply('FULL of revocations that are still to be remembered')
end
local version = redis.call('INCR', KEYS[2])
local lines = {version}
for at = 4, #ARGV, 2 do
  redis.call('ZADD', KEYS[1], ARGV[at + 1], ARGV[at])
  lines[#lines + 1] = ARGV[at] .. ' ' .. ARGV[at + 1]
end
redis.call('PUBLISH', ARGV[3], table.concat(lines, '\\n'))
return version";

/// How many revocations are added to the list by one command.
const BATCH: usize = 500;

/// The shared list, and when it was read last.
#[derive(Debug)]
pub(super) struct Followed {
    shared: Shared,
    born: Instant,
    /// Milliseconds after `born`; 0: never.
    read: AtomicU64,
    max_age: Duration,
    on_store_error: OnStoreError,
    /// Whether something was revoked here of which the others could not be told.
    untold: AtomicBool,
}

impl Followed {
    pub(super) fn new(shared: Shared, cache: &CacheSettings) -> Self {
        let max_age = cache.max_age.0.max(LEAST_AGE);
        Self { shared, born: Instant::now(), read: AtomicU64::new(0), max_age, on_store_error: cache.on_store_error, untold: AtomicBool::new(false) }
    }

    pub(super) fn was_read(&self) -> bool {
        self.read.load(Ordering::Acquire) > 0
    }

    fn mark_read(&self) {
        let millis = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.read.store(millis.max(1), Ordering::Release);
    }

    /// `Err` when it was not read for too long, and nobody may decide without it.
    pub(super) fn is_current(&self) -> Result<(), Unavailable> {
        if self.on_store_error == OnStoreError::Local {
            return Ok(());
        }
        match self.read.load(Ordering::Acquire) {
            0 => Err(Unavailable::new(SOURCE, "they have not been read yet")),
            read if self.born.elapsed().saturating_sub(Duration::from_millis(read)) <= self.max_age => Ok(()),
            _ => Err(Unavailable::new(SOURCE, format_args!("they have not been read for more than {} s", self.max_age.as_secs()))),
        }
    }

    /// Adds to the list and pushes. What cannot be told is told again with all that the list lacks.
    pub(super) async fn tell(&self, all: &[Revoked], now: i64) -> Result<(), Unavailable> {
        let told = self.push(all, now).await;
        if told.is_err() {
            self.untold.store(true, Ordering::Release);
        }
        told
    }

    async fn push(&self, all: &[Revoked], now: i64) -> Result<(), Unavailable> {
        for batch in all.chunks(BATCH) {
            let (list, version, channel) = keys(&self.shared);
            let lines: Vec<(String, i64)> = batch.iter().map(|revoked| (revoked.member(), revoked.keep)).collect();
            self.shared
                .ask(move |mut line| async move {
                    let script = Script::new(TELL);
                    let mut call = script.key(list);
                    call.key(version).arg(now).arg(MOST).arg(channel);
                    for (member, keep) in lines {
                        call.arg(member).arg(keep);
                    }
                    call.invoke_async::<u64>(&mut line).await
                })
                .await?;
        }
        Ok(())
    }
}

impl Revocations {
    fn mark_read(&self) {
        if let Some(followed) = &self.followed {
            followed.mark_read();
        }
    }
}

/// The list, its version, and the channel. The braces keep the first two in one slot of a Cluster.
fn keys(shared: &Shared) -> (String, String, String) {
    (shared.key("{revocations}:list"), shared.key("{revocations}:version"), shared.key("revocations"))
}

/// Follows for as long as anybody uses the list.
pub(super) async fn follow(list: Weak<Revocations>, shared: Shared) {
    while list.strong_count() > 0 {
        if let Err(cause) = listen(&list, &shared).await {
            tracing::debug!(%cause, "revocations are not heard of at the moment");
        }
        tokio::time::sleep(CHECK_EVERY).await;
    }
}

/// Until the connection breaks.
async fn listen(list: &Weak<Revocations>, shared: &Shared) -> Result<(), Unavailable> {
    let (_, _, channel) = keys(shared);
    let subscribed = tokio::time::timeout(SUBSCRIBE, async {
        let mut heard = shared.listen().await?;
        heard.subscribe(&channel).await?;
        redis::RedisResult::Ok(heard.into_on_message())
    });
    let mut messages = match subscribed.await {
        Ok(Ok(messages)) => messages,
        Ok(Err(error)) => return Err(Unavailable::new(SOURCE, error)),
        Err(_) => return Err(Unavailable::new(SOURCE, "nobody answers")),
    };
    let mut seen = read_all(list, shared).await?;
    loop {
        let next = tokio::time::timeout(CHECK_EVERY, messages.next()).await;
        let Some(known) = list.upgrade() else { return Ok(()) };
        match next {
            Ok(None) => return Err(Unavailable::new(SOURCE, "the connection broke")),
            Ok(Some(message)) => {
                let (version, all) = parse(message.get_payload_bytes());
                if version == seen.checked_add(1) {
                    seen = seen.saturating_add(1);
                    known.list(&all, unix_now())?;
                    known.mark_read();
                } else {
                    seen = read_all(list, shared).await?;
                }
            }
            Err(_) => {
                let untold = known.followed.as_ref().is_some_and(|followed| followed.untold.load(Ordering::Acquire));
                if version(shared).await? == seen && !untold {
                    known.mark_read();
                } else {
                    seen = read_all(list, shared).await?;
                }
            }
        }
    }
}

fn parse(message: &[u8]) -> (Option<u64>, Vec<Revoked>) {
    let mut lines = std::str::from_utf8(message).unwrap_or_default().lines();
    let version = lines.next().and_then(|version| version.parse().ok());
    (version, lines.filter_map(Revoked::read_line).collect())
}

async fn version(shared: &Shared) -> Result<u64, Unavailable> {
    let (_, version, _) = keys(shared);
    let version: Option<u64> = shared.ask(move |mut line| async move { redis::cmd("GET").arg(version).query_async(&mut line).await }).await?;
    Ok(version.unwrap_or(0))
}

/// Reads the whole list, gives back what it lacks, and returns its version: one that it had before it was read, so that
/// what is added meanwhile is a gap.
async fn read_all(list: &Weak<Revocations>, shared: &Shared) -> Result<u64, Unavailable> {
    let Some(known) = list.upgrade() else { return Ok(0) };
    let (now, version) = (unix_now(), version(shared).await?);
    let (key, _, _) = keys(shared);
    let rows: Vec<(String, f64)> = shared
        .ask(move |mut line| async move { redis::cmd("ZRANGEBYSCORE").arg(key).arg(now).arg("+inf").arg("WITHSCORES").query_async(&mut line).await })
        .await?;
    #[allow(clippy::cast_possible_truncation, reason = "seconds are far below the 53 bits that a float keeps; beyond, the cast saturates")]
    let listed: Vec<Revoked> = rows.iter().filter_map(|(member, keep)| Revoked::read(member, *keep as i64)).collect();
    known.list(&listed, now)?;
    let there: HashSet<_> = listed.iter().map(|revoked| (revoked.name, revoked.at)).collect();
    let missing: Vec<Revoked> = known.all(now).into_iter().filter(|revoked| !there.contains(&(revoked.name, revoked.at))).collect();
    known.mark_read();
    if let Some(followed) = &known.followed {
        // Before it is read what is missing: what cannot be told meanwhile sets it again.
        followed.untold.store(false, Ordering::Release);
        if !missing.is_empty() {
            followed.tell(&missing, now).await?;
        }
    }
    Ok(version)
}
