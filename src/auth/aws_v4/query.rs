//! The credential of a signed URL.
//!
//! ```text
//! ?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=KEY%2F20261122%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20261122T083000Z
//!  &X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature=0123…
//! ```

use crate::auth::Refusal;
use crate::auth::signing::unescape;

/// The one parameter that the signature does not cover.
pub(super) const SIGNATURE: &str = "X-Amz-Signature";

/// What the application does not see of the query.
pub(super) const PARAMETERS: &[&str] = &[
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    SIGNATURE,
    "X-Amz-Security-Token",
    "X-Amz-Content-Sha256",
    "X-Amz-Content-SHA256",
];

/// Whether the query bears a signature of this kind.
pub(super) fn is_mine(query: Option<&str>) -> bool {
    let has = |name| query.is_some_and(|query| query.split('&').any(|part| part.split('=').next() == Some(name)));
    has(SIGNATURE) && (has("X-Amz-Algorithm") || has("X-Amz-Credential"))
}

/// The parameters of the credential, decoded.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    pub algorithm: Option<String>,
    pub credential: Option<String>,
    pub date: Option<String>,
    pub expires: Option<String>,
    pub signed_headers: Option<String>,
    pub signature: Option<String>,
    pub security_token: Option<String>,
    pub content: Option<String>,
}

/// Takes the credential out of a query. Each of its parameters is there once at most.
pub(super) fn read(query: Option<&str>) -> Result<Parameters, Refusal> {
    let mut read = Parameters::default();
    for part in query.into_iter().flat_map(|query| query.split('&')) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let place = match name {
            "X-Amz-Algorithm" => &mut read.algorithm,
            "X-Amz-Credential" => &mut read.credential,
            "X-Amz-Date" => &mut read.date,
            "X-Amz-Expires" => &mut read.expires,
            "X-Amz-SignedHeaders" => &mut read.signed_headers,
            SIGNATURE => &mut read.signature,
            "X-Amz-Security-Token" => &mut read.security_token,
            "X-Amz-Content-Sha256" | "X-Amz-Content-SHA256" => &mut read.content,
            _ => continue,
        };
        let decoded = unescape(value.as_bytes()).and_then(|bytes| String::from_utf8(bytes).ok());
        let decoded = decoded.ok_or(Refusal::Malformed("a parameter of the signature is not percent-encoded"))?;
        if place.replace(decoded).is_some() {
            return Err(Refusal::Malformed("a parameter of the signature is there twice"));
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_alone_decides_whose_url_it_is() {
        for (query, mine) in [
            ("X-Amz-Signature=a&X-Amz-Credential=b", true),
            ("X-Amz-Algorithm=a&x=1&X-Amz-Signature", true),
            ("X-Amz-Signature=a", false),
            ("X-Amz-Credential=a&X-Amz-Algorithm=b", false),
            ("x-amz-signature=a&x-amz-credential=b", false),
            ("X-Amz-SignatureX=a&X-Amz-Credential=b", false),
            ("", false),
        ] {
            assert_eq!(is_mine(Some(query)), mine, "{query}");
        }
        assert!(!is_mine(None));
    }

    #[test]
    fn each_parameter_is_read_once_and_decoded_once() {
        let all = read(Some("X-Amz-Credential=a%2Fb%252F&X-Amz-Signature=f&page=2&X-Amz-Content-SHA256=UNSIGNED-PAYLOAD")).unwrap();
        assert_eq!((all.credential.as_deref(), all.signature.as_deref()), (Some("a/b%2F"), Some("f")));
        assert_eq!((all.content.as_deref(), all.date), (Some("UNSIGNED-PAYLOAD"), None));
        for query in [
            "X-Amz-Date=a&X-Amz-Date=b",
            "X-Amz-Signature&X-Amz-Signature",
            "X-Amz-Content-SHA256=a&X-Amz-Content-Sha256=b",
            "X-Amz-Expires=%zz",
            "X-Amz-Expires=%ff",
        ] {
            assert!(read(Some(query)).is_err(), "{query}");
        }
    }

    #[test]
    fn nothing_of_the_credential_reaches_the_application() {
        for name in PARAMETERS {
            let all = read(Some(&format!("{name}=x"))).unwrap();
            let found = [all.algorithm, all.credential, all.date, all.expires, all.signed_headers, all.signature, all.security_token, all.content];
            assert_eq!(found.iter().flatten().count(), 1, "{name} is read where it is taken away");
        }
    }
}
