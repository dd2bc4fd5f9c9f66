//! Patterns for the names in certificates.
//!
//! ```text
//! spiffe://cluster.local/ns/*/sa/web    * is a piece between two "/", or a part of one
//! spiffe://cluster.local/**             all below; URIs alone
//! *.clients.example.com                 * is one label
//! *@example.com                         * is the part before the "@"
//! ```
//!
//! A pattern is for the whole name. `*` stands for at least one character, and never for one that parts the pieces of a name.

use super::names::{Kind, fold_domain};
use crate::types::is_graphic;

/// One pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    kind: Kind,
    pieces: Vec<Piece>,
    /// Whether anything may follow, as `/**` says.
    below: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Exactly(String),
    /// What stands before the `*`, and behind it.
    Around(String, String),
}

impl Piece {
    fn matches(&self, kind: Kind, text: &str) -> bool {
        match self {
            Self::Exactly(whole) => whole == text,
            Self::Around(before, behind) => {
                let between = text.strip_prefix(before.as_str()).and_then(|rest| rest.strip_suffix(behind.as_str()));
                // Within a piece of a URI these begin another part of it: a host is no user, a path no query.
                let borders: &[char] = if kind == Kind::Uri { &['?', '#', '@', ':'] } else { &[] };
                between.is_some_and(|between| !between.is_empty() && !between.contains(borders))
            }
        }
    }
}

impl Pattern {
    /// Reads a pattern for names of `kind`; or says what is wrong with it.
    pub(super) fn parse(kind: Kind, text: &str) -> Result<Self, &'static str> {
        if text.is_empty() || text.chars().any(char::is_control) || text.trim() != text {
            return Err("a pattern is not empty and holds no control character and no blank at its ends");
        }
        if kind != Kind::CommonName && !is_graphic(text) {
            return Err("such a name is of ASCII characters without blanks");
        }
        let folded = match kind {
            Kind::Dns => text.to_ascii_lowercase(),
            Kind::Email => fold_domain(text).ok_or("an address has one @, and something on both sides of it")?,
            Kind::Uri | Kind::CommonName => text.to_owned(),
        };
        if kind == Kind::Uri && !folded.split('*').next().is_some_and(|before| before.contains(':')) {
            return Err("a URI begins with its scheme and a colon, and no * stands for those");
        }
        let (text, below) = match folded.strip_suffix("/**") {
            Some(above) if kind == Kind::Uri => (above, true),
            Some(_) | None => (folded.as_str(), false),
        };
        let pieces = split(kind, text).map(piece).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { kind, pieces, below })
    }

    /// Whether the whole of `name` fits.
    pub(super) fn matches(&self, name: &str) -> bool {
        let mut have = split(self.kind, name);
        if !self.pieces.iter().all(|piece| have.next().is_some_and(|text| piece.matches(self.kind, text))) {
            return false;
        }
        let mut rest = have.peekable();
        if self.below { rest.peek().is_some() && rest.all(|text| !text.is_empty()) } else { rest.peek().is_none() }
    }
}

fn piece(text: &str) -> Result<Piece, &'static str> {
    match text.split_once('*') {
        None => Ok(Piece::Exactly(text.to_owned())),
        Some((_, behind)) if behind.contains('*') => Err("there is more than one * in a piece; ** may stand behind the last / of a URI alone"),
        Some((before, behind)) => Ok(Piece::Around(before.to_owned(), behind.to_owned())),
    }
}

/// The pieces of a name, or of a pattern.
fn split(kind: Kind, text: &str) -> impl Iterator<Item = &str> {
    // No name holds a NUL: it stands for "in one piece".
    let between = match kind {
        Kind::Uri => '/',
        Kind::Dns => '.',
        Kind::Email => '@',
        Kind::CommonName => '\0',
    };
    text.split(between)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(kind: Kind, text: &str) -> Pattern {
        Pattern::parse(kind, text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_pattern_is_for_the_whole_name_and_a_star_crosses_no_border() {
        let cases: &[(Kind, &str, &[&str], &[&str])] = &[
            (
                Kind::Uri,
                "spiffe://cluster.local/ns/*/sa/web",
                &["spiffe://cluster.local/ns/shop/sa/web", "spiffe://cluster.local/ns/a.b-c/sa/web"],
                &[
                    "spiffe://cluster.local/ns//sa/web",
                    "spiffe://cluster.local/ns/a/b/sa/web",
                    "spiffe://cluster.local/ns/shop/sa/web2",
                    "spiffe://cluster.local/ns/shop/sa/web/x",
                    "spiffe://cluster.local/ns/shop/sa/web/",
                    "xspiffe://cluster.local/ns/shop/sa/web",
                    "spiffe://other.local/ns/shop/sa/web",
                    "spiffe://cluster.local/ns/a?b/sa/web",
                    "spiffe://cluster.local/ns/a#b/sa/web",
                    "SPIFFE://cluster.local/ns/shop/sa/web",
                ],
            ),
            (
                Kind::Uri,
                "spiffe://td/web-*",
                &["spiffe://td/web-1"],
                &["spiffe://td/web-", "spiffe://td/web", "spiffe://td/web-1/2", "spiffe://td/xweb-1"],
            ),
            (Kind::Uri, "spiffe://td/a*b", &["spiffe://td/a-b", "spiffe://td/abbb"], &["spiffe://td/ab", "spiffe://td/a", "spiffe://td/b"]),
            (
                Kind::Uri,
                "spiffe://td/**",
                &["spiffe://td/a", "spiffe://td/a/b/c"],
                &["spiffe://td", "spiffe://td/", "spiffe://td/a//b", "spiffe://td/a/", "spiffe://tdx/a", "spiffe://td.evil/a"],
            ),
            (Kind::Uri, "spiffe://td/ns/*/**", &["spiffe://td/ns/a/b"], &["spiffe://td/ns/a", "spiffe://td/ns//b"]),
            (
                Kind::Uri,
                "https://*.example.com/app",
                &["https://a.example.com/app"],
                &["https://evil@x.example.com/app", "https://a:1.example.com/app", "https://evil.com/.example.com/app"],
            ),
            (Kind::Uri, "urn:uuid:*", &["urn:uuid:0af"], &["urn:uuid:", "urn:uuid:a:b", "urn:uuid:a/b"]),
            (
                Kind::Dns,
                "*.Clients.example.com",
                &["a.clients.example.com"],
                &["clients.example.com", "a.b.clients.example.com", ".clients.example.com", "a.clients.example.com.evil", "aclients.example.com"],
            ),
            (Kind::Dns, "node-*.example.com", &["node-1.example.com"], &["node-.example.com", "node-1.x.example.com"]),
            (Kind::Dns, "*", &["localhost"], &["a.b"]),
            (
                Kind::Email,
                "*@Example.com",
                &["alice@example.com", "a.b@example.com"],
                &["@example.com", "alice@sub.example.com", "a@b@example.com", "alice@example.com.evil"],
            ),
            (Kind::Email, "alice@*.example.com", &["alice@a.example.com"], &["bob@a.example.com", "Alice@a.example.com"]),
            (Kind::CommonName, "batch-*", &["batch-1", "batch-a/b.c d"], &["batch-", "xbatch-1", "Batch-1"]),
            (Kind::CommonName, "*", &["x", "a/b"], &[""]),
            (Kind::CommonName, "Zoë Müller", &["Zoë Müller"], &["Zoe Muller", "Zoë Müller "]),
        ];
        for (kind, pattern, hits, misses) in cases {
            let parsed = parse(*kind, pattern);
            for name in *hits {
                assert!(parsed.matches(name), "{pattern} should match {name}");
            }
            for name in *misses {
                assert!(!parsed.matches(name), "{pattern} should not match {name}");
            }
        }
    }

    #[test]
    fn patterns_that_match_nothing_or_mean_something_else_do_not_parse() {
        let cases = [
            (
                Kind::Uri,
                &[
                    "",
                    " ",
                    "*",
                    "**",
                    "*://td/a",
                    "/a/*",
                    "spiffe://td/a**",
                    "spiffe://td/**/a",
                    "spiffe://td/*a*",
                    "spiffe://td/a b",
                    "spiffe://tü/a",
                ][..],
            ),
            (Kind::Dns, &["", "**", "*.*a*.com", "a b", "ü.example", "a\u{7}"][..]),
            (Kind::Email, &["", "*", "alice", "*@", "@x", "a@b@c", "**@x"][..]),
            (Kind::CommonName, &["", "a*b*", "**", " a", "a\n"][..]),
        ];
        for (kind, all) in cases {
            for text in all {
                assert!(Pattern::parse(kind, text).is_err(), "{kind:?} {text:?}");
            }
        }
    }

    const KINDS: [Kind; 4] = [Kind::Uri, Kind::Dns, Kind::Email, Kind::CommonName];

    proptest! {
        #[test]
        fn a_name_without_a_star_is_a_pattern_for_itself_alone(name in "[a-z]{1,4}:[a-z./]{0,12}", other in "[a-z]{1,4}:[a-z./]{0,12}") {
            let pattern = parse(Kind::Uri, &name);
            prop_assert!(pattern.matches(&name));
            prop_assert_eq!(pattern.matches(&other), name == other);
        }

        #[test]
        fn a_star_matches_what_it_is_replaced_by_unless_that_holds_a_border(before in "[a-z]{0,4}", star in "[a-z/?#@:.]{0,6}", behind in "[a-z]{0,4}") {
            let pattern = parse(Kind::Uri, &format!("x://{before}*{behind}/y"));
            let whole = !star.is_empty() && !star.contains(['/', '?', '#', '@', ':']);
            prop_assert_eq!(pattern.matches(&format!("x://{before}{star}{behind}/y")), whole);
        }

        #[test]
        fn no_pattern_and_no_name_breaks_it(text in "\\PC{0,30}", name in "\\PC{0,30}", at in 0_usize..4) {
            if let Ok(pattern) = Pattern::parse(KINDS[at], &text) {
                pattern.matches(&name);
            }
        }
    }
}
