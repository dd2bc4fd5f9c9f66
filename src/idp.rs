//! HTTP client towards identity providers: no redirects, deadlines, a cap on the body.
//!
//! It adds no credential of its own accord, never follows a redirect, and never holds more of an answer in memory than
//! [`MAX_BODY_BYTES`].

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Request;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::Handle;
use url::{Host, Url};

use crate::types::Secret;

#[cfg(test)]
pub(crate) mod provider;

/// Largest answer that is read.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// To connect over TCP, whatever the number of addresses. The TLS handshake counts towards [`TOTAL_TIMEOUT`].
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// For the whole exchange.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Why nothing was fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Could not connect, or the exchange broke.
    #[error("{0}")]
    Transport(String),
    /// Another status than 200; redirects are not followed.
    #[error("the server answered {0}")]
    Status(u16),
    /// Longer than [`MAX_BODY_BYTES`].
    #[error("the answer is longer than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    /// Took longer than allowed.
    #[error("no answer within {} s", TOTAL_TIMEOUT.as_secs())]
    TimedOut,
}

type Connections = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A form to be posted. `Debug` shows nothing of it: it holds credentials.
pub struct Form {
    /// `application/x-www-form-urlencoded`.
    pub body: String,
    /// The media type that is asked for.
    pub accept: &'static str,
    /// Doorward's own credential.
    pub authorization: Option<HeaderValue>,
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Form").field("accept", &self.accept).finish_non_exhaustive()
    }
}

/// What a provider answered.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// `Content-Type` without parameters, lower case; empty without one.
    pub media_type: String,
    /// The body of a 2xx answer; empty for any other.
    pub body: Bytes,
}

/// Fetches documents of identity providers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    connections: Connections,
    aux: Handle,
    total: Duration,
}

impl Client {
    /// Trusts the system's authorities, or those in `ca_file` alone. Runs on `aux`.
    pub fn build(ca_file: Option<&Path>, aux: Handle) -> Result<Self, String> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let https = HttpsConnectorBuilder::new().with_tls_config(tls(ca_file)?).https_or_http().enable_http1().wrap_connector(http);
        let connections = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(2)
            .http1_max_buf_size(MAX_BODY_BYTES)
            .build(https);
        Ok(Self { connections, aux, total: TOTAL_TIMEOUT })
    }

    /// GETs `url`: a 200 answer's body, or an error. Never follows a redirect. `bearer` is Doorward's own token, for a
    /// provider that shows its keys to those it knows alone.
    pub async fn get(&self, url: &Url, bearer: Option<&Secret>) -> Result<Bytes, FetchError> {
        let mut request = Request::get(url.as_str()).header(ACCEPT, "application/json");
        if let Some(token) = bearer {
            request = request.header(AUTHORIZATION, bearer_header(token)?);
        }
        self.ask(request.body(Full::default())).await.map(|reply| reply.body)
    }

    /// POSTs `form` to `url`: a 200 answer, or an error. Never follows a redirect.
    pub async fn post(&self, url: &Url, form: Form) -> Result<Reply, FetchError> {
        let mut request = Request::post(url.as_str()).header(ACCEPT, form.accept).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(authorization) = form.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        self.ask(request.body(Full::from(form.body))).await
    }

    async fn ask(&self, request: Result<Request<Full<Bytes>>, http::Error>) -> Result<Reply, FetchError> {
        let reply = self.send(request.map_err(|error| FetchError::Transport(error.to_string()))?).await?;
        if reply.status == 200 { Ok(reply) } else { Err(FetchError::Status(reply.status)) }
    }

    /// Sends any request and gives the answer, whatever its status. Never follows a redirect.
    pub async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Reply, FetchError> {
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("doorward"));
        let (connections, total) = (self.connections.clone(), self.total);
        // The pooled connections belong to the runtime that opened them, so all of it happens on `aux`.
        let exchange = self.aux.spawn(async move { tokio::time::timeout(total, exchange(&connections, request)).await });
        match exchange.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_elapsed)) => Err(FetchError::TimedOut),
            Err(error) => Err(FetchError::Transport(error.to_string())),
        }
    }

    #[cfg(test)]
    pub(crate) fn with_total_timeout(mut self, total: Duration) -> Self {
        self.total = total;
        self
    }
}

/// `Authorization: Bearer TOKEN`, marked so that no log shows it.
pub fn bearer_header(token: &Secret) -> Result<HeaderValue, FetchError> {
    let text = zeroize::Zeroizing::new([b"Bearer ", token.expose()].concat());
    let mut value = HeaderValue::from_bytes(&text).map_err(|_| FetchError::Transport("the bearer token is not one line of text".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

async fn exchange(connections: &Connections, request: Request<Full<Bytes>>) -> Result<Reply, FetchError> {
    let response = connections.request(request).await.map_err(|error| FetchError::Transport(chain(&error)))?;
    let status = response.status();
    let media_type = media_type(response.headers());
    // The body of a refusal is of no use to anyone but an attacker of this parser.
    let body = if status.is_success() { read(response.into_body()).await? } else { Bytes::new() };
    Ok(Reply { status: status.as_u16(), media_type, body })
}

fn media_type(headers: &HeaderMap) -> String {
    let mut all = headers.get_all(CONTENT_TYPE).iter();
    let (first, second) = (all.next(), all.next());
    // Two of them are none.
    let one = first.filter(|_| second.is_none()).and_then(|value| value.to_str().ok()).unwrap_or_default();
    one.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// A URL for logs and errors: without a query, where somebody may have put a key.
#[must_use]
pub fn plain(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.to_string()
}

/// Counts while it reads: a `Content-Length` that lies, or none, costs no more memory than the cap.
async fn read(body: Incoming) -> Result<Bytes, FetchError> {
    let mut body = Limited::new(body, MAX_BODY_BYTES);
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error.downcast_ref::<http_body_util::LengthLimitError>() {
            Some(_) => FetchError::TooLarge,
            None => FetchError::Transport(chain(error.as_ref())),
        })?;
        if let Some(data) = frame.data_ref() {
            whole.extend_from_slice(data);
        }
    }
    Ok(whole.freeze())
}

/// An error with its causes: hyper's outermost text says only "client error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    let builder = || {
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())
    };
    if let Some(path) = ca_file {
        return Ok(builder()?.with_root_certificates(authorities(path)?).with_no_client_auth());
    }
    match builder()?.with_native_roots() {
        Ok(trusting) => Ok(trusting.with_no_client_auth()),
        Err(error) => {
            tracing::warn!(%error, "the system has no certificate authorities; using Mozilla's as built in");
            Ok(builder()?.with_webpki_roots().with_no_client_auth())
        }
    }
}

fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let pem = std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| format!("{} is not PEM: {error}", path.display()))?;
        roots.add(certificate).map_err(|error| format!("a certificate in {} is not usable: {error}", path.display()))?;
    }
    if roots.is_empty() { Err(format!("{} holds no certificate", path.display())) } else { Ok(roots) }
}

/// An absolute `https` URL without user or fragment. `http` only towards loopback (`127.0.0.0/8`, `[::1]`, `localhost`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IssuerUrl(Url);

impl IssuerUrl {
    /// The URL.
    #[must_use]
    pub fn as_url(&self) -> &Url {
        &self.0
    }
}

impl std::str::FromStr for IssuerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The parser would drop these without a word; then what was written is not what is asked.
        if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
            return Err("a URL has no blanks, control characters or backslashes".to_owned());
        }
        let url = Url::parse(text).map_err(|error| format!("not an absolute URL: {error}"))?;
        let loopback = match url.host() {
            None => return Err("the URL has no host".to_owned()),
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a user or password does not belong in the URL".to_owned());
        }
        if url.fragment().is_some() {
            return Err("a fragment (#…) does not belong in the URL".to_owned());
        }
        match url.scheme() {
            "https" => Ok(Self(url)),
            "http" if loopback => Ok(Self(url)),
            "http" => Err("http is for loopback alone; use https".to_owned()),
            other => Err(format!("{other} is not https")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::provider::{Answer, Provider};
    use super::*;

    #[test]
    fn issuer_urls_are_https_or_loopback() {
        for good in [
            "https://id.example.com",
            "https://id.example.com:8443/realms/x?p=1",
            "http://127.0.0.1:8080/",
            "http://127.8.9.1",
            "http://[::1]:1/x",
            "http://localhost:9",
        ] {
            assert!(good.parse::<IssuerUrl>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "id.example.com",
            "/x",
            "http://id.example.com",
            "http://localhost.evil.example",
            "http://127.0.0.1.evil.example",
            "http://128.0.0.1",
            "http://[::2]/",
            "https://user@id.example.com",
            "https://:p@id.example.com",
            "https://id.example.com/#x",
            "https://id.example.com/#",
            "ftp://127.0.0.1/",
            "file:///etc/passwd",
            "https://",
            " https://id.example.com",
            "https://id.exa\tmple.com",
            "https:\\\\id.example.com",
            "data:application/json,{}",
            "http://0.0.0.0/",
        ] {
            assert!(bad.parse::<IssuerUrl>().is_err(), "{bad}");
        }
    }

    async fn fetch(answer: Answer) -> Result<Bytes, FetchError> {
        let provider = Provider::start(answer).await;
        let client = Client::build(None, Handle::current()).unwrap().with_total_timeout(Duration::from_millis(300));
        let fetched = client.get(&provider.url("/x").parse().unwrap(), None).await;
        assert!(provider.hits() <= 1, "one request, and no redirect followed");
        fetched
    }

    #[tokio::test]
    async fn a_200_answer_is_read_whole() {
        let body = "x".repeat(MAX_BODY_BYTES);
        assert_eq!(fetch(Answer::Body(body.clone())).await.unwrap(), body.as_bytes());
    }

    #[tokio::test]
    async fn a_longer_answer_is_refused_with_or_without_a_length() {
        let body = "x".repeat(MAX_BODY_BYTES + 1);
        assert!(matches!(fetch(Answer::Body(body.clone())).await, Err(FetchError::TooLarge)));
        assert!(matches!(fetch(Answer::Endless).await, Err(FetchError::TooLarge)));
    }

    #[tokio::test]
    async fn redirects_and_errors_are_errors() {
        assert!(matches!(fetch(Answer::Redirect("/elsewhere".to_owned())).await, Err(FetchError::Status(302))));
        assert!(matches!(fetch(Answer::Status(500)).await, Err(FetchError::Status(500))));
        assert!(matches!(fetch(Answer::Status(204)).await, Err(FetchError::Status(204))));
        assert!(matches!(fetch(Answer::HangUp).await, Err(FetchError::Transport(_))));
    }

    #[tokio::test]
    async fn a_server_that_never_answers_is_given_up() {
        assert!(matches!(fetch(Answer::Silence).await, Err(FetchError::TimedOut)));
    }

    #[test]
    fn a_bad_ca_file_is_an_error_and_not_a_fall_back_to_the_system() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        assert!(Client::build(Some(&path), runtime.handle().clone()).is_err());
        std::fs::write(&path, "not PEM").unwrap();
        assert!(Client::build(Some(&path), runtime.handle().clone()).is_err());
    }
}
