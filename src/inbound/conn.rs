//! What is known of a connection.

mod certificate;

use std::any::Any;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderValue;

use super::Host;
use super::usual::{self, Remembered, Usual};

pub use certificate::{ClientCertificate, Lapse, Verdict};

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// A TCP peer.
    Ip(SocketAddr),
    /// A process that connected to a `unix:` listener.
    Unix,
}

impl Peer {
    /// Address and port, if there are any.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix => None,
        }
    }

    /// The address without the port, if there is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.address().map(|address| address.ip().to_canonical())
    }
}

/// What is known of a connection once TLS stands. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Conn {
    /// The other end.
    pub peer: Peer,
    /// The peer's address, without the port, as headers say it: written once for all requests.
    pub peer_text: Arc<str>,
    /// The same as a header's value; `None` if it were none.
    pub peer_value: Option<HeaderValue>,
    /// The port that it connected to; `None` for `unix:`.
    pub local_port: Option<u16>,
    /// Server name of the TLS handshake, lower case; `None` if the client sent none.
    pub sni: Option<Arc<str>>,
    /// The certificate that the client proved to hold in the TLS handshake, if one was asked for and given.
    pub client_certificate: Option<Arc<ClientCertificate>>,
    /// Which worker thread serves it: the index of its upstream pools.
    pub worker: usize,
    /// Alive as long as the connection, and as a tunnel that grew out of it: its place under the connection limit.
    pub open: Open,
    remembered: Remembered,
}

impl Conn {
    /// `local_port`: the port that the peer connected to. `sni`: the server name that it sent, lower case.
    #[must_use]
    pub fn new(peer: Peer, local_port: Option<u16>, sni: Option<Arc<str>>, worker: usize, open: Open) -> Self {
        let peer_text: Arc<str> = peer.ip().map_or_else(|| "unix".into(), |ip| ip.to_string().into());
        let peer_value = HeaderValue::from_str(&peer_text).ok();
        Self { peer, peer_text, peer_value, local_port, sni, client_certificate: None, worker, open, remembered: Remembered::default() }
    }

    /// What is known of the host that a client wrote as `raw`, where it is the first that this connection was used for.
    #[must_use]
    pub fn usual(&self, raw: &HeaderValue) -> Option<&Usual> {
        self.remembered.of(raw.as_bytes())
    }

    /// The host that a client wrote as `raw`, if it is the usual one.
    pub(super) fn usual_host(&self, raw: &[u8]) -> Option<Host> {
        self.remembered.of(raw).map(|usual| usual.host.clone())
    }

    /// Remembers the first host of the connection.
    pub(super) fn remember(&self, host: &Host) {
        self.remembered.first(|| {
            let raw = HeaderValue::from_bytes(host.raw.as_bytes()).ok()?;
            let host = Host { raw, ..host.clone() };
            let lines = usual::described(&host, self, self.peer_value.as_ref()?, &usual::forwarded("", &self.peer_text, &host)?);
            Some(Usual { host, lines })
        });
    }
}

/// Keeps a connection's place while any clone of it lives. What it keeps is its maker's business.
#[derive(Clone, Default)]
pub struct Open(Option<Arc<dyn Any + Send + Sync>>);

impl Open {
    /// Keeps `place` until the last clone is dropped.
    #[must_use]
    pub fn new(place: impl Any + Send + Sync) -> Self {
        Self(Some(Arc::new(place)))
    }
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Open" } else { "Open(uncounted)" })
    }
}
