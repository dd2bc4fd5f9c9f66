//! What is known of a connection.

mod certificate;

use std::any::Any;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

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
}

impl Conn {
    /// `local_port`: the port that the peer connected to. `sni`: the server name that it sent, lower case.
    #[must_use]
    pub fn new(peer: Peer, local_port: Option<u16>, sni: Option<Arc<str>>, worker: usize, open: Open) -> Self {
        let peer_text = peer.ip().map_or_else(|| "unix".into(), |ip| ip.to_string().into());
        Self { peer, peer_text, local_port, sni, client_certificate: None, worker, open }
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
