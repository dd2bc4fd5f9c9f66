//! The dialect that APISIX spoke before version 3.11.
//!
//! ```text
//! X-HMAC-ACCESS-KEY: KEY                      METHOD LF
//! X-HMAC-SIGNATURE: base64                    PATH, decoded LF
//! X-HMAC-ALGORITHM: hmac-sha256               a=1&b=%20            sorted by name, then value; decoded and escaped again LF
//! X-HMAC-SIGNED-HEADERS: Host;x-a             KEY LF
//! X-HMAC-DIGEST: base64(HMAC(secret, body))   DATE LF
//! Date: …                                     Host:a.example LF
//!                                             x-a:… LF
//! or Authorization: hmac-auth-v1#KEY#SIGNATURE#ALGORITHM#DATE#Host;x-a
//! ```
//!
//! The path is signed decoded and the query sorted: the spelling of the path, and the order of parameters of different names, are not
//! covered. Parameters of one name must come in the order in which they are signed. `encode_uri_params = false` of a consumer there
//! signs the query decoded: that reading is taken too, where no name or value holds `&`, `=` or `%`, which could make it another
//! query's.

use http::HeaderName;
use http::header::{AUTHORIZATION, DATE, HOST};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::date;
use super::document::{Head, header};
use super::parameters::list;
use super::request::{Coverage, Said, Signed, Times, Unsigned, key_name};
use crate::auth::Refusal;
use crate::auth::signing::unescape;
use crate::auth::signing::{Algorithm, tag_of_any_length as tag};

pub(super) const ACCESS_KEY: HeaderName = HeaderName::from_static("x-hmac-access-key");
pub(super) const SIGNATURE: HeaderName = HeaderName::from_static("x-hmac-signature");
pub(super) const ALGORITHM: HeaderName = HeaderName::from_static("x-hmac-algorithm");
pub(super) const SIGNED_HEADERS: HeaderName = HeaderName::from_static("x-hmac-signed-headers");
pub(super) const DIGEST: HeaderName = HeaderName::from_static("x-hmac-digest");
const WORD: &[u8] = b"hmac-auth-v1#";

/// What `ngx.escape_uri` leaves as it is.
const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'!').remove(b'\'').remove(b'(').remove(b')').remove(b'*');

/// `Some` if the request claims to be signed this way, with what `Authorization` holds, or nothing.
pub(super) fn claimed<'a>(head: &Head<'a>) -> Result<Option<&'a [u8]>, Refusal> {
    let word = |value: &&[u8]| value.get(..WORD.len()).is_some_and(|word| word.eq_ignore_ascii_case(WORD));
    let one_line = head.headers.get(AUTHORIZATION).map(|value| value.as_bytes()).filter(word);
    match (head.headers.contains_key(ACCESS_KEY), one_line) {
        (true, Some(_)) => Err(Refusal::Malformed("two signatures")),
        (true, None) => Ok(Some(b"")),
        (false, line) => Ok(line),
    }
}

/// What a request says of itself.
#[derive(Debug, Default)]
struct Sent<'a> {
    key: Option<&'a str>,
    signature: Option<&'a str>,
    algorithm: Option<&'a str>,
    date: Option<&'a str>,
    signed_headers: Option<&'a str>,
}

/// Reads a request that claims to be signed this way.
pub(super) fn read(head: &Head<'_>) -> Result<Signed, Refusal> {
    let sent = if head.headers.contains_key(ACCESS_KEY) {
        Sent {
            key: text(head, &ACCESS_KEY)?,
            signature: text(head, &SIGNATURE)?,
            algorithm: text(head, &ALGORITHM)?,
            date: text(head, &DATE)?,
            signed_headers: text(head, &SIGNED_HEADERS)?,
        }
    } else {
        one_line(text(head, &AUTHORIZATION)?.unwrap_or_default())?
    };
    let (Some(key), Some(signature), Some(algorithm), Some(dated)) = (sent.key, sent.signature, sent.algorithm, sent.date) else {
        return Err(Refusal::Malformed("the key, the signature, the algorithm or the date is missing"));
    };
    let listed = sent.signed_headers.filter(|listed| !listed.is_empty()).map_or(Ok(Vec::new()), |listed| list(listed, ';'))?;
    let names = listed.iter().map(|name| header(name)).collect::<Result<Vec<_>, _>>()?;
    let body = text(head, &DIGEST)?.map(|digest| tag(digest).ok_or(Refusal::Malformed("X-HMAC-DIGEST is not base64"))).transpose()?;
    Ok(Signed {
        key: key_name(key)?,
        tag: tag(signature).ok_or(Refusal::Malformed("the signature is not base64"))?,
        algorithm: Some(Algorithm::named(algorithm).ok_or(Refusal::Malformed("an algorithm that is not known"))?),
        rsa: None,
        times: Times {
            signed: vec![date::parse(dated.as_bytes()).ok_or(Refusal::Malformed("the date cannot be read"))?],
            expires: None,
            unsigned: Unsigned::default(),
        },
        covers: Coverage { target: true, host: names.contains(&HOST), body: names.contains(&DIGEST), headers: names },
        body: body.map_or(Said::Nothing, Said::Mac),
        readings: document(head, key, dated, &listed)?,
    })
}

/// All that is signed, in each way in which the client may have written it. The first is the usual one.
pub(super) fn document(head: &Head<'_>, key: &str, date: &str, listed: &[&str]) -> Result<Vec<Vec<u8>>, Refusal> {
    let before = format!("{}\n{}\n", head.method, head.path).into_bytes();
    let mut after = format!("\n{key}\n{date}\n").into_bytes();
    for name in listed {
        after.extend_from_slice(&[name.as_bytes(), b":", &head.signed(&header(name)?)?, b"\n"].concat());
    }
    Ok(queries(head.target)?.into_iter().map(|query| [before.as_slice(), query.as_bytes(), &after].concat()).collect())
}

fn one_line(value: &str) -> Result<Sent<'_>, Refusal> {
    let fields: Vec<&str> = value.split('#').collect();
    let [_, key, signature, algorithm, date, signed_headers] = fields.as_slice() else {
        return Err(Refusal::Malformed("Authorization does not have six fields"));
    };
    Ok(Sent { key: Some(key), signature: Some(signature), algorithm: Some(algorithm), date: Some(date), signed_headers: Some(signed_headers) })
}

/// The one value of a header, in visible ASCII.
fn text<'a>(head: &Head<'a>, name: &HeaderName) -> Result<Option<&'a str>, Refusal> {
    let Some(value) = head.one(name)? else { return Ok(None) };
    let text = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()));
    text.map(Some).ok_or(Refusal::Malformed("a header of the signature is not visible ASCII"))
}

/// The ways in which a client may have written the query of `target`.
pub(super) fn queries(target: &str) -> Result<Vec<String>, Refusal> {
    let Some((_, query)) = target.split_once('?') else { return Ok(vec![String::new()]) };
    if query.is_empty() {
        return Ok(vec![String::new()]);
    }
    let mut pairs = query.split('&').map(pair).collect::<Result<Vec<_>, _>>()?;
    // Equal names must have been sent in the order in which they are signed: the application sees that order.
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    if !pairs.is_sorted() {
        return Err(Refusal::Malformed("parameters of one name are not in the order in which they are signed"));
    }
    let escape = |bytes: &Vec<u8>| percent_encode(bytes, ESCAPED).to_string();
    let escaped = pairs.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect::<Vec<_>>().join("&");
    let border = |bytes: &Vec<u8>| bytes.iter().any(|b| b"&=%".contains(b));
    let plain = pairs.iter().map(|(name, value)| String::from_utf8([name.as_slice(), b"=", value].concat()).ok()).collect::<Option<Vec<_>>>();
    let plain = plain.filter(|_| !pairs.iter().any(|(name, value)| border(name) || border(value))).map(|pairs| pairs.join("&"));
    Ok(std::iter::once(escaped.clone()).chain(plain.filter(|plain| *plain != escaped)).collect())
}

/// One parameter, decoded as a form is.
fn pair(part: &str) -> Result<(Vec<u8>, Vec<u8>), Refusal> {
    let malformed = Refusal::Malformed("a query that could be read in two ways");
    let decode = |text: &str| unescape(text.replace('+', " ").as_bytes());
    let (name, value) = part.split_once('=').unwrap_or((part, ""));
    match (decode(name), decode(value)) {
        (Some(name), Some(value)) if !name.is_empty() && !part.contains(';') && !name.iter().chain(&value).any(u8::is_ascii_control) => {
            Ok((name, value))
        }
        _ => Err(malformed),
    }
}
