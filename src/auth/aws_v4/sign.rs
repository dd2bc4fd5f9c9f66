//! Signing, as a client does it: for the command line, and for tests against the verifier.

use hmac::{KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use super::canonical::Head;
use super::date;
use super::request::{ALGORITHM, Scope, hex, string_to_sign};
use super::secret::{Prefixed, signing_key};
use crate::auth::{SignError, WithText};
use crate::types::Secret;

/// All but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const UNREADABLE: SignError = SignError::Url("a header is not one that can be sent, or the query could be read in two ways");

/// Who signs, and for what.
#[derive(Debug, Clone, Copy)]
pub struct Signer<'a> {
    /// The key's name.
    pub key: &'a str,
    /// Its secret.
    pub secret: &'a Secret,
    /// Such as `us-east-1`.
    pub region: &'a str,
    /// Such as `s3`.
    pub service: &'a str,
}

impl Signer<'_> {
    /// The headers that sign a request, ready to be added to it: `X-Amz-Date`, `X-Amz-Content-Sha256`, `headers` as given (each
    /// is signed), `Authorization`. The host of `target` is signed. `now` is Unix seconds.
    pub fn request(
        &self,
        method: &Method,
        target: &Uri,
        headers: &[(String, String)],
        body: &[u8],
        now: i64,
    ) -> Result<Vec<(String, String)>, SignError> {
        self.request_and_text(method, target, headers, body, now).map(|(headers, _)| headers)
    }

    /// As [`Signer::request`], and the canonical request, whose hash was signed.
    pub fn request_and_text(
        &self,
        method: &Method,
        target: &Uri,
        headers: &[(String, String)],
        body: &[u8],
        now: i64,
    ) -> Result<WithText<Vec<(String, String)>>, SignError> {
        let stamp = date::format(now).ok_or(SignError::Time)?;
        let hash = hex(&Sha256::digest(body));
        let mut all = vec![("X-Amz-Date".to_owned(), stamp.clone()), ("X-Amz-Content-Sha256".to_owned(), hash.clone())];
        all.extend_from_slice(headers);
        let mut lines = HeaderMap::new();
        for (name, value) in &all {
            let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) else { return Err(UNREADABLE) };
            lines.append(name, value);
        }
        let mut names: Vec<&str> = lines.keys().map(HeaderName::as_str).chain(["host"]).collect();
        names.sort_unstable();
        let names = names.join(";");
        let (signature, text) = self.signature(method, target, target.query(), &lines, &names, &stamp, &hash)?;
        let scope = self.scope(&stamp).text();
        all.push(("Authorization".to_owned(), format!("{ALGORITHM} Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", self.key)));
        Ok((all, text))
    }

    /// The URL with its signature at the end of the query: good for this method, without a body, for `seconds` from `now` on.
    pub fn url(&self, method: &Method, link: &Uri, now: i64, seconds: u64) -> Result<String, SignError> {
        self.url_and_text(method, link, now, seconds).map(|(url, _)| url)
    }

    /// As [`Signer::url`], and the canonical request, whose hash was signed.
    pub fn url_and_text(&self, method: &Method, link: &Uri, now: i64, seconds: u64) -> Result<WithText<String>, SignError> {
        let stamp = date::format(now).ok_or(SignError::Time)?;
        let credential = format!("{}/{}", self.key, self.scope(&stamp).text());
        let own = format!(
            "X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={}&X-Amz-Date={stamp}&X-Amz-Expires={seconds}&X-Amz-SignedHeaders=host",
            utf8_percent_encode(&credential, RESERVED)
        );
        if link.query().is_some_and(|query| query.split('&').any(|part| part.starts_with("X-Amz-"))) {
            return Err(SignError::Url("the query holds a parameter of the signature's own"));
        }
        let query = link.query().filter(|query| !query.is_empty()).map_or_else(|| own.clone(), |query| format!("{query}&{own}"));
        let hash = if self.service == "s3" { "UNSIGNED-PAYLOAD".to_owned() } else { hex(&Sha256::digest(b"")) };
        let (signature, text) = self.signature(method, link, Some(&query), &HeaderMap::new(), "host", &stamp, &hash)?;
        let (scheme, authority) = (link.scheme_str().unwrap_or("https"), link.authority().map_or("", |authority| authority.as_str()));
        Ok((format!("{scheme}://{authority}{}?{query}&X-Amz-Signature={signature}", link.path()), text))
    }

    fn scope<'a>(&'a self, stamp: &'a str) -> Scope<'a> {
        Scope { date: stamp.get(..8).unwrap_or_default(), region: self.region, service: self.service }
    }

    #[allow(clippy::too_many_arguments, reason = "each is one line of what is signed")]
    fn signature(
        &self,
        method: &Method,
        target: &Uri,
        query: Option<&str>,
        headers: &HeaderMap,
        names: &str,
        stamp: &str,
        hash: &str,
    ) -> Result<WithText<String>, SignError> {
        let authority = target.authority().ok_or(SignError::Url("the host is signed: write the whole URL, such as https://app.example.com/path"))?;
        // Clients leave the scheme's own port out.
        let usual = if target.scheme_str() == Some("http") { ":80" } else { ":443" };
        let host = authority.as_str().strip_suffix(usual).unwrap_or(authority.as_str());
        let twice = self.service != "s3";
        let length = headers.get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let head = Head { method, path: target.path(), query, host: host.as_bytes(), length, headers };
        let mut canonical = head.canonical(names, twice).map_err(|_| UNREADABLE)?;
        canonical.extend_from_slice(hash.as_bytes());
        let scope = self.scope(stamp);
        let document = string_to_sign(stamp, &scope, &Sha256::digest(&canonical));
        let secret = <Prefixed as KeyInit>::new_from_slice(self.secret.expose()).ok().filter(|_| !self.secret.is_empty());
        let state = secret.and_then(|secret| signing_key(&secret, &scope)).ok_or(SignError::Secret)?;
        Ok((hex(&Mac::chain_update(state, document).finalize().into_bytes()), canonical))
    }
}
