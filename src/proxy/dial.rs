//! One connection to an upstream: TCP, TLS over TCP, or a Unix socket.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Url;

use super::pool::Counted;

/// Where an upstream is.
#[derive(Clone)]
pub(super) struct Address {
    place: Place,
    /// What the `Host` header says when the client's is not kept.
    pub(super) authority: String,
    /// For messages to the operator.
    pub(super) display: String,
}

#[derive(Clone)]
enum Place {
    Tcp { host: String, port: u16 },
    Tls { host: String, port: u16, name: ServerName<'static>, connector: TlsConnector },
    Unix(PathBuf),
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.display)
    }
}

impl Address {
    /// Reads `http://HOST[:PORT]`, `https://HOST[:PORT]` or `unix:/PATH`. `https` is verified against `ca_file` alone, or
    /// against the system's authorities; there is no way to switch that off.
    pub(super) fn parse(text: &str, ca_file: Option<&Path>) -> Result<Self, String> {
        if ca_file.is_some() && !text.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")) {
            return Err("a ca_file is given, but nothing is verified without https".to_owned());
        }
        if let Some(path) = text.strip_prefix("unix:") {
            if !path.starts_with('/') {
                return Err("a Unix socket is named by its whole path".to_owned());
            }
            return Ok(Self { place: Place::Unix(PathBuf::from(path)), authority: "localhost".to_owned(), display: text.to_owned() });
        }
        let url = Url::parse(text).map_err(|error| error.to_string())?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err("it names more than scheme, host and port: the path that a rule saw is the path that is forwarded".to_owned());
        }
        let host = url.host_str().ok_or("it names no host")?;
        let port = url.port_or_known_default().ok_or("it names no port")?;
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let place = match url.scheme() {
            "http" => Place::Tcp { host: bare, port },
            "https" => {
                let name = ServerName::try_from(bare.clone()).map_err(|_| "its host is not a name that a certificate can hold")?;
                Place::Tls { host: bare, port, name, connector: connector(ca_file)? }
            }
            other => return Err(format!("its scheme is {other}, not http, https or unix")),
        };
        Ok(Self { place, authority, display: text.trim_end_matches('/').to_owned() })
    }

    /// Whether identities and answers travel to another machine in the clear.
    pub(super) fn is_exposed(&self) -> bool {
        match &self.place {
            Place::Tcp { host, .. } => {
                let named_local = host == "localhost" || host.ends_with(".localhost");
                !(named_local || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback()))
            }
            Place::Tls { .. } | Place::Unix(_) => false,
        }
    }

    /// Opens a connection. The caller sets the deadline.
    pub(super) async fn dial(&self, counted: Counted) -> io::Result<Stream> {
        let kind = match &self.place {
            Place::Tcp { host, port } => Kind::Tcp(tcp(host, *port).await?),
            Place::Unix(path) => Kind::Unix(UnixStream::connect(path).await?),
            Place::Tls { host, port, name, connector } => Kind::Tls(Box::new(connector.connect(name.clone(), tcp(host, *port).await?).await?)),
        };
        Ok(Stream { kind, delivery: Delivery::default(), _counted: counted })
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn connector(ca_file: Option<&Path>) -> Result<TlsConnector, String> {
    let mut roots = rustls::RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let certificates = CertificateDer::pem_file_iter(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| format!("{} holds a broken certificate: {error}", path.display()))?;
                roots.add(certificate).map_err(|error| format!("{} holds a certificate that cannot be an authority: {error}", path.display()))?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
    }
    if roots.is_empty() {
        return Err("there is no certificate authority to verify it against; name one with ca_file".to_owned());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// An open connection to an upstream. When the end of a body is missing it is reset rather than closed: applications that
/// read up to the end of the connection would take the beginning of a body for the whole. A Unix socket cannot be reset.
#[derive(Debug)]
pub(super) struct Stream {
    kind: Kind,
    /// How far the body of the request has been carried.
    pub(super) delivery: Delivery,
    _counted: Counted,
}

/// Whether a connection was given the beginning of a request and not yet its end. Clones are one.
#[derive(Debug, Clone, Default)]
pub(super) struct Delivery(Arc<AtomicBool>);

impl Delivery {
    fn is_partial(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set_partial(&self, partial: bool) {
        self.0.store(partial, Ordering::Relaxed);
    }
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.delivery.is_partial() {
            if let Kind::Tls(stream) = &mut self.kind {
                say_goodbye(stream);
            }
            return;
        }
        // A socket that cannot be told so is gone already.
        let _ = match &self.kind {
            Kind::Tcp(stream) => stream.set_zero_linger(),
            Kind::Tls(stream) => stream.get_ref().0.set_zero_linger(),
            Kind::Unix(_) => Ok(()),
        };
    }
}

/// Tells the end of a TLS connection (RFC 8446 section 6.1), if that can be said at once.
fn say_goodbye(stream: &mut TlsStream<TcpStream>) {
    struct AtOnce<'a>(&'a TcpStream);
    impl io::Write for AtOnce<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.try_write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (tcp, tls) = stream.get_mut();
    tls.send_close_notify();
    while tls.wants_write() && tls.write_tls(&mut AtOnce(tcp)).is_ok_and(|written| written > 0) {}
}

macro_rules! each {
    ($self:expr, $stream:ident => $call:expr) => {
        match &mut $self.get_mut().kind {
            Kind::Tcp($stream) => $call,
            Kind::Tls($stream) => $call,
            Kind::Unix($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.delivery.is_partial() {
            return Poll::Ready(Ok(()));
        }
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.kind {
            Kind::Tcp(stream) => stream.is_write_vectored(),
            Kind::Tls(stream) => stream.is_write_vectored(),
            Kind::Unix(stream) => stream.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_to_another_machine_is_exposed() {
        for (text, exposed) in [
            ("http://127.0.0.1:8000", false),
            ("http://127.8.0.1", false),
            ("http://[::1]:8000", false),
            ("http://localhost:8000", false),
            ("unix:/run/app.sock", false),
            ("http://10.0.0.7:8000", true),
            ("http://app:8000", true),
            ("http://localhost.example.com", true),
            ("http://127.0.0.1.example.com", true),
        ] {
            assert_eq!(Address::parse(text, None).unwrap().is_exposed(), exposed, "{text}");
        }
    }

    #[test]
    fn an_upstream_is_a_place_and_nothing_more() {
        for (text, authority) in
            [("http://127.0.0.1:8000", "127.0.0.1:8000"), ("http://app/", "app"), ("http://[::1]:80", "[::1]"), ("unix:/run/app.sock", "localhost")]
        {
            assert_eq!(Address::parse(text, None).unwrap().authority, authority, "{text}");
        }
        for text in
            ["", "app:8000", "http://", "http://a/x", "http://a?x", "http://u:p@a", "ftp://a", "unix:run/app.sock", "http://a#x", "http://a:99999"]
        {
            assert!(Address::parse(text, None).is_err(), "{text}");
        }
        for text in ["http://app", "unix:/run/app.sock"] {
            assert!(Address::parse(text, Some(Path::new("ca.crt"))).is_err_and(|why| why.contains("ca_file")), "{text}");
        }
    }
}
