//! HTTP message signatures, RFC 9421: what is accepted was signed, wholly.
//!
//! ```text
//! METHOD LF TARGET LF COMPONENT SP COMPONENT … LF PARAMETERS LF name: value LF … LF LF body
//! ```
//!
//! The target signs the components that it reads, as the RFC says and not with the product's code, and sends the request once with the
//! signature changed and once as it is. A `Content-Digest` that is covered and not given is that of the body.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward::auth::Access;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::{scheme, serve};

const SECRET: &str = "a secret that is long enough";
const SETTINGS: &str = r#"
[http-message-signature]
[http-message-signature.keys.ours]
secret = "a secret that is long enough"
user = "partner"
"#;

thread_local! {
    static ACCESS: Access = scheme::build(SETTINGS);
}

#[derive(Debug)]
struct Parts<'a> {
    method: &'a str,
    target: &'a str,
    components: Vec<&'a str>,
    params: &'a str,
    headers: Vec<(&'a str, String)>,
    body: &'a str,
}

/// Any bytes: as a raw request, as fields that nobody signed, and as the parts of a request that is signed.
pub fn run(data: &[u8]) -> bool {
    assert_eq!(user(data), None, "an unsigned request was accepted");
    let Ok(text) = std::str::from_utf8(data) else { return false };
    if !text.contains(['\r', '\n']) {
        let raw = format!("GET / HTTP/1.1\r\nHost: a\r\nSignature-Input: {text}\r\nSignature: sig1=:AQI=:\r\nContent-Digest: {text}\r\n\r\n");
        assert_eq!(user(raw.as_bytes()), None, "{text}");
    }
    read(text).is_some_and(|parts| signed(&parts))
}

fn signed(parts: &Parts<'_>) -> bool {
    let list: Vec<String> = parts.components.iter().map(|name| format!("\"{name}\"")).collect();
    let input = format!("({});created={};keyid=\"ours\"{}", list.join(" "), seconds(), parts.params);
    let mut base = String::new();
    for name in &parts.components {
        base += &format!("\"{name}\": {}\n", parts.value(name).unwrap_or_default());
    }
    base += &format!("\"@signature-params\": {input}");
    let mut tag = sign(&base);
    let at = parts.body.len() % 32;
    tag[at] ^= 1;
    assert_eq!(user(parts.request(&input, &tag).as_bytes()), None, "a wrong signature was accepted");
    tag[at] ^= 1;
    let Some(user) = user(parts.request(&input, &tag).as_bytes()) else { return false };
    assert_eq!(user, "partner");
    for required in ["@method", "@authority", "@target-uri"] {
        assert!(parts.components.contains(&required), "{parts:?}");
    }
    assert!(parts.body.is_empty() || parts.components.contains(&"content-digest"), "{parts:?}");
    assert!(parts.components.iter().all(|name| parts.components.iter().filter(|other| *other == name).count() == 1), "{parts:?}");
    assert!(parts.components.iter().all(|name| parts.value(name).is_some()), "{parts:?}");
    true
}

impl Parts<'_> {
    fn value(&self, name: &str) -> Option<String> {
        let (path, query) = self.target.split_once('?').unwrap_or((self.target, ""));
        match name {
            "@method" => Some(self.method.to_owned()),
            "@authority" | "host" => Some("a".to_owned()),
            "@target-uri" => Some(format!("https://a{}", self.target)),
            "@scheme" => Some("https".to_owned()),
            "@request-target" => Some(self.target.to_owned()),
            "@path" => Some(path.to_owned()),
            "@query" => Some(format!("?{query}")),
            "content-length" => Some(self.body.len().to_string()),
            _ => {
                let lines: Vec<&str> = self.headers.iter().filter(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect();
                (!lines.is_empty()).then(|| lines.join(", "))
            }
        }
    }

    fn request(&self, input: &str, tag: &[u8]) -> String {
        let mut raw = format!("{} {} HTTP/1.1\r\nHost: a\r\nSignature-Input: sig1={input}\r\nSignature: sig1=:{}:\r\n", self.method, self.target, STANDARD.encode(tag));
        for (name, value) in &self.headers {
            raw += &format!("{name}: {value}\r\n");
        }
        if !self.body.is_empty() {
            raw += &format!("Content-Length: {}\r\n", self.body.len());
        }
        format!("{raw}\r\n{}", self.body)
    }
}

fn read(text: &str) -> Option<Parts<'_>> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.split('\n');
    let (method, target, components, params) = (lines.next()?, lines.next()?, lines.next()?, lines.next()?);
    let components: Vec<&str> = components.split(' ').filter(|name| !name.is_empty()).collect();
    let headers: Option<Vec<_>> = lines.map(|line| line.split_once(':').map(|(name, value)| (name, value.trim_matches([' ', '\t']).to_owned()))).collect();
    let mut headers = headers?;
    if components.contains(&"content-digest") && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-digest")) {
        headers.push(("Content-Digest", format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(body)))));
    }
    // Anything that would end the line or the target early would make another request of it.
    let whole = !head.contains('\r') && !method.contains(' ') && target.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    Some(Parts { method, target, components, params, headers, body }).filter(|_| whole)
}

/// Sends one request; the user whom it was accepted for.
fn user(raw: &[u8]) -> Option<String> {
    let (access, found) = (ACCESS.with(Clone::clone), std::cell::Cell::new(None));
    serve::http1(raw, async |_, request, head| {
        let Ok(mut inbound) = serve::clean(request, head) else { return };
        if let Some(identity) = scheme::who(&access, &mut inbound).await {
            found.set(Some(identity.subject.user.clone()));
        }
    });
    found.take()
}

fn sign(base: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(base.as_bytes());
    mac.finalize().into_bytes().into()
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
