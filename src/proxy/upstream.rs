//! Forwards to the application and cleans its answer. Takes the [`Permit`] by value: without a decision nothing is sent.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};
use serde::Deserialize;

use super::dial::Address;
use super::http1::{self, Fault, Head, Outgoing};
use super::patience::{Timer, patiently};
pub use super::pool::SWEEP_EVERY;
use super::pool::{ConnectError, Lease, Pool};
use super::reject::Rejection;
use super::upgrade;
use crate::auth::Permit;
use crate::inbound::{Conn, Inbound, Parts, WantedUpgrade, strip_trailers};
use crate::payload::{Progress, ResponseBody};
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
    Broken(#[source] Fault),
    /// 502.
    #[error("the response is not one that can be passed on: {0}")]
    Invalid(&'static str),
}

impl From<Fault> for UpstreamError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Malformed(why) => Self::Invalid(why),
            Fault::Io(_) | Fault::Closed | Fault::Body => Self::Broken(fault),
        }
    }
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
    pub fn forward<'a>(
        &'a self,
        conn: &'a Conn,
        inbound: Inbound,
        permit: Permit,
    ) -> impl Future<Output = Result<Response<ResponseBody>, Rejection>> + Send + 'a {
        // Taken apart before there is a future, which would keep the place of the whole beside its parts.
        let Parts { method, target, host, mut lines, binds, payload, upgrade: wanted } = inbound.into_parts();
        let progress = payload.progress();
        let max_bytes = payload.max_bytes();
        let verdict = payload.verdict();
        let host = if self.preserve_host { host.raw } else { self.own_host.clone() };
        if let Some(wanted) = &wanted {
            upgrade::ask(wanted, &mut lines);
        }
        async move {
            let mut sent = match self.pool.lease(conn.worker).await {
                Ok(mut lease) => {
                    let outgoing = Outgoing::new(lease.connection.room(), (&method, &target), (&host, &lines), payload);
                    // Written: what they hold is not kept while the application thinks.
                    drop((target, host, lines));
                    pin!(self.send(lease, outgoing, &method, &progress)).await
                }
                Err(why) => Err(why.into()),
            };
            // An answer that came before the body was found to be the one that was signed has to wait.
            if let (Some(verdict), Ok(_)) = (verdict, &sent) {
                let mut timer = Timer::default();
                if !Box::pin(patiently(&mut timer, self.response_timeout, verdict.passed(), &progress)).await.unwrap_or_default() {
                    sent = Err(UpstreamError::TimedOut(self.response_timeout));
                }
            }
            // When the client's body failed, whatever the upstream made of it is only a consequence.
            let (lease, head) = sent.map_err(|error| match progress.failure(max_bytes) {
                Some(failure) => Rejection::Payload(failure),
                None => Rejection::Upstream(error),
            })?;
            self.answer(conn, lease, head, wanted, binds, &permit).map_err(Rejection::Upstream)
        }
    }

    /// Sends on a kept connection; if that turns out to be closed before anything was sent, once more on a new one.
    #[allow(clippy::manual_async_fn, reason = "an async function keeps the place of its arguments beside what it makes of them")]
    fn send<'a>(
        &'a self,
        mut lease: Lease,
        mut outgoing: Outgoing,
        method: &'a Method,
        progress: &'a Progress,
    ) -> impl Future<Output = Result<(Lease, Head), UpstreamError>> + Send + 'a {
        async move {
            let limit = self.response_timeout;
            let mut answer = patiently(&mut lease.timer, limit, http1::exchange(&mut lease.connection, &mut outgoing, method), progress).await?;
            if lease.reused && outgoing.is_untouched() && matches!(answer, Err(Fault::Io(_) | Fault::Closed)) {
                lease = self.pool.renew(lease).await?;
                answer = patiently(&mut lease.timer, limit, http1::exchange(&mut lease.connection, &mut outgoing, method), progress).await?;
            }
            let head = answer?;
            if outgoing.is_sent() {
                lease.connection.sent(outgoing);
            } else {
                let permit = lease.permit.split(1);
                lease.connection = lease.connection.send_meanwhile(outgoing, permit, self.idle_timeout);
            }
            Ok((lease, head))
        }
    }

    fn answer(
        &self,
        conn: &Conn,
        lease: Lease,
        head: Head,
        wanted: Option<WantedUpgrade>,
        binds: bool,
        permit: &Permit,
    ) -> Result<Response<ResponseBody>, UpstreamError> {
        let Head { status, mut headers, reason, options, asks, keeps, decoder } = head;
        let switching = status == StatusCode::SWITCHING_PROTOCOLS;
        let refused_upgrade = wanted.is_some() && !switching;
        if switching {
            let wanted = wanted.ok_or(UpstreamError::Invalid("it switches protocols unasked"))?;
            let expires = permit.identity().and_then(|identity| identity.subject.expires);
            return upgrade::tunnel(conn, lease, (headers, &options), wanted, self.idle_timeout, expires);
        }
        let binds = binds || (asks && negotiates(&headers, header::WWW_AUTHENTICATE));
        let keeps = keeps && !refused_upgrade && !binds;
        options.strip(&mut headers);
        if status == StatusCode::NO_CONTENT {
            // RFC 9110 section 8.6; HTTP/2 clients take it for a broken stream.
            headers.remove(header::CONTENT_LENGTH);
        }
        if refused_upgrade {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let body = http1::read_answer(lease, decoder, keeps, (&self.pool, conn.worker), (self.idle_timeout, strip_trailers));
        let mut response = Response::new(body);
        (*response.status_mut(), *response.headers_mut()) = (status, headers);
        if let Some(reason) = reason {
            response.extensions_mut().insert(reason);
        }
        Ok(response)
    }
}

/// NTLM and Negotiate bind an identity to a connection: one on which either was offered or used is never shared.
pub(super) fn negotiates(headers: &HeaderMap, name: HeaderName) -> bool {
    let words = headers.get_all(name);
    let mut words = words.iter().flat_map(|value| value.as_bytes().split(|b| *b == b',' || *b == b' '));
    words.any(|word| word.eq_ignore_ascii_case(b"ntlm") || word.eq_ignore_ascii_case(b"negotiate"))
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
}
