//! The request made safe, before anything else looks at it.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method};

use crate::payload::Payload;

/// Who is at the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// A TCP peer.
    Ip(std::net::SocketAddr),
    /// A process that connected to a `unix:` listener.
    Unix,
}

impl Peer {
    /// The address without the port, if there is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip()),
            Self::Unix => None,
        }
    }
}

/// What is known of a connection once TLS stands. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Conn {
    /// The other end.
    pub peer: Peer,
    /// The port that it connected to; `None` for `unix:`.
    pub local_port: Option<u16>,
    /// Server name of the TLS handshake, lower case; `None` if the client sent none.
    pub sni: Option<Arc<str>>,
    /// Which worker thread serves it: the index of its upstream pools.
    pub worker: usize,
    /// Keeps the connection counted as open. A tunnel that outlives its request holds a clone.
    pub open: Open,
}

/// Counts a connection as open, for the connection limit and for the drain, until the last clone is dropped.
#[derive(Clone, Default)]
pub struct Open(Option<Arc<dyn std::any::Any + Send + Sync>>);

impl Open {
    /// Lets `guard` live as long as any clone of the result.
    #[must_use]
    pub fn new(guard: impl std::any::Any + Send + Sync) -> Self {
        Self(Some(Arc::new(guard)))
    }
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Open" } else { "Open(uncounted)" })
    }
}

/// The host that a request is for: exactly one, said alike in all places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Lower case, without port and trailing dot.
    pub name: String,
    /// The port, if the client wrote one.
    pub port: Option<u16>,
    /// As the client sent it.
    pub raw: HeaderValue,
}

/// A request that was cleaned: what schemes, policy and upstream work on.
#[derive(Debug)]
pub struct Inbound {
    method: Method,
    host: Host,
    headers: HeaderMap,
    payload: Payload,
}

impl Inbound {
    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The host that the request is for.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The path exactly as it was sent and as it will be forwarded.
    #[must_use]
    pub fn path(&self) -> &str {
        todo!()
    }

    /// The path percent-decoded: what rules are matched against.
    #[must_use]
    pub fn rule_path(&self) -> &str {
        todo!()
    }

    /// The query exactly as it was sent, without `?`; `None` without one.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        todo!()
    }

    /// The client's headers that are left after cleaning.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The one value of a header; `None` when it is absent, `Err` when there are several or it is not visible ASCII.
    pub fn single(&self, name: &str) -> Result<Option<&str>, &'static str> {
        let _ = name;
        todo!()
    }

    /// The value of the cookie `name`; an error when it is sent twice with different values.
    pub fn cookie(&self, name: &str) -> Result<Option<&str>, &'static str> {
        let _ = name;
        todo!()
    }

    /// Whether it presents something that looks like a credential: `Authorization`, or `_k` and `_s` in the query.
    #[must_use]
    pub fn presents_credentials(&self) -> bool {
        todo!()
    }

    /// The body.
    #[must_use]
    pub fn payload(&mut self) -> &mut Payload {
        &mut self.payload
    }
}
