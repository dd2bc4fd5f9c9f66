//! The life of a request.

mod dial;
mod forwarded;
mod http1;
mod ids;
mod patience;
mod pool;
mod recorded;
mod reject;
pub mod route;
mod shortlist;
pub mod stamp;
mod upgrade;
pub mod upstream;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;

use crate::auth::{self, AuthError, Scheme, Witness};
use crate::inbound::{self, Cleaning, Conn, HeadFault, Inbound, Unclean};
use crate::payload::{PayloadError, Progress, ResponseBody};
use crate::telemetry::{AccessEntry, Telemetry};

pub use forwarded::Stamp;
#[doc(hidden)]
pub use http1::probe as answers;
pub use ids::RequestIds;
pub use recorded::{Recorded, Unjudged};
pub use reject::Rejection;
pub use route::{Route, RouteTable};

/// Doorward's own pages. Never forwarded, whatever the routes say.
const OWN_PREFIX: &str = "/.doorward";

/// Routes, schemes, policies, stamp: one configuration's world, immutable.
#[derive(Debug)]
pub struct Proxy {
    /// How requests are cleaned.
    pub cleaning: Cleaning,
    /// The routes.
    pub routes: RouteTable,
    /// What is asserted upstream.
    pub stamp: Stamp,
    /// `Strict-Transport-Security`.
    pub hsts: Option<HeaderValue>,
    /// Metrics and access log.
    pub telemetry: Telemetry,
    /// Makes request ids.
    pub ids: RequestIds,
}

impl Proxy {
    /// Answers one request. `head`: what was found in its bytes before they were parsed. Never fails; the access-log line is
    /// written when the response's body has ended.
    pub async fn handle(&self, conn: &Conn, request: Request<Incoming>, head: Result<(), HeadFault>) -> Response<ResponseBody> {
        let mut log = AccessLog::new(&self.telemetry, conn, &request, self.ids.next());
        let (method, version, navigation) =
            (request.method().clone(), request.version(), inbound::is_navigation(request.method(), request.headers()));
        let mut response = match self.serve(conn, request, head, &mut log).await {
            Ok(response) => response,
            Err(rejection) => {
                log.rejected(&rejection);
                let unasked = log.progress.as_ref().is_some_and(|progress| progress.is_unasked());
                let (head_only, request_id) = (method == Method::HEAD, log.entry.request_id.as_str());
                rejection.into_response(&reject::Manner { navigation, head_only, version, unasked, request_id })
            }
        };
        if let Some(hsts) = &self.hsts {
            response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        log.entry.status = response.status().as_u16();
        let expects_body = method != Method::HEAD
            && !matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::SWITCHING_PROTOCOLS);
        response.body_mut().log(self.telemetry.clone(), log.entry, log.progress, expects_body);
        response
    }

    async fn serve(
        &self,
        conn: &Conn,
        request: Request<Incoming>,
        head: Result<(), HeadFault>,
        log: &mut AccessLog<'_>,
    ) -> Result<Response<ResponseBody>, Rejection> {
        head.map_err(Unclean::from)?;
        let mut inbound = Inbound::clean(request, conn, &self.cleaning)?;
        log.cleaned(&mut inbound);
        self.routes.direct(conn, &inbound)?;
        if let Some(own) = self.own_page(&inbound) {
            return own;
        }
        let route = self.routes.find(&inbound)?;
        log.routed(route);
        let identity = auth::authenticate(&route.access, conn, &mut inbound, log).await.map_err(|why| {
            let challenges = if let AuthError::Refused(refusal) = &why { auth::challenges(&route.access, refusal) } else { Vec::new() };
            Rejection::Unauthenticated(why, challenges)
        })?;
        let judged = log.authenticated(identity.as_ref());
        let permit = route.policy.authorize(identity, &inbound).map_err(Rejection::denied)?;
        self.stamp.apply(&mut inbound, conn, &permit, route.forward_credentials, &log.entry.request_id)?;
        let waited = self.stamp.sign_whole(&mut inbound, &permit).await.map_err(|why| log.settled(&route.access, why))?;
        let sent = if waited { Instant::now() } else { judged };
        // Pinned where it is made: to be awaited as it is, its memory would be copied twice, nearly all of it unused yet.
        let answer = pin!(route.upstream.forward(conn, inbound, permit)).await;
        log.entry.upstream = sent.elapsed();
        let mut answer = answer.map_err(|why| log.settled(&route.access, why))?;
        self.stamp.conceal(answer.headers_mut());
        answer.body_mut().clean_trailers(Arc::clone(&self.cleaning.reserved) as _);
        Ok(answer)
    }

    /// `/.doorward/jwks.json`: the public keys of the assertions. Everything else below the prefix is nothing.
    fn own_page(&self, inbound: &Inbound) -> Option<Result<Response<ResponseBody>, Rejection>> {
        let rest = inbound.rule_path().strip_prefix(OWN_PREFIX)?;
        if !(rest.is_empty() || rest.starts_with('/')) {
            return None;
        }
        if rest != "/jwks.json" {
            return Some(Err(Rejection::NoRoute));
        }
        if inbound.method() != Method::GET && inbound.method() != Method::HEAD {
            return Some(Err(Rejection::ReadOnly));
        }
        let keys = self.stamp.jwks();
        let head_only = inbound.method() == Method::HEAD;
        let mut response = Response::new(ResponseBody::full(if head_only { bytes::Bytes::new() } else { keys.clone() }));
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(keys.len()));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
        Some(Ok(response))
    }
}

/// The access-log entry while the request is on its way.
struct AccessLog<'a> {
    /// On the heap: it goes from hand to hand with each request.
    entry: Box<AccessEntry>,
    progress: Option<Arc<Progress>>,
    /// Whether schemes are being asked. Nobody is asked on a public route.
    judging: bool,
    telemetry: &'a Telemetry,
}

impl<'a> AccessLog<'a> {
    fn new(telemetry: &'a Telemetry, conn: &Conn, request: &Request<Incoming>, request_id: String) -> Self {
        let entry = Box::new(AccessEntry {
            started: Instant::now(),
            request_id,
            peer: conn.peer.address(),
            protocol: if request.version() == Version::HTTP_2 {
                "HTTP/2.0"
            } else if request.version() == Version::HTTP_11 {
                "HTTP/1.1"
            } else {
                "HTTP/1.0"
            },
            method: request.method().clone(),
            host: None,
            path: if telemetry.writes_lines() { shown(request.uri().path()) } else { String::new() },
            route: None,
            scheme: None,
            user: None,
            code: "ok",
            cause: None,
            status: 0,
            bytes_in: 0,
            bytes_out: 0,
            auth: Duration::ZERO,
            upstream: Duration::ZERO,
            broken: false,
        });
        Self { entry, progress: None, judging: false, telemetry }
    }

    fn cleaned(&mut self, inbound: &mut Inbound) {
        self.entry.host = Some(Arc::clone(&inbound.host().name));
        if let Some(id) = inbound.request_id() {
            id.clone_into(&mut self.entry.request_id);
        }
        self.progress = Some(inbound.payload().progress());
    }

    fn routed(&mut self, route: &Route) {
        self.entry.route = Some(Arc::clone(&route.metrics));
        self.judging = matches!(route.access, auth::Access::Accept(_));
    }

    /// Says when this was.
    fn authenticated(&mut self, identity: Option<&auth::Identity>) -> Instant {
        let now = self.judged();
        if let Some(identity) = identity {
            self.entry.user = self.telemetry.writes_lines().then(|| identity.subject.user.clone());
            self.entry.scheme = Some(Arc::clone(&identity.scheme));
        }
        now
    }

    /// A body that turned out on its way not to be the one that was signed takes the identity back.
    fn settled(&mut self, access: &auth::Access, rejection: Rejection) -> Rejection {
        let Rejection::Payload(PayloadError::Mismatch(mismatch)) = rejection else { return rejection };
        let refusal = auth::Refusal::from(mismatch);
        self.entry.user = None;
        self.telemetry.auth(self.entry.scheme.as_deref().unwrap_or("none"), "refused", refusal.code());
        let challenges = auth::challenges(access, &refusal);
        Rejection::Unauthenticated(AuthError::Refused(refusal), challenges)
    }

    fn rejected(&mut self, rejection: &Rejection) {
        self.entry.code = rejection.public().1;
        self.entry.cause = Some(causes(rejection));
        if let Rejection::Unauthenticated(..) = rejection {
            self.judged();
        }
    }

    /// To clean and to route a request takes so little time that it counts as the schemes'.
    fn judged(&mut self) -> Instant {
        let now = Instant::now();
        if std::mem::take(&mut self.judging) {
            self.entry.auth = now.saturating_duration_since(self.entry.started);
        }
        now
    }
}

impl Witness for AccessLog<'_> {
    fn attempted(&mut self, scheme: Option<&Scheme>, outcome: &Result<(), &AuthError>) {
        if let Some(scheme) = scheme {
            self.entry.scheme = Some(Arc::clone(&scheme.name));
        }
        let (outcome, reason) = match outcome {
            Ok(()) => match (scheme, &self.entry.route) {
                (Some(scheme), Some(route)) => return self.telemetry.admitted(route, &scheme.name),
                (None, _) | (_, None) => ("ok", "none"),
            },
            Err(AuthError::Refused(refusal) | AuthError::RefusedAs(refusal, _)) => ("refused", refusal.code()),
            Err(AuthError::Unavailable(_)) => ("unavailable", "unavailable"),
            Err(AuthError::Payload(_)) => ("refused", "body"),
        };
        self.telemetry.auth(scheme.map_or("none", |scheme| &scheme.name), outcome, reason);
    }
}

/// The longest path, in characters, that the log shows whole.
const SHOWN_CHARS: usize = 2048;

/// A path for the log. Lines wait in a queue of bounded length: none of them may be as long as a client likes.
fn shown(path: &str) -> String {
    // A path has no more characters than bytes.
    if path.len() <= SHOWN_CHARS {
        return path.to_owned();
    }
    match path.char_indices().nth(SHOWN_CHARS) {
        Some((cut, _)) => format!("{}…", path.get(..cut).unwrap_or_default()),
        None => path.to_owned(),
    }
}

/// An error and what caused it, in one line for the operator.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

impl Rejection {
    /// A missing scope is told to the client (RFC 6750 section 3.1), any other condition is not.
    fn denied(denied: auth::Denied) -> Self {
        let challenges = match &denied {
            auth::Denied::Scope(scopes) => {
                HeaderValue::try_from(format!("Bearer realm=\"doorward\", error=\"insufficient_scope\", scope=\"{scopes}\""))
                    .map(|value| auth::Challenge(value).into())
                    .into_iter()
                    .collect()
            }
            auth::Denied::Require(_) => Vec::new(),
        };
        Self::Denied(denied, challenges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_shows_no_path_longer_than_2048_characters() {
        let whole = "/".repeat(SHOWN_CHARS);
        assert_eq!(shown(&whole), whole);
        for more in ["/", "é", &"x".repeat(60_000)] {
            assert_eq!(shown(&format!("{whole}{more}")), format!("{whole}…"));
        }
    }
}
