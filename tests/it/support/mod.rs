//! What the tests stand on: a certificate authority, an upstream that records bytes, the gateway as a process, clients
//! that may say anything, signers and verifiers written apart from the product.

pub mod aws;
pub mod certified;
pub mod client;
pub mod databases;
pub mod django;
pub mod dpop;
pub mod fost;
pub mod gateway;
pub mod gateways;
pub mod idp;
pub mod introspection;
pub mod kubernetes;
pub mod load;
pub mod message_signature;
pub mod pki;
pub mod query_hmac;
pub mod redis;
pub mod relay;
pub mod s3;
pub mod senders;
pub mod servers;
pub mod setup;
pub mod upstream;
pub mod verifier;
pub mod world;

use std::future::Future;
use std::time::Duration;

/// How long anything may take before a test fails. Generous: machines are shared.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Awaits `what`, but not for ever.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(done) => done,
        Err(_) => panic!("not within {DEADLINE:?}: {what}"),
    }
}

/// Between two looks at something that is waited for: leaves the processor to those who are to bring it about.
pub async fn breathe() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// Seconds since 1970.
pub fn now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64
}

/// `bytes` in standard Base64.
pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// `bytes` in URL-safe Base64 without padding.
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of standard Base64.
pub fn from_base64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// The bytes of URL-safe Base64 without padding.
pub fn from_base64url(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// A header's name as CGI, WSGI and PHP servers see it: lower case, everything but letters and digits as `_`.
pub fn folded(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}
