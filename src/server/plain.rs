//! Small answers over plain HTTP/1.1, for the listeners beside the gate.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};

use super::Limits;
use super::inspect::{self, Inspected, Verdict};
use super::socket::{Accepted, Paced};

/// A whole answer.
pub(super) type Answer = Response<Full<Bytes>>;

/// What a connection may take of us.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    head_bytes: usize,
    head_timeout: Duration,
    body_timeout: Duration,
    /// Whether a client may ask more than once.
    keep_alive: bool,
}

impl Bounds {
    pub(super) fn new(limits: &Limits, keep_alive: bool) -> Self {
        Self {
            head_bytes: usize::try_from(limits.max_header_bytes.0).unwrap_or(usize::MAX),
            head_timeout: limits.header_timeout.0,
            body_timeout: limits.body_timeout.0,
            keep_alive,
        }
    }
}

/// Serves a connection to its end.
pub(super) async fn serve<F>(accepted: Accepted, bounds: Bounds, answer: impl Fn(Request<Incoming>) -> F)
where
    F: Future<Output = Answer>,
{
    let Ok(socket) = Paced::new(accepted.socket, bounds.body_timeout, Arc::default()) else { return };
    let verdict = Arc::new(Verdict::default());
    let stream = Inspected::new(socket, inspect::Http1::new(bounds.head_bytes, Arc::clone(&verdict)));
    let service = service_fn(|request| {
        let answered = verdict.next().is_ok().then(|| answer(request));
        async move {
            match answered {
                Some(answered) => Ok::<_, Infallible>(answered.await),
                None => Ok(ambiguous()),
            }
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head_timeout)
        .max_header_size(bounds.head_bytes)
        .max_buf_size(bounds.head_bytes.max(8192))
        .keep_alive(bounds.keep_alive)
        .serve_connection(TokioIo::new(stream), service);
    let ended = if bounds.keep_alive {
        served.await
    } else {
        // One request, one short answer: whoever needs longer than for a head and a body is up to something else.
        tokio::time::timeout(bounds.head_timeout + bounds.body_timeout.max(Duration::from_secs(1)), served).await.unwrap_or(Ok(()))
    };
    if let Err(error) = ended {
        tracing::debug!(peer = ?accepted.peer, %error, "a plain connection broke");
    }
}

/// An answer with a text.
pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// 400, and nothing more is read.
fn ambiguous() -> Answer {
    let mut answer = text(StatusCode::BAD_REQUEST, "The request could be read in more than one way.\n");
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// 405 with the methods that would do.
pub(super) fn only_get() -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here\n");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    answer
}
