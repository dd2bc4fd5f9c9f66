//! Facts that replicas share, sealed: whoever reads the shared store learns nothing of them, and whoever writes to it
//! cannot make any.
//!
//! ```text
//! key    PREFIX:fact:NAME         NAME = base64url( HMAC-SHA256( name key, scope and what is looked up ) )
//! value  1 | nonce (12) | AES-256-GCM-SIV( BEGAN UNTIL CONTENT ) | tag (16)        additional data: 1 | NAME
//! ```
//!
//! Both keys come of `cache.shared_secret` by HKDF-SHA256. A value under another name does not open. Nothing that goes
//! wrong here is an error: it is a fact that is not known yet.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::{hkdf, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::Unavailable;
use super::cache::CacheKey;
use super::shared::Shared;
use crate::types::{Secret, unix_millis};

/// The form of the values below. Values of another are not opened.
const VERSION: u8 = 1;
/// Longer facts are not shared.
const MAX_BYTES: usize = 64 * 1024;
/// BEGAN and UNTIL.
const TIMES: usize = 16;

/// A fact as it is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// When the load began that it comes from: Unix milliseconds by the clock of who learned it.
    pub(super) began: i64,
    /// Unix milliseconds until which it is believed.
    pub(super) until: i64,
    pub(super) content: Vec<u8>,
}

/// Shares facts. Cheap to clone.
#[derive(Clone)]
pub struct SealedFacts {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Shared,
    seal: Seal,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl fmt::Debug for SealedFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedFacts").finish_non_exhaustive()
    }
}

impl SealedFacts {
    /// Sealed by `secret`, which all replicas share. Fails only if no keys can be made of it.
    pub fn new(shared: Shared, secret: &Secret) -> Result<Self, Unavailable> {
        let inner = Inner { shared, seal: Seal::new(secret)?, hits: AtomicU64::new(0), misses: AtomicU64::new(0) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// How often a fact was found and not found there: for a metric.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.inner.hits.load(Ordering::Relaxed), self.inner.misses.load(Ordering::Relaxed))
    }

    pub(super) async fn get(&self, scope: &str, key: &CacheKey) -> Option<Found> {
        let name = self.inner.seal.name(scope, key);
        let at = self.at(&name);
        let sealed = self.inner.shared.ask(move |mut line| async move { redis::cmd("GET").arg(at).query_async::<Option<Vec<u8>>>(&mut line).await });
        let found = sealed.await.ok().flatten().and_then(|sealed| self.inner.seal.open(&name, sealed));
        let counter = if found.is_some() { &self.inner.hits } else { &self.inner.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Does not wait until it is there.
    pub(super) fn put(&self, scope: &str, key: &CacheKey, fact: Found) {
        let left = fact.until.saturating_sub(unix_millis());
        let name = self.inner.seal.name(scope, key);
        let Some(sealed) = self.inner.seal.close(&name, fact).filter(|_| left > 0) else { return };
        let (shared, at) = (self.inner.shared.clone(), self.at(&name));
        self.inner.shared.aux().spawn(async move {
            let _ = shared
                .ask(move |mut line| async move { redis::cmd("SET").arg(at).arg(sealed).arg("PX").arg(left).query_async::<()>(&mut line).await })
                .await;
        });
    }

    fn at(&self, name: &[u8; 32]) -> String {
        self.inner.shared.key(&format!("fact:{}", URL_SAFE_NO_PAD.encode(name)))
    }
}

/// The keys.
struct Seal {
    names: hmac::Key,
    values: RandomizedNonceKey,
}

impl Seal {
    fn new(secret: &Secret) -> Result<Self, Unavailable> {
        let derived = |purpose: &[u8]| -> Result<Zeroizing<[u8; 32]>, aws_lc_rs::error::Unspecified> {
            let mut key = Zeroizing::new([0; 32]);
            hkdf::Salt::new(hkdf::HKDF_SHA256, b"doorward shared facts 1")
                .extract(secret.expose())
                .expand(&[purpose], hkdf::HKDF_SHA256)?
                .fill(&mut *key)?;
            Ok(key)
        };
        let keys = || -> Result<Self, aws_lc_rs::error::Unspecified> {
            let names = hmac::Key::new(hmac::HMAC_SHA256, &*derived(b"names")?);
            Ok(Self { names, values: RandomizedNonceKey::new(&AES_256_GCM_SIV, &*derived(b"values")?)? })
        };
        keys().map_err(|error| Unavailable::new("shared facts", error))
    }

    fn name(&self, scope: &str, key: &CacheKey) -> [u8; 32] {
        let mut mac = hmac::Context::with_key(&self.names);
        mac.update(&(scope.len() as u64).to_be_bytes());
        mac.update(scope.as_bytes());
        mac.update(key);
        let mut name = [0; 32];
        name.iter_mut().zip(mac.sign().as_ref()).for_each(|(to, from)| *to = *from);
        name
    }

    fn close(&self, name: &[u8; 32], fact: Found) -> Option<Vec<u8>> {
        if fact.content.len() > MAX_BYTES {
            return None;
        }
        let mut inner = Vec::with_capacity(TIMES + fact.content.len() + 16);
        inner.extend_from_slice(&fact.began.to_be_bytes());
        inner.extend_from_slice(&fact.until.to_be_bytes());
        inner.extend_from_slice(&fact.content);
        let nonce = self.values.seal_in_place_append_tag(additional(name), &mut inner).ok()?;
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + inner.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(nonce.as_ref());
        sealed.append(&mut inner);
        Some(sealed)
    }

    fn open(&self, name: &[u8; 32], mut sealed: Vec<u8>) -> Option<Found> {
        let (version, rest) = sealed.split_first_mut()?;
        let (nonce, rest) = rest.split_at_mut_checked(NONCE_LEN)?;
        if *version != VERSION {
            return None;
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let inner: &[u8] = self.values.open_in_place(nonce, additional(name), rest).ok()?;
        let (began, inner) = inner.split_first_chunk()?;
        let (until, content) = inner.split_first_chunk()?;
        Some(Found { began: i64::from_be_bytes(*began), until: i64::from_be_bytes(*until), content: content.to_vec() })
    }
}

/// Binds a value to its form and its name.
fn additional(name: &[u8; 32]) -> Aad<[u8; 33]> {
    let mut all = [VERSION; 33];
    all.iter_mut().skip(1).zip(name).for_each(|(to, from)| *to = *from);
    Aad::from(all)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seal(secret: &str) -> Seal {
        Seal::new(&Secret::new(secret)).unwrap()
    }

    fn fact(content: &[u8]) -> Found {
        Found { began: 1, until: i64::MAX, content: content.to_vec() }
    }

    #[test]
    fn what_was_sealed_is_opened_under_its_own_name_and_secret_alone() {
        let (one, other) = (seal("a secret"), seal("another secret"));
        let (name, beside) = (one.name("tokens", &[1; 32]), one.name("tokens", &[2; 32]));
        let sealed = one.close(&name, fact(b"alice")).unwrap();
        assert_eq!(seal("a secret").open(&name, sealed.clone()), Some(fact(b"alice")));
        assert_eq!(one.open(&beside, sealed.clone()), None);
        assert_eq!(other.open(&name, sealed.clone()), None);
        assert!(!sealed.windows(5).any(|window| window == b"alice"));
        assert_ne!(one.close(&name, fact(b"alice")).unwrap(), sealed, "each time with another nonce");
        assert!(one.close(&name, fact(&vec![0; MAX_BYTES + 1])).is_none());
    }

    #[test]
    fn names_depend_on_secret_scope_and_key() {
        let (one, other) = (seal("a secret"), seal("another secret"));
        let names = [one.name("a", &[1; 32]), one.name("b", &[1; 32]), one.name("a", &[2; 32]), one.name("", &[1; 32]), other.name("a", &[1; 32])];
        for (at, name) in names.iter().enumerate() {
            assert!(!names.iter().skip(at + 1).any(|other| other == name), "{at}");
        }
    }

    proptest! {
        #[test]
        fn no_bit_of_a_sealed_fact_may_change(content in prop::collection::vec(any::<u8>(), 0..60), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let seal = seal("a secret");
            let name = seal.name("tokens", &[1; 32]);
            let mut sealed = seal.close(&name, fact(&content)).unwrap();
            prop_assert_eq!(seal.open(&name, sealed.clone()), Some(fact(&content)));
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            prop_assert_eq!(seal.open(&name, sealed), None);
        }

        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let seal = seal("a secret");
            prop_assert_eq!(seal.open(&[0; 32], bytes), None);
        }
    }
}
