//! What is told of a certificate beside the user's name: for `[route.require]` and `[identity.headers]`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::document::Document;
use super::names::Kind;

/// The claims. Lists are always lists, empty where there is nothing.
pub(super) fn of(document: &Document, sha256: &[u8; 32]) -> Map<String, Value> {
    let list = |names: &[String]| Value::from(names.to_vec());
    let claims: [(&str, Value); 10] = [
        ("x5t#S256", URL_SAFE_NO_PAD.encode(sha256).into()),
        ("subject", document.subject.as_str().into()),
        ("issuer", document.issuer.as_str().into()),
        ("serial", document.serial.as_str().into()),
        ("not_before", document.not_before.into()),
        ("not_after", document.not_after.into()),
        ("san_uri", list(&document.uris)),
        ("san_dns", list(&document.hosts)),
        ("san_email", list(&document.emails)),
        ("ou", list(&document.units)),
    ];
    claims.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The user's address: their name, or the only one that the certificate holds.
pub(super) fn email(kind: Kind, user: &str, document: &Document) -> Option<String> {
    match (kind, document.emails.as_slice()) {
        (Kind::Email, _) => Some(user.to_owned()),
        (_, [only]) => Some(only.clone()),
        _ => None,
    }
}
