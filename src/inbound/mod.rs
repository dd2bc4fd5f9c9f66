//! The request made safe, before anything else looks at it.
//!
//! What could be read in two ways is refused (400). What ends at this hop is taken away on the client's own headers, before
//! anything is stamped. Names that only Doorward may set are taken away in every spelling. The path that a rule sees is
//! the path that is forwarded.

mod answers;
mod conn;
mod cookies;
mod framing;
mod header_names;
mod heads;
mod host;
mod lines;
mod names;
mod parts;
mod proxied;
mod query;
mod seen;
mod target;
mod told;
mod unclean;
mod usual;

use std::sync::{Arc, OnceLock};

use http::header::{self, AsHeaderName, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use crate::payload::{Payload, PayloadLimits};

use seen::Seen;
use told::Told;

pub use answers::{ConnectionOptions, strip_trailers};
pub use conn::{ClientCertificate, Conn, Lapse, Open, Peer, Verdict};
pub use cookies::holds as sends_cookie;
pub use header_names::HeaderNames;
pub use heads::{Found, HeadFault, Heads};
pub use host::{Host, parse as parse_host};
pub use lines::{Lines, write_line};
pub use names::ReservedNames;
pub use parts::Parts;
pub use target::path_is_clear;
pub use unclean::Unclean;
pub use usual::{DESCRIBED, Usual, X_REQUEST_ID, described, forwarded};

/// How requests are cleaned.
#[derive(Debug)]
pub struct Cleaning {
    /// Names that no client may send.
    pub reserved: Arc<ReservedNames>,
    /// Most header lines.
    pub max_headers: usize,
    /// How much of a body is taken.
    pub payload: PayloadLimits,
    /// Peers whose `X-Forwarded-For` is extended rather than replaced.
    pub trusted_proxies: Vec<ipnet::IpNet>,
}

/// A WebSocket handshake (RFC 6455 section 4.1) that is to be answered once the upstream has.
#[derive(Debug)]
pub struct WantedUpgrade {
    /// The client's side, once it was answered 101.
    pub client: OnUpgrade,
    /// `Sec-WebSocket-Key`.
    pub key: HeaderValue,
}

/// A request that was cleaned: what schemes, policy and upstream work on.
#[derive(Debug)]
pub struct Inbound {
    method: Method,
    target: PathAndQuery,
    /// Only where it differs from the path as sent.
    decoded_path: Option<String>,
    host: Host,
    headers: HeaderMap,
    lines: Lines,
    binds: bool,
    proxy_authorization: Option<HeaderValue>,
    payload: Payload,
    upgrade: Option<WantedUpgrade>,
    told: Told,
    /// Decoded when it is first asked for.
    access_token: OnceLock<Result<Option<String>, &'static str>>,
}

impl Inbound {
    /// Makes a request safe, or says why it cannot be.
    pub fn clean(request: Request<Incoming>, conn: &Conn, cleaning: &Cleaning) -> Result<Self, Unclean> {
        let (mut parts, body) = request.into_parts();
        if !framing::METHODS.contains(&parts.method.as_str()) {
            return Err(Unclean::Method);
        }
        let headers = &mut parts.headers;
        if headers.len() > cleaning.max_headers {
            return Err(Unclean::TooManyHeaders);
        }
        let seen = Seen::of(headers);
        if seen.may_hold([&header::CONTENT_LENGTH, &header::TRANSFER_ENCODING]) {
            framing::check_framing(parts.version, headers, seen)?;
        }
        let asks_first = seen.may_hold([&header::EXPECT]) && framing::expectation(headers)?;
        let host = Host::take(parts.version, &parts.uri, headers, seen, conn)?;
        let target = target::take(&parts.uri)?;
        let decoded = target::decode_path(target.path())?;
        let decoded_path = (decoded != target.path()).then(|| decoded.into_owned());
        if seen.repeats() && headers.get_all(header::AUTHORIZATION).iter().nth(1).is_some() {
            return Err(Unclean::Header("more than one Authorization"));
        }
        let mut payload = Payload::new(body, cleaning.payload)?;
        let wanted = || framing::wanted_upgrade(&parts.method, parts.version, headers, &payload);
        let upgrade = if seen.may_hold([&header::UPGRADE]) { wanted().map(|key| (key, parts.extensions.remove::<OnUpgrade>())) } else { None };
        let proxy_authorization = names::strip_hop_by_hop(headers, seen)?;
        let told = Told::read(conn, headers, &cleaning.trusted_proxies);
        if !payload.is_empty() {
            payload.sent_by(told.client(conn), parts.version, asks_first);
        }
        cleaning.reserved.strip(headers);
        if seen.may_hold([&header::COOKIE]) {
            cookies::join(headers)?;
        }
        Ok(Self {
            method: parts.method,
            target,
            decoded_path,
            host,
            headers: parts.headers,
            lines: Lines::default(),
            binds: false,
            proxy_authorization,
            payload,
            upgrade: upgrade.and_then(|(key, client)| Some(WantedUpgrade { client: client?, key })),
            told,
            access_token: OnceLock::new(),
        })
    }

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

    /// Path and query exactly as they will be forwarded.
    #[must_use]
    pub fn target(&self) -> &PathAndQuery {
        &self.target
    }

    /// The path exactly as it was sent and as it will be forwarded.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.path()
    }

    /// The path percent-decoded: what rules are matched against.
    #[must_use]
    pub fn rule_path(&self) -> &str {
        self.decoded_path.as_deref().unwrap_or_else(|| self.target.path())
    }

    /// The query exactly as it was sent, without `?`; `None` without one.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.target.query()
    }

    /// The client's headers that are left after cleaning.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The headers, for a scheme that takes away what was meant for it.
    #[must_use]
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// Has these lines sent, and nothing of the client's headers that is not among them. `binds`: see [`Parts::binds`].
    pub fn send(&mut self, lines: Lines, binds: bool) {
        (self.lines, self.binds) = (lines, binds);
    }

    /// The lines that are sent, for a signature behind them.
    pub fn lines_mut(&mut self) -> &mut Lines {
        &mut self.lines
    }

    /// The body.
    #[must_use]
    pub fn payload(&mut self) -> &mut Payload {
        &mut self.payload
    }

    /// `X-Forwarded-For` as a trusted proxy sent it; `None` from anybody else.
    #[must_use]
    pub fn forwarded_for(&self) -> Option<&str> {
        self.told.forwarded_for.as_deref()
    }

    /// Where the request comes from: the peer, or whom a trusted proxy had before it. `None` on a local socket.
    #[must_use]
    pub fn client_address(&self, conn: &Conn) -> Option<std::net::IpAddr> {
        self.told.address(conn)
    }

    /// The request's id as a trusted proxy gave it; `None` from anybody else.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.told.request_id.as_deref()
    }

    /// Whether a WebSocket is asked for.
    #[must_use]
    pub fn wants_upgrade(&self) -> bool {
        self.upgrade.is_some()
    }

    /// The one value of a header; `Ok(None)` when it is absent, `Err` when there are several or it is not visible ASCII.
    pub fn single(&self, name: impl AsHeaderName) -> Result<Option<&str>, &'static str> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => value.to_str().map(Some).map_err(|_| "a header holds bytes outside visible ASCII"),
            (Some(_), Some(_)) => Err("a header is sent more than once"),
        }
    }

    /// The value of the cookie `name`; an error when it is sent more than once or is not visible ASCII.
    pub fn cookie(&self, name: &str) -> Result<Option<&str>, &'static str> {
        self.single(header::COOKIE)?.map_or(Ok(None), |line| cookies::find(line, name))
    }

    /// The query parameter `access_token`, decoded as a form is; `Ok(None)` when it is absent or empty. An error when it is
    /// sent more than once, under whatever spelling, or does not decode.
    pub fn access_token(&self) -> Result<Option<&str>, &'static str> {
        let found = self.access_token.get_or_init(|| query::single(self.query().unwrap_or_default(), "access_token"));
        match found {
            Ok(token) => Ok(token.as_deref().filter(|token| !token.is_empty())),
            Err(why) => Err(why),
        }
    }

    /// Whether it presents something that looks like a credential: `Authorization`, or `_k` and `_s` in the query.
    #[must_use]
    pub fn presents_credentials(&self) -> bool {
        let in_query = |name: &str| self.query().is_some_and(|query| query.split('&').any(|part| part.starts_with(name)));
        self.headers.contains_key(header::AUTHORIZATION) || (in_query("_k=") && in_query("_s="))
    }

    /// Whether a person's browser asks for a page, rather than a script or a program for data.
    #[must_use]
    pub fn is_navigation(&self) -> bool {
        is_navigation(&self.method, &self.headers)
    }

    /// Takes query parameters away, those that carried a credential. What is left keeps its bytes and its order.
    pub fn forget_parameters(&mut self, names: &[&str]) {
        let Some(query) = self.target.query() else { return };
        let kept: Vec<&str> = query.split('&').filter(|part| !names.iter().any(|name| query::is_named(part, name))).collect();
        let target = if kept.is_empty() { self.target.path().to_owned() } else { format!("{}?{}", self.target.path(), kept.join("&")) };
        // A part of a valid target is a valid target; were it not, the longer one would stay and the upstream would see a spent credential.
        if let Ok(target) = PathAndQuery::from_maybe_shared(bytes::Bytes::from(target)) {
            self.target = target;
        }
    }

    /// Takes a cookie away and leaves the others byte for byte.
    pub fn forget_cookie(&mut self, name: &str) {
        cookies::remove(&mut self.headers, name);
    }

    /// Takes the request apart for the upstream.
    #[must_use]
    pub fn into_parts(self) -> Parts {
        let Self { method, target, host, lines, binds, payload, upgrade, .. } = self;
        Parts { method, target, host, lines, binds, payload, upgrade }
    }
}

/// Whether a person's browser asks for a page: `Accept` names HTML, and `Sec-Fetch-Mode`, where sent, says `navigate`.
#[must_use]
pub fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    let says = |name: HeaderName, what: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(|value| value.contains(what));
    (method == Method::GET || method == Method::HEAD)
        && says(header::ACCEPT, "text/html") == Some(true)
        && says(HeaderName::from_static("sec-fetch-mode"), "navigate") != Some(false)
}
