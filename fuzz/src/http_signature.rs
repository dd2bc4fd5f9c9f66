//! Requests signed as the drafts before RFC 9421 say: what is accepted was signed, wholly.
//!
//! ```text
//! DIALECT LIST LF METHOD LF TARGET LF name: value LF … LF LF body
//! ```
//!
//! The target signs what it reads by the description of the dialect, not with the product's code, and as those gateways do: a header
//! that is listed and not there is signed by its name alone. It sends the request once with the signature changed and once as it is.
//! Where there is no `Date`, the present one is added.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward::auth::Access;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::parts::{self, Parts};
use crate::scheme;

const SECRET: &str = "a secret that is long enough";
const DIALECTS: [&str; 3] = ["draft", "kong", "apisix"];

thread_local! {
    static ACCESS: [Access; 3] = DIALECTS.map(|dialect| {
        scheme::build(&format!("[http-signature]\ndialect = \"{dialect}\"\n[http-signature.keys.ours]\nsecret = \"{SECRET}\"\nuser = \"webshop\""))
    });
}

/// Any bytes: as a raw request, which cannot be signed, and as the parts of one that is.
pub fn run(data: &[u8]) -> bool {
    for which in 0..DIALECTS.len() {
        let access = ACCESS.with(|all| all[which].clone());
        assert_eq!(parts::user(&access, data), None, "an unsigned request was accepted");
    }
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Some((line, rest)) = text.split_once('\n') else { return false };
    let Some((dialect, list)) = line.split_once(' ') else { return false };
    let (Some(which), Some(parts)) = (DIALECTS.iter().position(|known| *known == dialect), parts::read(rest)) else { return false };
    // Anything that would end the parameter early would make another list of it.
    let plain = list.bytes().all(|b| b == b' ' || b.is_ascii_graphic() && b != b'"' && b != b'\\');
    plain && signed(which, list, &parts)
}

fn signed(which: usize, list: &str, parts: &Parts<'_>) -> bool {
    let now = httpdate::fmt_http_date(SystemTime::now());
    let dated = parts.value("date").is_none();
    let names: Vec<&str> = list.split(' ').collect();
    let mut lines: Vec<String> = names.iter().map(|name| line(which, name, parts, &now)).collect();
    if DIALECTS[which] == "apisix" {
        lines.insert(0, "ours".to_owned());
        lines.push(String::new());
    }
    let mut tag = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(lines.join("\n")).finalize().into_bytes();
    let (word, key) = if DIALECTS[which] == "kong" { ("hmac", "username") } else { ("Signature", "keyId") };
    let access = ACCESS.with(|all| all[which].clone());
    let send = |tag: &[u8]| {
        let date = if dated { format!("Date: {now}\r\n") } else { String::new() };
        let parameters = format!("{key}=\"ours\",algorithm=\"hmac-sha256\",headers=\"{list}\",signature=\"{}\"", STANDARD.encode(tag));
        parts::user(&access, parts.request(parts.target, &format!("{date}Authorization: {word} {parameters}\r\n")).as_bytes())
    };
    let at = parts.body.len() % 32;
    tag[at] ^= 1;
    assert_eq!(send(&tag), None, "a wrong signature was accepted");
    tag[at] ^= 1;
    let Some(user) = send(&tag) else { return false };
    assert_eq!(user, "webshop");
    let listed = |wanted: &str| names.iter().any(|name| name.eq_ignore_ascii_case(wanted));
    let target = ["(request-target)", "@request-target", "request-line"].iter().any(|word| names.contains(word));
    assert!(target && listed("host") && (listed("date") || listed("x-date")), "{list} {parts:?}");
    if !parts.body.is_empty() {
        let right = format!("SHA-256={}", STANDARD.encode(Sha256::digest(parts.body)));
        assert!(listed("digest"), "{list} {parts:?}");
        assert!(
            parts.value("digest").is_some_and(|said| said.eq_ignore_ascii_case(&right) || said.to_ascii_lowercase().contains("sha-512")),
            "{parts:?}"
        );
    }
    for name in names.iter().filter(|name| !name.contains(['(', '@'])) {
        let times = parts.headers.iter().filter(|(have, _)| have.eq_ignore_ascii_case(name)).count()
            + usize::from(dated && name.eq_ignore_ascii_case("date"));
        let own = ["host", "content-length", "request-line"].iter().any(|own| name.eq_ignore_ascii_case(own));
        assert!(own || times == 1, "{name} is there {times} times: {list} {parts:?}");
    }
    true
}

fn line(which: usize, name: &str, parts: &Parts<'_>, now: &str) -> String {
    let (method, target) = (parts.method, parts.target);
    match (DIALECTS[which], name) {
        ("draft", "(request-target)") | ("kong", "@request-target") => format!("{name}: {} {target}", method.to_ascii_lowercase()),
        ("apisix", "@request-target") => format!("{method} {target}"),
        ("kong", "request-line") => format!("{method} {target} HTTP/1.1"),
        (dialect, _) => {
            let shown = if dialect == "draft" { name.to_ascii_lowercase() } else { name.to_owned() };
            let value = if name.eq_ignore_ascii_case("content-length") {
                Some(parts.body.len().to_string())
            } else {
                parts.value(&name.to_ascii_lowercase()).map(str::to_owned)
            };
            match value.or_else(|| name.eq_ignore_ascii_case("date").then(|| now.to_owned())) {
                Some(value) => format!("{shown}: {value}"),
                None => format!("{shown}:"),
            }
        }
    }
}
