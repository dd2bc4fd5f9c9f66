//! Opaque tokens that another server knows: token introspection, RFC 7662.
//!
//! ```text
//! POST /introspect                                    endpoints.rs    where
//! token=…&token_type_hint=access_token                client_auth.rs  who asks
//!
//! {"active":true,"username":"alice","scope":"read"}   answer.rs       a fact, or that there is none
//! HEADER.PAYLOAD.SIGNATURE                            signed.rs       the same, signed (RFC 9701)
//! ```
//!
//! What the server said is remembered; an error, a timeout and an answer of another form are none and never are. The
//! token goes to the configured server alone, and appears in no error.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use url::form_urlencoded::Serializer;
use zeroize::Zeroizing;

use super::cache::{Known, Limits};
use super::facts::{Facts, Origin, Subject};
use super::health::SourceStatus;
use super::mapping::Mapping;
use super::revocations::Revocations;
use super::sealed::SealedFacts;
use super::sources::{Mark, Watch};
use super::{CacheSettings, LOADS, Metrics, Unavailable};
use crate::idp::{Client, Form, IssuerUrl, Reply};
use crate::types::{json, unix_now};

mod answer;
mod client_auth;
mod endpoints;
mod signed;
#[cfg(test)]
mod tests;

pub use client_auth::{AssertionKey, ClientAuth};
pub use endpoints::{Discovery, Endpoints};
pub use signed::Signed;

/// How many questions are under way at a time; more wait for their turn. A flood of made-up tokens is none to the server.
const AT_ONCE: usize = 64;
/// What an [`Unavailable`] names as its source.
const NAME: &str = "introspection";

/// A server, and how it is asked.
#[derive(Debug)]
pub struct Server {
    /// Where.
    pub endpoints: Endpoints,
    /// By whom.
    pub client_auth: ClientAuth,
    /// `token_type_hint`, RFC 7662 section 2.1; empty for none.
    pub hint: String,
    /// What its signed answers must be; `None` for plain ones. It is never both.
    pub signed: Option<Signed>,
    /// Who its answers speak of.
    pub mapping: Mapping,
    /// What asks.
    pub client: Client,
}

/// Tokens that a server knows, remembered for `cache.max_age`.
#[derive(Debug)]
pub struct Introspection {
    scope: String,
    asker: Arc<Asker>,
    known: Known<Subject>,
}

#[derive(Debug)]
struct Asker {
    server: Server,
    /// The address that answered last.
    preferred: AtomicUsize,
    places: Semaphore,
    watch: Watch,
}

impl Introspection {
    /// Asks nothing yet. `mark` is of everything that `server` is made of.
    #[must_use]
    pub fn new(mark: &Mark, server: Server, cache: &CacheSettings, aux: &Handle, metrics: &Arc<Metrics>) -> Self {
        let known = Known::new(NAME, Limits::new(cache, LOADS), aux.clone(), Arc::clone(metrics), |metrics| &metrics.tokens);
        let watch = Watch::new(&format!("introspection {}", server.endpoints.name()));
        let asker = Asker { server, preferred: AtomicUsize::new(0), places: Semaphore::new(AT_ONCE), watch };
        Self { scope: super::fact_scope(NAME, mark), asker: Arc::new(asker), known }
    }

    /// In a fleet of replicas: users of whom something was revoked are asked for anew, and what replicas with the same
    /// source learn is shared, if they share facts.
    #[must_use]
    pub fn in_fleet(self, revocations: &Arc<Revocations>, facts: Option<&SealedFacts>) -> Self {
        let known = self.known.ended_by(revocations).shared_through(facts, &self.scope);
        Self { known, ..self }
    }

    /// What the server says of `token`; `None` if it does not know it, or no longer. The caller judges the claims.
    pub async fn find(&self, token: &str) -> Result<Option<Arc<Subject>>, Unavailable> {
        let key = Facts::key(&self.scope, token.as_bytes());
        let load = || {
            let (asker, token) = (Arc::clone(&self.asker), Zeroizing::new(token.to_owned()));
            async move {
                let found = asker.watch.heard(asker.ask(&token).await)?;
                Ok(found.map(|subject| Subject { origin: Origin::of_known_token(&token, &subject.claims), ..subject }))
            }
        };
        self.known.get(key, Instant::now(), load).await
    }

    /// How the server is.
    #[must_use]
    pub fn status(&self) -> SourceStatus {
        self.asker.watch.status()
    }
}

impl Asker {
    /// Asks the address that answered last; when it fails, each of the others once.
    async fn ask(&self, token: &str) -> Result<Option<Subject>, Unavailable> {
        let _place = self.places.acquire().await.map_err(|error| Unavailable::new(NAME, error))?;
        let endpoints = self.server.endpoints.now(&self.server.client).await.map_err(|error| Unavailable::new(NAME, error))?;
        let first = self.preferred.load(Ordering::Relaxed);
        let mut causes = Vec::new();
        for step in 0..endpoints.len() {
            let at = first.wrapping_add(step) % endpoints.len();
            let Some(endpoint) = endpoints.get(at) else { continue };
            match self.ask_at(endpoint, token).await {
                Ok(said) => {
                    self.preferred.store(at, Ordering::Relaxed);
                    return Ok(said);
                }
                Err(cause) => causes.push(format!("{}: {cause}", endpoints::plain(endpoint))),
            }
        }
        Err(Unavailable::new(NAME, causes.join("; ")))
    }

    async fn ask_at(&self, endpoint: &IssuerUrl, token: &str) -> Result<Option<Subject>, String> {
        let form = self.form(endpoint, token)?;
        let reply = self.server.client.post(endpoint.as_url(), form).await.map_err(|error| error.to_string())?;
        self.read(&reply).await
    }

    fn form(&self, endpoint: &IssuerUrl, token: &str) -> Result<Form, &'static str> {
        let server = &self.server;
        let mut form = Serializer::new(String::new());
        form.append_pair("token", token);
        if !server.hint.is_empty() {
            form.append_pair("token_type_hint", &server.hint);
        }
        let authorization = server.client_auth.sign(&mut form, endpoint.as_url(), unix_now())?;
        let accept = if server.signed.is_some() { signed::MEDIA_TYPE } else { "application/json" };
        Ok(Form { body: form.finish(), accept, authorization })
    }

    async fn read(&self, reply: &Reply) -> Result<Option<Subject>, String> {
        let members = match &self.server.signed {
            // A plain answer in the place of a signed one is what the signature is there against.
            Some(signed) if reply.media_type == signed::MEDIA_TYPE => signed.open(&reply.body, unix_now()).await?,
            None if reply.media_type == "application/json" => {
                json::object(&reply.body).ok_or("the answer is not one JSON object with unique names")?
            }
            Some(_) | None => return Err("the answer is of another media type than was asked for".to_owned()),
        };
        Ok(answer::read(members, &self.server.mapping)?)
    }
}
