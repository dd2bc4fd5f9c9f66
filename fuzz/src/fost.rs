//! Signed requests and URLs: what is accepted was signed, wholly.
//!
//! ```text
//! METHOD LF TARGET LF name: value LF … LF LF body
//! ```
//!
//! The target signs what it reads by the published description of the scheme, not with the product's code, and sends it once
//! with the signature changed and once as it is: as a signed request if there is an `X-FOST-Headers`, else as a signed URL. A header named `X-FOST-Timestamp` takes the place of the present time.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward::auth::Access;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

use crate::{scheme, serve};

const SECRET: &str = "a secret that is long enough";
const SETTINGS: &str = r#"
[fost]
[fost.keys.ours]
secret = "a secret that is long enough"
user = "webshop"
impersonate = true
"#;

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

/// Any bytes: as a raw request, which cannot be signed, and as the parts of one that is.
pub fn run(data: &[u8]) -> bool {
    assert_eq!(user(data), None, "an unsigned request was accepted");
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Some(parts) = read(text) else { return false };
    if parts.value("x-fost-headers").is_some() { signed_request(&parts) } else { signed_url(&parts) }
}

fn signed_request(parts: &Parts<'_>) -> bool {
    let now = timestamp();
    let timestamp = parts.value("x-fost-timestamp").unwrap_or(&now);
    let listed: Vec<&str> = parts.value("x-fost-headers").unwrap_or_default().split(' ').filter(|name| !name.is_empty()).collect();
    let (path, query) = parts.target.split_once('?').unwrap_or((parts.target, ""));
    let mut document = format!("{} {path}\n{timestamp}\n", parts.method);
    for name in &listed {
        // The list is read from the headers as they are sent, so a header that is not there can only be refused.
        document += parts.value(&name.to_ascii_lowercase()).unwrap_or_default();
        document.push('\n');
    }
    document += if parts.body.is_empty() { query } else { parts.body };
    let mut tag = sign(&document);
    let send = |tag: &[u8]| {
        user(
            parts
                .request(parts.target, &format!("X-FOST-Timestamp: {timestamp}\r\nAuthorization: FOST ours:{}\r\n", STANDARD.encode(tag)))
                .as_bytes(),
        )
    };
    let at = parts.body.len() % 20;
    tag[at] ^= 1;
    assert_eq!(send(&tag), None, "a wrong signature was accepted");
    tag[at] ^= 1;
    let Some(user) = send(&tag) else { return false };
    assert!(listed.first().is_some_and(|name| name.eq_ignore_ascii_case("x-fost-headers")), "{parts:?}");
    assert!(parts.body.is_empty() || query.is_empty(), "{parts:?}");
    let covered = listed.iter().any(|name| name.eq_ignore_ascii_case("x-fost-user"));
    match parts.value("x-fost-user") {
        Some(named) => assert!(covered && user == named, "{parts:?}"),
        None => assert_eq!(user, "webshop"),
    }
    true
}

fn signed_url(parts: &Parts<'_>) -> bool {
    let (path, query) = parts.target.split_once('?').unwrap_or((parts.target, ""));
    let expires = format!("{}", seconds() + 60);
    let covered: Vec<&str> = query.split('&').filter(|part| !["_k=", "_e=", "_s"].iter().any(|own| part.starts_with(own))).collect();
    let mut document = format!("a{path}");
    if !query.is_empty() && !covered.is_empty() {
        document = format!("{document}?{}", covered.join("&"));
    }
    let tag = sign(&format!("{document}\n{expires}"));
    let escaped = STANDARD.encode(tag).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let join = if query.is_empty() { "?" } else { "&" };
    let target = format!("{}{join}_k=ours&_e={expires}&_s={escaped}", parts.target.trim_end_matches('?'));
    let Some(user) = user(parts.request(&target, "").as_bytes()) else { return false };
    assert_eq!(user, "webshop");
    assert!(["GET", "HEAD"].contains(&parts.method) && parts.body.is_empty(), "{parts:?}");
    // Whatever the query holds was signed: nothing of the kind that the signature leaves out.
    assert_eq!(covered.len(), query.split('&').count(), "{parts:?}");
    true
}

impl<'a> Parts<'a> {
    fn value(&self, name: &str) -> Option<&'a str> {
        let sent = self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| *value);
        sent.or_else(|| (name == "host").then_some("a"))
    }

    fn request(&self, target: &str, more: &str) -> String {
        let mut raw = format!("{} {target} HTTP/1.1\r\nHost: a\r\n{more}", self.method);
        for (name, value) in self.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("x-fost-timestamp")) {
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
    let (method, target) = (lines.next()?, lines.next()?);
    let headers: Option<Vec<_>> = lines.map(|line| line.split_once(':').map(|(name, value)| (name, value.trim_matches([' ', '\t'])))).collect();
    // Anything that would end the line or the target early would make another request of it.
    let whole = !head.contains('\r') && !method.contains(' ') && target.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    Some(Parts { method, target, headers: headers?, body }).filter(|_| whole)
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

fn sign(document: &str) -> [u8; 20] {
    let mut mac = Hmac::<Sha1>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(document.as_bytes());
    mac.finalize().into_bytes().into()
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// UTC as `YYYY-MM-DD HH:MM:SS`, by the days-to-date formula of the proleptic Gregorian calendar.
fn timestamp() -> String {
    date(seconds())
}

/// The same of any second.
pub(crate) fn date(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) = (day_of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}
