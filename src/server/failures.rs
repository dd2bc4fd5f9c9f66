//! Connections that broke, counted by kind; and requests that the HTTP library refused before anybody saw them, logged.

use std::error::Error as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::Method;

use super::frames::Missing;
use crate::inbound::Conn;
use crate::telemetry::{AccessEntry, Kind, Sample, Telemetry};

/// The code of a head with too many or too long lines, in the log and the metrics.
pub(super) const TOO_LARGE: &str = "headers_too_large";
const MALFORMED: &str = "malformed_request";

/// Why a connection broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The TLS handshake failed.
    Handshake,
    /// The client showed no certificate where one is required, or one that is not accepted.
    ClientCertificate,
    /// It took too long.
    HandshakeTimeout,
    /// It did nothing, or read or sent too slowly.
    Idle,
    /// A head that is not HTTP/1.
    Malformed,
    /// A head beyond the limit.
    HeadTooLarge,
    /// Frames that are not HTTP/2.
    Http2Protocol,
    /// Frames that are, and far too many or too large.
    Http2Flood,
    /// The client was gone before its request was whole, or its answer.
    Incomplete,
    /// The client's socket broke, or it said goodbye with an error.
    Socket,
}

/// Each with the label that it is counted under.
const ALL: [(Failure, &str); 10] = [
    (Failure::Handshake, "tls_handshake"),
    (Failure::ClientCertificate, "tls_client_certificate"),
    (Failure::HandshakeTimeout, "tls_handshake_timeout"),
    (Failure::Idle, "idle"),
    (Failure::Malformed, "malformed"),
    (Failure::HeadTooLarge, "head_too_large"),
    (Failure::Http2Protocol, "http2_protocol"),
    (Failure::Http2Flood, "http2_flood"),
    (Failure::Incomplete, "incomplete"),
    (Failure::Socket, "socket"),
];

impl Failure {
    /// What an error of the HTTP library means. `long_head`: the last head over HTTP/2 was beyond the limit as it came; the
    /// library does not tell such a one from other excess.
    pub(super) fn of(error: &hyper::Error, long_head: bool) -> Self {
        if error.is_parse_too_large() {
            return Self::HeadTooLarge;
        }
        if error.is_parse() {
            return Self::Malformed;
        }
        if error.is_timeout() {
            return Self::Idle;
        }
        match error.source().and_then(|source| source.downcast_ref::<h2::Error>()) {
            Some(error) if error.is_library() && error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM) => {
                if long_head {
                    Self::HeadTooLarge
                } else {
                    Self::Http2Flood
                }
            }
            Some(error) if error.is_library() => Self::Http2Protocol,
            Some(_) => Self::Socket,
            None if error.is_incomplete_message() => Self::Incomplete,
            None => Self::Socket,
        }
    }

    /// What an error of the TLS library means.
    pub(super) fn of_handshake(error: &std::io::Error) -> Self {
        let of_certificate = |error: &rustls::Error| {
            matches!(
                error,
                rustls::Error::InvalidCertificate(_) | rustls::Error::InvalidCertRevocationList(_) | rustls::Error::NoCertificatesPresented
            )
        };
        let error = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if error.is_some_and(of_certificate) { Self::ClientCertificate } else { Self::Handshake }
    }

    /// Status and code of the request that the library refused with it, if it was about one. Over HTTP/2 there is no answer:
    /// the connection ends.
    fn refusal(self, http2: bool) -> Option<(u16, &'static str)> {
        match self {
            Self::HeadTooLarge => Some((if http2 { 0 } else { 431 }, TOO_LARGE)),
            Self::Malformed => Some((400, MALFORMED)),
            Self::Http2Protocol | Self::Http2Flood => Some((0, MALFORMED)),
            Self::Handshake | Self::ClientCertificate | Self::HandshakeTimeout | Self::Idle | Self::Incomplete | Self::Socket => None,
        }
    }
}

/// Counts of all kinds.
#[derive(Debug, Default)]
pub(super) struct Failures([AtomicU64; ALL.len()]);

impl Failures {
    /// Counts one connection.
    pub(super) fn count(&self, failure: Failure) {
        let counts = ALL.iter().zip(&self.0);
        if let Some((_, count)) = counts.into_iter().find(|((kind, _), _)| *kind == failure) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[cfg(test)]
    fn counted(&self, label: &str) -> u64 {
        ALL.iter().zip(&self.0).find(|((_, known), _)| *known == label).map_or(0, |(_, count)| count.load(Ordering::Relaxed))
    }

    /// All counts, for the metrics.
    #[allow(clippy::cast_precision_loss, reason = "counts are far below the 53 bits that a float keeps")]
    pub(super) fn samples(&self) -> Vec<Sample> {
        let (name, help) = ("doorward_connection_errors_total", "Client connections that broke or were ended, by kind");
        let sample = |(kind, count): (&(Failure, &str), &AtomicU64)| Sample {
            name,
            help,
            kind: Kind::Counter,
            labels: vec![("kind", kind.1.to_owned())],
            value: count.load(Ordering::Relaxed) as f64,
        };
        ALL.iter().zip(&self.0).map(sample).collect()
    }
}

/// Counts a connection that broke, and logs the request that broke it.
pub(super) fn broke(failures: &Failures, telemetry: &Telemetry, conn: &Conn, http2: bool, (failure, error): &(Failure, hyper::Error)) {
    failures.count(*failure);
    if let Some(refusal) = failure.refusal(http2) {
        let cause = error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
        record(telemetry, conn, if http2 { "HTTP/2.0" } else { "HTTP/1.1" }, refusal, cause);
    }
    tracing::debug!(peer = ?conn.peer, %error, "the connection broke");
}

/// Logs requests that the HTTP/2 library refused: one line each.
pub(super) fn refused(telemetry: &Telemetry, conn: &Conn, missing: Missing) {
    for at in 0..missing.all {
        let refusal = if at < missing.long { (431, TOO_LARGE) } else { (0, "http2_refused") };
        let cause = "the HTTP/2 library refused it: too large, malformed, or one stream too many";
        record(telemetry, conn, "HTTP/2.0", refusal, cause.to_owned());
    }
}

/// Counts and logs a request whose head was refused here. Its method and path are not known, or not to be relied on.
fn record(telemetry: &Telemetry, conn: &Conn, protocol: &'static str, (status, code): (u16, &'static str), cause: String) {
    telemetry.record(AccessEntry {
        started: Instant::now(),
        request_id: String::new(),
        peer: conn.peer.address(),
        protocol,
        method: Method::from_bytes(b"-").unwrap_or_default(),
        host: None,
        path: String::new(),
        route: None,
        scheme: None,
        user: None,
        code,
        cause: Some(cause),
        status,
        bytes_in: 0,
        bytes_out: 0,
        auth: Duration::ZERO,
        upstream: Duration::ZERO,
        broken: false,
    });
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http::Response;
    use http_body_util::Empty;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// How a connection ended on which these bytes came, and the first line of what was answered.
    async fn ended(bytes: &[u8]) -> (Option<(u16, &'static str)>, String) {
        let (near, mut far) = duplex(1 << 20);
        far.write_all(bytes).await.unwrap();
        let service = service_fn(|_| async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) });
        let mut builder = http1::Builder::new();
        builder.header_read_timeout(None::<Duration>).max_header_size(8192);
        if !bytes.ends_with(b"\r\n\r\n") {
            far.shutdown().await.unwrap();
        }
        let served = builder.serve_connection(TokioIo::new(near), service).await;
        let mut answer = String::new();
        far.read_to_string(&mut answer).await.unwrap();
        (served.err().and_then(|error| Failure::of(&error, false).refusal(false)), answer.lines().next().unwrap_or_default().to_owned())
    }

    #[tokio::test]
    async fn a_head_that_hyper_refused_is_known_by_its_status() {
        let large = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(9000));
        for (bytes, known, line) in [
            ("GET / HTTP/1.1\r\nx y: 1\r\n\r\n", Some((400, MALFORMED)), "HTTP/1.1 400 Bad Request"),
            (&large, Some((431, TOO_LARGE)), "HTTP/1.1 431 Request Header Fields Too Large"),
            ("GET / HTTP/1.1\r\nconnection: close\r\n\r\n", None, "HTTP/1.1 200 OK"),
            ("GET / HT", None, ""),
        ] {
            let (status, answer) = ended(bytes.as_bytes()).await;
            assert_eq!((status, answer.as_str()), (known, line), "{:?}", bytes.get(..20));
        }
    }

    #[test]
    fn each_kind_has_a_count_and_a_label_of_its_own() {
        let failures = Failures::default();
        for (at, (failure, _)) in ALL.iter().enumerate() {
            (0..=at).for_each(|_| failures.count(*failure));
        }
        for (at, (_, label)) in ALL.iter().enumerate() {
            assert_eq!(failures.counted(label), at as u64 + 1, "{label}");
        }
        assert_eq!(failures.samples().len(), ALL.len());
    }
}
