//! Forwards to the application and cleans its answer. Takes the [`Permit`] by value: without a decision nothing is sent.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use serde::Deserialize;

use super::dial::Address;
use super::patience::patiently;
use super::pool::{ConnectError, Lease, Pool};
use super::reject::Rejection;
use super::upgrade;
use crate::auth::Permit;
use crate::inbound::{Conn, Inbound, WantedUpgrade, strip_response_hop_by_hop};
use crate::payload::{Finished, Payload, Progress, ResponseBody};
use crate::types::{HumanDuration, Report};

/// `[upstream]`: the application.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `http://…`, `https://…` or `unix:/path`.
    pub url: String,
    /// PEM bundle that an `https` upstream is verified against; else the system's.
    pub ca_file: Option<PathBuf>,
    /// To connect, TLS included.
    #[serde(default = "default_connect")]
    pub connect_timeout: HumanDuration,
    /// To the head of the response, counted from the end of the request's body.
    #[serde(default = "default_response")]
    pub response_timeout: HumanDuration,
    /// Of a stream in which nothing moves.
    #[serde(default = "default_idle")]
    pub idle_timeout: HumanDuration,
    /// Open connections.
    #[serde(default = "default_connections")]
    pub max_connections: usize,
    /// Whether the application sees the client's `Host`; else its own address.
    #[serde(default = "default_preserve")]
    pub preserve_host: bool,
}

fn default_connect() -> HumanDuration {
    HumanDuration::from_secs(2)
}
fn default_response() -> HumanDuration {
    HumanDuration::from_secs(60)
}
fn default_idle() -> HumanDuration {
    HumanDuration::from_secs(300)
}
fn default_connections() -> usize {
    512
}
fn default_preserve() -> bool {
    true
}

/// Why the application's answer cannot be passed on.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// 502, or 503 when all connections are in use.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// 504.
    #[error("no response within {0:?}")]
    TimedOut(Duration),
    /// 502.
    #[error("the exchange broke: {0}")]
    Broken(#[source] hyper::Error),
    /// 502.
    #[error("the response is not one that can be passed on: {0}")]
    Invalid(&'static str),
}

/// An application behind Doorward.
#[derive(Debug)]
pub struct Upstream {
    pool: Arc<Pool>,
    response_timeout: Duration,
    idle_timeout: Duration,
    preserve_host: bool,
    own_host: HeaderValue,
}

impl Upstream {
    /// Builds the upstream; the application need not run yet.
    pub fn build(settings: &Settings, workers: usize, report: &mut Report) -> Option<Self> {
        let address = match Address::parse(&settings.url, settings.ca_file.as_deref()) {
            Ok(address) => address,
            Err(why) => {
                report.error(
                    "url",
                    &format!("{:?} is not an upstream: {why}", settings.url),
                    "write \"http://127.0.0.1:8000\", \"https://app.internal\" or \"unix:/run/app.sock\"",
                );
                return None;
            }
        };
        if settings.max_connections == 0 {
            report.error("max_connections", "no connection could ever be opened", "write a number above 0, such as 512");
            return None;
        }
        if address.is_exposed() {
            let problem = "whoever is between Doorward and the application reads what passes, and can pose as Doorward";
            report.warn("url", problem, "let the application listen on loopback or a Unix socket, or speak https:// with it");
        }
        let own_host = HeaderValue::from_str(&address.authority).ok()?;
        Some(Self {
            pool: Arc::new(Pool::new(address, settings.connect_timeout.0, settings.max_connections, workers)),
            response_timeout: settings.response_timeout.0,
            idle_timeout: settings.idle_timeout.0,
            preserve_host: settings.preserve_host,
            own_host,
        })
    }

    /// Closes connections that have been idle for too long.
    pub fn sweep(&self) {
        self.pool.sweep();
    }

    /// Sends the request, and answers with the application's response once its head is there.
    pub async fn forward(&self, conn: &Conn, inbound: Inbound, permit: Permit) -> Result<Response<ResponseBody>, Rejection> {
        let (method, target, host, mut headers, mut payload, wanted) = inbound.into_parts();
        let progress = payload.progress();
        let max_bytes = payload.max_bytes();
        let verdict = payload.verdict();
        let host = if self.preserve_host { host.raw } else { self.own_host.clone() };
        headers.insert(header::HOST, host);
        frame(&method, &mut payload, &mut headers);
        if let Some(wanted) = &wanted {
            upgrade::ask(wanted, &mut headers);
        }
        let binds = negotiates(&headers, header::AUTHORIZATION);
        let mut request = Request::new(payload);
        *request.uri_mut() = Uri::from(target);
        *request.method_mut() = method;
        *request.headers_mut() = headers;
        let mut sent = self.send(conn.worker, request, &progress).await;
        // An answer that came before the body was found to be the one that was signed has to wait.
        if let (Some(verdict), Ok(_)) = (verdict, &sent)
            && !patiently(self.response_timeout, verdict.passed(), &progress).await.unwrap_or_default()
        {
            sent = Err(UpstreamError::TimedOut(self.response_timeout));
        }
        // When the client's body failed, whatever the upstream made of it is only a consequence.
        let (lease, response) = sent.map_err(|error| match progress.failure(max_bytes) {
            Some(failure) => Rejection::Payload(failure),
            None => Rejection::Upstream(error),
        })?;
        self.answer(conn, lease, response, wanted, binds, &permit).map_err(Rejection::Upstream)
    }

    /// Sends on a kept connection; if that turns out to be closed before anything was sent, once more on a new one.
    async fn send(&self, worker: usize, request: Request<Payload>, progress: &Progress) -> Result<(Lease, Response<Incoming>), UpstreamError> {
        let mut lease = self.pool.lease(worker).await?;
        match self.exchange(&mut lease, request, progress).await {
            Ok(response) => Ok((lease, response)),
            Err((UpstreamError::Broken(_), Some(unsent))) if lease.reused => {
                let mut lease = self.pool.renew(lease).await?;
                let response = self.exchange(&mut lease, *unsent, progress).await.map_err(|(error, _)| error)?;
                Ok((lease, response))
            }
            Err((error, _)) => Err(error),
        }
    }

    async fn exchange(
        &self,
        lease: &mut Lease,
        request: Request<Payload>,
        progress: &Progress,
    ) -> Result<Response<Incoming>, (UpstreamError, Option<Box<Request<Payload>>>)> {
        let mut request = request;
        request.body_mut().carried_by(&lease.delivery);
        match patiently(self.response_timeout, lease.sender.try_send_request(request), progress).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(mut error)) => {
                let unsent = error.take_message().map(Box::new);
                Err((UpstreamError::Broken(error.into_error()), unsent))
            }
            Err(error) => Err((error, None)),
        }
    }

    fn answer(
        &self,
        conn: &Conn,
        lease: Lease,
        response: Response<Incoming>,
        wanted: Option<WantedUpgrade>,
        binds: bool,
        permit: &Permit,
    ) -> Result<Response<ResponseBody>, UpstreamError> {
        let switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let refused_upgrade = wanted.is_some() && !switching;
        if switching {
            let wanted = wanted.ok_or(UpstreamError::Invalid("it switches protocols unasked"))?;
            let expires = permit.identity().and_then(|identity| identity.subject.expires);
            return upgrade::tunnel(conn, lease, response, wanted, self.idle_timeout, expires);
        }
        check_response_framing(response.headers())?;
        let keeps_connection = !binds && !negotiates(response.headers(), header::WWW_AUTHENTICATE);
        let (mut parts, body) = response.into_parts();
        strip_response_hop_by_hop(&mut parts.headers);
        strip_asserted(&mut parts.headers);
        if parts.status == StatusCode::NO_CONTENT {
            // RFC 9110 section 8.6; HTTP/2 clients take it for a broken stream.
            parts.headers.remove(header::CONTENT_LENGTH);
        }
        if refused_upgrade {
            parts.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let (pool, worker) = (Arc::clone(&self.pool), conn.worker);
        let finished = Finished::new(move |complete| {
            if complete && keeps_connection && !refused_upgrade {
                pool.give_back(worker, lease);
            }
        });
        parts.version = http::Version::HTTP_11;
        Ok(Response::from_parts(parts, ResponseBody::upstream(body, self.idle_timeout, clean_trailers, finished)))
    }
}

/// Says where the body ends, in one canonical form, whatever the client wrote.
fn frame(method: &Method, payload: &mut Payload, headers: &mut HeaderMap) {
    use http_body::Body as _;
    let may_be_silent = matches!(*method, Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS);
    match payload.size_hint().exact() {
        Some(0) if may_be_silent => {}
        Some(length) => {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        None => {
            headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }
}

/// RFC 9112 section 6.3: an answer whose end could be read in two ways is not passed on.
fn check_response_framing(headers: &HeaderMap) -> Result<(), UpstreamError> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(UpstreamError::Invalid("its Transfer-Encoding is not chunked alone"));
        }
        if headers.contains_key(header::CONTENT_LENGTH) {
            return Err(UpstreamError::Invalid("it has both Transfer-Encoding and Content-Length"));
        }
    }
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    // HTTP/1.1 clients get the value as the application wrote it: "5, 5", "05" and "+5" have more than one reading.
    if lengths.next().is_some_and(|length| !is_canonical_length(length.as_bytes())) {
        return Err(UpstreamError::Invalid("its Content-Length is not a plain number"));
    }
    if lengths.next().is_some() {
        return Err(UpstreamError::Invalid("it has more than one Content-Length"));
    }
    Ok(())
}

fn is_canonical_length(digits: &[u8]) -> bool {
    digits.iter().all(u8::is_ascii_digit) && (digits == b"0" || digits.first().is_some_and(|first| *first != b'0'))
}

/// NTLM and Negotiate bind an identity to a connection: one on which either was offered or used is never shared.
fn negotiates(headers: &HeaderMap, name: HeaderName) -> bool {
    let words = headers.get_all(name);
    let mut words = words.iter().flat_map(|value| value.as_bytes().split(|b| *b == b',' || *b == b' '));
    words.any(|word| word.eq_ignore_ascii_case(b"ntlm") || word.eq_ignore_ascii_case(b"negotiate"))
}

/// What is asserted to the application is not told to the client, should the application echo it.
fn strip_asserted(headers: &mut HeaderMap) {
    let asserted: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("x-forwarded-") || name.as_str().starts_with("x-doorward-")).cloned().collect();
    for name in asserted {
        headers.remove(name);
    }
}

fn clean_trailers(trailers: &mut HeaderMap) {
    strip_response_hop_by_hop(trailers);
    strip_asserted(trailers);
    for name in [header::CONTENT_LENGTH, header::SET_COOKIE, header::WWW_AUTHENTICATE, header::LOCATION, header::CONTENT_TYPE, header::TRAILER] {
        trailers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_connection_that_ntlm_or_negotiate_may_bind_is_told_by_the_words_of_any_line() {
        for value in ["NTLM", "negotiate", "Basic realm=\"x\", Negotiate", "Basic,NTLM TlRM", "Negotiate YII="] {
            assert!(negotiates(&headers(&[("www-authenticate", value)]), header::WWW_AUTHENTICATE), "{value}");
            assert!(negotiates(&headers(&[("authorization", value)]), header::AUTHORIZATION), "{value}");
        }
        for value in ["Basic realm=\"x\"", "Bearer negotiated", ""] {
            assert!(!negotiates(&headers(&[("www-authenticate", value)]), header::WWW_AUTHENTICATE), "{value}");
        }
    }

    #[test]
    fn an_answer_says_in_one_way_where_it_ends() {
        for lines in [&[][..], &[("content-length", "0")], &[("content-length", "50")], &[("transfer-encoding", "Chunked")]] {
            assert!(check_response_framing(&headers(lines)).is_ok(), "{lines:?}");
        }
        for length in ["", "5, 5", "05", "00", "+5", "-5", "0x5", "5 5", "5,", "5.0"] {
            assert!(check_response_framing(&headers(&[("content-length", length)])).is_err(), "{length:?}");
        }
        let mut twice = headers(&[("content-length", "5")]);
        twice.append(header::CONTENT_LENGTH, HeaderValue::from_static("5"));
        assert!(check_response_framing(&twice).is_err());
        assert!(check_response_framing(&headers(&[("content-length", "5"), ("transfer-encoding", "chunked")])).is_err());
        for coding in ["gzip", "gzip, chunked", "chunked, chunked", "identity", ""] {
            assert!(check_response_framing(&headers(&[("transfer-encoding", coding)])).is_err(), "{coding:?}");
        }
    }
}
