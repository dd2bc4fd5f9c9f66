//! A client of the scheme query-hmac, written from its description and apart from the product.

use aws_lc_rs::hmac;

use super::base64;

/// The key that tests use, and its secret.
pub const KEY: &str = "483a570a";
pub const SECRET: &str = "d7228d70cd7f456d9bfdc35ed8fee375";

/// Seconds since 1970 and this many more, with the fraction that makes each request another one.
pub fn timestamp(more: i64) -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("{}.{:09}", since.as_secs() as i64 + more, since.subsec_nanos())
}

/// The target with its three parameters. Its own query must be written as Python's `urlencode` would.
pub fn sign(key: &str, secret: &str, target: &str, time: &str, body: &[u8]) -> String {
    let border = if target.contains('?') { '&' } else { '?' };
    let signed = format!("{target}{border}timestamp={time}&apikey={key}");
    let state = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&state, &[signed.as_bytes(), body].concat());
    // Raw, as the origin's clients send it.
    format!("{signed}&signature={}", base64(tag))
}

/// A good one, now.
pub fn good(target: &str, body: &[u8]) -> String {
    sign(KEY, SECRET, target, &timestamp(0), body)
}
