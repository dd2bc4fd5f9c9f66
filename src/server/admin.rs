//! What operators ask, on a listener of its own that clients of the gate never reach.
//!
//! ```text
//! /livez    200 while the process answers at all
//! /readyz   200 while it serves; 503 before, and from the moment a drain starts
//! /metrics  OpenMetrics text
//! /status   JSON for people
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode};

use super::plain::{self, Answer};
use super::worker::OpenCount;
use crate::telemetry::Telemetry;

/// Connections of operators at a time.
pub(super) const MAX_CONNECTIONS: usize = 64;

/// What the admin listener tells.
#[derive(Debug)]
pub(super) struct Admin {
    pub(super) ready: Arc<AtomicBool>,
    pub(super) open: OpenCount,
    pub(super) telemetry: Telemetry,
    pub(super) started: Instant,
}

impl Admin {
    /// Answers a request.
    pub(super) fn answer<B>(&self, request: &Request<B>) -> Answer {
        let answer: fn(&Self) -> Answer = match request.uri().path() {
            "/livez" => |_| plain::text(StatusCode::OK, "alive\n"),
            "/readyz" => Self::readiness,
            "/metrics" => Self::metrics,
            "/status" => Self::status,
            _ => return plain::text(StatusCode::NOT_FOUND, "/livez, /readyz, /metrics and /status are answered here\n"),
        };
        if matches!(*request.method(), Method::GET | Method::HEAD) { answer(self) } else { plain::only_get() }
    }

    fn readiness(&self) -> Answer {
        if self.ready.load(Ordering::Acquire) {
            plain::text(StatusCode::OK, "ready\n")
        } else {
            plain::text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
        }
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
        let mut answer = plain::text(StatusCode::OK, format!("{status}\n"));
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn ask(admin: &Admin, method: &str, path: &str) -> (u16, String) {
        let answer = admin.answer(&Request::builder().method(method).uri(path).body(()).unwrap());
        let status = answer.status().as_u16();
        (status, String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn operators_learn_whether_the_gate_serves() {
        let ready = Arc::new(AtomicBool::new(false));
        let admin = Admin { ready: Arc::clone(&ready), open: OpenCount::default(), telemetry: Telemetry::without_output(), started: Instant::now() };
        assert_eq!(ask(&admin, "GET", "/readyz").await.0, 503);
        assert_eq!(ask(&admin, "GET", "/livez").await.0, 200);
        ready.store(true, Ordering::Release);
        assert_eq!(ask(&admin, "HEAD", "/readyz").await.0, 200);
        let (status, metrics) = ask(&admin, "GET", "/metrics").await;
        assert!(status == 200 && metrics.contains("doorward_build_info") && metrics.ends_with("# EOF\n"));
        let status: serde_json::Value = serde_json::from_str(&ask(&admin, "GET", "/status").await.1).unwrap();
        assert_eq!(status["open_connections"], 0);
        assert_eq!(status["ready"], true);
    }

    #[tokio::test]
    async fn other_paths_and_methods_are_refused() {
        let admin = Admin { ready: Arc::default(), open: OpenCount::default(), telemetry: Telemetry::without_output(), started: Instant::now() };
        for path in ["/", "/metrics/", "/Livez", "/readyz/x"] {
            assert_eq!(ask(&admin, "GET", path).await.0, 404, "{path}");
        }
        for method in ["POST", "DELETE", "OPTIONS"] {
            assert_eq!(ask(&admin, method, "/livez").await.0, 405, "{method}");
        }
    }
}
