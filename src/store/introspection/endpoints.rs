//! Where to ask: addresses that are configured, or the one that the server's metadata names (RFC 8414 section 2).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::Semaphore;
use url::Url;

use crate::idp::{self, Client, FetchError, IssuerUrl};
use crate::types::json::object;

/// Metadata older than this is fetched anew when it is next used.
const REFRESH_AFTER: Duration = Duration::from_secs(60 * 60);
/// Between two fetches of metadata that failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Where an introspection server is asked.
#[derive(Debug)]
pub enum Endpoints {
    /// At these addresses, which know the same tokens: the first that answers.
    Fixed(Arc<[IssuerUrl]>),
    /// Where its metadata says.
    Discovered(Box<Discovery>),
}

impl Endpoints {
    /// The addresses, at least one. Waits only for metadata that was never read.
    pub(super) async fn now(&self, client: &Client) -> Result<Arc<[IssuerUrl]>, String> {
        match self {
            Self::Fixed(urls) => Ok(Arc::clone(urls)),
            Self::Discovered(discovery) => discovery.now(client, Instant::now()).await,
        }
    }

    /// What is asked, for logs and metrics: without a query, where somebody may have put a key.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Fixed(urls) => urls.iter().map(plain).collect::<Vec<_>>().join(" "),
            Self::Discovered(discovery) => discovery.issuer.clone(),
        }
    }
}

/// A URL without its query.
pub(super) fn plain(url: &IssuerUrl) -> String {
    idp::plain(url.as_url())
}

/// An endpoint that an issuer's metadata names.
#[derive(Debug)]
pub struct Discovery {
    issuer: String,
    url: IssuerUrl,
    /// One fetch at a time.
    turn: Semaphore,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    endpoint: Option<(Arc<[IssuerUrl]>, Instant)>,
    /// The last attempt that failed, and why.
    failure: Option<(Instant, String)>,
}

impl Discovery {
    /// Of `issuer` exactly as it is configured, and as its metadata must spell it; `url` is the same, read.
    #[must_use]
    pub fn new(issuer: String, url: IssuerUrl) -> Self {
        Self { issuer, url, turn: Semaphore::new(1), found: Mutex::default() }
    }

    async fn now(&self, client: &Client, now: Instant) -> Result<Arc<[IssuerUrl]>, String> {
        if let Some(known) = self.known(now) {
            return known;
        }
        let _turn = self.turn.acquire().await.map_err(|error| error.to_string())?;
        // Whoever had the turn before may have brought it.
        if let Some(known) = self.known(now) {
            return known;
        }
        let fetched = self.fetch(client).await;
        let mut found = self.lock();
        match fetched {
            Ok(endpoint) => {
                let endpoint: Arc<[IssuerUrl]> = Arc::new([endpoint]);
                *found = Found { endpoint: Some((Arc::clone(&endpoint), now)), failure: None };
                Ok(endpoint)
            }
            Err(error) => {
                found.failure = Some((now, error.clone()));
                // An old address is better than none: the server that answers there still has to prove itself.
                found.endpoint.as_ref().map(|(endpoint, _)| Arc::clone(endpoint)).ok_or(error)
            }
        }
    }

    /// What needs no fetch: a fresh address, or what the last attempt left, if that was a moment ago.
    fn known(&self, now: Instant) -> Option<Result<Arc<[IssuerUrl]>, String>> {
        let found = self.lock();
        if let Some((endpoint, _)) = found.endpoint.as_ref().filter(|(_, fetched)| now.saturating_duration_since(*fetched) < REFRESH_AFTER) {
            return Some(Ok(Arc::clone(endpoint)));
        }
        let (_, error) = found.failure.as_ref().filter(|(at, _)| now.saturating_duration_since(*at) < RETRY_AFTER)?;
        Some(found.endpoint.as_ref().map(|(endpoint, _)| Arc::clone(endpoint)).ok_or_else(|| error.clone()))
    }

    async fn fetch(&self, client: &Client) -> Result<IssuerUrl, String> {
        let (oauth, openid) = metadata_urls(self.url.as_url());
        let document = match client.get(&oauth, None).await {
            Err(FetchError::Status(status)) if status < 500 => {
                client.get(&openid, None).await.map_err(|error| format!("{}: {status}; {}: {error}", idp::plain(&oauth), idp::plain(&openid)))?
            }
            answer => answer.map_err(|error| format!("{}: {error}", idp::plain(&oauth)))?,
        };
        self.read(&document)
    }

    fn read(&self, document: &[u8]) -> Result<IssuerUrl, String> {
        let metadata = object(document).ok_or("the metadata is not one JSON object with unique names")?;
        if metadata.get("issuer").and_then(Value::as_str) != Some(&self.issuer) {
            return Err("the metadata speaks of another issuer than the configured one".to_owned());
        }
        let endpoint = metadata.get("introspection_endpoint").and_then(Value::as_str).ok_or("the metadata names no introspection_endpoint")?;
        let endpoint: IssuerUrl = endpoint.parse().map_err(|error| format!("the metadata's introspection_endpoint: {error}"))?;
        // Else whoever writes the metadata could have Doorward send tokens to a service on its own machine.
        if self.url.as_url().scheme() == "https" && endpoint.as_url().scheme() != "https" {
            return Err("the metadata's introspection_endpoint is not https".to_owned());
        }
        Ok(endpoint)
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// RFC 8414 section 3, then OpenID Connect Discovery 1.0 section 4.
fn metadata_urls(issuer: &Url) -> (Url, Url) {
    let path = issuer.path().strip_suffix('/').unwrap_or(issuer.path());
    let at = |path: &str| {
        let mut url = issuer.clone();
        url.set_path(path);
        url
    };
    (at(&format!("/.well-known/oauth-authorization-server{path}")), at(&format!("{path}/.well-known/openid-configuration")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::runtime::Handle;

    use super::*;
    use crate::idp::provider::{Answer, Provider};

    fn discovery(issuer: &str) -> Discovery {
        Discovery::new(issuer.to_owned(), issuer.parse().unwrap())
    }

    #[test]
    fn metadata_is_of_the_issuer_and_names_an_https_endpoint() {
        let discovery = discovery("https://id.example/r");
        let read =
            |issuer: &str, endpoint: &str| discovery.read(json!({"issuer": issuer, "introspection_endpoint": endpoint}).to_string().as_bytes());
        assert_eq!(read("https://id.example/r", "https://elsewhere.example/i").unwrap().as_url().as_str(), "https://elsewhere.example/i");
        for (issuer, endpoint) in [
            ("https://id.example/r/", "https://id.example/i"),
            ("https://id.example", "https://id.example/i"),
            ("https://id.example/r", "http://127.0.0.1/i"),
            ("https://id.example/r", "http://id.example/i"),
            ("https://id.example/r", "/i"),
            ("https://id.example/r", ""),
        ] {
            assert!(read(issuer, endpoint).is_err(), "{issuer} {endpoint}");
        }
        for bad in [r#"{"issuer":"https://id.example/r"}"#, "[]", "", r#"{"issuer":"https://id.example/r","introspection_endpoint":7}"#] {
            assert!(discovery.read(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn metadata_stands_where_the_two_standards_put_it() {
        let (oauth, openid) = metadata_urls(&"https://id.example/r/a/".parse().unwrap());
        assert_eq!(oauth.as_str(), "https://id.example/.well-known/oauth-authorization-server/r/a");
        assert_eq!(openid.as_str(), "https://id.example/r/a/.well-known/openid-configuration");
    }

    #[tokio::test]
    async fn metadata_is_fetched_once_an_hour_and_an_old_address_serves_while_it_cannot_be() {
        let provider = Provider::start(Answer::Status(404)).await;
        let issuer = provider.url("");
        let body = json!({"issuer": issuer, "introspection_endpoint": provider.url("/i")}).to_string();
        provider.answer_at("/.well-known/openid-configuration", Answer::Body(body));
        let (client, discovery, begin) = (Client::build(None, Handle::current()).unwrap(), discovery(&issuer), Instant::now());
        for _ in 0..5 {
            assert_eq!(discovery.now(&client, begin).await.unwrap()[0].as_url().as_str(), provider.url("/i"));
        }
        assert_eq!(provider.hits(), 2);
        provider.answer_at("/.well-known/openid-configuration", Answer::Status(500));
        assert!(discovery.now(&client, begin + REFRESH_AFTER).await.is_ok());
        assert_eq!(provider.hits(), 4);
        assert!(discovery.now(&client, begin + REFRESH_AFTER).await.is_ok());
        assert_eq!(provider.hits(), 4, "not again at once");
    }

    #[tokio::test]
    async fn without_metadata_there_is_an_error_and_one_attempt_a_second() {
        let provider = Provider::start(Answer::Status(500)).await;
        let (client, discovery, begin) = (Client::build(None, Handle::current()).unwrap(), discovery(&provider.url("")), Instant::now());
        for _ in 0..5 {
            assert!(discovery.now(&client, begin).await.unwrap_err().contains("500"));
        }
        assert_eq!(provider.hits(), 1);
        assert!(discovery.now(&client, begin + RETRY_AFTER).await.is_err());
        assert_eq!(provider.hits(), 2);
    }
}
