//! What follows the head of an answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::decoder::{Decoder, Step};
use crate::payload::{BoxError, ResponseBody};
use crate::proxy::pool::{Lease, Pool};

/// The body of an answer, on its way. The connection goes back to its pool with the last of it; whoever drops it before closes
/// the connection.
#[derive(Debug)]
struct Answer {
    lease: Option<Lease>,
    decoder: Decoder,
    keeps: bool,
    pool: Arc<Pool>,
    worker: usize,
}

/// The body of an answer: at once where it came with the head, else streamed. `keeps`: whether the connection may serve another
/// request when the body has ended.
pub(in crate::proxy) fn read(
    lease: Lease,
    mut decoder: Decoder,
    keeps: bool,
    (pool, worker): (&Arc<Pool>, usize),
    (idle_timeout, clean_trailers): (Duration, fn(&mut HeaderMap)),
) -> ResponseBody {
    let mut lease = lease;
    let is_here = matches!(decoder, Decoder::Length(left) if left <= lease.connection.arrived() as u64);
    if is_here && let Ok(step) = lease.connection.step(&mut decoder) {
        if keeps {
            give_back(pool, worker, lease);
        }
        return ResponseBody::full(match step {
            Step::Data(whole) => whole,
            Step::Trailers(_) | Step::Wanting | Step::Ended => Bytes::new(),
        });
    }
    let answer = Answer { lease: Some(lease), decoder, keeps, pool: Arc::clone(pool), worker };
    ResponseBody::upstream(Box::new(answer), idle_timeout, clean_trailers)
}

fn give_back(pool: &Pool, worker: usize, mut lease: Lease) {
    if lease.connection.rest() {
        pool.give_back(worker, lease);
    }
}

impl Answer {
    fn end(&mut self) {
        if let Some(lease) = self.lease.take()
            && self.keeps
        {
            give_back(&self.pool, self.worker, lease);
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let answer = self.get_mut();
        let Some(lease) = &mut answer.lease else { return Poll::Ready(None) };
        let step = ready!(lease.connection.poll_step(cx, &mut answer.decoder));
        if answer.decoder.is_ended() {
            answer.end();
        }
        Poll::Ready(match step {
            Ok(Step::Data(data)) => Some(Ok(Frame::data(data))),
            Ok(Step::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Ok(Step::Ended | Step::Wanting) => {
                answer.lease = None;
                None
            }
            Err(fault) => {
                answer.lease = None;
                Some(Err(fault.into()))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.lease.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.decoder.left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
