//! A token's outer form, before anything in it is believed.
//!
//! ```text
//! eyJhbGciOiJFUzI1NiJ9 . eyJpc3MiOiJodHRwczovL2lkIn0 . MEUCIQDx…      RFC 7515 section 7.1
//! header                 payload                       signature      each base64url without padding
//! └──────────── signed, as it stands ──────────────┘
//! ```

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::auth::Refusal;

/// A token in its three parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::auth) struct Compact<'t> {
    /// The whole token.
    pub text: &'t str,
    /// What the signature covers: header and payload with the dot between them.
    pub signed: &'t str,
    /// First part.
    pub header: &'t str,
    /// Second part.
    pub payload: &'t str,
    /// Third part.
    pub signature: &'t str,
}

impl<'t> Compact<'t> {
    /// The three parts. `None` for a token of another form: with fewer or more parts (five are a JWE), or an empty one.
    /// A token of this form with more than `max` bytes is refused before anything of it is decoded.
    pub fn split(text: &'t str, max: usize) -> Result<Option<Self>, Refusal> {
        let Some((signed, signature)) = text.rsplit_once('.') else { return Ok(None) };
        let Some((header, payload)) = signed.split_once('.') else { return Ok(None) };
        if header.is_empty() || payload.is_empty() || signature.is_empty() || payload.contains('.') {
            return Ok(None);
        }
        if text.len() > max {
            return Err(Refusal::Malformed("the token is longer than allowed"));
        }
        Ok(Some(Self { text, signed, header, payload, signature }))
    }
}

/// The issuer that a payload names in one string. Nothing is verified: this only tells whose business the token is.
pub(in crate::auth) fn named_issuer(payload: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Peek<'p> {
        #[serde(borrow)]
        iss: Option<Cow<'p, str>>,
    }
    // serde would read a list as well, its members in order.
    let is_object = payload.trim_ascii_start().starts_with(b"{");
    serde_json::from_slice::<Peek<'_>>(payload).ok().filter(|_| is_object)?.iss
}

/// The same of a whole token.
pub(in crate::auth) fn issuer_of(token: &str) -> Option<String> {
    let payload = decode(token.split('.').nth(1)?)?;
    named_issuer(&payload).map(Cow::into_owned)
}

/// base64url without padding, in its one spelling: unused bits are zero.
pub(in crate::auth) fn decode(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    fn naming(payload: &str) -> bool {
        named_issuer(payload.as_bytes()).as_deref() == Some("us")
    }

    #[test]
    fn three_parts_that_are_not_empty_are_a_token() {
        let token = Compact::split("a.bc.d", 6).unwrap().unwrap();
        assert_eq!((token.signed, token.header, token.payload, token.signature), ("a.bc", "a", "bc", "d"));
        for other in ["", ".", "..", "...", "a", "a.b", ".b.c", "a..c", "a.b.", "a.b.c.d", "a.b.c.d.e", "a..b.c", ".a.b.c", "a.b.c."] {
            assert_eq!(Compact::split(other, 100), Ok(None), "{other}");
        }
    }

    #[test]
    fn a_token_that_is_too_long_is_refused_and_another_form_is_not_ours_however_long() {
        let long = "a".repeat(100);
        assert_eq!(Compact::split(&format!("a.b.{long}"), 103), Err(Refusal::Malformed("the token is longer than allowed")));
        assert!(Compact::split(&format!("a.b.{long}"), 104).unwrap().is_some());
        assert_eq!(Compact::split(&long, 10), Ok(None));
        assert_eq!(Compact::split(&format!("a.b.c.d.{long}"), 10), Ok(None));
    }

    #[test]
    fn a_million_dots_cost_nothing() {
        let dots = ".".repeat(1 << 20);
        let more = format!("a{}", ".a".repeat(1 << 19));
        let began = Instant::now();
        for _ in 0..1000 {
            assert_eq!(Compact::split(&dots, 8192), Ok(None));
            assert_eq!(Compact::split(&more, 8192), Ok(None));
        }
        assert!(began.elapsed() < Duration::from_secs(1), "a thousand times both: {:?}", began.elapsed());
    }

    #[test]
    fn a_token_is_ours_if_it_names_our_issuer_in_one_string() {
        for ours in [r#"{"iss":"us"}"#, r#"{"a":{"iss":"them"},"iss":"us","b":[[[]]]}"#, r#"{"\u0069ss":"\u0075s"}"#] {
            assert!(naming(ours), "{ours}");
        }
        for theirs in [
            "{}",
            r#"{"iss":"them"}"#,
            r#"{"iss":"us "}"#,
            r#"{"iss":"US"}"#,
            r#"{"iss":["us"]}"#,
            r#"{"iss":null}"#,
            r#"{"iss":7}"#,
            r#"{"iss":{"us":1}}"#,
            r#"{"iss":"us","iss":"us"}"#,
            r#"{"iss":"us","\u0069ss":"them"}"#,
            r#"{"a":{"iss":"us"}}"#,
            r#"["us"]"#,
            "us",
            " ",
            r#"{"iss":"us""#,
            r#"{"iss":"us"}x"#,
        ] {
            assert!(!naming(theirs), "{theirs}");
        }
    }

    proptest! {
        #[test]
        fn the_parts_make_the_whole(text in "[a-c.]{0,12}") {
            if let Ok(Some(token)) = Compact::split(&text, 1000) {
                prop_assert_eq!(format!("{}.{}.{}", token.header, token.payload, token.signature), text.as_str());
                prop_assert_eq!(format!("{}.{}", token.header, token.payload), token.signed);
                prop_assert_eq!(text.matches('.').count(), 2);
            }
        }

        #[test]
        fn there_is_one_spelling_for_each_value(part in "[A-Za-z0-9_=+/ -]{0,12}") {
            if let Some(bytes) = decode(&part) {
                prop_assert_eq!(URL_SAFE_NO_PAD.encode(bytes), part);
            }
        }
    }
}
