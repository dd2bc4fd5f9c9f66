//! What stands around a [`Known`]: revocations, and what replicas share.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{CacheKey, Known, Revocations, SealedFacts};

/// A fact about a bearer: of whom it speaks, and until when it holds.
pub trait Learned {
    /// The user whom it is about, if it is about one.
    fn user(&self) -> Option<&str>;
    /// Unix seconds from which on it does not hold any longer.
    fn expires(&self) -> Option<i64>;
}

impl<V: Learned + Send + Sync + 'static> Known<V> {
    /// Asks anew for what is known of a user of whom something was revoked.
    #[must_use]
    pub fn ended_by(self, revocations: &Arc<Revocations>) -> Self {
        Self { ended: Ended(Some((Arc::clone(revocations), V::user))), ..self }
    }

    /// Asks what replicas share before the source, and gives them what it learns. `scope` names the source and everything
    /// that its answer depends on: replicas with the same scope get the same answers.
    #[must_use]
    pub fn shared_through(self, facts: Option<&SealedFacts>, scope: &str) -> Self
    where
        V: Serialize + DeserializeOwned,
    {
        let layer = facts.map(|facts| Layer {
            facts: facts.clone(),
            scope: scope.into(),
            encode: |value| serde_json::to_vec(value).ok(),
            decode: |bytes| serde_json::from_slice(bytes).ok(),
            user: V::user,
            expires: V::expires,
        });
        Self { layer, ..self }
    }
}

/// By what facts end before their time.
#[allow(clippy::type_complexity, reason = "a list and how to read whom a fact is about")]
pub(super) struct Ended<V>(Option<(Arc<Revocations>, fn(&V) -> Option<&str>)>);

impl<V> Clone for Ended<V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<V> Ended<V> {
    pub(super) fn never() -> Self {
        Self(None)
    }

    pub(super) fn generation(&self) -> u64 {
        self.0.as_ref().map_or(0, |(revocations, _)| revocations.generation())
    }

    /// Whether a revocation about the fact's user is later than the load that began at `generation`.
    pub(super) fn is_outdated(&self, value: &V, generation: u64) -> bool {
        self.0.as_ref().is_some_and(|(revocations, user)| user(value).is_some_and(|user| revocations.is_outdated(user, generation)))
    }

    fn is_older(&self, user: Option<&str>, at: i64) -> bool {
        self.0.as_ref().is_some_and(|(revocations, _)| user.is_some_and(|user| revocations.is_older(user, at)))
    }
}

/// What replicas share of one kind of facts.
pub(super) struct Layer<V> {
    facts: SealedFacts,
    scope: Arc<str>,
    encode: fn(&V) -> Option<Vec<u8>>,
    decode: fn(&[u8]) -> Option<V>,
    user: fn(&V) -> Option<&str>,
    expires: fn(&V) -> Option<i64>,
}

impl<V> Clone for Layer<V> {
    fn clone(&self) -> Self {
        Self { facts: self.facts.clone(), scope: Arc::clone(&self.scope), ..*self }
    }
}

impl<V> Layer<V> {
    /// What another replica has learned, and how much longer it is believed: for `max_age` from its own beginning, however long
    /// that replica believes it. Whatever goes wrong is a miss.
    pub(super) async fn get(&self, key: &CacheKey, now: i64, max_age: Duration, ended: &Ended<V>) -> Option<(V, Duration)> {
        let found = self.facts.get(&self.scope, key).await?;
        let by_age = found.began.saturating_add(i64::try_from(max_age.as_millis()).unwrap_or(i64::MAX));
        let left = u64::try_from(found.until.min(by_age).checked_sub(now)?).ok().filter(|left| *left > 0)?;
        let value = (self.decode)(&found.content)?;
        (!ended.is_older((self.user)(&value), found.began)).then_some((value, Duration::from_millis(left)))
    }

    /// Gives it to the others, without waiting for that. Never past its own expiry.
    pub(super) fn put(&self, key: &CacheKey, value: &V, began: i64, max_age: Duration) {
        let Some(content) = (self.encode)(value) else { return };
        let by_age = began.saturating_add(i64::try_from(max_age.as_millis()).unwrap_or(i64::MAX));
        let until = (self.expires)(value).map_or(by_age, |expires| by_age.min(expires.saturating_mul(1000)));
        self.facts.put(&self.scope, key, super::super::sealed::Found { began, until, content });
    }
}
