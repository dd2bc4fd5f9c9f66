//! A request that was recorded, judged as if it had come from a client: cleaned, routed and verified by the code that serves, and
//! forwarded to nobody.

use std::sync::Arc;

use http::Request;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::Proxy;
use crate::auth::{self, Access, AuthError, Identity, Presented, Scheme, Trial, Witness};
use crate::inbound::{Conn, HeadFault, Inbound, Unclean};
use crate::payload::{PayloadError, Room};

/// Why a recorded request is not judged at all.
#[derive(Debug, thiserror::Error)]
pub enum Unjudged {
    /// It would be refused before anybody looks at its signature.
    #[error("the request is refused before any scheme sees it: {0}")]
    Unclean(#[from] Unclean),
    /// No route matches.
    #[error("no route of the configuration matches the request; name a scheme with --scheme")]
    NoRoute,
    /// Its route, or who asks, names no scheme whose clients sign.
    #[error("the route {0:?} accepts no scheme whose clients sign their requests; name one with --scheme")]
    NoScheme(String),
}

/// A recorded request.
#[derive(Debug)]
pub struct Recorded {
    inbound: Inbound,
    access: Access,
    /// The path of the route, where one was asked.
    pub route: Option<String>,
    /// Why clients with this host are answered 421, if they are.
    pub misdirected: Option<String>,
}

impl Proxy {
    /// Cleans the request and finds its route, or takes `scheme` in place of the route's.
    pub fn recorded(
        &self,
        conn: &Conn,
        request: Request<Incoming>,
        head: Result<(), HeadFault>,
        scheme: Option<Arc<Scheme>>,
    ) -> Result<Recorded, Unjudged> {
        head.map_err(Unclean::from)?;
        let inbound = Inbound::clean(request, conn, &self.cleaning)?;
        let misdirected = self.routes.direct(conn, &inbound).err().map(|rejection| rejection.to_string());
        if let Some(scheme) = scheme {
            return Ok(Recorded { inbound, access: Access::Accept(vec![scheme]), route: None, misdirected });
        }
        let route = self.routes.find(&inbound).map_err(|_| Unjudged::NoRoute)?;
        let name = route.metrics.name.to_string();
        let access = route.access.signed();
        if matches!(&access, Access::Accept(schemes) if schemes.is_empty()) {
            return Err(Unjudged::NoScheme(name));
        }
        Ok(Recorded { inbound, access, route: Some(name), misdirected })
    }
}

impl Recorded {
    fn schemes(&self) -> &[Arc<Scheme>] {
        match &self.access {
            Access::Public => &[],
            Access::Accept(schemes) => schemes,
        }
    }

    /// The names of the schemes that are asked.
    pub fn scheme_names(&self) -> Vec<String> {
        self.schemes().iter().map(|scheme| format!("{} ({})", scheme.name, scheme.kind_name)).collect()
    }

    /// The first scheme that can read a credential of its own in the request, and what that says.
    pub fn presented(&mut self) -> Option<(Arc<Scheme>, Presented)> {
        let schemes = self.schemes().to_vec();
        schemes.into_iter().find_map(|scheme| scheme.presented(&mut self.inbound).map(|presented| (scheme, presented)))
    }

    /// Whose signature it is, if it is good: the whole body is read for it.
    pub async fn judge(&mut self, conn: &Conn) -> Result<Identity, AuthError> {
        let identity = auth::authenticate(&self.access, conn, &mut self.inbound, &mut Nobody).await?;
        // A body that is verified on its way is not forwarded, but verified to its end.
        while let Some(piece) = self.inbound.payload().frame().await {
            piece?;
        }
        identity.ok_or(AuthError::Refused(auth::Refusal::Missing))
    }

    /// The request's signature and its key, for trying other texts.
    pub async fn trial(&mut self, scheme: &Scheme) -> Result<Option<Trial>, AuthError> {
        scheme.trial(&mut self.inbound).await
    }

    /// The request as it was cleaned.
    #[must_use]
    pub fn inbound(&self) -> &Inbound {
        &self.inbound
    }

    /// The body, where it was read or can still be, and is no longer than `limit` bytes.
    pub async fn body(&mut self, limit: u64) -> Result<Vec<u8>, PayloadError> {
        let mut body = Vec::new();
        self.inbound.payload().hold(limit, &Room::new(limit), |piece| body.extend_from_slice(piece)).await?;
        Ok(body)
    }
}

/// Nobody counts what is only tried.
struct Nobody;

impl Witness for Nobody {
    fn attempted(&mut self, _: Option<&Scheme>, _: &Result<(), &AuthError>) {}
}
