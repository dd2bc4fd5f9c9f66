//! A small "legacy application": it believes every header and shows what it got.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;

/// Starts it on a free port of loopback, in a thread of its own that ends with the process.
pub(super) fn start() -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("application".to_owned()).spawn(move || {
        runtime.block_on(async move {
            let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
            while let Ok((stream, _)) = listener.accept().await {
                let serving = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), hyper::service::service_fn(answer));
                tokio::spawn(serving);
            }
        });
    })?;
    Ok(address)
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let user = request.headers().get("x-forwarded-user").and_then(|user| user.to_str().ok()).unwrap_or("nobody");
    let mut page = format!("Hello, {user}! I am the application, and this is what reached me:\n\n  {} {}\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        page.push_str(&format!("  {name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    }
    let mut response = Response::new(Full::from(page));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("text/plain; charset=utf-8"));
    Ok(response)
}
