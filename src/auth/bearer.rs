//! The one bearer token of a request.
//!
//! ```text
//! Authorization: Bearer TOKEN      RFC 6750 section 2.1; the word by `prefix`, compared without case
//! Authorization: TOKEN             with prefix ""
//! X-Token: TOKEN                   with header = "X-Token"; one of the prefixes may stand before it
//! Cookie: name=TOKEN               with cookie = "name"
//! GET /path?access_token=TOKEN     with query_parameter = "access_token"; RFC 6750 section 2.3
//! ```
//!
//! A token in a body (RFC 6750 section 2.2) is never looked for. TOKEN is visible ASCII without spaces and commas. Nothing here judges what a token says.

use std::fmt;

use http::HeaderName;
use http::header::AUTHORIZATION;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use super::{CredentialNames, Refusal};
use crate::inbound::Inbound;
use crate::types::Report;

/// Header names that carry something else than a credential of this kind.
const OTHER_HEADERS: [&str; 11] = [
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Where the token of a scheme travels. All places are looked at; two different tokens in two places are refused
/// (RFC 6750 section 2: a client uses one method a request).
#[derive(Debug, PartialEq, Eq)]
pub struct Carrier {
    /// Words before the token in `Authorization`; "" for none. Empty: `Authorization` is not looked at.
    prefixes: Vec<String>,
    /// A header that holds the token, beside `Authorization`.
    header: Option<HeaderName>,
    /// A cookie that holds the token.
    cookie: Option<String>,
    /// Whether the query parameter `access_token` may hold the token.
    parameter: bool,
}

/// The only query parameter that may hold a token: logs and proxies know its name and leave it out.
const PARAMETER: &str = "access_token";

impl Carrier {
    /// From the settings `prefix` (default `["Bearer"]`), `header` and `cookie`. Reports what is wrong with them under
    /// these keys and returns `None` then.
    pub fn build(prefix: Option<Vec<String>>, header: Option<String>, cookie: Option<String>, report: &mut Report) -> Option<Self> {
        let prefixes = prefix.unwrap_or_else(|| vec!["Bearer".to_owned()]);
        let mut valid = true;
        for prefix in prefixes.iter().filter(|prefix| !prefix.is_empty() && !is_word(prefix)) {
            report.error("prefix", &format!("{prefix:?} is not one word of a header"), "write it without blanks, such as \"Bearer\" or \"JWT\"");
            valid = false;
        }
        if prefixes.is_empty() && header.is_none() && cookie.is_none() {
            report.error("prefix", "there is no place for a token to stand in", "write prefix = [\"Bearer\"], or name a header or a cookie");
            valid = false;
        }
        let header = match header.as_deref().map(str::parse::<HeaderName>) {
            None => None,
            Some(Ok(name)) if !OTHER_HEADERS.contains(&name.as_str()) => Some(name),
            Some(Ok(_) | Err(_)) => {
                report.error(
                    "header",
                    "this header cannot hold a token of its own",
                    "name another, such as \"X-Auth-Token\"; Authorization is read by prefix",
                );
                valid = false;
                None
            }
        };
        if cookie.as_deref().is_some_and(|name| !is_word(name)) {
            report.error("cookie", "this is not a cookie's name", "write it without blanks, =, ; and quotes, such as \"access_token\"");
            valid = false;
        }
        valid.then_some(Self { prefixes, header, cookie, parameter: false })
    }

    /// Looks for tokens in the query, too, if `query_parameter` is given. Reports any name but `access_token`.
    pub fn with_query_parameter(mut self, query_parameter: Option<&str>, report: &mut Report) -> Option<Self> {
        let Some(name) = query_parameter else { return Some(self) };
        if name != PARAMETER {
            report.error("query_parameter", "tokens are read from no other parameter than access_token", "write query_parameter = \"access_token\"");
            return None;
        }
        report.warn("query_parameter", "URLs are kept in logs and histories, and tokens with them", "let clients send the token in a header");
        self.parameter = true;
        Some(self)
    }

    /// The word before a token, as a challenge names it.
    #[must_use]
    pub fn word(&self) -> &str {
        self.prefixes.iter().find(|prefix| !prefix.is_empty()).map_or("Bearer", String::as_str)
    }

    /// Query parameters that may hold the token: taken off every request before it is forwarded.
    #[must_use]
    pub fn parameters(&self) -> &'static [&'static str] {
        if self.parameter { &[PARAMETER] } else { &[] }
    }

    /// The token, if the request bears one in any of the places. `Err` when it stands there but cannot be read, is
    /// there twice, or differs between places.
    pub fn take<'r>(&self, inbound: &'r Inbound) -> Result<Option<&'r str>, Refusal> {
        let authorization = if self.prefixes.is_empty() { None } else { inbound.single(AUTHORIZATION).map_err(Refusal::Malformed)? };
        let header = match &self.header {
            Some(name) => inbound.single(name).map_err(Refusal::Malformed)?,
            None => None,
        };
        let cookie = match &self.cookie {
            Some(name) => inbound.cookie(name).map_err(Refusal::Malformed)?,
            None => None,
        };
        let token = self.choose(authorization, header, cookie)?;
        if !self.parameter {
            return Ok(token);
        }
        match (inbound.access_token().map_err(Refusal::Malformed)?.map(plain).transpose()?, token) {
            // RFC 6750 section 2: one method a request, the more so with the one that ends in logs.
            (Some(_), Some(_)) => Err(Refusal::Malformed("a token in the query and another elsewhere")),
            (parameter, token) => Ok(parameter.or(token)),
        }
    }

    /// Headers and cookies that hold the token.
    #[must_use]
    pub fn credentials(&self) -> CredentialNames {
        let authorization = (!self.prefixes.is_empty()).then_some(AUTHORIZATION);
        CredentialNames { headers: authorization.into_iter().chain(self.header.clone()).collect(), cookies: self.cookie.iter().cloned().collect() }
    }

    fn choose<'r>(&self, authorization: Option<&'r str>, header: Option<&'r str>, cookie: Option<&'r str>) -> Result<Option<&'r str>, Refusal> {
        let found = [
            authorization.map(|value| self.in_authorization(value)).transpose()?.flatten(),
            // A client that has no token may well send the header or the cookie empty.
            header.filter(|value| !value.is_empty()).map(|value| self.in_header(value)).transpose()?,
            cookie.filter(|value| !value.is_empty()).map(plain).transpose()?,
        ];
        let mut tokens = found.into_iter().flatten();
        let first = tokens.next();
        if tokens.any(|other| Some(other) != first) {
            return Err(Refusal::Malformed("different tokens in two places"));
        }
        Ok(first)
    }

    /// `None` for a credential of another kind.
    fn in_authorization<'r>(&self, value: &'r str) -> Result<Option<&'r str>, Refusal> {
        let (word, rest) = value.split_once(' ').unwrap_or((value, ""));
        if self.knows(word) {
            return plain(rest.trim_start_matches(' ')).map(Some);
        }
        if value != word || !self.prefixes.iter().any(String::is_empty) {
            return Ok(None);
        }
        plain(value).map(Some)
    }

    fn in_header<'r>(&self, value: &'r str) -> Result<&'r str, Refusal> {
        match value.split_once(' ') {
            Some((word, rest)) if self.knows(word) => plain(rest.trim_start_matches(' ')),
            Some(_) | None => plain(value),
        }
    }

    fn knows(&self, word: &str) -> bool {
        !word.is_empty() && self.prefixes.iter().any(|prefix| prefix.eq_ignore_ascii_case(word))
    }
}

/// `token`, if it is visible ASCII without commas: a comma would be two headers joined into one.
fn plain(token: &str) -> Result<&str, Refusal> {
    if token.is_empty() {
        return Err(Refusal::Malformed("no token after the scheme's name"));
    }
    // All bytes are looked at alike, without an early end: for a token of some hundred bytes that is several times faster.
    if !token.bytes().fold(true, |valid, b| valid & b.is_ascii_graphic() & (b != b',')) {
        return Err(Refusal::Malformed("a token holds visible ASCII alone, without blanks and commas"));
    }
    Ok(token)
}

/// A `token` of RFC 9110 section 5.6.2.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Whether `token` has a JWT's form: three non-empty parts between dots. Nothing in it is decoded.
#[must_use]
pub fn has_jwt_form(token: &str) -> bool {
    let mut parts = token.split('.');
    let three = parts.by_ref().take(3).filter(|part| !part.is_empty()).count() == 3;
    three && parts.next().is_none()
}

/// Reads `prefix = "JWT"` and `prefix = ["Bearer", "JWT"]` alike.
pub fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    struct Words;
    impl<'de> Visitor<'de> for Words {
        type Value = Option<Vec<String>>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text such as \"Bearer\", or a list of such")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Some(vec![text.to_owned()]))
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut words = Vec::new();
            while let Some(word) = list.next_element()? {
                words.push(word);
            }
            Ok(Some(words))
        }
    }
    deserializer.deserialize_any(Words)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn carrier(prefix: &[&str]) -> Carrier {
        let prefix = prefix.iter().map(|&word| word.to_owned()).collect();
        Carrier::build(Some(prefix), Some("X-Token".to_owned()), Some("tok".to_owned()), &mut Report::default()).unwrap()
    }

    #[test]
    fn the_word_before_a_token_is_compared_without_case_and_the_token_as_it_stands() {
        let bearer = carrier(&["Bearer", "JWT"]);
        for (value, token) in [("Bearer aB.c-_~+/=", "aB.c-_~+/="), ("bEARER x", "x"), ("JWT   x", "x"), ("jwt x", "x")] {
            assert_eq!(bearer.in_authorization(value), Ok(Some(token)), "{value}");
        }
        for value in ["Basic eDp5", "Bearerx y", "x", "Bearer\tx", "Digest a=b, c=d", "", " x", "FOST a:b"] {
            assert_eq!(bearer.in_authorization(value), Ok(None), "{value}");
        }
        for value in ["Bearer", "Bearer ", "Bearer    ", "Bearer a b", "Bearer a ", "Bearer a,b", "Bearer a, Bearer b", "Bearer a\u{7f}", "Bearer é"]
        {
            assert!(matches!(bearer.in_authorization(value), Err(Refusal::Malformed(_))), "{value}");
        }
    }

    #[test]
    fn a_bare_token_is_read_where_the_prefix_is_empty_and_other_schemes_are_left_alone() {
        let bare = carrier(&[""]);
        assert_eq!(bare.in_authorization("tok"), Ok(Some("tok")));
        assert_eq!(bare.in_authorization("Bearer tok"), Ok(None));
        assert_eq!(bare.in_authorization("Basic eDp5"), Ok(None));
        assert!(bare.in_authorization("a,b").is_err());
        assert!(bare.in_authorization("").is_err());
        assert_eq!(carrier(&["Bearer"]).in_authorization("tok"), Ok(None));
    }

    #[test]
    fn a_header_of_its_own_may_hold_the_prefix_or_not() {
        let bearer = carrier(&["Bearer"]);
        assert_eq!(bearer.choose(None, Some("tok"), None), Ok(Some("tok")));
        assert_eq!(bearer.choose(None, Some("bearer tok"), None), Ok(Some("tok")));
        assert_eq!(bearer.choose(None, Some(""), Some("")), Ok(None));
        assert!(bearer.choose(None, Some("other tok"), None).is_err());
        assert!(bearer.choose(None, Some("Bearer "), None).is_err());
    }

    #[test]
    fn two_places_must_agree() {
        let bearer = carrier(&["Bearer"]);
        assert_eq!(bearer.choose(Some("Bearer a"), Some("a"), Some("a")), Ok(Some("a")));
        assert_eq!(bearer.choose(Some("Basic eDp5"), None, Some("c")), Ok(Some("c")));
        assert_eq!(bearer.choose(None, None, None), Ok(None));
        for (authorization, header, cookie) in [
            (Some("Bearer a"), Some("b"), None),
            (Some("Bearer a"), None, Some("b")),
            (None, Some("a"), Some("b")),
            (Some("Bearer a"), Some("a"), Some("b")),
        ] {
            assert!(matches!(bearer.choose(authorization, header, cookie), Err(Refusal::Malformed(_))), "{authorization:?} {header:?} {cookie:?}");
        }
    }

    #[test]
    fn credentials_name_every_place_and_no_other() {
        let all = carrier(&["Bearer"]).credentials();
        assert_eq!(all.headers, ["authorization", "x-token"]);
        assert_eq!(all.cookies, ["tok"]);
        assert_eq!(carrier(&[]).credentials().headers, ["x-token"]);
    }

    #[test]
    fn settings_that_cannot_work_are_reported_under_their_key() {
        let text = |t: &str| Some(t.to_owned());
        let cases = [
            (Some(vec![]), None, None, "prefix"),
            (Some(vec!["Be arer".to_owned()]), None, None, "prefix"),
            (Some(vec!["Bearer".to_owned(), "a:b".to_owned()]), None, None, "prefix"),
            (None, text("Authorization"), None, "header"),
            (None, text("cookie"), None, "header"),
            (None, text("HOST"), None, "header"),
            (None, text("a b"), None, "header"),
            (None, text(""), None, "header"),
            (None, None, text(""), "cookie"),
            (None, None, text("a=b"), "cookie"),
        ];
        for (prefix, header, cookie, key) in cases {
            let mut report = Report::default();
            assert_eq!(Carrier::build(prefix, header, cookie, &mut report), None);
            assert_eq!(report.problems().first().unwrap().key, key);
        }
        let plain = || Carrier::build(None, None, None, &mut Report::default()).unwrap();
        assert_eq!((plain().prefixes, plain().parameters().len()), (vec!["Bearer".to_owned()], 0));
        for (name, works) in [(None, true), (Some("access_token"), true), (Some(""), false), (Some("token"), false), (Some("Access_Token"), false)] {
            let mut report = Report::default();
            let built = plain().with_query_parameter(name, &mut report);
            assert_eq!((built.is_some(), report.has_errors()), (works, !works), "{name:?}");
            assert_eq!(built.is_some_and(|built| built.parameters() == ["access_token"]), name == Some("access_token"));
        }
    }

    #[test]
    fn a_challenge_begins_with_the_first_word() {
        assert_eq!((carrier(&["", "Token", "Bearer"]).word(), carrier(&[""]).word(), carrier(&[]).word()), ("Token", "Bearer", "Bearer"));
    }

    #[test]
    fn a_prefix_is_one_word_or_a_list() {
        #[derive(Debug, serde::Deserialize)]
        struct Settings {
            #[serde(default, deserialize_with = "one_or_many")]
            prefix: Option<Vec<String>>,
        }
        let read = |text: &str| toml::from_str::<Settings>(text).map(|s| s.prefix);
        assert_eq!(read("").unwrap(), None);
        assert_eq!(read("prefix = ''").unwrap(), Some(vec![String::new()]));
        assert_eq!(read("prefix = ['a', 'b']").unwrap(), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert!(read("prefix = 7").is_err());
        assert!(read("prefix = [7]").is_err());
    }

    #[test]
    fn three_parts_that_are_not_empty_have_a_jwts_form() {
        assert!(has_jwt_form("a.b.c"));
        for other in ["", "a", "a.b", "a.b.", ".b.c", "a..c", "a.b.c.", "a.b.c.d", "a.b.c.d.e", "..", "..."] {
            assert!(!has_jwt_form(other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sent_a_token_that_comes_out_is_plain(value in ".{0,40}", prefix in "(|Bearer)") {
            let carrier = carrier(&[&prefix]);
            for token in [carrier.in_authorization(&value), carrier.in_header(&value).map(Some)].into_iter().flatten().flatten() {
                prop_assert!(!token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic() && b != b','));
                prop_assert!(value.ends_with(token));
            }
        }
    }
}
