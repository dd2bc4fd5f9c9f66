//! Hosts, and names of headers that no client may send.

use doorward::inbound::{ReservedNames, parse_host};
use http::HeaderName;

const RESERVED: &[&str] = &[
    "x-forwarded-user",
    "x-doorward-signature",
    "remote-user",
    "x-of-our-own",
    "x-a-name-that-is-longer-than-any-buffer-on-the-stack-could-be-expected-to-be",
];

/// They may be sent, and in no other spelling.
const STANDING: &[&str] = &["content-length", "content-type", "x-fost-user", "x-a-credential"];

/// Any bytes: as a host, as a header's name, and as the separators of a reserved name.
pub fn run(data: &[u8]) -> bool {
    let accepted = std::str::from_utf8(data).is_ok_and(host);
    let reserved = ReservedNames::new(RESERVED.iter().map(|name| HeaderName::from_static(name)), &[HeaderName::from_static("x-a-credential")]);
    if let Ok(name) = HeaderName::from_bytes(data) {
        let same = RESERVED.iter().any(|known| fold(known) == fold(name.as_str()));
        assert!(!same || reserved.holds(&name), "{name}");
        let standing = STANDING.iter().find(|known| fold(known) == fold(name.as_str()));
        assert!(standing.is_none_or(|known| reserved.holds(&name) == (name.as_str() != *known)), "{name}");
    }
    let mut bytes = data.iter().cycle();
    for known in RESERVED.iter().chain(STANDING) {
        let spelt: Vec<u8> = known.bytes().map(|b| if b == b'-' { bytes.next().copied().unwrap_or(b) } else { b }).collect();
        // A separator that is a letter or a digit makes another name of it.
        if let Ok(name) = HeaderName::from_bytes(&spelt)
            && fold(name.as_str()) == fold(known)
        {
            assert_eq!(reserved.holds(&name), !STANDING.contains(&name.as_str()), "{name}");
        }
    }
    accepted
}

fn host(text: &str) -> bool {
    let Some((name, port)) = parse_host(text) else { return false };
    assert!(!name.is_empty() && name == name.to_ascii_lowercase(), "{text:?}");
    assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:[]".contains(&b)), "{text:?}");
    assert!(name.starts_with('[') || !name.contains([':', '[', ']']), "{text:?}");
    assert!(!name.ends_with('.') && !name.contains(".."), "{text:?}");
    let again = port.map_or(name.clone(), |port| format!("{name}:{port}"));
    assert_eq!(parse_host(&again), Some((name, port)), "{text:?}");
    true
}

/// As CGI makes a variable of a header's name.
fn fold(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}
