//! Strip first, stamp last: takes the credential away and writes what Doorward asserts of the request.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::reject::Rejection;
use super::stamp::IdentityStamp;
use crate::auth::{CredentialNames, Permit};
use crate::inbound::{Conn, Inbound, sends_cookie};
use crate::types::unix_now;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Everything that is asserted upstream.
#[derive(Debug)]
pub struct Stamp {
    identity: IdentityStamp,
    credentials: CredentialNames,
}

impl Stamp {
    /// `credentials`: where the credentials of all configured schemes travel. They are taken off every request, whichever
    /// scheme it used and also on public routes: a key of ours is nothing that an application should see by accident.
    #[must_use]
    pub fn new(identity: IdentityStamp, mut credentials: CredentialNames) -> Self {
        credentials.headers.push(header::AUTHORIZATION);
        credentials.headers.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        credentials.headers.dedup();
        Self { identity, credentials }
    }

    /// The public keys of the assertions.
    #[must_use]
    pub fn jwks(&self) -> &bytes::Bytes {
        self.identity.jwks()
    }

    /// Whether these headers hold a credential of any configured scheme.
    #[must_use]
    pub fn sees_credentials(&self, headers: &HeaderMap) -> bool {
        self.credentials.headers.iter().any(|name| headers.contains_key(name))
            || self.credentials.cookies.iter().any(|name| sends_cookie(headers, name))
    }

    /// Stamps a request that was cleaned and permitted.
    pub fn apply(&self, inbound: &mut Inbound, conn: &Conn, permit: &Permit, forward_credentials: bool, request_id: &str) -> Result<(), Rejection> {
        if !forward_credentials {
            self.forget_credentials(inbound, permit);
        }
        describe(inbound, conn, request_id);
        if let Some(identity) = permit.identity() {
            let (method, target) = (inbound.method().clone(), inbound.target().clone());
            self.identity.write(&identity.subject, &method, target.as_str(), unix_now(), inbound.headers_mut())?;
        }
        Ok(())
    }

    fn forget_credentials(&self, inbound: &mut Inbound, permit: &Permit) {
        for name in &self.credentials.headers {
            inbound.headers_mut().remove(name);
        }
        for name in &self.credentials.cookies {
            inbound.forget_cookie(name);
        }
        if let Some(identity) = permit.identity()
            && !identity.query_credentials.is_empty()
        {
            inbound.forget_parameters(identity.query_credentials);
        }
    }
}

/// `X-Forwarded-*`, `Forwarded` (RFC 7239) and the request id. Only `X-Forwarded-For` of a trusted proxy is extended.
fn describe(inbound: &mut Inbound, conn: &Conn, request_id: &str) {
    let peer = &*conn.peer_text;
    let host = inbound.host().raw.clone();
    // Put together without format!, which costs more than all the rest here.
    let (open, close) = if peer.contains(':') { ("\"[", "]\"") } else { ("", "") };
    let forwarded = ["for=", open, peer, close, ";host=\"", host.to_str().unwrap_or_default(), "\";proto=https"].concat();
    let port = inbound.host().port.or(conn.local_port).unwrap_or(443);
    let chain = inbound.forwarded_for().map_or_else(|| peer.to_owned(), |earlier| [earlier, ", ", peer].concat());
    let headers = inbound.headers_mut();
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
    headers.insert(X_FORWARDED_HOST, host);
    headers.insert(X_FORWARDED_PORT, HeaderValue::from(port));
    // Addresses, a checked host and an id of our own: always valid. A value that were not is left out, never replaced by the client's.
    for (name, value) in [(X_FORWARDED_FOR, chain), (header::FORWARDED, forwarded), (X_REQUEST_ID, request_id.to_owned())] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
}
