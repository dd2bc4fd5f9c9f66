//! One recorded HTTP/1.1 request, read by the code that reads connections: without TLS, without a socket, and answered to nobody.

use std::convert::Infallible;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Limits;
use super::conn::http1_builder;
use super::inspect::{self, Inspected, Verdict};
use crate::inbound::HeadFault;

/// What the answer of hyper itself may hold: it is read and thrown away.
const BUFFER: usize = 64 << 10;

/// Reads the first request of `recorded` and gives it to `judge`, with what was found in its bytes before they were parsed. Returns what
/// that says, or why there is no request.
pub async fn read_recorded<F, J, T>(recorded: &[u8], limits: &Limits, judge: F) -> Result<T, String>
where
    F: FnOnce(Request<Incoming>, Result<(), HeadFault>) -> J,
    J: Future<Output = T>,
{
    let longest = usize::try_from(limits.max_header_bytes.0).unwrap_or(usize::MAX);
    let verdict = Arc::new(Verdict::default());
    let (mut client, server) = tokio::io::duplex(BUFFER);
    let io = TokioIo::new(Inspected::new(server, inspect::Http1::new(longest, Arc::clone(&verdict))));
    let (judge, said) = (Mutex::new(Some(judge)), Mutex::new(None));
    let service = service_fn(|request| {
        let head = verdict.next();
        // What follows the first request is another's business.
        let judge = judge.lock().unwrap_or_else(PoisonError::into_inner).take();
        let said = &said;
        async move {
            if let Some(judge) = judge {
                let answer = judge(request, head).await;
                *said.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let served = http1_builder(limits).half_close(true).serve_connection(io, service);
    let sent = async {
        // Broken off where enough was read: that is no failure.
        let _ = client.write_all(recorded).await;
        let _ = client.shutdown().await;
        let _ = client.read_to_end(&mut Vec::new()).await;
    };
    let (served, ()) = tokio::join!(served, sent);
    let said = said.into_inner().unwrap_or_else(PoisonError::into_inner);
    said.ok_or_else(|| served.err().map_or_else(|| "it holds no request".to_owned(), |error| error.to_string()))
}
