//! What a configured scheme asks of a signature, and its verdict.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName};

use super::public::{Prepared, PublicKeys};
use super::request::{Coverage, Signed, Times};
use super::{Dialect, PreparedKey, Settings};
use crate::auth::Refusal;
use crate::auth::signing::{Algorithm, Seed};
use crate::auth::signing::{KeySettings, Keyring, Manner, NO_KEY, UNLIKE, is_alias, memory};
use crate::store::facts::Subject;
use crate::types::Report;

/// A key without a user stands for its own name.
const MANNER: Manner = Manner { prefix: "", names_users: false, algorithms: &["hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512"] };

/// All that verifying needs, but for keys that are in the store.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) name: Arc<str>,
    pub(super) dialect: Dialect,
    algorithms: Vec<Algorithm>,
    /// Seconds.
    max_skew: i64,
    required: Vec<HeaderName>,
    allow_unsigned_target: bool,
    allow_unsigned_host: bool,
    pub(super) allow_unsigned_body: bool,
    /// Shared secrets.
    pub(super) keys: Keyring<Seed>,
    pub(super) public: PublicKeys,
}

impl Rules {
    pub(super) fn build(name: &str, settings: Settings, store_has_keys: bool, report: &mut Report) -> Option<Self> {
        warn(&settings, report);
        let is_public = |key: &KeySettings| key.public_key.is_some() || key.public_key_file.is_some() || key.next_public_key_file.is_some();
        let (public, shared) = settings.keys.into_iter().partition(|(_, key)| settings.dialect == Dialect::Draft && is_public(key));
        let public = PublicKeys::build(public, report);
        let others = store_has_keys || public.as_ref().is_none_or(|public| !public.is_empty());
        let keys = Keyring::build(shared, (name, "http-signature"), MANNER, others, report);
        let max_skew = i64::try_from(settings.max_skew.0.as_secs()).unwrap_or(i64::MAX);
        if max_skew == 0 {
            report.error("max_skew", "dates count whole seconds", "write at least \"1s\"");
        }
        if settings.algorithms.is_empty() {
            report.error("algorithms", "nobody could be let in", "leave it out, or write [\"hmac-sha256\"]");
        }
        let wanted = settings.required.len();
        let required: Vec<HeaderName> = settings.required.iter().filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()).collect();
        if required.len() != wanted {
            report.error("required", "one of these is not the name of a header", "list names such as \"content-type\"");
        }
        let sound = max_skew > 0 && !settings.algorithms.is_empty() && required.len() == wanted;
        let (keys, public) = (keys.filter(|_| sound)?, public?);
        Some(Self {
            name: name.into(),
            dialect: settings.dialect,
            algorithms: settings.algorithms,
            max_skew,
            required,
            allow_unsigned_target: settings.allow_unsigned_target,
            allow_unsigned_host: settings.allow_unsigned_host,
            allow_unsigned_body: settings.allow_unsigned_body,
            keys,
            public,
        })
    }

    /// Whether the signature covers what it must.
    pub(super) fn covered(&self, covers: &Coverage, sent: &HeaderMap) -> Result<(), Refusal> {
        if !covers.target && !self.allow_unsigned_target {
            return Err(Refusal::Malformed("the signature does not cover method, path and query"));
        }
        if !covers.host && !self.allow_unsigned_host {
            return Err(Refusal::Malformed("the signature does not cover the host"));
        }
        if self.required.iter().any(|name| sent.contains_key(name) && !covers.headers.contains(name)) {
            return Err(Refusal::Malformed("the signature does not cover a header that it must"));
        }
        let alias = |sent: &HeaderName| covers.headers.iter().any(|name| is_alias(sent.as_str(), name.as_str()));
        if sent.keys().any(|name| !covers.headers.contains(name) && alias(name)) {
            return Err(Refusal::Malformed("a header that could be taken for a signed one"));
        }
        Ok(())
    }

    /// Until when the signature is good, if it is good at `now`.
    pub(super) fn in_time(&self, times: &Times, now: i64) -> Result<i64, Refusal> {
        let (Some(first), Some(last)) = (times.signed.iter().min(), times.signed.iter().max()) else {
            return Err(Refusal::Malformed("the signature covers no date"));
        };
        for time in [*first, *last].into_iter().chain(times.unsigned.created) {
            if now.abs_diff(time) > self.max_skew.unsigned_abs() {
                return Err(Refusal::Skewed(now.saturating_sub(time)));
            }
        }
        if times.expires.into_iter().chain(times.unsigned.expires).any(|expires| now > expires) {
            return Err(Refusal::Expired);
        }
        // By what is signed alone: a time that anybody can write must not make a used signature forgotten sooner.
        let until = first.saturating_add(self.max_skew);
        Ok(times.expires.map_or(until, |expires| until.min(expires)))
    }

    /// The algorithm of a signature; its length names it where nothing else does.
    pub(super) fn algorithm(&self, signed: &Signed) -> Result<Algorithm, Refusal> {
        let algorithm = signed.algorithm.or_else(|| Algorithm::of_length(signed.tag.len()));
        algorithm.filter(|algorithm| self.algorithms.contains(algorithm)).ok_or(Refusal::Malformed("an algorithm that is not allowed"))
    }

    /// Judges the signature. `path` is the decoded one. An unknown key is measured as long as a known one.
    pub(super) fn settle(&self, signed: &Signed, key: Option<&PreparedKey>, path: &str, now: i64) -> Result<Arc<Subject>, Refusal> {
        let algorithm = self.algorithm(signed)?;
        let good = algorithm.verify(self.keys.states(key), &signed.readings, &signed.tag);
        match key {
            Some(key) if good && key.allows(algorithm.name()) => key.identify(None, path, now),
            Some(_) if good => Err(Refusal::Wrong("the key may not sign with this algorithm")),
            Some(_) => Err(Refusal::Wrong(UNLIKE)),
            None => Err(Refusal::Wrong(NO_KEY)),
        }
    }

    /// The same for a signature by a private key.
    pub(super) fn settle_public(&self, signed: &Signed, key: Option<&Prepared>, path: &str, now: i64) -> Result<Arc<Subject>, Refusal> {
        let rsa = signed.rsa.ok_or(Refusal::Malformed("an algorithm that is not allowed"))?;
        self.public.settle((rsa, &signed.readings, &signed.tag), key, path, now)
    }

    /// What the replay memory keeps of a signature.
    pub(super) fn memory(&self, signed: &Signed) -> [u8; 32] {
        memory("http-signature", [self.name.as_bytes(), signed.key.as_bytes(), &signed.tag])
    }
}

/// Weak choices.
fn warn(settings: &Settings, report: &mut Report) {
    if settings.max_skew.0 > Duration::from_secs(300) {
        report.warn("max_skew", "a signature that was overheard stays good for long", "set the clocks right and write \"300s\"");
    }
    if settings.algorithms.contains(&Algorithm::HmacSha1) {
        report.warn("algorithms", "hmac-sha1 is for clients that know nothing else", "leave it out");
    }
    for (key, allowed, problem) in [
        ("allow_unsigned_target", settings.allow_unsigned_target, "a signature that was held back is good for every method, path and query"),
        ("allow_unsigned_host", settings.allow_unsigned_host, "a signature is good for every host that has the same keys"),
        ("allow_unsigned_body", settings.allow_unsigned_body, "whoever overhears a request without a signed digest can change its body"),
    ] {
        if allowed {
            report.warn(key, problem, "leave it out, and let the clients sign more");
        }
    }
}
