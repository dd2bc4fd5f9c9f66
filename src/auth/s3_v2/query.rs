//! The query: what of it is signed, what carries the credential, and what neither does.
//!
//! ```text
//! ?versionId=7&acl&AWSAccessKeyId=KEY&Expires=1790000000&Signature=…&page=2
//!  ^ sub-resources ^ the credential                                  ^ not covered
//! ```

use crate::auth::Refusal;
use crate::auth::signing::unescape;

/// The query parameters of the URL form; none of them reaches the application.
pub(super) const PARAMETERS: &[&str] = &["AWSAccessKeyId", "Expires", "Signature"];

/// The parameters that S3 and its clients sign, in alphabetical order.
const SUB_RESOURCES: &[&str] = &[
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "defaultObjectAcl",
    "delete",
    "inventory",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "partNumber",
    "policy",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "select",
    "select-type",
    "storageClass",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// Whether the query bears a key and a signature.
pub(super) fn is_mine(query: Option<&str>) -> bool {
    let has = |name| query.is_some_and(|query| query.split('&').any(|part| part.starts_with(name)));
    has("AWSAccessKeyId=") && has("Signature=")
}

/// A query taken apart. What carries the credential is as sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Query<'a> {
    pub key: Option<&'a str>,
    pub expires: Option<&'a str>,
    pub signature: Option<&'a str>,
    /// Sorted by name: `?acl&versionId=7`; empty without any.
    pub signed: Vec<u8>,
}

/// Takes a query apart. `as_url` says that it carries the credential; `unsigned` allows parameters that are not covered.
pub(super) fn read(query: Option<&str>, as_url: bool, unsigned: bool) -> Result<Query<'_>, Refusal> {
    let mut read = Query::default();
    let mut signed: Vec<(&str, Option<Vec<u8>>)> = Vec::new();
    // An empty query is none, to S3's clients too.
    for part in query.filter(|query| !query.is_empty()).into_iter().flat_map(|query| query.split('&')) {
        let (name, value) = part.split_once('=').map_or((part, None), |(name, value)| (name, Some(value)));
        if let Some(name) = SUB_RESOURCES.iter().find(|known| **known == name) {
            if signed.iter().any(|(other, _)| other == name) {
                return Err(Refusal::Malformed("a sub-resource is there twice"));
            }
            signed.push((name, value.map(decoded).transpose()?));
            continue;
        }
        let place = match name {
            "AWSAccessKeyId" if as_url => &mut read.key,
            "Expires" if as_url => &mut read.expires,
            "Signature" if as_url => &mut read.signature,
            _ if !unsigned => return Err(Refusal::Malformed("a query parameter that the signature does not cover")),
            _ => {
                uncovered(part)?;
                continue;
            }
        };
        if place.replace(value.unwrap_or_default()).is_some() {
            return Err(Refusal::Malformed("AWSAccessKeyId, Expires or Signature is there twice"));
        }
    }
    signed.sort_unstable();
    for (at, (name, value)) in signed.iter().enumerate() {
        read.signed.push(if at == 0 { b'?' } else { b'&' });
        read.signed.extend_from_slice(name.as_bytes());
        if let Some(value) = value {
            read.signed.push(b'=');
            read.signed.extend_from_slice(value);
        }
    }
    Ok(read)
}

/// A sub-resource's value, which is signed decoded. What could be sent in two ways that applications read differently has no
/// one meaning: a raw `+` (a blank to some), an `&`, a raw `;`, a control character.
fn decoded(value: &str) -> Result<Vec<u8>, Refusal> {
    let ambiguous = value.contains(['+', ';']) || !value.is_ascii();
    let decoded = unescape(value.as_bytes()).filter(|value| !ambiguous && !value.iter().any(|b| *b == b'&' || b.is_ascii_control()));
    decoded.ok_or(Refusal::Malformed("a sub-resource that could be read in two ways"))
}

/// Refuses a further parameter that an application would read as one that is signed, however it is spelt.
fn uncovered(part: &str) -> Result<(), Refusal> {
    for name in part.split(';').map(|part| part.split('=').next().unwrap_or(part)) {
        // A name that does not decode cannot be any of them.
        let decoded = unescape(name.as_bytes()).unwrap_or_default();
        if SUB_RESOURCES.iter().chain(PARAMETERS).any(|known| known.as_bytes() == decoded) {
            return Err(Refusal::Malformed("a parameter of the signature's own, escaped or split off"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(query: &str) -> Result<String, Refusal> {
        read(Some(query), false, false).map(|query| String::from_utf8(query.signed).unwrap())
    }

    #[test]
    fn the_list_of_sub_resources_is_sorted_and_names_nothing_twice() {
        assert!(SUB_RESOURCES.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn sub_resources_are_signed_in_order_and_decoded() {
        for (query, want) in [
            ("", ""),
            ("acl", "?acl"),
            ("acl=", "?acl="),
            ("uploadId=VX%3D%2F&partNumber=3", "?partNumber=3&uploadId=VX=/"),
            ("versionId=7&acl", "?acl&versionId=7"),
            ("response-content-disposition=attachment%3B%20filename%3D%22a%2Bb%22", "?response-content-disposition=attachment; filename=\"a+b\""),
        ] {
            assert_eq!(signed(query).as_deref(), Ok(want), "{query}");
        }
        assert_eq!(read(None, false, false).unwrap(), Query::default());
    }

    #[test]
    fn what_is_not_covered_or_covered_in_two_spellings_is_refused() {
        for query in [
            "page=2",
            "acl&page=2",
            "&",
            "acl&",
            "&acl",
            "Acl",
            "%61cl",
            "acl&acl",
            "acl&acl=1",
            "acl;website",
            "versionId=a+b",
            "versionId=a;b",
            "versionId=a%26acl",
            "versionId=%0a",
            "versionId=%zz",
            "versionId=%",
            "Signature=x",
            "Expires=1",
            "AWSAccessKeyId=a",
            "x-amz-acl=public-read",
        ] {
            assert!(signed(query).is_err(), "{query}");
        }
    }

    #[test]
    fn with_leave_the_rest_passes_unless_it_could_be_taken_for_what_is_signed() {
        assert_eq!(read(Some("page=2&acl&q=%zz&"), false, true).unwrap().signed, b"?acl");
        for query in ["%61cl", "page=1;acl", "page;%61cl=2", "acl&%61cl", "Signature=x", "%53ignature=x", "Expires=3"] {
            assert!(read(Some(query), false, true).is_err(), "{query}");
        }
    }

    #[test]
    fn a_url_bears_each_part_of_its_credential_once() {
        let query = read(Some("AWSAccessKeyId=a&acl&Expires=1&Signature=x%3D"), true, false).unwrap();
        assert_eq!((query.key, query.expires, query.signature, query.signed.as_slice()), (Some("a"), Some("1"), Some("x%3D"), &b"?acl"[..]));
        for query in ["Signature=x&Signature=x", "Expires=1&Expires", "AWSAccessKeyId=a&AWSAccessKeyId=b", "Signature=x&%53ignature=y"] {
            assert!(read(Some(query), true, true).is_err(), "{query}");
        }
    }
}
