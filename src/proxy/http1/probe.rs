//! A way in for the fuzz target, which throws bytes at the reader of answers. Nothing else needs it.

use bytes::BytesMut;
use http::{HeaderMap, Method, StatusCode};

use super::decoder::{Decoder, Step};
use super::{Fault, head};

/// What the bytes of an answer were taken for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Of the final head, with its headers, where there was one.
    pub head: Option<(StatusCode, HeaderMap)>,
    /// As much of the body as there was.
    pub body: Vec<u8>,
    /// Those of the body.
    pub trailers: HeaderMap,
    /// How it ended.
    pub end: End,
    /// How many bytes follow it.
    pub left: usize,
    /// Whether another request might follow on the connection.
    pub keeps: bool,
}

/// How an answer ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum End {
    /// It did not: the connection was closed before.
    #[default]
    Missing,
    /// As it said.
    Whole,
    /// It is no answer.
    Broken,
}

/// Reads an answer that arrives in these pieces, after which the connection is closed.
pub fn read<'a>(method: &Method, pieces: impl Iterator<Item = &'a [u8]>) -> Reading {
    let (mut inbox, mut reading) = (BytesMut::new(), Reading::default());
    let (mut scanned, mut decoder) = (0, None);
    for piece in pieces {
        inbox.extend_from_slice(piece);
        if reading.end == End::Missing && advance(&mut inbox, &mut scanned, method, &mut decoder, &mut reading).is_err() {
            reading.end = End::Broken;
            reading.keeps = false;
        }
    }
    if matches!(decoder, Some(Decoder::UntilClosed)) {
        reading.end = End::Whole;
    }
    if reading.end == End::Whole {
        reading.left = inbox.len();
    }
    reading
}

fn advance(inbox: &mut BytesMut, scanned: &mut usize, method: &Method, decoder: &mut Option<Decoder>, reading: &mut Reading) -> Result<(), Fault> {
    loop {
        let Some(decoder) = decoder else {
            match head::read(inbox, scanned, method)? {
                Some(head) if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS => {}
                Some(head) => {
                    reading.head = Some((head.status, head.headers));
                    reading.keeps = head.keeps;
                    *decoder = Some(head.decoder);
                }
                None => return Ok(()),
            }
            continue;
        };
        match decoder.step(inbox)? {
            Step::Data(data) => reading.body.extend_from_slice(&data),
            Step::Trailers(trailers) => reading.trailers = trailers,
            Step::Wanting => return Ok(()),
            Step::Ended => {
                reading.end = End::Whole;
                return Ok(());
            }
        }
    }
}
