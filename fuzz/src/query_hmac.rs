//! Requests that are signed in their query: what is accepted was signed, wholly, and comes once.
//!
//! ```text
//! METHOD LF TARGET LF name: value LF … LF LF body
//! ```
//!
//! The target signs what it reads as the origin's server verifies it, not with the product's code: the query read as a form, pairs
//! without a value left out, and written again. It sends the request once with the signature changed, once as it is, and once more.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward::auth::Access;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::parts::{self, Parts};
use crate::scheme;

const SECRET: &str = "a secret that is long enough";

thread_local! {
    static ACCESS: Access = scheme::build(&format!("[query-hmac]\n[query-hmac.keys.ours]\nsecret = \"{SECRET}\""));
}

/// Any bytes: as a raw request, which cannot be signed, and as the parts of one that is.
pub fn run(data: &[u8]) -> bool {
    assert_eq!(parts::user(&ACCESS.with(Clone::clone), data), None, "an unsigned request was accepted");
    std::str::from_utf8(data).ok().and_then(parts::read).is_some_and(|parts| signed(&parts))
}

fn signed(parts: &Parts<'_>) -> bool {
    let access = ACCESS.with(Clone::clone);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let (path, query) = parts.target.split_once('?').unwrap_or((parts.target, ""));
    let own = format!("timestamp={}.{:09}&apikey=ours", since.as_secs(), since.subsec_nanos());
    let sent = if query.is_empty() { own } else { format!("{query}&{own}") };
    let Some(pairs) = sent.split('&').map(pair).collect::<Option<Vec<_>>>() else { return false };
    let written = |(name, value): &(String, String)| format!("{}={}", quoted(name), quoted(value));
    let signed: Vec<String> = pairs.iter().filter(|(_, value)| !value.is_empty()).map(written).collect();
    let message = format!("{path}?{}{}", signed.join("&"), parts.body);
    let mut tag = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(message).finalize().into_bytes();
    let send = |tag: &[u8]| parts::user(&access, parts.request(&format!("{path}?{sent}&signature={}", STANDARD.encode(tag)), "").as_bytes());
    let at = parts.body.len() % 32;
    tag[at] ^= 1;
    assert_eq!(send(&tag), None, "a wrong signature was accepted");
    tag[at] ^= 1;
    let Some(user) = send(&tag) else { return false };
    assert_eq!(user, "apikey:ours");
    assert!(pairs.iter().all(|(_, value)| !value.is_empty()), "a pair without a value is not covered: {parts:?}");
    assert!(!query.contains(';') && query.is_ascii(), "read in two ways: {parts:?}");
    let credential = |wanted: &str| pairs.iter().filter(|(name, _)| name == wanted).count();
    assert_eq!((credential("apikey"), credential("timestamp"), credential("signature")), (1, 1, 0), "{parts:?}");
    assert!(parts.body.is_empty() || !["GET", "HEAD"].contains(&parts.method), "{parts:?}");
    assert_eq!(send(&tag), None, "a signature was accepted twice");
    true
}

/// One pair of a form, decoded; `None` for what a form cannot hold.
fn pair(part: &str) -> Option<(String, String)> {
    let (name, value) = part.split_once('=').unwrap_or((part, ""));
    let decode = |text: &str| percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8().ok().map(|text| text.into_owned());
    Some((decode(name)?, decode(value)?))
}

/// As Python's `quote_plus`.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-~".contains(&byte);
    text.bytes()
        .map(|byte| match byte {
            b' ' => "+".to_owned(),
            byte if plain(byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
