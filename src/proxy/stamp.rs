//! Everything asserted upstream: user, mapped headers, signature, X-Forwarded-*, request id.

use std::collections::BTreeMap;
use std::path::PathBuf;

use http::{HeaderMap, HeaderName, Method};
use serde::Deserialize;

use crate::auth::Subject;
use crate::types::{Report, Secret};

/// `[identity]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The header that names the user.
    pub user_header: Option<String>,
    /// Any of `hmac` and `jwt`.
    pub signature: Option<Vec<String>>,
    /// `aud` of the assertion.
    pub audience: Option<String>,
    /// `iss` of the assertion.
    pub issuer: Option<String>,
    /// Header of the assertion.
    pub assertion_header: Option<String>,
    /// `utf-8`, `percent`, `base64url` or `rfc2047`.
    pub encoding: Option<String>,
    /// Further names that only Doorward may set.
    pub also_strip: Vec<String>,
    /// Header = attribute of the identity, or a claim by dotted path.
    pub headers: BTreeMap<String, String>,
    /// Signing keys by id; the first of its kind signs.
    pub keys: toml::Table,
}

/// One of `[identity.keys.ID]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeySettings {
    /// A shared secret in place.
    pub secret: Option<Secret>,
    /// A shared secret in a file.
    pub secret_file: Option<PathBuf>,
    /// A shared secret in the environment.
    pub secret_env: Option<String>,
    /// PKCS#8 PEM.
    pub private_key_file: Option<PathBuf>,
}

/// Writes and signs the identity.
#[derive(Debug)]
pub struct IdentityStamp {}

/// The name cannot be told to the application as configured: 403, never "no header".
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unstampable(pub &'static str);

impl IdentityStamp {
    /// Reads the keys and prepares them.
    pub fn build(settings: Settings, report: &mut Report) -> Option<Self> {
        let _ = (settings, report);
        todo!()
    }

    /// Every header name that this stamp may write, and `also_strip`: no client may send one, in any spelling.
    #[must_use]
    pub fn reserved(&self) -> Vec<HeaderName> {
        todo!()
    }

    /// Writes the user header, the mapped headers and the signatures into `headers`, each exactly once.
    /// `target` is the path and query exactly as sent upstream; `now` is Unix seconds.
    pub fn write(&self, subject: &Subject, method: &Method, target: &str, now: i64, headers: &mut HeaderMap) -> Result<(), Unstampable> {
        let _ = (subject, method, target, now, headers);
        todo!()
    }

    /// The public keys as a JWK set (RFC 7517): the body of `/.doorward/jwks.json`.
    #[must_use]
    pub fn jwks(&self) -> &bytes::Bytes {
        todo!()
    }
}
