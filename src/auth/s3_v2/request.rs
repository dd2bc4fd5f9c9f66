//! Reading what a request or a URL says of itself. Nothing of it is believed here.

use http::HeaderMap;
use http::header::{AUTHORIZATION, DATE};

use super::document::{AMZ_DATE, CONTENT_MD5, Head, document};
use super::query::{self, PARAMETERS};
use super::{Time, date};
use crate::auth::Refusal;
use crate::auth::signing::{self, unescape};
use crate::types::is_graphic;

/// A signed request, read but not believed.
#[derive(Debug)]
pub(super) struct Signed {
    pub key: String,
    pub tag: [u8; 20],
    pub time: Time,
    /// What the body's MD5 is said to be.
    pub md5: Option<[u8; 16]>,
    /// All that is signed.
    pub document: Vec<u8>,
    /// What the application does not see of the query.
    pub query_credentials: &'static [&'static str],
}

/// Whether the request claims to be signed this way: by the first word of `Authorization`, without case.
pub(super) fn is_mine(headers: &HeaderMap) -> bool {
    headers.get_all(AUTHORIZATION).iter().any(|value| credentials(value.as_bytes()).is_some())
}

/// What follows `AWS` and one space. `AWS4-HMAC-SHA256` is another word.
fn credentials(value: &[u8]) -> Option<&[u8]> {
    let (word, rest) = value.split_at_checked(3)?;
    (word.eq_ignore_ascii_case(b"AWS") && (rest.is_empty() || rest.starts_with(b" "))).then(|| rest.get(1..).unwrap_or_default())
}

/// Reads a request that is signed in its headers.
pub(super) fn read_headers(head: &Head<'_>, unsigned_query: bool) -> Result<Signed, Refusal> {
    let malformed = Refusal::Malformed("Authorization is not AWS KEY:SIGNATURE");
    let sent = head.one(&AUTHORIZATION)?.and_then(credentials).and_then(|sent| std::str::from_utf8(sent).ok());
    let sent = sent.filter(|sent| is_graphic(sent)).ok_or_else(|| malformed.clone())?;
    let (key, signature) = sent.split_once(':').filter(|(key, _)| signing::can_be_a_name(key)).ok_or(malformed)?;
    // `x-amz-date` takes the place of `Date`, whose line is then empty: it is signed among the other headers.
    let amz = head.one(&AMZ_DATE)?;
    let line = if amz.is_some() { b"" } else { head.one(&DATE)?.ok_or(Refusal::Malformed("there is no Date"))? };
    let time = date::parse(amz.unwrap_or(line)).ok_or(Refusal::Malformed("the date cannot be read"))?;
    let query = query::read(head.query, false, unsigned_query)?;
    Ok(Signed {
        key: key.to_owned(),
        tag: tag(signature)?,
        time: Time::Signed(time),
        md5: md5(head)?,
        document: document(head, line, &query.signed)?,
        query_credentials: &[],
    })
}

/// Reads a request that is signed in its query.
pub(super) fn read_url(head: &Head<'_>, unsigned_query: bool) -> Result<Signed, Refusal> {
    let query = query::read(head.query, true, unsigned_query)?;
    let (Some(key), Some(expires), Some(signature)) = (query.key, query.expires, query.signature) else {
        return Err(Refusal::Malformed("a signed URL has AWSAccessKeyId, Expires and Signature"));
    };
    let digits = !expires.is_empty() && expires.bytes().all(|b| b.is_ascii_digit());
    let time = expires.parse().ok().filter(|_| digits).ok_or(Refusal::Malformed("Expires is not a number of seconds"))?;
    let signature = unescape(signature.as_bytes()).and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(Signed {
        key: signing::name(key)?,
        tag: tag(&signature.ok_or(Refusal::Malformed("Signature is not percent-encoded"))?)?,
        time: Time::Expires(time),
        md5: md5(head)?,
        document: document(head, expires.as_bytes(), &query.signed)?,
        query_credentials: PARAMETERS,
    })
}

fn tag(text: &str) -> Result<[u8; 20], Refusal> {
    signing::tag(text).ok_or(Refusal::Malformed("the signature is not the base64 of 20 bytes"))
}

/// `Content-MD5`, RFC 1864.
fn md5(head: &Head<'_>) -> Result<Option<[u8; 16]>, Refusal> {
    let Some(value) = head.one(&CONTENT_MD5)? else { return Ok(None) };
    let decoded = std::str::from_utf8(value).ok().and_then(signing::tag);
    decoded.map(Some).ok_or(Refusal::Malformed("Content-MD5 is not the base64 of 16 bytes"))
}
