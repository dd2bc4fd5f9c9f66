//! Which name of a certificate is the user's.
//!
//! Names are taken as they are, but for the letters of host names. One that is not clearly what it should be makes the whole
//! certificate one that nobody is let in with: whoever issues such a name is not to be trusted with the others.

use super::document::Document;
use super::{Refusal, valid_user_name};
use crate::types::is_graphic;

/// Where the user's name stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `uniformResourceIdentifier` of the subject's alternative names: SPIFFE.
    Uri,
    /// `dNSName`.
    Dns,
    /// `rfc822Name`.
    Email,
    /// The subject's common name.
    CommonName,
}

impl Kind {
    pub(super) fn named(text: &str) -> Option<Self> {
        match text {
            "san-uri" => Some(Self::Uri),
            "san-dns" => Some(Self::Dns),
            "san-email" => Some(Self::Email),
            "cn" => Some(Self::CommonName),
            _ => None,
        }
    }

    /// What to write instead of a pattern that is none.
    pub(super) fn example(self) -> &'static str {
        match self {
            Self::Uri => "write such as \"spiffe://cluster.local/ns/*/sa/*\"",
            Self::Dns => "write such as \"*.clients.example.com\"",
            Self::Email => "write such as \"*@example.com\"",
            Self::CommonName => "write such as \"batch-*\"",
        }
    }

    fn of(self, document: &Document) -> &[String] {
        match self {
            Self::Uri => &document.uris,
            Self::Dns => &document.hosts,
            Self::Email => &document.emails,
            Self::CommonName => &document.common_names,
        }
    }
}

/// The one name of this kind that is allowed. None, or several, are refused.
pub(super) fn select(kind: Kind, document: &Document, allowed: impl Fn(&str) -> bool) -> Result<String, Refusal> {
    let names = kind.of(document);
    if names.is_empty() {
        return Err(Refusal::Wrong("the client certificate has no name of the kind that is asked for"));
    }
    // X509-SVID section 2: exactly one URI. A second one is there to be taken for the first.
    if kind == Kind::Uri && names.len() > 1 && names.iter().any(|name| is_spiffe(name)) {
        return Err(Refusal::Wrong("the client certificate has a SPIFFE ID and another URI"));
    }
    let sound: Option<Vec<String>> = names.iter().map(|name| sound(kind, name)).collect();
    let Some(sound) = sound else { return Err(Refusal::Wrong("a name in the client certificate cannot be told to an application")) };
    let mut fitting = sound.into_iter().filter(|name| allowed(name));
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => Err(Refusal::Wrong("several names in the client certificate are allowed, and nobody is two")),
        (None, _) => Err(Refusal::Wrong("no name in the client certificate is allowed")),
    }
}

/// The name as it is told; `None` if it is none of its kind, or cannot be told.
fn sound(kind: Kind, name: &str) -> Option<String> {
    if !valid_user_name(name) || (kind != Kind::CommonName && !is_graphic(name)) {
        return None;
    }
    match kind {
        Kind::Uri => is_uri(name).then(|| name.to_owned()),
        Kind::Dns => is_host(name).then(|| name.to_ascii_lowercase()),
        Kind::Email => fold_domain(name).filter(|address| address.split_once('@').is_some_and(|(_, domain)| is_host(domain))),
        Kind::CommonName => Some(name.to_owned()),
    }
}

fn is_uri(name: &str) -> bool {
    let Some((scheme, rest)) = name.split_once(':') else { return false };
    let word = scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    word && !rest.is_empty() && (!is_spiffe(name) || is_spiffe_id(name))
}

fn is_spiffe(name: &str) -> bool {
    name.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("spiffe:"))
}

/// The SPIFFE ID of a workload (SPIFFE-ID section 2): a trust domain in lower case, and a path whose pieces are plain words.
fn is_spiffe_id(name: &str) -> bool {
    let Some((domain, path)) = name.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/')) else { return false };
    let plain =
        |text: &str, letter: fn(&u8) -> bool| !text.is_empty() && text.bytes().all(|b| letter(&b) || b.is_ascii_digit() || b"-._".contains(&b));
    let segment = |text: &str| plain(text, u8::is_ascii_alphabetic) && text != "." && text != "..";
    plain(domain, u8::is_ascii_lowercase) && path.split('/').all(segment)
}

/// A host, not a pattern for hosts.
fn is_host(name: &str) -> bool {
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    name.len() <= 253 && name.split('.').all(label)
}

/// An address with its domain in lower case, whose letters mean the same; `None` if there is not exactly one `@` between two parts.
pub(super) fn fold_domain(address: &str) -> Option<String> {
    let (local, domain) = address.split_once('@')?;
    (!local.is_empty() && !domain.is_empty() && !domain.contains('@')).then(|| format!("{local}@{}", domain.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(kind: Kind, names: &[&str]) -> Document {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        match kind {
            Kind::Uri => Document { uris: names, ..Document::default() },
            Kind::Dns => Document { hosts: names, ..Document::default() },
            Kind::Email => Document { emails: names, ..Document::default() },
            Kind::CommonName => Document { common_names: names, ..Document::default() },
        }
    }

    #[test]
    fn a_name_is_told_only_if_it_is_clearly_of_its_kind() {
        type Case<'a> = (Kind, &'a [(&'a str, &'a str)], &'a [&'a str]);
        let cases: &[Case<'_>] = &[
            (
                Kind::Uri,
                &[
                    ("spiffe://td/a", "spiffe://td/a"),
                    ("spiffe://a-b_c.d1/ns/X-1_.y", "spiffe://a-b_c.d1/ns/X-1_.y"),
                    ("https://a/B?c#d", "https://a/B?c#d"),
                    ("urn:x:y", "urn:x:y"),
                ],
                &[
                    "",
                    "a",
                    ":a",
                    "1a:b",
                    "a:",
                    "spiffe://td",
                    "spiffe://td/",
                    "spiffe:///a",
                    "spiffe://td//a",
                    "spiffe://td/a/",
                    "spiffe://td/.",
                    "spiffe://td/a/../b",
                    "spiffe://TD/a",
                    "SPIFFE://td/a",
                    "Spiffe://td/a",
                    "spiffe:td/a",
                    "spiffe://td:1/a",
                    "spiffe://u@td/a",
                    "spiffe://td/a%2fb",
                    "spiffe://td/a?b",
                    "spiffe://td/a#b",
                    "spiffe://td/ü",
                    "https://a/b c",
                    "https://a/\0",
                    "https://a/\u{202e}",
                ],
            ),
            (
                Kind::Dns,
                &[("a.example.com", "a.example.com"), ("A.Example.COM", "a.example.com"), ("localhost", "localhost"), ("_x.a", "_x.a")],
                &["", ".", "a.", ".a", "a..b", "*.a", "a b", "a\0.b", "ü.a", "a/b", &"a".repeat(64), "a@b"],
            ),
            (
                Kind::Email,
                &[("Alice@Example.com", "Alice@example.com"), ("a+b.c@x", "a+b.c@x")],
                &["", "@", "a@", "@a", "a", "a@b@c", "a b@c", "a@b\0", "a@*.b", "a@b..c", "é@b"],
            ),
            (
                Kind::CommonName,
                &[("Zoë Müller", "Zoë Müller"), ("x", "x"), ("a/b", "a/b")],
                &["", " a", "a ", "a\0", "a\nb", "a\u{200b}b", &"x".repeat(256)],
            ),
        ];
        for (kind, good, bad) in cases {
            for (name, told) in *good {
                assert_eq!(sound(*kind, name).as_deref(), Some(*told), "{kind:?} {name:?}");
            }
            for name in *bad {
                assert_eq!(sound(*kind, name), None, "{kind:?} {name:?}");
                let one_bad = document(*kind, &[name, "x://y", "x"]);
                assert!(select(*kind, &one_bad, |_| true).is_err());
            }
        }
    }

    #[test]
    fn exactly_one_name_is_the_users() {
        let select = |kind, names: &[&str], allowed: &[&str]| select(kind, &document(kind, names), |name| allowed.contains(&name)).ok();
        let two = ["a.example", "b.example"];
        assert_eq!(select(Kind::Dns, &two, &["b.example", "c.example"]).as_deref(), Some("b.example"));
        for (names, allowed) in
            [(&two[..], &two[..]), (&two, &["c.example"]), (&[], &two), (&["a.example", "a.example"], &two), (&["a.example", "A.example"], &two)]
        {
            assert_eq!(select(Kind::Dns, names, allowed), None, "{names:?} {allowed:?}");
        }
        // An unsound name spoils the sound one.
        assert_eq!(select(Kind::Dns, &["a.example", "*.example"], &two), None);
        let uris = ["https://a/b", "urn:x:y"];
        assert_eq!(select(Kind::Uri, &uris, &["urn:x:y"]).as_deref(), Some("urn:x:y"));
        for other in ["https://a/b", "spiffe://td/b", "SPIFFE://td/b"] {
            assert_eq!(select(Kind::Uri, &["spiffe://td/a", other], &["spiffe://td/a"]), None, "{other}");
        }
        assert_eq!(select(Kind::Uri, &["https://a/b", "SPIFFE://td/a"], &["https://a/b"]), None);
    }

    #[test]
    fn a_name_of_one_kind_is_no_name_of_another() {
        for (kind, other) in [(Kind::Dns, Kind::CommonName), (Kind::CommonName, Kind::Dns), (Kind::Uri, Kind::Dns), (Kind::Email, Kind::Uri)] {
            assert!(select(kind, &document(other, &["a.example"]), |_| true).is_err());
        }
    }
}
