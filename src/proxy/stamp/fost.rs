//! `Authorization: FOST …`: the request signed as Fost's clients do, for an application that verifies it with django-fost-authn.
//!
//! ```text
//! Authorization: FOST KEY_ID:base64(HMAC-SHA1(key, document))
//! X-FOST-Timestamp: 2026-11-22 06:00:00
//! X-FOST-Headers: X-FOST-Headers X-FOST-User
//! X-FOST-User: alice
//!
//! document = METHOD SP PATH LF TIMESTAMP LF "X-FOST-Headers X-FOST-User" LF USER LF PAYLOAD
//! ```
//!
//! PATH is decoded, as the application sees it. PAYLOAD is the body where there is one, else the query: so the body is read to its end
//! before anything is sent, and a query beside a body is not covered. USER is written in UTF-7 (RFC 2152), because that is how it is
//! read there: a plus sign in a name would begin another name.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderName, HeaderValue, Method};
use sha1::Sha1;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Unstampable;
use crate::inbound::Lines;
use crate::payload::Room;
use crate::types::Secret;

/// One MAC, waiting for its document.
pub(super) type State = Hmac<Sha1>;

const TIMESTAMP: HeaderName = HeaderName::from_static("x-fost-timestamp");
const HEADERS: HeaderName = HeaderName::from_static("x-fost-headers");
const USER: HeaderName = HeaderName::from_static("x-fost-user");

/// What is signed beside the request itself, in this order.
const SIGNED: &str = "X-FOST-Headers X-FOST-User";

/// The headers that are written. Clients of a scheme may send them too: theirs never reach the application.
pub(super) const WRITTEN: [HeaderName; 4] = [http::header::AUTHORIZATION, TIMESTAMP, HEADERS, USER];

/// The key made ready; `None` for an empty one.
pub(super) fn prepare(secret: &Secret) -> Option<State> {
    State::new_from_slice(secret.expose()).ok().filter(|_| !secret.is_empty())
}

/// Signs requests.
#[derive(Debug)]
pub struct Fost {
    key: String,
    state: State,
    /// The longest body that is signed, in bytes; 413 beyond.
    pub max_body: u64,
    /// Where bodies are held.
    pub room: Arc<Room>,
}

impl Fost {
    pub(super) fn new(key: String, state: State, max_body: u64) -> Self {
        Self { key, state, max_body, room: Room::new(max_body) }
    }

    /// Begins to sign for `user`. `path` is the decoded one, `now` are Unix seconds.
    pub fn begin(&self, method: &Method, path: &str, user: &str, now: i64) -> Result<Begun<'_>, Unstampable> {
        let time = timestamp(now).ok_or(Unstampable("the time cannot be written as a timestamp"))?;
        let user = utf7(user);
        let state = fed(&self.state, method.as_str(), path, &time, user.as_bytes());
        Ok(Begun { key: &self.key, state, time, user })
    }
}

/// A document that waits for its PAYLOAD.
#[derive(Debug)]
pub struct Begun<'a> {
    key: &'a str,
    state: State,
    time: String,
    user: String,
}

impl Begun<'_> {
    /// The next bytes of PAYLOAD.
    pub fn update(&mut self, bytes: &[u8]) {
        Mac::update(&mut self.state, bytes);
    }

    /// Writes the headers, each exactly once.
    pub fn write(self, lines: &mut Lines) -> Result<(), Unstampable> {
        let signature = STANDARD.encode(self.state.finalize().into_bytes());
        let values = [format!("FOST {}:{signature}", self.key), self.time, SIGNED.to_owned(), self.user];
        for (name, value) in WRITTEN.into_iter().zip(values) {
            lines.push(&name, &HeaderValue::try_from(value).map_err(|_| Unstampable("the signature cannot be written into a header"))?);
        }
        Ok(())
    }
}

/// Whether the headers of a request that an application received are this key's signature. `value` gives them; `payload` is the body
/// or the query.
pub(super) fn verify<'a>(
    keys: &[(String, State)],
    value: impl Fn(&str) -> Option<&'a [u8]>,
    (method, path, payload): (&str, &str, &[u8]),
    now: i64,
    max_age: i64,
) -> Result<(), &'static str> {
    let text = |name: &HeaderName| value(name.as_str()).and_then(|value| std::str::from_utf8(value).ok());
    let credential =
        text(&http::header::AUTHORIZATION).and_then(|value| value.strip_prefix("FOST ")).ok_or("Authorization is not FOST KEY:SIGNATURE")?;
    let (key, tag) = credential.split_once(':').ok_or("Authorization is not FOST KEY:SIGNATURE")?;
    let tag = STANDARD.decode(tag).map_err(|_| "the signature is not base64")?;
    let (_, state) = keys.iter().find(|(id, _)| id == key).ok_or("no key of that name is configured")?;
    if text(&HEADERS) != Some(SIGNED) {
        return Err("X-FOST-Headers does not name itself and X-FOST-User");
    }
    let (time, user) = (text(&TIMESTAMP).ok_or("X-FOST-Timestamp is missing")?, value(USER.as_str()).ok_or("X-FOST-User is missing")?);
    let seconds = OffsetDateTime::parse(&format!("{}Z", time.replacen(' ', "T", 1)), &Rfc3339).map(OffsetDateTime::unix_timestamp);
    // Written again it must be the same text: there is one for each second.
    let seconds = seconds.ok().filter(|seconds| timestamp(*seconds).as_deref() == Some(time)).ok_or("X-FOST-Timestamp is not YYYY-MM-DD HH:MM:SS")?;
    let signed = now.abs_diff(seconds) <= max_age.unsigned_abs();
    let matches = Mac::chain_update(fed(state, method, path, time, user), payload).verify_slice(&tag).is_ok();
    match (matches, signed) {
        (false, _) => Err("the signature does not match the request and the user"),
        (true, false) => Err("the signature is too old, or made in the future"),
        (true, true) => Ok(()),
    }
}

fn fed(state: &State, method: &str, path: &str, time: &str, user: &[u8]) -> State {
    [method.as_bytes(), b" ", path.as_bytes(), b"\n", time.as_bytes(), b"\n", SIGNED.as_bytes(), b"\n", user, b"\n"]
        .iter()
        .fold(state.clone(), Mac::chain_update)
}

/// `YYYY-MM-DD HH:MM:SS` in UTC.
fn timestamp(seconds: i64) -> Option<String> {
    let moment = OffsetDateTime::from_unix_timestamp(seconds).ok().filter(|moment| (0..=9999).contains(&moment.year()))?;
    let (date, time) = (moment.date(), moment.time());
    let [month, day] = [u8::from(date.month()), date.day()];
    Some(format!("{:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", date.year(), time.hour(), time.minute(), time.second()))
}

/// A name in UTF-7: ASCII as it is but for `+`, which is `+-`; all else as base64 of UTF-16 between `+` and `-`.
fn utf7(name: &str) -> String {
    let mut written = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        if first.is_ascii() {
            written.push(first);
            if first == '+' {
                written.push('-');
            }
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            continue;
        }
        let (other, after) = rest.split_at(rest.find(|c: char| c.is_ascii()).unwrap_or(rest.len()));
        let wide: Vec<u8> = other.encode_utf16().flat_map(u16::to_be_bytes).collect();
        written.push('+');
        written.push_str(&STANDARD_NO_PAD.encode(wide));
        written.push('-');
        rest = after;
    }
    written
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use http::HeaderMap;
    use serde::Deserialize;

    use super::super::tests::read;
    use super::*;

    const NOW: i64 = 1_795_327_200;

    fn fost() -> Fost {
        Fost::new("2026-11".to_owned(), prepare(&Secret::new("a secret of thirty-two bytes!!!!")).unwrap(), 1 << 20)
    }

    fn signed(method: &str, path: &str, user: &str, payload: &[u8]) -> HeaderMap {
        let (fost, mut lines) = (fost(), Lines::default());
        let mut begun = fost.begin(&method.parse().unwrap(), path, user, NOW).unwrap();
        payload.chunks(3).for_each(|piece| begun.update(piece));
        begun.write(&mut lines).unwrap();
        read(&lines)
    }

    fn verified(headers: &HeaderMap, method: &str, path: &str, payload: &[u8], now: i64) -> Result<(), &'static str> {
        let fost = fost();
        verify(&[(fost.key, fost.state)], |name| headers.get(name).map(HeaderValue::as_bytes), (method, path, payload), now, 60)
    }

    #[derive(Debug, Deserialize)]
    struct Vector {
        name: String,
        key: String,
        secret: String,
        now: i64,
        method: String,
        path: String,
        query: String,
        body_hex: String,
        headers: BTreeMap<String, String>,
        verdict: String,
    }

    #[test]
    fn names_are_written_as_rfc_2152_says() {
        for (name, written) in [
            ("alice", "alice"),
            ("a+b@example.com", "a+-b@example.com"),
            ("x+AGE-", "x+-AGE-"),
            ("zoë", "zo+AOs-"),
            ("A\u{2262}\u{391}.", "A+ImIDkQ-."),
            ("Hi Mom -\u{263a}-!", "Hi Mom -+Jjo--!"),
            ("\u{65e5}\u{672c}\u{8a9e}", "+ZeVnLIqe-"),
            ("\u{1f600}", "+2D3eAA-"),
            ("ë+", "+AOs-+-"),
        ] {
            assert_eq!(utf7(name), written, "{name}");
        }
    }

    #[test]
    fn the_application_finds_the_request_and_the_user_and_any_other_is_refused() {
        let headers = signed("POST", "/orders/1", "alice", b"body");
        assert_eq!(headers.len(), 4);
        assert_eq!(verified(&headers, "POST", "/orders/1", b"body", NOW), Ok(()));
        for (method, path, payload, now) in [
            ("PUT", "/orders/1", &b"body"[..], NOW),
            ("POST", "/orders/2", b"body", NOW),
            ("POST", "/orders/1", b"Body", NOW),
            ("POST", "/orders/1", b"", NOW),
            ("POST", "/orders/1", b"body", NOW + 61),
            ("POST", "/orders/1", b"body", NOW - 61),
        ] {
            assert!(verified(&headers, method, path, payload, now).is_err(), "{method} {path} {payload:?} {now}");
        }
        for (name, value) in &headers {
            for bit in 0..value.len() * 8 {
                let mut bytes = value.as_bytes().to_vec();
                bytes[bit / 8] ^= 1 << (bit % 8);
                let Ok(flipped) = HeaderValue::from_bytes(&bytes) else { continue };
                let mut changed = headers.clone();
                changed.insert(name, flipped);
                assert!(verified(&changed, "POST", "/orders/1", b"body", NOW).is_err(), "{name} {bit}");
            }
        }
        assert!(fost().begin(&Method::GET, "/", "a", i64::MAX).is_err() && fost().begin(&Method::GET, "/", "a", i64::MIN).is_err());
        assert!(!format!("{:?}", fost()).contains("thirty-two"));
    }

    #[test]
    fn the_vectors_of_the_scheme_that_name_a_user_are_signed_so() {
        let vectors: Vec<Vector> = serde_json::from_str(include_str!("../../../tests/vectors/fost-request.json")).unwrap();
        let ours = |vector: &Vector| vector.verdict == "accept" && vector.headers.get("X-FOST-Headers").is_some_and(|list| list == SIGNED);
        let mut tried = 0;
        for vector in vectors.iter().filter(|vector| ours(vector)).filter(|vector| !vector.headers["X-FOST-Timestamp"].contains(['T', '.'])) {
            let fost = Fost::new(vector.key.clone(), prepare(&Secret::new(vector.secret.as_str())).unwrap(), 0);
            let time = OffsetDateTime::parse(&format!("{}Z", vector.headers["X-FOST-Timestamp"].replacen(' ', "T", 1)), &Rfc3339).unwrap();
            assert!(time.unix_timestamp().abs_diff(vector.now) <= 15);
            let mut begun = fost.begin(&vector.method.parse().unwrap(), &vector.path, &vector.headers["X-FOST-User"], time.unix_timestamp()).unwrap();
            let unhex = |hex: &str| (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap()).collect::<Vec<_>>();
            let body = unhex(&vector.body_hex);
            begun.update(if body.is_empty() { vector.query.as_bytes() } else { &body });
            let mut lines = Lines::default();
            begun.write(&mut lines).unwrap();
            let headers = read(&lines);
            for (name, value) in &vector.headers {
                assert_eq!(headers[name.as_str()], value.as_str(), "{}: {name}", vector.name);
            }
            tried += 1;
        }
        assert!(tried >= 1);
    }

    #[test]
    fn the_document_is_that_of_the_scheme() {
        let document = "POST /api/x\n2026-11-22 06:00:00\nX-FOST-Headers X-FOST-User\nalice\nbody";
        let secret = Secret::new("a secret of thirty-two bytes!!!!");
        let tag = STANDARD.encode(Mac::chain_update(prepare(&secret).unwrap(), document).finalize().into_bytes());
        let headers = signed("POST", "/api/x", "alice", b"body");
        assert_eq!(headers["authorization"], format!("FOST 2026-11:{tag}"));
        assert_eq!((&headers["x-fost-timestamp"], &headers["x-fost-user"]), (&"2026-11-22 06:00:00".parse().unwrap(), &"alice".parse().unwrap()));
    }
}
