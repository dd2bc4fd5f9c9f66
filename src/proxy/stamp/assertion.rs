//! The identity as a JWT that any library can verify, RFC 7519: `iss`, `aud`, `sub`, `iat`, `exp`, `jti`, `email`, `groups`,
//! and the claims that the configuration maps.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::Unstampable;
use super::keys::SigningKey;

/// Seconds that an assertion holds.
const LIFETIME: i64 = 60;

/// Seconds for which one is used again: the application always gets one that holds for as long as this at least.
const FRESH: i64 = 30;

/// How many identities are remembered.
const REMEMBERED: u64 = 10_000;

/// Claims that the assertion itself decides: none of them can be mapped.
const REGISTERED: &[&str] = &["iss", "aud", "sub", "iat", "exp", "nbf", "jti", "email", "groups"];

/// Why an assertion is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    /// Not a JWS in compact form with a header and claims of ours.
    #[error("the assertion is malformed: {0}")]
    Malformed(&'static str),
    /// Made by a key that is not configured.
    #[error("no key of that name is configured")]
    UnknownKey,
    /// The signature is another's.
    #[error("the signature does not match")]
    Wrong,
    /// Past its expiry, or from the future.
    #[error("the assertion is not valid at this time")]
    Time,
    /// For another application, or by another gate.
    #[error("the assertion has another {0}")]
    Other(&'static str),
}

/// Makes assertions, and remembers the fresh ones.
#[derive(Debug)]
pub(super) struct Assertions {
    issuer: String,
    audience: String,
    /// By what is asserted, never by who asks: a changed group makes another assertion at once.
    made: moka::sync::Cache<[u8; 32], (i64, HeaderValue)>,
}

impl Assertions {
    pub(super) fn new(issuer: String, audience: String) -> Self {
        let made = moka::sync::Cache::builder().max_capacity(REMEMBERED).time_to_live(Duration::from_secs(LIFETIME.unsigned_abs())).build();
        Self { issuer, audience, made }
    }

    /// An assertion of `claims` (with `sub`), signed by `key`; at most 30 seconds old.
    pub(super) fn write(&self, (id, key): &(String, SigningKey), mut claims: Map<String, Value>, now: i64) -> Result<HeaderValue, Unstampable> {
        const FAILED: Unstampable = Unstampable("the assertion could not be signed");
        claims.insert("iss".to_owned(), self.issuer.as_str().into());
        claims.insert("aud".to_owned(), self.audience.as_str().into());
        let asserted: [u8; 32] = Sha256::digest(serde_json::to_vec(&claims).map_err(|_| FAILED)?).into();
        if let Some((made, token)) = self.made.get(&asserted)
            && (0..=FRESH).contains(&now.saturating_sub(made))
        {
            return Ok(token);
        }
        let mut unique = [0; 16];
        aws_lc_rs::rand::fill(&mut unique).map_err(|_| FAILED)?;
        claims.insert("jti".to_owned(), URL_SAFE_NO_PAD.encode(unique).into());
        claims.insert("iat".to_owned(), now.into());
        claims.insert("exp".to_owned(), now.saturating_add(LIFETIME).into());
        let header = serde_json::json!({"alg": key.algorithm(), "typ": "JWT", "kid": id});
        let text = |json: &[u8]| URL_SAFE_NO_PAD.encode(json);
        let head = text(header.to_string().as_bytes());
        let signed = format!("{head}.{}", text(&serde_json::to_vec(&claims).map_err(|_| FAILED)?));
        let signature = key.sign(signed.as_bytes()).ok_or(FAILED)?;
        let mut token = HeaderValue::try_from(format!("{signed}.{}", text(&signature))).map_err(|_| FAILED)?;
        token.set_sensitive(true);
        self.made.insert(asserted, (now, token.clone()));
        Ok(token)
    }

    /// The claims of an assertion made here, by any of `keys`, that holds at `now`.
    pub(super) fn read(&self, keys: &[(String, SigningKey)], token: &str, now: i64) -> Result<Map<String, Value>, AssertionError> {
        let malformed = AssertionError::Malformed;
        let (signed, signature) = token.rsplit_once('.').ok_or(malformed("it has no three parts"))?;
        let (head, claims) = signed.split_once('.').ok_or(malformed("it has no three parts"))?;
        let object = |part: &str| -> Option<Map<String, Value>> { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok() };
        let head = object(head).ok_or(malformed("its header is not JSON"))?;
        // Ours has no more members; a `crit` would change what the signature means.
        let text = |name: &str| head.get(name).and_then(Value::as_str);
        if head.len() != 3 || text("typ") != Some("JWT") {
            return Err(malformed("its header is not one of ours"));
        }
        let (_, key) = keys.iter().find(|(id, _)| text("kid") == Some(id)).ok_or(AssertionError::UnknownKey)?;
        if text("alg") != Some(key.algorithm()) {
            return Err(malformed("its algorithm is not its key's"));
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed("its signature is not base64url"))?;
        if !key.verify(signed.as_bytes(), &signature) {
            return Err(AssertionError::Wrong);
        }
        let claims = object(claims).ok_or(malformed("its claims are not JSON"))?;
        for (name, ours) in [("iss", &self.issuer), ("aud", &self.audience)] {
            if claims.get(name).and_then(Value::as_str) != Some(ours) {
                return Err(AssertionError::Other(if name == "iss" { "issuer" } else { "audience" }));
            }
        }
        let seconds = |name: &str| claims.get(name).and_then(Value::as_i64);
        match (seconds("iat"), seconds("exp")) {
            (Some(made), Some(end)) if made <= now.saturating_add(LIFETIME) && now < end => Ok(claims),
            _ => Err(AssertionError::Time),
        }
    }
}

/// Whether a mapped attribute may stand in the assertion under its own name.
pub(super) fn may_map(name: &str) -> bool {
    !REGISTERED.contains(&name)
}
