//! Header names: which end at this hop, and which only Doorward may set.
//!
//! CGI, WSGI, Rack and PHP fold a header's name into a variable: upper case, with `_` for every character that is not a
//! letter or digit. `X_Forwarded_User`, `X.Forwarded.User` and `X-Forwarded-User` are then one. So names are compared folded.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::Unclean;
use super::header_names::{NamesByLength, remove_if};
use super::seen::Seen;
use crate::payload::CleanTrailers;

/// A list of names and whether a name is one of them: compared with each literal, which the compiler does by their lengths.
macro_rules! names {
    ($(#[$doc:meta])* $list:ident, $holds:ident = $($name:literal,)+) => {
        $(#[$doc])*
        const $list: &[&str] = &[$($name,)+];

        fn $holds(name: &HeaderName) -> bool {
            matches!(name.as_str(), $($name)|+)
        }
    };
}

names! {
    /// Headers of one hop (RFC 9110 section 7.6.1 and its ancestors), and those that decide framing: never copied.
    HOP_BY_HOP, ends_here =
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "content-length",
    "expect",
    "early-data",
}

/// What `Connection` may not take away: without these the request would be another one.
const NOT_NOMINATED: &[HeaderName] = &[header::AUTHORIZATION, header::COOKIE, header::CONTENT_TYPE, header::CONTENT_ENCODING];

/// Names that only a proxy may set, whatever the configuration says.
const ALWAYS_RESERVED: &[&str] = &[
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-uri",
    "x-forwarded-prefix",
    "x-forwarded-method",
    "x-forwarded-server",
    "x-forwarded-scheme",
    "x-forwarded-ssl",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-client-cert",
    "x-forwarded-access-token",
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "x-original-url",
    "x-original-uri",
    "x-original-host",
    "x-original-method",
    "x-rewrite-url",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-host",
    "client-cert",
    "client-cert-chain",
    "remote-user",
    "proxy",
    "x-request-id",
    "x-doorward-signature",
    "x-doorward-assertion",
    "x-url-scheme",
    "x-scheme",
    "front-end-https",
    "x-arr-ssl",
    "x-arr-clientcert",
];

/// Whole families that only a proxy may set, and the one that begins otherwise: what nginx and Apache tell of a client's certificate.
fn of_reserved_family(name: &str) -> bool {
    const AFTER_X: [&str; 6] = ["envoy_", "ssl_", "doorward_", "client_cert", "forwarded_tls_", "amzn_mtls_"];
    match name.as_bytes() {
        [b'x', hyphen, rest @ ..] if fold_byte(*hyphen) == b'_' => {
            AFTER_X.iter().any(|family| rest.first() == family.as_bytes().first() && begins(rest, family))
        }
        [b's', ..] => begins(name.as_bytes(), "ssl_client_"),
        _ => false,
    }
}

/// Whether `name` begins with what is folded already.
fn begins(name: &[u8], folded: &str) -> bool {
    name.get(..folded.len()).is_some_and(|name| is_folded(name, folded.as_bytes()))
}

/// Whether `name`, folded, is `folded`. They are of one length. Looked at from the end: many names begin alike, few end so.
fn is_folded(mut name: &[u8], mut folded: &[u8]) -> bool {
    debug_assert_eq!(name.len(), folded.len());
    while let ([name_before @ .., byte], [folded_before @ .., known]) = (name, folded) {
        if fold_byte(*byte) != *known {
            return false;
        }
        (name, folded) = (name_before, folded_before);
    }
    true
}

/// One bit of a thousand for each of the names, by its length and its folded ends: a name whose bit is missing is none of them.
#[derive(Debug, Default)]
struct Sieve([u64; 16]);

impl Sieve {
    fn add(&mut self, name: &str) {
        let (word, bit) = Self::place(name);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    fn may_hold(&self, name: &str) -> bool {
        let (word, bit) = Self::place(name);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    fn place(name: &str) -> (usize, u64) {
        let [first, last] = [name.bytes().next(), name.bytes().next_back()].map(|byte| usize::from(byte.map_or(0, fold_byte)));
        let place = name.len() + 37 * first + 181 * last;
        ((place >> 6) & 15, 1 << (place & 63))
    }
}

/// The names that no client may send.
#[derive(Debug)]
pub struct ReservedNames {
    exact: NamesByLength<String>,
    aliases: NamesByLength<String>,
    /// Those of the aliases' spellings that may be sent: with hyphens and nothing else.
    standing: NamesByLength<String>,
    /// All of the first two.
    sieve: Sieve,
}

impl ReservedNames {
    /// Those that are always reserved, and `more`. `credentials`: headers that carry credentials; they may be sent, but under
    /// no other spelling, which would outlive their removal.
    #[must_use]
    pub fn new(more: impl IntoIterator<Item = HeaderName>, credentials: &[HeaderName]) -> Self {
        let exact = NamesByLength::new(ALWAYS_RESERVED.iter().map(|name| fold(name)).chain(more.into_iter().map(|name| fold(name.as_str()))));
        // Names with a meaning of their own here: they may be sent, but not under an alias that an application folds into them.
        let standing = [
            "content-type",
            "content-encoding",
            "content-language",
            "content-location",
            "content-range",
            "user-agent",
            "if-match",
            "if-none-match",
            "accept-encoding",
            "x-fost-user",
            "x-fost-headers",
            "x-fost-timestamp",
            "x-requested-with",
            "x-csrftoken",
            "x-csrf-token",
            "x-xsrf-token",
            "proxy-authorization",
            "www-authenticate",
        ];
        let credentials = credentials.iter().map(HeaderName::as_str);
        let all = HOP_BY_HOP.iter().chain(&standing).copied().chain(credentials);
        let (mut spelled, mut folded) = (Vec::new(), Vec::new());
        for name in all.filter(|name| name.contains('-')) {
            let is_canonical = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            spelled.extend((is_canonical && !exact.contains(fold(name))).then(|| name.to_owned()));
            folded.push(fold(name));
        }
        let (aliases, standing) = (NamesByLength::new(folded), NamesByLength::new(spelled));
        let mut sieve = Sieve::default();
        exact.iter().chain(aliases.iter()).for_each(|name| sieve.add(name));
        Self { exact, aliases, standing, sieve }
    }

    /// Whether a client may not send `name`.
    #[must_use]
    pub fn holds(&self, name: &HeaderName) -> bool {
        let name = name.as_str();
        if of_reserved_family(name) {
            return true;
        }
        // Nearly all names that are sent end here.
        if !self.sieve.may_hold(name) || self.standing.contains(name) {
            return false;
        }
        let is_it = |known: &[u8]| is_folded(name.as_bytes(), known);
        self.exact.any(name.len(), is_it) || self.aliases.any(name.len(), is_it)
    }

    /// Removes every reserved header.
    pub fn strip(&self, headers: &mut HeaderMap) {
        remove_if(headers, |name| self.holds(name));
    }
}

impl CleanTrailers for ReservedNames {
    /// Trailers of an answer: an application that folds names, or echoes what it was told, tells no client.
    fn clean(&self, trailers: &mut HeaderMap) {
        self.strip(trailers);
    }
}

/// Removes what ends at this hop: the names that `Connection` lists, and the fixed ones. Gives back `Proxy-Authorization` if there
/// was one line of it: it is meant for this hop.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap, seen: Seen) -> Result<Option<HeaderValue>, Unclean> {
    let mut for_this_hop = None;
    if seen.may_hold([&header::PROXY_AUTHORIZATION]) {
        let mut lines = headers.get_all(header::PROXY_AUTHORIZATION).iter();
        for_this_hop = lines.next().filter(|_| lines.next().is_none()).cloned();
    }
    if seen.may_hold([&header::CONNECTION]) {
        let mut listed = Vec::new();
        for value in headers.get_all(header::CONNECTION) {
            let value = value.to_str().map_err(|_| Unclean::Header("Connection is not ASCII"))?;
            for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Unclean::Header("Connection names something that is not a header"))?;
                listed.push(name);
            }
        }
        for name in listed.iter().filter(|name| !NOT_NOMINATED.contains(name)) {
            headers.remove(name);
        }
    }
    remove_if(headers, ends_here);
    Ok(for_this_hop)
}

fn fold(name: &str) -> String {
    name.bytes().map(fold_byte).map(char::from).collect()
}

fn fold_byte(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'_' }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reserved() -> ReservedNames {
        ReservedNames::new(
            [HeaderName::from_static("x-remote-user"), HeaderName::from_static("x-forwarded-user")],
            &[HeaderName::from_static("x-tok")],
        )
    }

    #[test]
    fn every_spelling_of_a_reserved_name_is_reserved() {
        for name in [
            "x-forwarded-user",
            "x_forwarded_user",
            "x-forwarded_user",
            "x.forwarded.user",
            "x!forwarded~user",
            "X-FORWARDED-USER",
            "x-remote-user",
            "x_remote_user",
            "remote_user",
            "x-envoy-original-path",
            "x_envoy_internal",
            "ssl_client_s_dn",
            "x-ssl-client-cert",
            "proxy",
            "content_length",
            "transfer_encoding",
            "content_type",
            "forwarded",
            "x-real.ip",
            "x-request-id",
            "x'forwarded`user",
            "x-doorward-anything",
        ] {
            assert!(reserved().holds(&HeaderName::from_bytes(name.as_bytes()).unwrap()), "{name}");
        }
        for name in [
            "x-forwarded-users",
            "xforwardeduser",
            "accept",
            "content-type",
            "my_header",
            "authorization",
            "cookie",
            "x-fost-user",
            "user-agent",
            "x-forwarded",
        ] {
            assert!(!reserved().holds(&HeaderName::from_bytes(name.as_bytes()).unwrap()), "{name}");
        }
    }

    #[test]
    fn a_header_that_carries_a_credential_has_one_spelling() {
        for (name, held) in [("x-tok", false), ("x_tok", true), ("x.tok", true), ("x-toke", false)] {
            assert_eq!(reserved().holds(&HeaderName::from_static(name)), held, "{name}");
        }
        let mixed = ReservedNames::new([], &[HeaderName::from_static("x-my_tok"), HeaderName::from_static("x-forwarded_user")]);
        for name in ["x-my_tok", "x_my_tok", "x-my-tok", "x-forwarded-user", "x-forwarded_user"] {
            assert!(mixed.holds(&HeaderName::from_static(name)), "{name}");
        }
    }

    #[test]
    fn a_long_name_is_judged_alike() {
        let long = format!("x-{}", "a".repeat(80));
        let reserved = ReservedNames::new([HeaderName::from_bytes(long.as_bytes()).unwrap()], &[]);
        assert!(reserved.holds(&HeaderName::from_bytes(long.replace('-', "_").as_bytes()).unwrap()));
    }

    #[test]
    fn connection_takes_away_what_it_names_but_not_what_makes_the_request() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Drop,\tauthorization"),
            ("connection", "Cookie"),
            ("x-drop", "1"),
            ("x-keep", "1"),
            ("authorization", "a"),
            ("cookie", "c=1"),
            ("te", "trailers"),
            ("content-length", "3"),
        ] {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        let seen = Seen::of(&headers);
        strip_hop_by_hop(&mut headers, seen).unwrap();
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["authorization", "cookie", "x-keep"]);
    }

    #[test]
    fn most_of_what_clients_send_is_let_through_by_the_sieve_alone() {
        let usual = "host accept accept-language authorization cookie referer origin if-modified-since cache-control sec-fetch-mode sec-fetch-site";
        for name in usual.split_whitespace() {
            assert!(!reserved().sieve.may_hold(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn the_sieve_holds_whatever_the_lists_hold(at in any::<prop::sample::Index>(), separators in prop::collection::vec("[-_.!#$%&'*+^`|~]", 8), upper in any::<bool>()) {
            let reserved = reserved();
            let known: Vec<&String> = reserved.exact.iter().chain(reserved.aliases.iter()).collect();
            let name = known[at.index(known.len())];
            let mut separators = separators.iter();
            let mut spelled: String = name.chars().map(|c| if c == '_' { separators.next().map_or("_", String::as_str).to_owned() } else { c.to_string() }).collect();
            if upper {
                spelled.make_ascii_uppercase();
            }
            prop_assert!(reserved.sieve.may_hold(&spelled), "{}", spelled);
        }

        #[test]
        fn any_separator_and_case_still_reserves(separator in "[-_.!#$%&'*+^`|~]", upper in any::<bool>()) {
            let name = format!("x{separator}forwarded{separator}user");
            let name = if upper { name.to_uppercase() } else { name };
            prop_assert!(reserved().holds(&HeaderName::from_bytes(name.as_bytes()).unwrap()));
        }
    }
}
