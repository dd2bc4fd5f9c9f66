//! Raw bytes into an HTTP/1 server: a cleaned request or a refusal comes out.

use doorward::inbound::{Inbound, parse_host};
use http::Version;

use crate::serve;

/// What no cleaned request holds: names of one hop, and of framing.
const GONE: &[&str] = &[
    "host",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "content-length",
    "expect",
];
/// Names that only the product may set, folded as CGI folds them.
const OURS: &[&str] = &[
    "x_forwarded_user",
    "x_forwarded_for",
    "x_forwarded_proto",
    "x_forwarded_host",
    "x_forwarded_port",
    "x_forwarded_email",
    "x_forwarded_groups",
    "forwarded",
    "remote_user",
    "x_real_ip",
    "x_request_id",
    "x_original_url",
    "x_rewrite_url",
    "x_http_method_override",
    "proxy",
    "x_also_ours",
    "x_doorward_signature",
    "x_doorward_assertion",
];

/// Any bytes, as a client sends them after the handshake.
pub fn run(raw: &[u8]) -> bool {
    let accepted = std::cell::Cell::new(false);
    serve::http1(raw, async |number, request, head| {
        let version = request.version();
        let Ok(mut inbound) = serve::clean(request, head) else { return };
        accepted.set(true);
        is_clean(&inbound);
        if number == 0 {
            is_what_was_sent(&inbound, raw);
        }
        assert!(!inbound.wants_upgrade() || version == Version::HTTP_11);
        let mut seen = 0;
        if let Ok(length) = inbound.payload().hold(1 << 16, &doorward::payload::Room::new(1 << 16), |piece: &[u8]| seen += piece.len() as u64).await {
            assert_eq!(length, seen);
        }
    });
    accepted.get()
}

/// Everything that rules and applications rely on.
pub(crate) fn is_clean(inbound: &Inbound) {
    assert!(inbound.method().as_str().bytes().all(|b| b.is_ascii_uppercase() || b == b'-'), "{}", inbound.method());
    assert!(!["CONNECT", "TRACE"].contains(&inbound.method().as_str()));
    path_has_one_meaning(inbound);

    let host = inbound.host();
    assert_eq!(parse_host(host.raw.to_str().unwrap()), Some((host.name.to_string(), host.port)));
    assert_eq!(*host.name, host.name.to_ascii_lowercase());

    for name in inbound.headers().keys() {
        let folded: String = name.as_str().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        assert!(!GONE.contains(&name.as_str()), "{name}");
        assert!(!OURS.contains(&folded.as_str()), "{name}");
        assert!(!["x_envoy_", "ssl_client_", "x_ssl_", "x_doorward_"].iter().any(|family| folded.starts_with(family)), "{name}");
        assert!(!["content_length", "transfer_encoding", "content_type"].contains(&folded.as_str()) || name == "content-type", "{name}");
    }
    for once in ["authorization", "cookie"] {
        assert!(inbound.headers().get_all(once).iter().count() <= 1, "{once}");
    }
}

fn path_has_one_meaning(inbound: &Inbound) {
    let path = inbound.path();
    assert!(path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic()), "{path:?}");
    let lower = path.to_ascii_lowercase();
    for hidden in ["%2f", "%5c", "%2e", "%00", "%3b", "%23", "\\", ";", "#"] {
        assert!(!lower.contains(hidden), "{path:?} holds {hidden}");
    }
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8().expect("a path that is not UTF-8");
    assert_eq!(inbound.rule_path(), decoded);
    assert!(!decoded.chars().any(|c| c.is_ascii_control()), "{path:?}");
    let segments: Vec<&str> = decoded.split('/').skip(1).collect();
    for (at, segment) in segments.iter().enumerate() {
        assert!(!segment.ends_with(['.', ' ']), "{path:?}");
        assert!(!segment.is_empty() || at + 1 == segments.len(), "{path:?}");
    }
    // Decoding once more changes nothing: nobody behind can get another path by decoding twice.
    assert_eq!(percent_encoding::percent_decode_str(&decoded).decode_utf8_lossy(), decoded, "{path:?}");
}

/// The first request: the target is forwarded as it stands on the wire, and there was exactly one Host line.
fn is_what_was_sent(inbound: &Inbound, raw: &[u8]) {
    let target = inbound.target().as_str().as_bytes();
    assert!(raw.windows(target.len()).any(|window| window == target), "{:?} was not sent", inbound.target());
    let head = raw.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).skip_while(|line| line.is_empty());
    let hosts = head.take_while(|line| !line.is_empty()).filter(|line| line.len() > 4 && line[..5].eq_ignore_ascii_case(b"host:")).count();
    assert_eq!(hosts, 1);
}
