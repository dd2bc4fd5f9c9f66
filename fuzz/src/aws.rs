//! Amazon's signature version 4, with bodies in chunks: what is accepted was signed, wholly.
//!
//! ```text
//! METHOD LF TARGET LF name: value LF … LF LF body
//! ```
//!
//! The target signs what it reads by the published description of the scheme, not with the product's code, and sends it with the
//! signature changed, with the body changed, and as it is. Three names are for the target alone: `:url` signs a URL, `:chunks` sends
//! the body in signed chunks of so many bytes, and `:raw` sends the body as it stands where chunks are announced.

use std::time::{SystemTime, UNIX_EPOCH};

use doorward::auth::Access;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::BodyExt as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest as _, Sha256};

use crate::{scheme, serve};

const SECRET: &str = "a secret that is long enough";
const SETTINGS: &str = r#"
[aws-v4]
region = "here"
service = "s3"
[aws-v4.keys.ours]
secret = "a secret that is long enough"
user = "backup"
"#;
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const CHUNKS: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";

thread_local! {
    static ACCESS: Access = scheme::build(SETTINGS);
}

#[derive(Debug)]
struct Parts<'a> {
    method: &'a str,
    target: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    body: &'a str,
}

/// What is sent.
struct Sent {
    target: String,
    lines: String,
    tag: String,
    body: Vec<u8>,
}

/// Any bytes: as a raw request, which cannot be signed, and as the parts of one that is.
pub fn run(data: &[u8]) -> bool {
    assert_eq!(accepted(data), None, "an unsigned request was accepted");
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Some(parts) = read(text) else { return false };
    let mut sent = parts.sign();
    let right = sent.tag.clone();
    let at = parts.body.len() % 64;
    let other = if right.as_bytes()[at] == b'0' { "1" } else { "0" };
    sent.tag.replace_range(at..=at, other);
    assert_eq!(accepted(&parts.raw(&sent)), None, "a wrong signature was accepted");
    sent.tag = right;
    // Once each: a signature that changes something is used up by being looked at.
    if let Some(last) = sent.body.last_mut().filter(|_| parts.body.len() % 2 == 1 && !parts.body.is_empty()) {
        *last ^= 1;
        assert_eq!(accepted(&parts.raw(&sent)), None, "another body was accepted: {parts:?}");
        return false;
    }
    let Some(body) = accepted(&parts.raw(&sent)) else { return false };
    if parts.value(":raw").is_none() {
        assert_eq!(body, parts.body.as_bytes(), "{parts:?}");
    }
    true
}

impl<'a> Parts<'a> {
    fn value(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    fn sign(&self) -> Sent {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let stamp = stamp(seconds);
        let scope = format!("{}/here/s3/aws4_request", &stamp[..8]);
        let in_url = self.value(":url").is_some();
        let size: Option<usize> = self.value(":chunks").map(|text| text.parse().unwrap_or(1).clamp(1, 10_000));
        let in_chunks = !in_url && (size.is_some() || self.value(":raw").is_some());
        let hash = match (in_url, in_chunks) {
            (true, _) => "UNSIGNED-PAYLOAD".to_owned(),
            (_, true) => CHUNKS.to_owned(),
            (false, false) => hex(&Sha256::digest(self.body)),
        };
        let mut headers: Vec<(String, String)> = Vec::new();
        let length = self.body.len().to_string();
        let own = [("host", "a"), ("x-amz-date", &stamp), ("x-amz-content-sha256", &hash), ("x-amz-decoded-content-length", &length)];
        let own = &own[..if in_url { 1 } else if in_chunks { 4 } else { 3 }];
        for (name, value) in self.headers.iter().filter(|(name, _)| !name.starts_with(':')).chain(own) {
            let (name, value) = (name.to_ascii_lowercase(), value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "));
            match headers.iter_mut().find(|(have, _)| *have == name) {
                Some((_, all)) => *all = format!("{all},{value}"),
                None => headers.push((name, value)),
            }
        }
        headers.sort();
        let names = headers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
        let mut target = self.target.to_owned();
        if in_url {
            let join = if target.contains('?') { '&' } else { '?' };
            let credential = percent_encode(format!("ours/{scope}").as_bytes(), UNRESERVED).to_string();
            let listed = percent_encode(names.as_bytes(), UNRESERVED);
            target += &format!(
                "{join}X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={stamp}&X-Amz-Expires=60&X-Amz-SignedHeaders={listed}"
            );
        }
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let request = format!("{}\n{}\n{lines}\n{names}\n{hash}", self.method, canonical(&target));
        let mut key = format!("AWS4{SECRET}").into_bytes();
        for part in scope.split('/') {
            key = mac(&key, part);
        }
        let tag = hex(&mac(&key, &format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", hex(&Sha256::digest(request)))));
        let body = match size.filter(|_| in_chunks) {
            Some(size) => chunked(self.body.as_bytes(), size, &key, &format!("{stamp}\n{scope}"), &tag),
            None => self.body.as_bytes().to_vec(),
        };
        let mut sent: String = own.iter().skip(1).map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        if !in_url {
            sent += &format!("Authorization: AWS4-HMAC-SHA256 Credential=ours/{scope}, SignedHeaders={names}, Signature=");
        }
        Sent { target, lines: sent, tag, body }
    }

    fn raw(&self, sent: &Sent) -> Vec<u8> {
        let in_url = self.value(":url").is_some();
        let (target, more) =
            if in_url { (format!("{}&X-Amz-Signature={}", sent.target, sent.tag), String::new()) } else { (sent.target.clone(), format!("{}{}\r\n", sent.lines, sent.tag)) };
        let mut raw = format!("{} {target} HTTP/1.1\r\nHost: a\r\n{more}", self.method);
        for (name, value) in self.headers.iter().filter(|(name, _)| !name.starts_with(':')) {
            raw += &format!("{name}: {value}\r\n");
        }
        if !sent.body.is_empty() {
            raw += &format!("Content-Length: {}\r\n", sent.body.len());
        }
        [raw.as_bytes(), b"\r\n", &sent.body].concat()
    }
}

/// The path and, on the next line, the query, as they are signed.
fn canonical(target: &str) -> String {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let again = |text: &str| percent_encode(&percent_decode_str(text).collect::<Vec<u8>>(), UNRESERVED).to_string();
    let path = path.split('/').map(again).collect::<Vec<_>>().join("/");
    let mut pairs: Vec<(String, String)> = Vec::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        pairs.push((again(&name.replace('+', " ")), again(&value.replace('+', " "))));
    }
    pairs.sort();
    let query: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{path}\n{}", query.join("&"))
}

fn chunked(body: &[u8], size: usize, key: &[u8], middle: &str, seed: &str) -> Vec<u8> {
    let (mut before, mut all) = (seed.to_owned(), Vec::new());
    for data in body.chunks(size).chain([&b""[..]]) {
        let text = format!("AWS4-HMAC-SHA256-PAYLOAD\n{middle}\n{before}\n{}\n{}", hex(&Sha256::digest(b"")), hex(&Sha256::digest(data)));
        before = hex(&mac(key, &text));
        all.extend_from_slice(format!("{:x};chunk-signature={before}\r\n", data.len()).as_bytes());
        all.extend_from_slice(data);
        all.extend_from_slice(b"\r\n");
    }
    all
}

fn read(text: &str) -> Option<Parts<'_>> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.split('\n');
    let (method, target) = (lines.next()?, lines.next()?);
    let split = |line: &'_ str| line.get(1..)?.find(':').map(|at| at + 1);
    let headers: Option<Vec<_>> =
        lines.map(|line| split(line).map(|at| (&line[..at], line[at + 1..].trim_matches([' ', '\t'])))).collect();
    // Anything that would end the line or the target early would make another request of it.
    let whole = !head.contains('\r') && !method.contains(' ') && target.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    Some(Parts { method, target, headers: headers?, body }).filter(|_| whole)
}

/// Sends one request; the body that an application would have got of it, if it was accepted to its end.
fn accepted(raw: &[u8]) -> Option<Vec<u8>> {
    let (access, found) = (ACCESS.with(Clone::clone), std::cell::RefCell::new(None));
    serve::http1(raw, async |_, request, head| {
        let Ok(mut inbound) = serve::clean(request, head) else { return };
        let Some(identity) = scheme::who(&access, &mut inbound).await else { return };
        assert_eq!(identity.subject.user, "backup");
        if let Ok(body) = inbound.payload().collect().await {
            *found.borrow_mut() = Some(body.to_bytes().to_vec());
        }
    });
    found.into_inner()
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// UTC as `YYYYMMDDTHHMMSSZ`.
fn stamp(seconds: u64) -> String {
    let text = crate::fost::date(seconds);
    text.chars().filter(|c| !matches!(c, '-' | ':')).map(|c| if c == ' ' { 'T' } else { c }).chain(['Z']).collect()
}
