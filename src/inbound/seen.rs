//! Which headers are surely not there.

use http::{HeaderMap, HeaderName};

/// One bit for the length, the first and the last letter of each name that is there. A name whose bit is missing is not there, and need not be
/// hashed to find that out: most of what a request is cleaned of, it does not have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    names: u64,
    repeats: bool,
}

impl Seen {
    /// A look at each name. It stays right when headers are taken away afterwards, not when some are added.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self { names: headers.keys().fold(0, |seen, name| seen | bit(name)), repeats: headers.len() != headers.keys_len() }
    }

    /// Whether one of these names may be there.
    pub(super) fn may_hold<const N: usize>(self, names: [&HeaderName; N]) -> bool {
        names.iter().any(|name| self.names & bit(name) != 0)
    }

    /// Whether any header is there more than once.
    pub(super) fn repeats(self) -> bool {
        self.repeats
    }
}

fn bit(name: &HeaderName) -> u64 {
    let name = name.as_str().as_bytes();
    let [first, last] = [name.first(), name.last()].map(|letter| usize::from(letter.copied().unwrap_or_default()));
    // So weighed, no usual header has the bit of one that is looked for.
    1 << ((name.len() + 5 * last + 29 * first) & 63)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{self, ACCEPT, CONTENT_LENGTH, COOKIE, EXPECT, TE, TRANSFER_ENCODING, UPGRADE};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_most_requests_do_not_have_is_surely_not_there() {
        let usual = [header::HOST, ACCEPT, header::ACCEPT_ENCODING, header::USER_AGENT, header::CONTENT_TYPE, CONTENT_LENGTH];
        let headers: HeaderMap = usual.into_iter().map(|name| (name, HeaderValue::from_static("1"))).collect();
        let seen = Seen::of(&headers);
        assert!(seen.may_hold([&ACCEPT]) && seen.may_hold([&TE, &CONTENT_LENGTH]));
        for absent in [EXPECT, TRANSFER_ENCODING, UPGRADE, COOKIE, header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::CONNECTION] {
            assert!(!seen.may_hold([&absent]), "{absent}");
        }
        assert!(!Seen::of(&HeaderMap::new()).may_hold([&ACCEPT]) && !seen.may_hold([]));
        assert!(!seen.repeats());
        let mut twice = headers;
        twice.append(COOKIE, HeaderValue::from_static("1"));
        assert!(!Seen::of(&twice).repeats());
        twice.append(COOKIE, HeaderValue::from_static("1"));
        assert!(Seen::of(&twice).repeats());
    }

    proptest! {
        #[test]
        fn no_name_that_is_there_is_missed(names in prop::collection::vec("[a-z0-9_.-]{1,70}", 1..30)) {
            let names: Vec<HeaderName> = names.iter().map(|name| name.parse().unwrap()).collect();
            let headers: HeaderMap = names.iter().cloned().map(|name| (name, HeaderValue::from_static("1"))).collect();
            let seen = Seen::of(&headers);
            for name in &names {
                prop_assert!(seen.may_hold([name]), "{name}");
            }
        }
    }
}
