//! A token's header: which algorithm and key it says it was signed with. Believed only as far as the configuration goes.
//!
//! ```text
//! {"alg":"ES256","kid":"2026-11","typ":"JWT"}                          RFC 7515 section 4
//!  alg    one of the configured algorithms
//!  kid    looked up among known keys, never opened, fetched or asked for by name
//!  typ    one of the allowed types, so that a token for another purpose is not taken for this one (RFC 8725 section 3.11)
//!  crit   refused, whatever it lists; b64 (RFC 7797) too
//!  jwk, jku, x5u, x5c   ignored: a token does not bring its own key
//! ```

use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::compact::decode;
use crate::auth::Refusal;
use crate::types::json;

/// Longer names of keys are refused.
const MAX_KID_BYTES: usize = 256;

/// What a header may say.
#[derive(Debug)]
pub(in crate::auth) struct HeaderRules {
    /// The only algorithms that are accepted.
    pub algorithms: Vec<Algorithm>,
    /// The types that are accepted, lower case and without `application/`; "" stands for a token without one.
    pub types: Vec<String>,
}

/// What matters of a header.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::auth) struct Header {
    /// One of the accepted ones.
    pub algorithm: Algorithm,
    /// The key's name.
    pub kid: Option<String>,
}

impl HeaderRules {
    /// Reads a token's first part.
    pub fn read(&self, part: &str) -> Result<Header, Refusal> {
        self.read_whole(part).map(|(header, _)| header)
    }

    /// The same, and all that stands there besides. Nothing of it is to be believed.
    pub fn read_whole(&self, part: &str) -> Result<(Header, Map<String, Value>), Refusal> {
        let bytes = decode(part).ok_or(Refusal::Malformed("the token's header is not base64url without padding"))?;
        let mut header = json::object(&bytes).ok_or(Refusal::Malformed("the token's header is not one JSON object with unique names"))?;
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err(Refusal::Malformed("the token's header asks for an extension (crit, b64)"));
        }
        let algorithm = self.algorithm(&header)?;
        self.check_type(&header)?;
        let kid = match header.remove("kid") {
            None => None,
            Some(Value::String(kid)) if kid.len() <= MAX_KID_BYTES => Some(kid),
            Some(_) => return Err(Refusal::Malformed("the token's kid is not a string of at most 256 bytes")),
        };
        Ok((Header { algorithm, kid }, header))
    }

    fn algorithm(&self, header: &Map<String, Value>) -> Result<Algorithm, Refusal> {
        let named = header.get("alg").and_then(Value::as_str).and_then(|name| name.parse::<Algorithm>().ok());
        named.filter(|named| self.algorithms.contains(named)).ok_or(Refusal::Malformed("the token's algorithm is not one of those allowed"))
    }

    fn check_type(&self, header: &Map<String, Value>) -> Result<(), Refusal> {
        let accepted = match header.get("typ") {
            None => self.types.iter().any(String::is_empty),
            Some(Value::String(typ)) => {
                let typ = normal_type(typ);
                !typ.is_empty() && self.types.contains(&typ)
            }
            Some(_) => false,
        };
        if accepted { Ok(()) } else { Err(Refusal::Malformed("the token's type (typ) is not one of those allowed")) }
    }
}

/// Media types are compared without case, and `application/` may be left out (RFC 7515 section 4.1.9).
pub(in crate::auth) fn normal_type(typ: &str) -> String {
    let lower = typ.to_ascii_lowercase();
    lower.strip_prefix("application/").map(str::to_owned).unwrap_or(lower)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    use super::*;

    fn rules() -> HeaderRules {
        let types = ["", "jwt", "at+jwt"].map(str::to_owned).to_vec();
        HeaderRules { algorithms: vec![Algorithm::ES256, Algorithm::RS256], types }
    }

    fn read(json: &str) -> Result<Header, Refusal> {
        rules().read(&URL_SAFE_NO_PAD.encode(json))
    }

    #[test]
    fn a_plain_header_is_read() {
        for typ in ["", r#","typ":"JWT""#, r#","typ":"jwt""#, r#","typ":"at+jwt""#, r#","typ":"application/AT+JWT""#] {
            let header = read(&format!(r#"{{"alg":"ES256","kid":"k"{typ}}}"#)).unwrap();
            assert_eq!(header, Header { algorithm: Algorithm::ES256, kid: Some("k".to_owned()) }, "{typ}");
        }
        assert_eq!(read(r#"{"alg":"RS256"}"#).unwrap().kid, None);
    }

    #[test]
    fn no_other_algorithm_is_accepted_in_any_spelling() {
        for alg in [
            r#""none""#,
            r#""None""#,
            r#""nOnE""#,
            r#""NONE""#,
            r#""""#,
            r#""HS256""#,
            r#""HS512""#,
            r#""PS256""#,
            r#""EdDSA""#,
            r#""ES384""#,
            r#""es256""#,
            r#""ES256 ""#,
            r#"" ES256""#,
            r#""ES256\u0000""#,
            r#"["ES256"]"#,
            "null",
            "7",
            "true",
            "{}",
            r#""RSA-OAEP""#,
            r#""dir""#,
            r#""PBES2-HS256+A128KW""#,
        ] {
            assert!(matches!(read(&format!(r#"{{"alg":{alg}}}"#)), Err(Refusal::Malformed(_))), "{alg}");
        }
        assert!(read("{}").is_err());
    }

    #[test]
    fn extensions_are_refused_whatever_they_are() {
        for member in [
            r#""crit":["b64"],"b64":false"#,
            r#""crit":["exp"],"exp":1"#,
            r#""crit":[]"#,
            r#""crit":null"#,
            r#""crit":"b64""#,
            r#""\u0063rit":["x"]"#,
            r#""b64":false"#,
            r#""b64":true"#,
        ] {
            assert!(matches!(read(&format!(r#"{{"alg":"ES256",{member}}}"#)), Err(Refusal::Malformed(_))), "{member}");
        }
    }

    #[test]
    fn a_token_for_another_purpose_is_refused() {
        for typ in [
            r#""logout+jwt""#,
            r#""dpop+jwt""#,
            r#""secevent+jwt""#,
            r#""application/logout+jwt""#,
            r#""JWS""#,
            r#""""#,
            r#""application/""#,
            "null",
            "7",
            r#"["JWT"]"#,
            r#""JWT ""#,
        ] {
            assert!(matches!(read(&format!(r#"{{"alg":"ES256","typ":{typ}}}"#)), Err(Refusal::Malformed(_))), "{typ}");
        }
        let strict = HeaderRules { types: vec!["at+jwt".to_owned()], ..rules() };
        assert!(strict.read(&URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#)).is_err());
        assert!(strict.read(&URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","typ":"at+JWT"}"#)).is_ok());
    }

    #[test]
    fn a_kid_is_a_short_string_that_is_only_compared() {
        for kid in ["../../../../dev/null", "' OR 1=1 --", "|cat /etc/passwd", "\\u0000", ""] {
            assert!(read(&format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#)).is_ok(), "{kid}");
        }
        for kid in ["null", "7", "[]", "{}", &format!("\"{}\"", "k".repeat(257))] {
            assert!(matches!(read(&format!(r#"{{"alg":"ES256","kid":{kid}}}"#)), Err(Refusal::Malformed(_))), "{kid}");
        }
        assert!(read(&format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(256))).is_ok());
    }

    #[test]
    fn keys_that_a_token_brings_along_are_ignored() {
        let header = read(r#"{"alg":"ES256","jwk":{"kty":"oct","k":"AA"},"jku":"http://127.0.0.1/","x5u":"http://127.0.0.1/","x5c":["AA"]}"#);
        assert_eq!(header, Ok(Header { algorithm: Algorithm::ES256, kid: None }));
    }

    #[test]
    fn what_is_not_one_object_with_unique_names_is_refused() {
        for json in [
            "",
            "null",
            "[]",
            r#""ES256""#,
            r#"{"alg":"ES256""#,
            r#"{"alg":"ES256"}x"#,
            r#"{"alg":"none","alg":"ES256"}"#,
            r#"{"alg":"ES256","\u0061lg":"none"}"#,
        ] {
            assert!(matches!(read(json), Err(Refusal::Malformed(_))), "{json}");
        }
        let nested = format!(r#"{{"alg":"ES256","x":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        assert!(read(&nested).is_err());
        for part in ["", "e30=", "e3 0", "e31", "{}", "eyJ+", "é"] {
            assert!(matches!(rules().read(part), Err(Refusal::Malformed(_))), "{part}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_or_take_a_foreign_algorithm(part in ".{0,60}", json in "\\PC{0,60}") {
            let _ = rules().read(&part);
            if let Ok(header) = read(&json) {
                prop_assert!(rules().algorithms.contains(&header.algorithm));
            }
        }
    }
}
