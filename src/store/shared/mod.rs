//! Redis or Valkey, which replicas share: one server, a Sentinel group or a Cluster.
//!
//! ```text
//! PREFIX:replay:SIGNATURE           first use of a signature              SET NX EX
//! PREFIX:fact:NAME                  a sealed fact                         SET EX
//! PREFIX:attempts:{WHO}:count, lock failed attempts                       INCR, SET PX
//! PREFIX:{revocations}:list, version, and the channel PREFIX:revocations
//! ```
//!
//! Every call runs on the aux runtime, under a deadline, and not more than `CALLS` at a time. Whatever goes wrong is
//! [`Unavailable`]: nobody can say. No command is tried again here: whether a lost one was carried out is for the caller to judge.

mod address;
mod link;
mod target;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use redis::RedisResult;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::health::Health;
use super::{CacheSettings, Unavailable};
use crate::types::Report;

pub use link::Line;
pub use target::Target;

/// What an [`Unavailable`] of this store names as its source.
pub(super) const SOURCE: &str = "redis";
/// How many calls may be under way at a time; the next is refused, not queued.
const CALLS: usize = 4096;

/// The shared store. Cheap to clone; connects in the background, again and again while it must.
#[derive(Debug, Clone)]
pub struct Shared {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    target: Arc<Target>,
    link: link::Link,
    aux: Handle,
    calls: Arc<Semaphore>,
    deadline: Duration,
    prefix: Arc<str>,
    health: Arc<Health>,
}

impl Shared {
    /// Begins to connect on `aux`, and does not wait for it. A call takes `deadline` at most.
    #[must_use]
    pub fn new(target: Target, prefix: &str, deadline: Duration, aux: Handle) -> Self {
        let (target, health) = (Arc::new(target), Arc::new(Health::new(SOURCE)));
        let link = link::Link::new(Arc::clone(&target), Arc::clone(&health), deadline, &aux);
        let calls = Arc::new(Semaphore::new(CALLS));
        Self { inner: Arc::new(Inner { target, link, aux, calls, deadline, prefix: prefix.into(), health }) }
    }

    /// What `[cache]` names; `None` without `shared`, or when what stands there is wrong, which is reported.
    #[must_use]
    pub fn open(cache: &CacheSettings, aux: Handle, report: &mut Report) -> Option<Self> {
        let sharing = cache.read(report)??;
        Some(Self::new(sharing.target, &cache.shared_prefix, cache.shared_timeout.0, aux))
    }

    /// How it has fared: for operators.
    #[must_use]
    pub fn health(&self) -> &Arc<Health> {
        &self.inner.health
    }

    /// The name of a key or a channel.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.inner.prefix)
    }

    /// The longest that a call takes.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.inner.deadline
    }

    /// Where the work beside requests runs.
    #[must_use]
    pub fn aux(&self) -> &Handle {
        &self.inner.aux
    }

    /// A connection of its own that hears what is published.
    pub(super) async fn listen(&self) -> RedisResult<redis::aio::PubSub> {
        self.inner.target.listen().await
    }

    /// Runs `work` with a connection. An error does not say that nothing was done: a reply may be lost after its command
    /// was carried out.
    pub async fn ask<T, F>(&self, work: impl FnOnce(Line) -> F + Send + 'static) -> Result<T, Unavailable>
    where
        F: Future<Output = RedisResult<T>> + Send,
        T: Send + 'static,
    {
        let Ok(permit) = Arc::clone(&self.inner.calls).try_acquire_owned() else {
            return Err(Unavailable::new(SOURCE, format_args!("{CALLS} calls are under way already")));
        };
        let inner = Arc::clone(&self.inner);
        let call = async move {
            let _permit = permit;
            inner.link.call(inner.deadline, work).await
        };
        match self.inner.aux.spawn(call).await {
            Ok(answer) => answer,
            Err(broken) => Err(Unavailable::new(SOURCE, broken)),
        }
    }
}
