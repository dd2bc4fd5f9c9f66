//! One proof (RFC 9449 section 4): who signed it, for which request, for which token, and when.
//!
//! ```text
//! DPoP: {"typ":"dpop+jwt","alg":"ES256","jwk":{…public…}} . {"jti":…,"htm":"POST","htu":"https://…","iat":…,"ath":…,"nonce":…} . signature
//! ```
//!
//! The key that a proof brings is used only if its thumbprint is the one that the verified token names: nobody else's key
//! is ever verified with. Pure: the time is an argument.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderName;
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use url::Url;

use super::nonce::Nonces;
use super::{Once, thumbprint};
use crate::auth::jwt::compact::{Compact, decode};
use crate::auth::jwt::header::HeaderRules;
use crate::inbound::Host;
use crate::store::jwks::PublicKey;
use crate::types::json;

/// The header that holds a proof.
pub(super) const HEADER: HeaderName = HeaderName::from_static("dpop");
/// Longer proofs are refused before anything is decoded.
const MAX_PROOF_BYTES: usize = 8 * 1024;
/// Longer names of proofs are refused.
const MAX_JTI_BYTES: usize = 256;

/// What proofs must be like.
#[derive(Debug)]
pub(super) struct Proofs {
    header: HeaderRules,
    /// How old a proof may be, in seconds.
    max_age: i64,
    /// How far clocks may differ, in seconds.
    leeway: i64,
    /// What `htu` may begin with; empty: the request's own host.
    origins: Vec<Origin>,
    /// Set where proofs must hold a nonce.
    pub nonces: Option<Nonces>,
}

/// The request that is to be proved.
#[derive(Debug)]
pub(super) struct Expected<'r> {
    /// Its method.
    pub method: &'r str,
    /// Its one host.
    pub host: &'r Host,
    /// Its path as it is forwarded.
    pub path: &'r str,
    /// The token that came with it.
    pub token: &'r str,
    /// What the token's `cnf.jkt` says.
    pub thumbprint: &'r str,
}

/// What a good proof says.
#[derive(Debug)]
pub(super) struct Proved {
    /// To be noted.
    pub once: Once,
    /// `nonce`, if there is one. Not judged yet.
    pub nonce: Option<String>,
}

/// Scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin(url::Origin);

impl Origin {
    /// Of a URL that says nothing more.
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let alone = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
        let web = matches!(url.scheme(), "https" | "http") && url.host().is_some();
        (alone && web).then(|| Self(url.origin()))
    }
}

impl Proofs {
    /// Rules for proofs.
    pub fn new(algorithms: Vec<Algorithm>, max_age: i64, leeway: i64, origins: Vec<Origin>, nonces: Option<Nonces>) -> Self {
        let header = HeaderRules { algorithms, types: vec!["dpop+jwt".to_owned()] };
        Self { header, max_age, leeway, origins, nonces }
    }

    /// Judges all of RFC 9449 section 4.3 but the nonce and whether the proof was used before. The error is for the log.
    pub fn verify(&self, proof: &str, expected: &Expected<'_>, now: i64) -> Result<Proved, &'static str> {
        let Ok(Some(proof)) = Compact::split(proof, MAX_PROOF_BYTES) else { return Err("the DPoP proof is not a token of three parts, or too long") };
        let (header, members) = self.header.read_whole(proof.header).map_err(|_| "the DPoP proof's header is not one of those allowed")?;
        let jwk = members.get("jwk").and_then(Value::as_object).ok_or("the DPoP proof brings no key")?;
        // First of all: with another key nothing is computed.
        if thumbprint::of(jwk).as_deref() != Some(expected.thumbprint) {
            return Err("the DPoP proof is by another key than the token is bound to");
        }
        let key = PublicKey::from_jwk(Value::Object(jwk.clone())).map_err(|_| "the DPoP proof's key cannot be used")?;
        if !key.verifies(header.algorithm, proof.signed.as_bytes(), proof.signature) {
            return Err("the DPoP proof's signature is wrong");
        }
        let claims = decode(proof.payload).and_then(|payload| json::object(&payload)).ok_or("the DPoP proof's claims are not one JSON object")?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("htm") != Some(expected.method) {
            return Err("the DPoP proof is for another method (htm)");
        }
        if !text("htu").is_some_and(|htu| self.names(htu, expected)) {
            return Err("the DPoP proof is for another address (htu)");
        }
        if text("ath") != Some(&URL_SAFE_NO_PAD.encode(Sha256::digest(expected.token))) {
            return Err("the DPoP proof is for another token (ath)");
        }
        let issued = whole_seconds(&claims).ok_or("the DPoP proof's iat is not a number of seconds")?;
        let until = issued.saturating_add(self.max_age).saturating_add(self.leeway);
        if now > until || issued > now.saturating_add(self.leeway) {
            return Err("the DPoP proof is too old, or from the future (iat)");
        }
        let jti = text("jti").filter(|jti| (1..=MAX_JTI_BYTES).contains(&jti.len())).ok_or("the DPoP proof has no name of 1 to 256 bytes (jti)")?;
        Ok(Proved { once: Once { mark: mark(expected.thumbprint, jti), until }, nonce: text("nonce").map(str::to_owned) })
    }

    /// Whether `htu` is the request's address, query and fragment apart. Both are brought into the one form that the URL
    /// standard has for them.
    fn names(&self, htu: &str, expected: &Expected<'_>) -> bool {
        // The parser would drop these without a word.
        if htu.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
            return false;
        }
        let Ok(named) = Url::parse(htu) else { return false };
        let Ok(host) = expected.host.raw.to_str() else { return false };
        let Ok(ours) = Url::parse(&format!("https://{host}{}", expected.path)) else { return false };
        let plain = named.username().is_empty() && named.password().is_none();
        let origin = if self.origins.is_empty() { named.origin() == ours.origin() } else { self.origins.contains(&Origin(named.origin())) };
        plain && origin && named.path() == ours.path()
    }
}

/// What is remembered of a proof. The key's thumbprint is part of it: nobody can use up the names of another's proofs.
fn mark(thumbprint: &str, jti: &str) -> [u8; 32] {
    let hash = Sha256::new_with_prefix(b"dpop\0").chain_update((thumbprint.len() as u64).to_be_bytes()).chain_update(thumbprint).chain_update(jti);
    hash.finalize().into()
}

/// `iat`, rounded down.
fn whole_seconds(claims: &Map<String, Value>) -> Option<i64> {
    crate::auth::jwt::claims::date(claims, "iat", f64::floor).ok().flatten()
}
