//! Facts learned by verifying: what a credential says of its bearer. Never a decision.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::types::unix_now;

/// Which credential facts come from: what a revocation is compared with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// From a password, a certificate and the like.
    #[default]
    Other,
    /// From a signature with an API key.
    Key {
        /// The key's name.
        name: Arc<str>,
    },
    /// From a token of Doorward's own store, which is told of every revocation as well.
    Store {
        /// SHA-256 of the token.
        token: [u8; 32],
    },
    /// From a token that somebody else gave out: nobody but the list of revocations tells of its end.
    Elsewhere {
        /// SHA-256 of the token.
        token: [u8; 32],
        /// When it was issued, in Unix seconds; `None` when its source is asked again and can say whether it still holds.
        issued: Option<i64>,
    },
}

impl Origin {
    /// Of a token that was verified by itself, without asking anybody. One that does not say when it was issued was
    /// issued before every revocation.
    #[must_use]
    pub fn of_signed_token(token: &str, claims: &Map<String, Value>) -> Self {
        let issued = claims.get("iat").and_then(Value::as_f64).map_or(i64::MIN, whole);
        Self::Elsewhere { token: super::digest(token), issued: Some(issued) }
    }

    /// Of a token that a source was asked about, which may have said when it was issued.
    #[must_use]
    pub fn of_known_token(token: &str, claims: &Map<String, Value>) -> Self {
        Self::Elsewhere { token: super::digest(token), issued: claims.get("iat").and_then(Value::as_f64).map(whole) }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "beyond what an i64 holds the cast saturates; a fraction was issued within its second")]
fn whole(seconds: f64) -> i64 {
    seconds.floor() as i64
}

/// What is known of a caller. Facts, not decisions: policy judges them anew on every request.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// The name that the application is told. Never empty, never with a control character: see `auth::valid_user_name`.
    pub user: String,
    /// E-mail address, if known.
    pub email: Option<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// OAuth scopes; empty for schemes that have none.
    pub scopes: Vec<String>,
    /// All claims of a token; empty for schemes that have none.
    pub claims: Map<String, Value>,
    /// Unix seconds after which these facts no longer hold.
    pub expires: Option<i64>,
    /// Which credential they come from.
    pub origin: Origin,
}

impl super::cache::Learned for Subject {
    fn user(&self) -> Option<&str> {
        Some(&self.user)
    }

    fn expires(&self) -> Option<i64> {
        self.expires
    }
}

/// SHA-256 over the length-prefixed scheme name and credential: never the credential itself.
pub type FactKey = [u8; 32];

#[derive(Clone)]
struct Fact {
    subject: Arc<Subject>,
    deadline: i64,
    weight: u32,
}

/// The length of a credential up to which a fact counts as one.
const PLAIN_BYTES: usize = 1024;

/// Facts by credential, bounded in number and, by the length of what they were read from, in memory. A hit is synchronous.
pub struct Facts {
    cache: Cache<FactKey, Fact>,
}

/// Not derived: it would print whom the facts are about.
impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts").field("entries", &self.cache.entry_count()).finish_non_exhaustive()
    }
}

/// Lets dead entries leave the cache. It is [`Facts::get`] that refuses them; this only frees their memory.
struct UntilDeadline;

impl UntilDeadline {
    fn remaining(fact: &Fact) -> Duration {
        Duration::from_secs(u64::try_from(fact.deadline.saturating_sub(unix_now())).unwrap_or(0))
    }
}

impl Expiry<FactKey, Fact> for UntilDeadline {
    fn expire_after_create(&self, _: &FactKey, fact: &Fact, _: Instant) -> Option<Duration> {
        Some(Self::remaining(fact))
    }

    fn expire_after_update(&self, _: &FactKey, fact: &Fact, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(Self::remaining(fact))
    }
}

impl Facts {
    /// With room for `capacity` facts of credentials shorter than 1 KiB. Longer ones take the room of several.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        let cache = Cache::builder().max_capacity(capacity).weigher(|_, fact: &Fact| fact.weight).expire_after(UntilDeadline).build();
        Self { cache }
    }

    /// The key of `credential` under the scheme named `scheme`.
    #[must_use]
    pub fn key(scheme: &str, credential: &[u8]) -> FactKey {
        // The length stands first: no scheme's name can run on into a credential.
        let mut hash = Sha256::new();
        hash.update((scheme.len() as u64).to_be_bytes());
        hash.update(scheme);
        hash.update((credential.len() as u64).to_be_bytes());
        hash.update(credential);
        hash.finalize().into()
    }

    /// The fact, if it is known and `now` is before its deadline (Unix seconds).
    #[must_use]
    pub fn get(&self, key: &FactKey, now: i64) -> Option<Arc<Subject>> {
        self.cache.get(key).filter(|fact| now < fact.deadline).map(|fact| fact.subject)
    }

    /// Remembers a fact until `deadline` (Unix seconds), which the caller computes from when verifying BEGAN:
    /// min(the token's expiry, begin + max_age). `credential_bytes` is the length of what it was read from: as a rule, claims
    /// take as much memory as the token that they stand in is long.
    pub fn insert(&self, key: FactKey, subject: Arc<Subject>, deadline: i64, credential_bytes: usize) {
        let weight = u32::try_from(credential_bytes / PLAIN_BYTES).unwrap_or(u32::MAX).saturating_add(1);
        self.cache.insert(key, Fact { subject, deadline, weight });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn alice() -> Arc<Subject> {
        Arc::new(Subject { user: "alice".to_owned(), ..Subject::default() })
    }

    #[test]
    fn a_fact_is_known_until_its_deadline_and_not_at_it() {
        let facts = Facts::new(10);
        let (key, deadline) = (Facts::key("corp", b"token"), unix_now() + 60);
        facts.insert(key, alice(), deadline, 100);
        assert_eq!(facts.get(&key, deadline - 1), Some(alice()));
        assert_eq!(facts.get(&key, deadline), None);
        assert_eq!(facts.get(&key, i64::MAX), None);
        assert_eq!(facts.get(&Facts::key("corp", b"other"), deadline - 1), None);
        assert_eq!(facts.get(&Facts::key("other", b"token"), deadline - 1), None);
    }

    #[test]
    fn a_fact_past_its_deadline_is_not_even_kept() {
        let facts = Facts::new(10);
        for deadline in [0, i64::MIN, unix_now() - 1] {
            let key = Facts::key("corp", &deadline.to_be_bytes());
            facts.insert(key, alice(), deadline, 100);
            assert_eq!(facts.get(&key, i64::MIN), None, "{deadline}");
        }
    }

    #[test]
    fn a_later_fact_replaces_the_deadline_of_an_earlier_one() {
        let facts = Facts::new(10);
        let (key, now) = (Facts::key("corp", b"token"), unix_now());
        facts.insert(key, alice(), now + 5, 100);
        facts.insert(key, alice(), now + 500, 100);
        assert!(facts.get(&key, now + 400).is_some());
        facts.insert(key, alice(), now - 1, 100);
        assert!(facts.get(&key, now).is_none());
    }

    #[test]
    fn the_number_of_facts_is_bounded() {
        let facts = Facts::new(100);
        for number in 0..10_000_u32 {
            facts.insert(Facts::key("corp", &number.to_be_bytes()), alice(), i64::MAX, 100);
        }
        facts.cache.run_pending_tasks();
        assert!(facts.cache.entry_count() <= 100);
    }

    #[test]
    fn facts_of_long_credentials_take_the_room_of_several() {
        for (credential_bytes, most) in [(0, 100), (1023, 100), (1024, 50), (8192, 11), (usize::MAX, 0)] {
            let facts = Facts::new(100);
            for number in 0..1000_u32 {
                facts.insert(Facts::key("corp", &number.to_be_bytes()), alice(), i64::MAX, credential_bytes);
            }
            facts.cache.run_pending_tasks();
            assert!(facts.cache.entry_count() <= most, "{credential_bytes}: {}", facts.cache.entry_count());
        }
    }

    #[test]
    fn debug_tells_nobody_who_was_here() {
        let facts = Facts::new(10);
        facts.insert(Facts::key("corp", b"token"), alice(), i64::MAX, 100);
        assert!(!format!("{facts:?}").contains("alice"));
    }

    proptest! {
        #[test]
        fn no_two_pairs_share_a_key(all in "[ab\\PC]{0,12}", cut in 0_usize..12, other in 0_usize..12) {
            let cuts: Vec<usize> = (0..=all.len()).filter(|at| all.is_char_boundary(*at)).collect();
            let (a, b) = (cuts[cut % cuts.len()], cuts[other % cuts.len()]);
            let key = |at: usize| Facts::key(&all[..at], &all.as_bytes()[at..]);
            prop_assert_eq!(key(a) == key(b), a == b);
        }
    }
}
