//! Which headers the stamp may write.

use std::collections::BTreeMap;

use http::HeaderName;

use crate::types::Report;

/// Headers that mean something to HTTP itself, bear the client's own credentials, or are written elsewhere.
const TAKEN: &[&str] = &[
    "authorization",
    "connection",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-request-id",
];

/// The name of the header that bears the HMAC signature.
pub(super) const SIGNATURE: HeaderName = HeaderName::from_static("x-doorward-signature");

/// Names under which identity usually travels: no client may send them even where the configuration does not map them.
pub(super) const USUAL: [HeaderName; 6] = [
    HeaderName::from_static("x-forwarded-user"),
    HeaderName::from_static("x-forwarded-email"),
    HeaderName::from_static("x-forwarded-groups"),
    HeaderName::from_static("x-forwarded-preferred-username"),
    HeaderName::from_static("x-doorward-assertion"),
    SIGNATURE,
];

/// A name as CGI, WSGI and PHP fold it: two headers whose names fold alike are one variable to them.
pub(super) fn folded(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

/// Reads the name of a header that the stamp may write or strip.
pub(super) fn read(key: &str, text: &str, report: &mut Report) -> Option<HeaderName> {
    let Ok(name) = HeaderName::try_from(text) else {
        report.error(key, &format!("{text:?} is not the name of a header"), "use letters, digits and '-'");
        return None;
    };
    let fold = folded(name.as_str());
    if TAKEN.iter().any(|taken| folded(taken) == fold) || fold.starts_with("content_") || fold.starts_with("sec_websocket_") {
        report.error(key, &format!("the header {text} has a meaning of its own"), "name another, such as X-Forwarded-User");
        return None;
    }
    Some(name)
}

/// Reports headers that an application could not tell apart. `names` are configuration keys and the headers they name.
pub(super) fn distinct(names: &[(String, HeaderName)], report: &mut Report) -> bool {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    let mut distinct = true;
    for (key, name) in names {
        if let Some(other) = seen.insert(folded(name.as_str()), key) {
            report.error(key, &format!("an application cannot tell the header {name} from that of {other}"), "name another");
            distinct = false;
        }
    }
    distinct
}
