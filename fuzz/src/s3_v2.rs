//! Requests signed as clients of S3 did: what is accepted was signed, wholly.
//!
//! ```text
//! METHOD LF TARGET LF name: value LF … LF LF body
//! ```
//!
//! The target signs what it reads by Amazon's published description, not with the product's code, and sends it once with the
//! signature changed and once as it is. Where there is neither `Date` nor `x-amz-date`, the present time is added.

use std::collections::BTreeMap;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward::auth::Access;
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use sha1::Sha1;

use crate::parts::{self, Parts};
use crate::scheme;

const SECRET: &str = "a secret that is long enough";
/// Some of what Amazon's page lists; a request with another is signed without it.
const SUB_RESOURCES: [&str; 8] = ["acl", "location", "logging", "partNumber", "torrent", "uploadId", "uploads", "versionId"];

thread_local! {
    static ACCESS: Access = scheme::build(&format!("[s3-v2]\n[s3-v2.keys.ours]\nsecret = \"{SECRET}\"\nuser = \"webshop\""));
}

/// Any bytes: as a raw request, which cannot be signed, and as the parts of one that is.
pub fn run(data: &[u8]) -> bool {
    assert_eq!(parts::user(&ACCESS.with(Clone::clone), data), None, "an unsigned request was accepted");
    std::str::from_utf8(data).ok().and_then(parts::read).is_some_and(|parts| signed(&parts))
}

fn signed(parts: &Parts<'_>) -> bool {
    let access = ACCESS.with(Clone::clone);
    let now = httpdate::fmt_http_date(SystemTime::now());
    let dated = parts.value("date").is_some() || parts.value("x-amz-date").is_some();
    let mut amz = BTreeMap::<String, Vec<&str>>::new();
    for (name, value) in parts.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), *value)).filter(|(name, _)| name.starts_with("x-amz-")) {
        amz.entry(name).or_default().push(value);
    }
    let date = match (parts.value("x-amz-date"), parts.value("date")) {
        (Some(_), _) => "",
        (None, Some(date)) => date,
        (None, None) => &now,
    };
    let (path, query) = parts.target.split_once('?').unwrap_or((parts.target, ""));
    let pairs: Vec<(&str, Option<&str>)> = query.split('&').filter(|part| !part.is_empty()).map(|part| cut(part)).collect();
    let mut resources: Vec<_> = pairs.iter().filter(|(name, _)| SUB_RESOURCES.contains(name)).collect();
    resources.sort();
    let decoded = |value: &str| percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned();
    let resources: Vec<String> = resources.into_iter().map(|(name, value)| value.map_or((*name).to_owned(), |value| format!("{name}={}", decoded(value)))).collect();
    let resource = if resources.is_empty() { path.to_owned() } else { format!("{path}?{}", resources.join("&")) };
    let lines: String = amz.iter().map(|(name, values)| format!("{name}:{}\n", values.join(","))).collect();
    let (md5, kind) = (parts.value("content-md5").unwrap_or_default(), parts.value("content-type").unwrap_or_default());
    let document = format!("{}\n{md5}\n{kind}\n{date}\n{lines}{resource}", parts.method);
    let mut tag = Hmac::<Sha1>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(document).finalize().into_bytes();
    let send = |tag: &[u8]| {
        let date = if dated { String::new() } else { format!("Date: {now}\r\n") };
        let more = format!("{date}Authorization: AWS ours:{}\r\n", STANDARD.encode(tag));
        parts::user(&access, parts.request(parts.target, &more).as_bytes())
    };
    let at = parts.body.len() % 20;
    tag[at] ^= 1;
    assert_eq!(send(&tag), None, "a wrong signature was accepted");
    tag[at] ^= 1;
    let Some(user) = send(&tag) else { return false };
    assert_eq!(user, "webshop");
    if !parts.body.is_empty() {
        assert_eq!(md5, STANDARD.encode(Md5::digest(parts.body)), "a body that nobody signed: {parts:?}");
    }
    for (at, (name, _)) in pairs.iter().enumerate() {
        assert!(SUB_RESOURCES.contains(name) && !pairs[..at].iter().any(|(before, _)| before == name), "{name} is not covered: {parts:?}");
    }
    let folded = |name: &str| name.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    assert!(parts.headers.iter().all(|(name, _)| !folded(name).starts_with("x-amz-") || name.to_ascii_lowercase().starts_with("x-amz-")), "{parts:?}");
    true
}

fn cut(part: &str) -> (&str, Option<&str>) {
    part.split_once('=').map_or((part, None), |(name, value)| (name, Some(value)))
}
