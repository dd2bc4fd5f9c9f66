//! Reading what a request or a URL says of itself. Nothing of it is believed here.
//!
//! ```text
//! Authorization: AWS4-HMAC-SHA256 Credential=KEY/20261122/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=0123…
//!                                            KEY/      scope                      /
//! ```

use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_TYPE};

use super::canonical::Head;
use super::content::Content;
use super::query::{self, PARAMETERS};
use super::{Rules, date};
use crate::auth::Refusal;
use crate::auth::signing::can_be_a_name;

pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
pub(super) const TERMINATOR: &str = "aws4_request";

/// What a signature is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scope<'a> {
    /// `20261122`.
    pub date: &'a str,
    pub region: &'a str,
    pub service: &'a str,
}

impl Scope<'_> {
    pub(super) fn text(&self) -> String {
        format!("{}/{}/{}/{TERMINATOR}", self.date, self.region, self.service)
    }
}

/// What the MAC is made of: `hash` is that of the canonical request. The signer makes it too.
pub(super) fn string_to_sign(stamp: &str, scope: &Scope<'_>, hash: &[u8]) -> String {
    format!("{ALGORITHM}\n{stamp}\n{}\n{}", scope.text(), hex(hash))
}

/// When a request was signed, and for a URL how long it is good. Unix seconds, and seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time {
    pub signed: i64,
    pub good_for: Option<i64>,
}

/// A signed request, read but not believed.
#[derive(Debug)]
pub(super) struct Signed {
    pub key: String,
    pub tag: [u8; 32],
    pub time: Time,
    /// The time as it was written.
    pub stamp: String,
    /// What the body is said to be.
    pub content: Content,
    /// The canonical request up to the body's hash.
    pub canonical: Vec<u8>,
    /// What the application does not see of the query.
    pub query_credentials: &'static [&'static str],
}

/// What both forms of a credential say.
struct Claim<'a> {
    credential: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

/// Whether the request claims to be signed this way: by the first word of `Authorization`, without case.
pub(super) fn is_mine(headers: &HeaderMap) -> bool {
    headers.get_all(AUTHORIZATION).iter().any(|value| {
        let word = value.as_bytes().split(|b| *b == b' ').next().unwrap_or_default();
        word.eq_ignore_ascii_case(ALGORITHM.as_bytes())
    })
}

/// Reads a request that is signed in its headers.
pub(super) fn read_headers(head: &Head<'_>, rules: &Rules) -> Result<Signed, Refusal> {
    let claim = claim(head.one(AUTHORIZATION.as_str())?.unwrap_or_default())?;
    let stamp = head.one("x-amz-date")?.ok_or(Refusal::Malformed("there is no X-Amz-Date"))?;
    let content = Content::read(head.one("x-amz-content-sha256")?, head)?.unwrap_or(Content::Unsaid);
    // A body of another type may be another message.
    head.covered_by(claim.signed_headers, &[CONTENT_TYPE.as_str()])?;
    let signed = date::parse(stamp).ok_or(Refusal::Malformed("the date cannot be read"))?;
    claim.read(head, rules, stamp, Time { signed, good_for: None }, content, &[])
}

/// Reads a request that is signed in its query.
pub(super) fn read_url(head: &Head<'_>, rules: &Rules) -> Result<Signed, Refusal> {
    let read = query::read(head.query)?;
    if read.algorithm.as_deref() != Some(ALGORITHM) {
        return Err(Refusal::Malformed("X-Amz-Algorithm is not AWS4-HMAC-SHA256"));
    }
    let (Some(credential), Some(stamp), Some(expires)) = (&read.credential, &read.date, &read.expires) else {
        return Err(Refusal::Malformed("a signed URL has X-Amz-Credential, X-Amz-Date and X-Amz-Expires"));
    };
    let (Some(signed_headers), Some(signature)) = (&read.signed_headers, &read.signature) else {
        return Err(Refusal::Malformed("a signed URL has X-Amz-SignedHeaders and X-Amz-Signature"));
    };
    if read.security_token.is_some() && !rules.allow_session_token {
        return Err(Refusal::Malformed("a session token"));
    }
    let said = Content::read(head.one("x-amz-content-sha256")?, head)?;
    let content = match (said, Content::read(read.content.as_deref(), head)?) {
        (Some(_), Some(_)) => return Err(Refusal::Malformed("the body's hash is said in two places")),
        (None, None) => rules.content_of_urls(),
        (Some(content), None) | (None, Some(content)) => content,
    };
    if matches!(content, Content::Chunks(_)) {
        return Err(Refusal::Malformed("a signed URL whose body is signed in chunks"));
    }
    let claim = Claim { credential, signed_headers, signature };
    head.covered_by(signed_headers, &[])?;
    let signed = date::parse(stamp).ok_or(Refusal::Malformed("the date cannot be read"))?;
    let digits = !expires.is_empty() && expires.bytes().all(|b| b.is_ascii_digit());
    let good_for = expires.parse().ok().filter(|_| digits).ok_or(Refusal::Malformed("X-Amz-Expires is not a number of seconds"))?;
    claim.read(head, rules, stamp, Time { signed, good_for: Some(good_for) }, content, PARAMETERS)
}

/// Takes `Authorization` apart: three fields, each once, in any order.
fn claim(value: &str) -> Result<Claim<'_>, Refusal> {
    let malformed = || Refusal::Malformed("Authorization is not AWS4-HMAC-SHA256 Credential=, SignedHeaders=, Signature=");
    let fields = value.split_once(' ').ok_or_else(malformed)?.1;
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for field in fields.split(',') {
        let (name, value) = field.trim_matches(' ').split_once('=').ok_or_else(malformed)?;
        let place = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed_headers,
            "Signature" => &mut signature,
            _ => return Err(malformed()),
        };
        if place.replace(value).is_some() {
            return Err(malformed());
        }
    }
    match (credential, signed_headers, signature) {
        (Some(credential), Some(signed_headers), Some(signature)) => Ok(Claim { credential, signed_headers, signature }),
        _ => Err(malformed()),
    }
}

impl Claim<'_> {
    fn read(
        &self,
        head: &Head<'_>,
        rules: &Rules,
        stamp: &str,
        time: Time,
        content: Content,
        query_credentials: &'static [&'static str],
    ) -> Result<Signed, Refusal> {
        if head.headers.contains_key("x-amz-security-token") && !rules.allow_session_token {
            return Err(Refusal::Malformed("a session token"));
        }
        let key = self.key(rules, stamp)?;
        let names = self.signed_headers;
        let token = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase());
        // In order, and so each once.
        let ascending = names.split(';').zip(names.split(';').skip(1)).all(|(one, next)| one < next);
        if !names.split(';').all(token) || !ascending {
            return Err(Refusal::Malformed("SignedHeaders is not a sorted list of names in lower case"));
        }
        Ok(Signed {
            key: key.to_owned(),
            tag: unhex(self.signature).ok_or(Refusal::Malformed("the signature is not 64 hexadecimal digits in lower case"))?,
            time,
            stamp: stamp.to_owned(),
            content,
            canonical: head.canonical(names, rules.twice)?,
            query_credentials,
        })
    }

    /// The key's name, if the rest of the credential is the scope that it has to be.
    fn key(&self, rules: &Rules, stamp: &str) -> Result<&str, Refusal> {
        let mut parts = self.credential.rsplitn(5, '/');
        let (end, service, region, date, key) = (parts.next(), parts.next(), parts.next(), parts.next(), parts.next());
        let (Some(end), Some(service), Some(region), Some(date), Some(key)) = (end, service, region, date, key) else {
            return Err(Refusal::Malformed("the credential is not KEY/DATE/REGION/SERVICE/aws4_request"));
        };
        if end != TERMINATOR || stamp.get(..8) != Some(date) {
            return Err(Refusal::Malformed("the credential is of another date, or for something else"));
        }
        if region != rules.region || service != rules.service {
            return Err(Refusal::Wrong("signed for another region or service"));
        }
        if can_be_a_name(key) { Ok(key) } else { Err(Refusal::Malformed("the key's name")) }
    }
}

/// The bytes of 64 hexadecimal digits in lower case: one MAC has one spelling.
pub(super) fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = (digits.len() == 64)
        .then(|| digits.chunks_exact(2).map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.last()?)?)).collect::<Option<Vec<u8>>>())
        .flatten();
    bytes?.try_into().ok()
}

/// 64 hexadecimal digits in lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_fields_come_in_any_order_each_once_and_no_other() {
        for value in [
            "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=c",
            "AWS4-HMAC-SHA256 Credential=a/b,SignedHeaders=host,Signature=c",
            "aws4-hmac-sha256   Signature=c , Credential=a/b,  SignedHeaders=host",
        ] {
            let read = claim(value).unwrap();
            assert_eq!((read.credential, read.signed_headers, read.signature), ("a/b", "host", "c"), "{value}");
        }
        for value in [
            "",
            "AWS4-HMAC-SHA256",
            "AWS4-HMAC-SHA256 ",
            "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=b",
            "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=b, Signature=c, Signature=c",
            "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=b, Signature=c, Other=d",
            "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=b, Signature=c,",
            "AWS4-HMAC-SHA256 credential=a, SignedHeaders=b, Signature=c",
            "AWS4-HMAC-SHA256 Credential=a; SignedHeaders=b; Signature=c",
        ] {
            assert!(claim(value).is_err(), "{value}");
        }
    }

    #[test]
    fn a_mac_has_one_spelling() {
        let text = "00ff".repeat(16);
        assert_eq!(hex(&unhex(&text).unwrap()), text);
        for wrong in ["", "00", &text.to_uppercase(), &format!("{text}0"), &format!("{text}00"), &text.replace("00", "0g"), &"é".repeat(32)] {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_authorization_makes_the_parser_panic(text in ".{0,60}", near in "AWS4-HMAC-SHA256 [CredntialSgHs=,; /]{0,60}") {
            let _ = (claim(&text).is_ok(), claim(&near).is_ok());
        }
    }
}
