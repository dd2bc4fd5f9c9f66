//! Reading what a request says of itself. Nothing of it is believed here.

use http::HeaderName;
use http::header::{AUTHORIZATION, DATE, HOST};

use super::document::{Head, VERSIONS, document, header};
use super::parameters::{self, Names, Parameters};
use super::public::{self, Rsa};
use super::{Dialect, date, digest, legacy};
use crate::auth::Refusal;
use crate::auth::signing::can_be_a_name;
use crate::auth::signing::{Algorithm, tag_of_any_length};
use crate::payload::Digests;

pub(super) const SIGNATURE: HeaderName = HeaderName::from_static("signature");
const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
const DIGEST: HeaderName = HeaderName::from_static("digest");
const X_DATE: HeaderName = HeaderName::from_static("x-date");

/// A signed request, read but not believed.
#[derive(Debug)]
pub(super) struct Signed {
    pub key: String,
    pub tag: Vec<u8>,
    /// `None`: whichever of the key's makes signatures of this length.
    pub algorithm: Option<Algorithm>,
    /// `Some` if it was signed with a private key; `algorithm` says nothing then.
    pub rsa: Option<Rsa>,
    pub times: Times,
    pub covers: Coverage,
    /// What the body is said to be.
    pub body: Said,
    /// All that is signed, in each way in which the client may have written it.
    pub readings: Vec<Vec<u8>>,
}

/// What the header says of the body.
#[derive(Debug)]
pub(super) enum Said {
    /// Nothing.
    Nothing,
    /// Its hashes.
    Digests(Digests),
    /// Its MAC, by the key and algorithm of the signature.
    Mac(Vec<u8>),
}

/// The times that are signed. Unix seconds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    /// When the request was signed, by each signed header that says so.
    pub signed: Vec<i64>,
    /// Until when it is good, if that is signed.
    pub expires: Option<i64>,
    /// The same without being signed: whoever holds the request can change it.
    pub unsigned: Unsigned,
}

/// Times that no signature covers. They may refuse a request, and never say how long it is remembered.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Unsigned {
    pub created: Option<i64>,
    pub expires: Option<i64>,
}

/// What is signed, beyond the times.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    /// Method, path and query.
    pub target: bool,
    pub host: bool,
    /// The header that says what the body is.
    pub body: bool,
    pub headers: Vec<HeaderName>,
}

/// The parameters of the request's signature, if it claims to be signed in this dialect: by form alone.
pub(super) fn claimed<'a>(head: &Head<'a>, dialect: Dialect) -> Result<Option<&'a [u8]>, Refusal> {
    let authorization = head.headers.get(AUTHORIZATION).map(|value| value.as_bytes());
    let (first, second) = match dialect {
        Dialect::Kong => {
            (authorization.and_then(|value| after(value, b"hmac")), head.proxy_authorization.and_then(|value| after(value.as_bytes(), b"hmac")))
        }
        Dialect::Draft => {
            // Beside Signature-Input, Signature is another thing: RFC 9421.
            let own = if head.headers.contains_key(SIGNATURE_INPUT) { None } else { head.one(&SIGNATURE)? };
            (authorization.and_then(|value| after(value, b"signature")), own)
        }
        Dialect::Apisix => (authorization.and_then(|value| after(value, b"signature")), None),
        Dialect::ApisixV1 => return legacy::claimed(head),
    };
    let claimed = match (first, second) {
        (Some(_), Some(_)) => return Err(Refusal::Malformed("two signatures")),
        (found, None) | (None, found) => found,
    };
    // The other dialect's word for the request line makes it the other dialect's signature.
    let others: &[u8] = match dialect {
        Dialect::Draft => b"@request-target",
        Dialect::Apisix => b"(request-target)",
        Dialect::Kong | Dialect::ApisixV1 => return Ok(claimed),
    };
    Ok(claimed.filter(|claimed| !claimed.windows(others.len()).any(|window| window == others)))
}

/// What follows `word`, compared without case, and a blank.
fn after<'a>(value: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let (first, rest) = value.split_at_checked(word.len())?;
    (first.eq_ignore_ascii_case(word) && (rest.is_empty() || rest.starts_with(b" ") || rest.starts_with(b"\t"))).then_some(rest)
}

/// Reads a request that claims to be signed.
pub(super) fn read(head: &Head<'_>, dialect: Dialect, claimed: &[u8]) -> Result<Signed, Refusal> {
    if dialect == Dialect::ApisixV1 {
        return legacy::read(head);
    }
    let names = Names { key: if dialect == Dialect::Kong { "username" } else { "keyId" }, times: dialect == Dialect::Draft };
    let text = std::str::from_utf8(claimed).ok().filter(|text| text.bytes().all(|b| b == b'\t' || b == b' ' || b.is_ascii_graphic()));
    let said = parameters::read(text.ok_or(Refusal::Malformed("the signature's parameters are not visible ASCII"))?, names)?;
    let (Some(key), Some(signature), Some(listed)) = (said.key, said.signature, said.headers) else {
        return Err(Refusal::Malformed("the key, the signature or the list of headers is missing"));
    };
    let listed = parameters::list(listed, ' ')?;
    let draft = dialect == Dialect::Draft;
    let tag = if draft { public::tag(signature) } else { tag_of_any_length(signature) };
    let tag = tag.ok_or(Refusal::Malformed("the signature is not base64"))?;
    let rsa = if draft { Rsa::claimed(said.algorithm, tag.len()) } else { None };
    let algorithm = algorithm(&said, dialect, rsa, &listed)?;
    let covers = coverage(&listed, dialect)?;
    let line = dialect == Dialect::Kong && listed.contains(&"request-line");
    // Kong would sign the header of this name in place of the request line.
    if line && head.headers.contains_key("request-line") {
        return Err(Refusal::Malformed("a header that is named like the request line"));
    }
    let versions = VERSIONS.iter().take(if line { VERSIONS.len() } else { 1 });
    let digest = head.one(&DIGEST)?.map(digest::read).transpose()?;
    Ok(Signed {
        key: key_name(key)?,
        tag,
        algorithm,
        rsa,
        times: times(head, &said, dialect, &covers)?,
        body: digest.map_or(Said::Nothing, Said::Digests),
        readings: versions.map(|version| document(head, dialect, key, &listed, &said, version)).collect::<Result<_, _>>()?,
        covers,
    })
}

/// A key's name as it is sent; it is not escaped.
pub(super) fn key_name(sent: &str) -> Result<String, Refusal> {
    if can_be_a_name(sent) { Ok(sent.to_owned()) } else { Err(Refusal::Malformed("the key's name")) }
}

/// The algorithm that the request names. `hs2019`, or none, in the draft: the key's own.
fn algorithm(said: &Parameters<'_>, dialect: Dialect, rsa: Option<Rsa>, listed: &[&str]) -> Result<Option<Algorithm>, Refusal> {
    let named = match (said.algorithm, dialect) {
        (None | Some("hs2019"), Dialect::Draft) => return Ok(None),
        (Some(_), _) if rsa.is_some() => None,
        (Some(name), _) => Some(Algorithm::named(name).ok_or(Refusal::Malformed("an algorithm that is not known"))?),
        (None, _) => return Err(Refusal::Malformed("no algorithm is named")),
    };
    // draft-cavage-http-signatures-12, section 2.3: for old algorithms, these were headers like any other.
    if dialect == Dialect::Draft && listed.iter().any(|name| *name == "(created)" || *name == "(expires)") {
        return Err(Refusal::Malformed("(created) and (expires) go with hs2019 alone"));
    }
    Ok(named)
}

fn coverage(listed: &[&str], dialect: Dialect) -> Result<Coverage, Refusal> {
    let mut covers = Coverage::default();
    for name in listed {
        match (dialect, *name) {
            (Dialect::Draft, "(request-target)") | (Dialect::Kong | Dialect::Apisix, "@request-target") | (Dialect::Kong, "request-line") => {
                covers.target = true;
            }
            (Dialect::Draft, "(created)" | "(expires)") => {}
            (Dialect::Draft | Dialect::Kong | Dialect::Apisix | Dialect::ApisixV1, _) => covers.headers.push(header(name)?),
        }
    }
    covers.host = covers.headers.contains(&HOST);
    covers.body = covers.headers.contains(&DIGEST);
    Ok(covers)
}

/// The times that are signed, and those that are only said.
fn times(head: &Head<'_>, said: &Parameters<'_>, dialect: Dialect, covers: &Coverage) -> Result<Times, Refusal> {
    let listed = |parameter: &str| said.headers.unwrap_or_default().split(' ').any(|name| name == parameter);
    let (expires, only_said) = if listed("(expires)") { (said.expires, None) } else { (None, said.expires) };
    let mut times = Times { signed: Vec::new(), expires, unsigned: Unsigned { created: None, expires: only_said } };
    let dates: &[HeaderName] = if dialect == Dialect::Kong { &[X_DATE, DATE] } else { &[DATE] };
    for name in dates.iter().filter(|name| covers.headers.contains(name)) {
        times.signed.push(date::parse(&head.signed(name)?).ok_or(Refusal::Malformed("the date cannot be read"))?);
    }
    if listed("(created)") {
        times.signed.extend(said.created);
    } else {
        times.unsigned.created = said.created;
    }
    Ok(times)
}
