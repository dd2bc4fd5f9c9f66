//! A tiny identity provider for tests: a real server on port 0 that counts what it is asked.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What it answers.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// 200 with this body.
    Body(String),
    /// The same as JSON.
    Json(String),
    /// The same as this media type.
    Typed(&'static str, String),
    /// 200 with a body that never ends.
    Endless,
    /// This status and no body.
    Status(u16),
    /// 302 to this place.
    Redirect(String),
    /// Takes the request and says nothing.
    Silence,
    /// Closes the connection.
    HangUp,
}

#[derive(Debug)]
struct Inner {
    default: Mutex<Answer>,
    by_path: Mutex<HashMap<String, Answer>>,
    hits: AtomicUsize,
    last: Mutex<Option<Sent>>,
}

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
}

/// The server. It ends with the runtime of the test.
#[derive(Debug, Clone)]
pub(crate) struct Provider {
    base: String,
    inner: Arc<Inner>,
}

impl Provider {
    pub(crate) async fn start(default: Answer) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Inner { default: Mutex::new(default), by_path: Mutex::default(), hits: AtomicUsize::new(0), last: Mutex::default() });
        let provider = Self { base, inner };
        let serving = provider.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let provider = serving.clone();
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(move |request| answer(provider.clone(), request));
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        provider
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(crate) fn hits(&self) -> usize {
        self.inner.hits.load(Ordering::SeqCst)
    }

    /// The last request whose body came to its end.
    pub(crate) fn last(&self) -> Sent {
        self.inner.last.lock().unwrap().clone().unwrap()
    }

    pub(crate) fn answer(&self, answer: Answer) {
        *self.inner.default.lock().unwrap() = answer;
    }

    pub(crate) fn answer_at(&self, path: &str, answer: Answer) {
        self.inner.by_path.lock().unwrap().insert(path.to_owned(), answer);
    }
}

type Body = BoxBody<Bytes, Infallible>;

async fn answer(provider: Provider, request: Request<Incoming>) -> Result<Response<Body>, std::io::Error> {
    provider.inner.hits.fetch_add(1, Ordering::SeqCst);
    let path = request.uri().path().to_owned();
    let (parts, body) = request.into_parts();
    if let Ok(body) = body.collect().await {
        let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        *provider.inner.last.lock().unwrap() = Some(Sent { headers: parts.headers, body });
    }
    let answer = provider.inner.by_path.lock().unwrap().get(&path).cloned();
    let answer = answer.unwrap_or_else(|| provider.inner.default.lock().unwrap().clone());
    let full = |text: String| Full::new(Bytes::from(text)).boxed();
    let response = match answer {
        Answer::Body(text) => Response::new(full(text)),
        Answer::Json(text) => Response::builder().header("content-type", "application/json;charset=UTF-8").body(full(text)).unwrap(),
        Answer::Typed(media_type, text) => Response::builder().header("content-type", media_type).body(full(text)).unwrap(),
        Answer::Endless => {
            let frames = futures_util::stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&[b' '; 4096]))));
            Response::new(BodyExt::boxed(StreamBody::new(frames)))
        }
        Answer::Status(status) => Response::builder().status(status).body(full(String::new())).unwrap(),
        Answer::Redirect(place) => Response::builder().status(302).header("location", place).body(full(String::new())).unwrap(),
        Answer::Silence => std::future::pending().await,
        Answer::HangUp => return Err(std::io::Error::other("hung up")),
    };
    Ok(response)
}
