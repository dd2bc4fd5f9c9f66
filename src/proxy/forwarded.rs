//! Strip first, stamp last: takes the credential away and writes what Doorward asserts of the request.

use std::borrow::Cow;
use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::reject::Rejection;
use super::stamp::IdentityStamp;
use super::upstream::negotiates;
use crate::auth::{CredentialNames, Permit};
use crate::inbound::{Conn, DESCRIBED, HeaderNames, Inbound, Lines, X_REQUEST_ID, described, forwarded, sends_cookie};
use crate::types::unix_now;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Everything that is asserted upstream.
#[derive(Debug)]
pub struct Stamp {
    identity: IdentityStamp,
    /// Headers that may carry a credential of a scheme.
    credentials: HeaderNames,
    /// Cookies that may.
    cookies: Vec<String>,
    /// Query parameters that may carry a credential of a scheme.
    parameters: Vec<&'static str>,
    /// What the application is told of the caller, under whatever names.
    asserted: HeaderNames,
    /// Written here, whatever a client sent: most of them no client may send, others are read by a scheme.
    replaced: HeaderNames,
    /// Those, and what may carry a credential.
    forgotten: HeaderNames,
}

impl Stamp {
    /// `credentials`: where the credentials of all configured schemes travel. They are taken off every request, whichever
    /// scheme it used and also on public routes: a key of ours is nothing that an application should see by accident.
    #[must_use]
    pub fn new(identity: IdentityStamp, mut credentials: CredentialNames) -> Self {
        credentials.headers.push(header::AUTHORIZATION);
        credentials.headers.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        credentials.headers.dedup();
        let replaced: Vec<HeaderName> = identity.reserved().into_iter().chain(identity.shared_names()).chain(DESCRIBED).collect();
        Self {
            forgotten: HeaderNames::new(replaced.iter().chain(&credentials.headers).cloned()),
            replaced: HeaderNames::new(replaced),
            credentials: HeaderNames::new(credentials.headers),
            cookies: credentials.cookies,
            parameters: Vec::new(),
            asserted: HeaderNames::new(identity.reserved()),
            identity,
        }
    }

    /// Also takes these query parameters off every request.
    #[must_use]
    pub fn without_parameters(mut self, parameters: impl IntoIterator<Item = &'static str>) -> Self {
        self.parameters.extend(parameters);
        self.parameters.sort_unstable();
        self.parameters.dedup();
        self
    }

    /// The public keys of the assertions.
    #[must_use]
    pub fn jwks(&self) -> &bytes::Bytes {
        self.identity.jwks()
    }

    /// Whether these headers hold a credential of any configured scheme.
    #[must_use]
    pub fn sees_credentials(&self, headers: &HeaderMap) -> bool {
        headers.keys().any(|name| self.credentials.contains(name)) || self.cookies.iter().any(|name| sends_cookie(headers, name))
    }

    /// Stamps a request that was cleaned and permitted.
    pub fn apply(&self, inbound: &mut Inbound, conn: &Conn, permit: &Permit, forward_credentials: bool, request_id: &str) -> Result<(), Rejection> {
        if !forward_credentials {
            self.forget_elsewhere(inbound, permit);
        }
        let withheld = if forward_credentials { &self.replaced } else { &self.forgotten };
        let binds = !withheld.contains(header::AUTHORIZATION) && negotiates(inbound.headers(), header::AUTHORIZATION);
        let mut lines = Lines::with_capacity(1024);
        let traced = is_traced(inbound.headers());
        pass_on(inbound.headers(), withheld, (traced, inbound.wants_upgrade()), &mut lines);
        describe(inbound, conn, request_id, &mut lines);
        if !traced {
            begin_trace(request_id, &mut lines);
        }
        if let Some(identity) = permit.identity() {
            let request = (inbound.method(), &inbound.host().raw, inbound.target().as_str());
            self.identity.write(&identity.subject, request, unix_now(), &mut lines)?;
        }
        inbound.send(lines, binds);
        Ok(())
    }

    /// Signs the request with its body, where the configuration asks for it. The body is read to its end first, under a limit: it is held
    /// as a scheme holds one that it verifies. Whether it was waited for.
    pub async fn sign_whole(&self, inbound: &mut Inbound, permit: &Permit) -> Result<bool, Rejection> {
        let (Some(fost), Some(identity)) = (self.identity.fost(), permit.identity()) else { return Ok(false) };
        inbound.payload().hold_verified(fost.max_body, &fost.room).await.map_err(Rejection::Payload)?;
        // Only now: the signature is young when the application sees it, however long the body took.
        let mut begun = fost.begin(inbound.method(), inbound.rule_path(), &identity.subject.user, unix_now())?;
        let length = inbound.payload().hold(fost.max_body, &fost.room, |piece| begun.update(piece)).await.map_err(Rejection::Payload)?;
        if length == 0 {
            begun.update(inbound.query().unwrap_or_default().as_bytes());
        }
        begun.write(inbound.lines_mut())?;
        Ok(true)
    }

    /// What is asserted to the application is not told to the client, should the application echo it.
    pub fn conceal(&self, answer: &mut HeaderMap) {
        self.asserted.remove_from(answer);
    }

    /// Credentials that travel elsewhere than in headers of their own.
    fn forget_elsewhere(&self, inbound: &mut Inbound, permit: &Permit) {
        for name in &self.cookies {
            inbound.forget_cookie(name);
        }
        if !self.parameters.is_empty() {
            inbound.forget_parameters(&self.parameters);
        }
        if let Some(identity) = permit.identity()
            && !identity.query_credentials.is_empty()
        {
            inbound.forget_parameters(identity.query_credentials);
        }
    }
}

/// The client's headers, without those that are `withheld`, and without what is written elsewhere: where the body ends, the key of a
/// WebSocket handshake, and a trace unless it goes on.
fn pass_on(headers: &HeaderMap, withheld: &HeaderNames, (traced, upgrades): (bool, bool), lines: &mut Lines) {
    for (name, value) in headers {
        let is_elsewhere = *name == header::CONTENT_LENGTH
            || *name == header::TRANSFER_ENCODING
            || (upgrades && *name == header::SEC_WEBSOCKET_KEY)
            || (!traced && (*name == TRACEPARENT || *name == TRACESTATE));
        if !is_elsewhere && !withheld.contains(name) {
            lines.push(name, value);
        }
    }
}

/// `X-Forwarded-*`, `Forwarded` (RFC 7239), and the request id. Only the addresses of a trusted proxy are extended;
/// all else is replaced.
fn describe(inbound: &Inbound, conn: &Conn, request_id: &str, lines: &mut Lines) {
    let host = inbound.host();
    match (inbound.forwarded_for(), conn.usual(&host.raw)) {
        // Without a proxy in front all but the ids are as they were for the last request.
        (None, Some(usual)) => lines.append(&usual.lines),
        (earlier, _) => {
            let (chain, nodes) = earlier.map_or_else(Default::default, |earlier| ([earlier, ", "].concat(), nodes(earlier)));
            // Addresses and a checked host: always valid. If they were not, nothing would be said of them.
            let chain = HeaderValue::try_from([&chain, &*conn.peer_text].concat()).ok();
            if let Some((chain, forwarded)) = chain.zip(forwarded(&nodes, &conn.peer_text, host)) {
                lines.append(&described(host, conn, &chain, &forwarded));
            }
        }
    }
    lines.push_text(&X_REQUEST_ID, &[request_id]);
}

/// RFC 7239 section 6: an IPv6 address stands in brackets and quotes; what is no address is obfuscated by a proxy, or unknown.
fn node(address: &str) -> Cow<'_, str> {
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => Cow::Borrowed(address),
        Ok(IpAddr::V6(ip)) => Cow::Owned(format!("\"[{ip}]\"")),
        Err(_) if address == "unix" => Cow::Borrowed(address),
        Err(_) => Cow::Borrowed("unknown"),
    }
}

/// The addresses of an `X-Forwarded-For`, as elements of `Forwarded` that more may follow.
fn nodes(chain: &str) -> String {
    let mut text = String::new();
    for address in chain.split(',') {
        text.push_str("for=");
        text.push_str(&node(address.trim()));
        text.push_str(", ");
    }
    text
}

/// The length of `VERSION-TRACE-PARENT-FLAGS`.
const TRACE_BYTES: usize = 55;
/// As many digits as the id of a trace has.
const NOUGHT: &str = "00000000000000000000000000000000";
/// And as that of a parent.
const PARENT: usize = 16;

/// W3C Trace Context: whether a trace was begun, which is passed on as it is.
fn is_traced(headers: &HeaderMap) -> bool {
    let mut given = headers.iter().filter(|(name, _)| **name == TRACEPARENT);
    given.next().is_some_and(|(_, first)| is_trace_parent(first.as_bytes())) && given.next().is_none()
}

/// Else one begins here, unsampled, under the request's id.
fn begin_trace(request_id: &str, lines: &mut Lines) {
    // Ids of requests have 24 digits, and more after four thousand million requests. The last 16 are the parent's.
    let (Some(missing), Some((_, parent))) =
        (NOUGHT.get(request_id.len()..), request_id.len().checked_sub(PARENT).and_then(|at| request_id.split_at_checked(at)))
    else {
        return;
    };
    if is_hex(request_id.as_bytes()) && !is_nought(parent.as_bytes()) {
        lines.push_text(&TRACEPARENT, &["00-", missing, request_id, "-", parent, "-00"]);
    }
}

/// `VERSION-TRACE-PARENT-FLAGS` in lower-case hex; neither id is nought, and version ff does not exist.
fn is_trace_parent(value: &[u8]) -> bool {
    let Some((known, rest)) = value.split_at_checked(TRACE_BYTES) else { return false };
    let Some((version, known)) = known.split_at_checked(3) else { return false };
    let Some((trace, known)) = known.split_at_checked(33) else { return false };
    let Some((parent, flags)) = known.split_at_checked(17) else { return false };
    let sound = is_hex_before_hyphen(version) & is_hex_before_hyphen(trace) & is_hex_before_hyphen(parent) & is_hex(flags);
    sound && !is_nought(trace) && !is_nought(parent) && version != b"ff-" && (rest.is_empty() || (rest.starts_with(b"-") && version != b"00-"))
}

fn is_nought(id: &[u8]) -> bool {
    id.iter().all(|b| matches!(b, b'0' | b'-'))
}

fn is_hex_before_hyphen(part: &[u8]) -> bool {
    part.split_last().is_some_and(|(last, digits)| *last == b'-' && is_hex(digits))
}

/// Lower case alone. Looks at all digits alike, without an early end: that is faster.
fn is_hex(digits: &[u8]) -> bool {
    digits.iter().fold(true, |hex, b| hex & (b.is_ascii_digit() | (b'a'..=b'f').contains(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_addresses_become_nodes_and_what_is_no_address_is_unknown() {
        for (chain, wanted) in [
            ("10.1.1.1", "for=10.1.1.1, "),
            ("2001:db8::1 ,10.1.1.1", "for=\"[2001:db8::1]\", for=10.1.1.1, "),
            ("evil;proto=http, \"", "for=unknown, for=unknown, "),
            ("", "for=unknown, "),
        ] {
            assert_eq!(nodes(chain), wanted);
        }
    }

    #[test]
    fn what_is_withheld_or_written_elsewhere_is_not_passed_on() {
        let name = HeaderName::from_static;
        let mut headers = HeaderMap::new();
        for known in ["x-a", "x-key", "content-length", "transfer-encoding", "authorization", "x-key", "sec-websocket-key", "x-keys", "x-a"] {
            headers.append(name(known), HeaderValue::from_static("1"));
        }
        let withheld = HeaderNames::new([name("x-key"), name("authorization")]);
        for (upgrades, key) in [(false, "sec-websocket-key: 1\r\n"), (true, "")] {
            let mut lines = Lines::default();
            pass_on(&headers, &withheld, (true, upgrades), &mut lines);
            assert_eq!(lines.as_bytes(), format!("x-a: 1\r\nx-a: 1\r\n{key}x-keys: 1\r\n").as_bytes());
        }
    }

    #[test]
    fn a_trace_is_passed_on_or_begun() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let later = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes";
        let made = "00-0000000075b939db7adabd290000000a-7adabd290000000a-00";
        for (given, wanted) in [
            (&[good][..], good),
            (&[later], later),
            (&[], made),
            (&[good, good], made),
            (&["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"], made),
            (&["00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"], made),
            (&["00-00000000000000000000000000000000-b7ad6b7169203331-01"], made),
            (&["00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"], made),
            (&["ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"], made),
            (&["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"], made),
            (&[""], made),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(TRACESTATE, HeaderValue::from_static("a=b"));
            given.iter().for_each(|value| assert!(!headers.append(TRACEPARENT, HeaderValue::from_static(value)) || given.len() > 1));
            let (mut lines, traced) = (Lines::default(), is_traced(&headers));
            pass_on(&headers, &HeaderNames::default(), (traced, false), &mut lines);
            if !traced {
                begin_trace("75b939db7adabd290000000a", &mut lines);
            }
            let state = if wanted == made { "" } else { "tracestate: a=b\r\n" };
            assert_eq!(lines.as_bytes(), format!("{state}traceparent: {wanted}\r\n").as_bytes(), "{given:?}");
        }
        for (id, wanted) in [
            ("75b939db7adabd291234567890", "traceparent: 00-00000075b939db7adabd291234567890-dabd291234567890-00\r\n"), // after 2^32 requests
            ("dabd291234567890", "traceparent: 00-0000000000000000dabd291234567890-dabd291234567890-00\r\n"),
            ("abd291234567890", ""),
            ("75b939db7adabd290000000000000000", ""),
            ("75b939db7adabd2912345678901234567", ""),
            ("75B939DB7ADABD290000000A", ""),
            ("an id of a trusted proxy", ""),
        ] {
            let mut lines = Lines::default();
            begin_trace(id, &mut lines);
            assert_eq!(lines.as_bytes(), wanted.as_bytes(), "{id}");
        }
    }
}
