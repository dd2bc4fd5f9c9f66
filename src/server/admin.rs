//! What operators ask, on a listener of its own that clients of the gate never reach.
//!
//! ```text
//! /livez           200 while the process answers at all
//! /readyz          200 while it serves; 503 before, and from the moment a drain starts
//! /readyz?verbose  the same status, and in JSON how each source has fared
//! /metrics         OpenMetrics text
//! /status          JSON for people
//! /admin/revoke    POST, with the key of [admin]: see desk.rs
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use http::{Method, Request, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Limited};

use super::desk::{Desk, RevokeError};
use super::plain::{self, Answer};
use super::worker::OpenCount;
use crate::store::health::SourceStatus;
use crate::telemetry::Telemetry;

/// Connections of operators at a time.
pub(super) const MAX_CONNECTIONS: usize = 64;

/// Of a request to revoke.
const MAX_BODY: usize = 64 * 1024;
/// How long it may take to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What the admin listener tells.
#[derive(Debug)]
pub(super) struct Admin {
    pub(super) ready: Arc<AtomicBool>,
    pub(super) open: OpenCount,
    pub(super) telemetry: Telemetry,
    pub(super) started: Instant,
    /// What it may say of the stores.
    pub(super) desk: Option<Desk>,
}

impl Admin {
    /// Answers a request.
    pub(super) async fn answer<B>(&self, request: Request<B>) -> Answer
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let answer: fn(&Self) -> Answer = match (request.uri().path(), &self.desk) {
            ("/livez", _) => |_| plain::text(StatusCode::OK, "alive\n"),
            ("/readyz", _) if request.uri().query() == Some("verbose") => Self::readiness_of_all,
            ("/readyz", _) => Self::readiness,
            ("/metrics", _) => Self::metrics,
            ("/status", _) => Self::status,
            ("/admin/revoke", Some(desk)) if desk.revokes() => return revoke(desk, request).await,
            _ => return plain::text(StatusCode::NOT_FOUND, "/livez, /readyz, /metrics and /status are answered here\n"),
        };
        if matches!(*request.method(), Method::GET | Method::HEAD) { answer(self) } else { plain::only_get() }
    }

    fn readiness(&self) -> Answer {
        match self.is_ready() {
            (StatusCode::OK, _) => plain::text(StatusCode::OK, "ready\n"),
            (status, _) => plain::text(status, "not ready\n"),
        }
    }

    /// A source that is down does not make the gate unready: what can be decided without it is served.
    fn readiness_of_all(&self) -> Answer {
        let (status, ready) = self.is_ready();
        let sources: Vec<_> = self.desk.iter().flat_map(Desk::sources).map(|source| told(&source)).collect();
        json(status, &serde_json::json!({ "ready": ready, "sources": sources }))
    }

    fn is_ready(&self) -> (StatusCode, bool) {
        if self.ready.load(Ordering::Acquire) { (StatusCode::OK, true) } else { (StatusCode::SERVICE_UNAVAILABLE, false) }
    }

    fn metrics(&self) -> Answer {
        let mut answer = plain::text(StatusCode::OK, self.telemetry.render());
        let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        answer.headers_mut().insert(CONTENT_TYPE, kind);
        answer
    }

    fn status(&self) -> Answer {
        let status = serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "ready": self.ready.load(Ordering::Acquire),
            "uptime_seconds": self.started.elapsed().as_secs(),
            "open_connections": self.open.get(),
        });
        json(StatusCode::OK, &status)
    }
}

async fn revoke<B>(desk: &Desk, request: Request<B>) -> Answer
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if *request.method() != Method::POST {
        let mut answer = plain::text(StatusCode::METHOD_NOT_ALLOWED, "only POST is answered here\n");
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return answer;
    }
    let error = |status, text: &str| json(status, &serde_json::json!({ "error": text }));
    let mut presented = request.headers().get_all(AUTHORIZATION).iter();
    let (first, second) = (presented.next(), presented.next());
    let outcome = match desk.admits(first.filter(|_| second.is_none()).map(HeaderValue::as_bytes)) {
        Ok(()) => match tokio::time::timeout(BODY_TIMEOUT, Limited::new(request.into_body(), MAX_BODY).collect()).await {
            Ok(Ok(body)) => desk.revoke(&body.to_bytes()).await,
            Ok(Err(_)) => return error(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long or broke off"),
            Err(_) => return error(StatusCode::REQUEST_TIMEOUT, "the body did not come"),
        },
        Err(refused) => Err(refused),
    };
    match outcome {
        Ok(what) => json(StatusCode::OK, &serde_json::json!({ "revoked": what })),
        Err(RevokeError::Malformed(problem)) => error(StatusCode::BAD_REQUEST, problem),
        Err(RevokeError::Unavailable(cause)) => {
            tracing::warn!(%cause, "a revocation did not reach everybody");
            error(StatusCode::SERVICE_UNAVAILABLE, "it is revoked in this process, but a store could not be reached; ask again")
        }
        Err(RevokeError::Unauthorized) => {
            let mut answer = error(StatusCode::UNAUTHORIZED, "the key is missing or wrong");
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"doorward admin\""));
            answer
        }
    }
}

fn told(source: &SourceStatus) -> serde_json::Value {
    let state = match source.ok {
        Some(true) => "ok",
        Some(false) => "failing",
        None => "not asked yet",
    };
    serde_json::json!({
        "name": source.name,
        "state": state,
        "age_seconds": source.age_seconds,
        "failures_total": source.failures_total,
        "last_error": source.last_error,
        "last_error_age_seconds": source.last_error_age_seconds,
    })
}

fn json(status: StatusCode, value: &serde_json::Value) -> Answer {
    let mut answer = plain::text(status, format!("{value}\n"));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Empty;

    use super::*;

    async fn ask(admin: &Admin, method: &str, path: &str) -> (u16, String) {
        let answer = admin.answer(Request::builder().method(method).uri(path).body(Empty::<Bytes>::new()).unwrap()).await;
        let status = answer.status().as_u16();
        (status, String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn operators_learn_whether_the_gate_serves() {
        let ready = Arc::new(AtomicBool::new(false));
        let admin = Admin {
            ready: Arc::clone(&ready),
            open: OpenCount::default(),
            telemetry: Telemetry::without_output(),
            started: Instant::now(),
            desk: None,
        };
        assert_eq!(ask(&admin, "GET", "/readyz").await.0, 503);
        assert_eq!(ask(&admin, "GET", "/livez").await.0, 200);
        assert_eq!(ask(&admin, "GET", "/readyz?verbose").await.0, 503);
        ready.store(true, Ordering::Release);
        assert_eq!(ask(&admin, "HEAD", "/readyz").await.0, 200);
        assert_eq!(ask(&admin, "GET", "/readyz?verbose").await, (200, "{\"ready\":true,\"sources\":[]}\n".to_owned()));
        let (status, metrics) = ask(&admin, "GET", "/metrics").await;
        assert!(status == 200 && metrics.contains("doorward_build_info") && metrics.ends_with("# EOF\n"));
        let status: serde_json::Value = serde_json::from_str(&ask(&admin, "GET", "/status").await.1).unwrap();
        assert_eq!(status["open_connections"], 0);
        assert_eq!(status["ready"], true);
    }

    #[tokio::test]
    async fn other_paths_and_methods_are_refused() {
        let admin =
            Admin { ready: Arc::default(), open: OpenCount::default(), telemetry: Telemetry::without_output(), started: Instant::now(), desk: None };
        for path in ["/", "/metrics/", "/Livez", "/readyz/x", "/admin/revoke"] {
            assert_eq!(ask(&admin, "GET", path).await.0, 404, "{path}");
        }
        for method in ["POST", "DELETE", "OPTIONS"] {
            assert_eq!(ask(&admin, method, "/livez").await.0, 405, "{method}");
        }
    }
}
