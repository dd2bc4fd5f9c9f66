//! Tokens, users and keys that are not to be let in any longer, although what vouches for them still does.
//!
//! ```text
//! revoke --> listed here, at once --> list and channel of the shared store --> listed in every replica
//! ```
//!
//! A revocation is compared with the answer, after it was found or loaded: one that arrives while a load is under way is
//! there before the load's answer is used. Facts remember the number of the latest revocation when their load began, and
//! a revocation that is about their user and later than that has them loaded anew.
//!
//! It is bounded: a revocation is kept until nothing can be left that it is about.

mod follow;
mod record;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde_json::Value;

use super::cache::CacheKey;
use super::facts::{Origin, Subject};
use super::shared::Shared;
use super::{CacheSettings, Unavailable, digest};
use crate::types::{unix_millis, unix_now};

use follow::Followed;
pub use record::Revoked;
use record::{Kind, Name, name};

const SOURCE: &str = "revocations";
/// How many are remembered at most; the next is refused, and whoever revokes is told.
const MOST: usize = 1 << 20;
/// By how many milliseconds the clocks of replicas may differ where facts that one loaded are used by another.
const CLOCKS: i64 = 5_000;

/// What is to be revoked. `Debug` shows no token.
#[derive(Clone, Copy)]
pub enum Revocation<'a> {
    /// A bearer token, whoever gave it out.
    Token(&'a str),
    /// A token of Doorward's own store, by the id under which it is listed.
    StoredToken(&'a str),
    /// A token by its `iss` and `jti`.
    TokenId {
        /// Its issuer.
        issuer: &'a str,
        /// Its name among that issuer's tokens.
        jti: &'a str,
    },
    /// All tokens of a user that were issued until now.
    User(&'a str),
    /// Nothing; but what is known of the user is to be asked for anew, for it was changed.
    FactsAbout(&'a str),
    /// An API key.
    Key(&'a str),
}

impl std::fmt::Debug for Revocation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (kind, name) = self.name();
        let hash: String = name.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        write!(f, "{kind:?} {hash}")
    }
}

impl Revocation<'_> {
    fn name(&self) -> Name {
        match self {
            Self::Token(token) => (Kind::Token, digest(token)),
            Self::StoredToken(id) => name(Kind::Stored, &[id.to_ascii_lowercase().as_bytes()]),
            Self::TokenId { issuer, jti } => name(Kind::Id, &[issuer.as_bytes(), jti.as_bytes()]),
            Self::User(user) => name(Kind::User, &[user.as_bytes()]),
            Self::FactsAbout(user) => name(Kind::Facts, &[user.as_bytes()]),
            Self::Key(key) => name(Kind::Key, &[key.as_bytes()]),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    at: i64,
    keep: i64,
    generation: u64,
}

/// The list. Cheap to ask while nothing is revoked.
#[derive(Debug)]
pub struct Revocations {
    listed: RwLock<HashMap<Name, Entry>>,
    /// How many are listed: most of the time none, and nothing more is looked at.
    count: AtomicUsize,
    /// The number of the latest.
    generation: AtomicU64,
    keep: Duration,
    max_age: Duration,
    followed: Option<Followed>,
}

impl Revocations {
    /// Of this process alone.
    #[must_use]
    pub fn new(cache: &CacheSettings) -> Self {
        let (keep, max_age) = (cache.keep_revocations.0, cache.max_age.0);
        Self { listed: RwLock::default(), count: AtomicUsize::new(0), generation: AtomicU64::new(0), keep, max_age, followed: None }
    }

    /// Of all replicas: follows their list from now on. Waits for the first reading of it, though not for long.
    pub async fn shared_by(shared: Shared, cache: &CacheSettings) -> Arc<Self> {
        let followed = Followed::new(shared.clone(), cache);
        let this = Arc::new(Self { followed: Some(followed), ..Self::new(cache) });
        shared.aux().spawn(follow::follow(Arc::downgrade(&this), shared.clone()));
        let first = async {
            while !this.followed.as_ref().is_some_and(Followed::was_read) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let _ = tokio::time::timeout(shared.deadline(), first).await;
        this
    }

    /// For a program that tells the replicas of a revocation and ends.
    #[must_use]
    pub fn telling(shared: Shared, cache: &CacheSettings) -> Self {
        Self { followed: Some(Followed::new(shared, cache)), ..Self::new(cache) }
    }

    /// Revokes, here at once, and in all replicas that share the list. `Err` says that the others could not be told; they
    /// are as soon as the shared store answers again, if this process lives.
    pub async fn revoke(&self, what: &[Revocation<'_>]) -> Result<(), Unavailable> {
        let now = unix_now();
        let seconds = |age: Duration| i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        let all: Vec<Revoked> = what
            .iter()
            .map(|revocation| {
                let name = revocation.name();
                // What is known of somebody is known for no longer than `max_age`.
                let age = if name.0 == Kind::Facts { self.max_age.saturating_add(Duration::from_secs(60)) } else { self.keep };
                Revoked { name, at: self.next(&name), keep: now.saturating_add(seconds(age)) }
            })
            .collect();
        tracing::info!(revoked = ?what, "revoked");
        let here = self.list(&all, now);
        match &self.followed {
            Some(followed) => followed.tell(&all, now).await.and(here),
            None => here,
        }
    }

    /// Whether what a credential says of its bearer may still be used. `Err` when the list is shared and has not been
    /// read for too long to say.
    pub fn permits(&self, subject: &Subject) -> Result<bool, Unavailable> {
        if let (Origin::Elsewhere { .. }, Some(followed)) = (&subject.origin, &self.followed) {
            // Nobody but this list tells of the end of a token that somebody else gave out.
            followed.is_current()?;
        }
        if self.is_empty() {
            return Ok(true);
        }
        let listed = self.listed.read().map_err(|_| Unavailable::new(SOURCE, "it broke"))?;
        let is_listed = |revocation: Revocation<'_>| listed.contains_key(&revocation.name());
        Ok(match &subject.origin {
            Origin::Other => true,
            Origin::Key { name } => !is_listed(Revocation::Key(name)),
            Origin::Store { token } => !listed.contains_key(&(Kind::Token, *token)) && !is_listed(Revocation::StoredToken(&id(token))),
            Origin::Elsewhere { token, issued } => {
                let ended = listed.get(&Revocation::User(&subject.user).name()).map(|entry| entry.at);
                let before = |at: i64| issued.is_some_and(|issued| issued.saturating_mul(1000) <= at);
                !listed.contains_key(&(Kind::Token, *token)) && !token_id(subject).is_some_and(is_listed) && !ended.is_some_and(before)
            }
        })
    }

    /// The number of the latest revocation. To be asked for before a load begins.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Whether what is known of `user`, by a load that began at `generation`, is to be asked for anew.
    #[must_use]
    pub fn is_outdated(&self, user: &str, generation: u64) -> bool {
        self.latest_about(user).is_some_and(|entry| entry.generation > generation)
    }

    /// The same of what another replica learned, by a load that began at `at` (Unix milliseconds, by its clock).
    #[must_use]
    pub fn is_older(&self, user: &str, at: i64) -> bool {
        self.latest_about(user).is_some_and(|entry| entry.at >= at.saturating_sub(CLOCKS))
    }

    /// How many are listed: for a metric.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Whether none is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn latest_about(&self, user: &str) -> Option<Entry> {
        if self.is_empty() {
            return None;
        }
        // After a panic under the lock nobody knows what was noted: everything is asked for anew.
        let Ok(listed) = self.listed.read() else { return Some(Entry { at: i64::MAX, keep: i64::MAX, generation: u64::MAX }) };
        let of = |revocation: Revocation<'_>| listed.get(&revocation.name()).copied();
        let (ended, changed) = (of(Revocation::User(user)), of(Revocation::FactsAbout(user)));
        ended.into_iter().chain(changed).max_by_key(|entry| entry.generation)
    }

    /// Now, but later than what is listed already: two revocations in one millisecond are two.
    fn next(&self, name: &Name) -> i64 {
        let listed = self.listed.read().unwrap_or_else(PoisonError::into_inner);
        listed.get(name).map_or(i64::MIN, |entry| entry.at.saturating_add(1)).max(unix_millis())
    }

    /// Lists what is new of `all`. A revocation that is known already changes nothing, so that a list may be read again.
    fn list(&self, all: &[Revoked], now: i64) -> Result<(), Unavailable> {
        let mut listed = self.listed.write().map_err(|_| Unavailable::new(SOURCE, "it broke"))?;
        if listed.len().saturating_add(all.len()) > MOST || listed.len() > all.len().saturating_mul(64) {
            listed.retain(|_, entry| entry.keep >= now);
        }
        let mut full = Ok(());
        for revoked in all.iter().filter(|revoked| revoked.keep >= now) {
            let known = listed.get(&revoked.name).is_some_and(|entry| entry.at >= revoked.at);
            if known {
                continue;
            }
            if listed.len() >= MOST && !listed.contains_key(&revoked.name) {
                full = Err(Unavailable::new(SOURCE, format_args!("full of {MOST} that are still to be remembered")));
                continue;
            }
            let generation = self.generation.fetch_add(1, Ordering::AcqRel).saturating_add(1);
            listed.insert(revoked.name, Entry { at: revoked.at, keep: revoked.keep, generation });
        }
        self.count.store(listed.len(), Ordering::Release);
        full
    }

    /// All that is listed and still to be remembered.
    fn all(&self, now: i64) -> Vec<Revoked> {
        let listed = self.listed.read().unwrap_or_else(PoisonError::into_inner);
        let kept = listed.iter().filter(|(_, entry)| entry.keep >= now);
        kept.map(|(name, entry)| Revoked { name: *name, at: entry.at, keep: entry.keep }).collect()
    }
}

/// The id under which a token of the store is listed.
fn id(token: &CacheKey) -> String {
    token.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

fn token_id(subject: &Subject) -> Option<Revocation<'_>> {
    let issuer = subject.claims.get("iss").and_then(Value::as_str).unwrap_or_default();
    subject.claims.get("jti").and_then(Value::as_str).map(|jti| Revocation::TokenId { issuer, jti })
}

#[cfg(test)]
mod tests;
