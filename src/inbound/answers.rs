//! What of an application's answer is not for the client.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::header_names::remove_if;

/// What `Connection` may not take away of an answer.
const NOT_NOMINATED: [HeaderName; 3] = [header::CONTENT_LENGTH, header::SET_COOKIE, header::CONTENT_TYPE];

/// What the `Connection` of an answer says (RFC 9110 section 7.6.1).
#[derive(Debug, Default)]
pub struct ConnectionOptions {
    /// The connection ends with this answer.
    pub close: bool,
    /// It does not.
    pub keep_alive: bool,
    /// Headers that end at this hop.
    listed: Vec<HeaderName>,
}

impl ConnectionOptions {
    /// Reads one more line of it. What is no name of a header names nothing.
    pub fn read(&mut self, line: &HeaderValue) {
        for option in line.as_bytes().split(|b| *b == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                // The header of this name is removed anyway.
                self.keep_alive = true;
            } else if let Ok(name) = HeaderName::from_bytes(option)
                && !NOT_NOMINATED.contains(&name)
            {
                self.listed.push(name);
            }
        }
    }

    /// Removes what ends at this hop, and what is asserted to the application: should it echo that, the client is not told.
    pub fn strip(&self, headers: &mut HeaderMap) {
        for name in &self.listed {
            headers.remove(name);
        }
        remove_if(headers, |name| ends_here(name) || is_asserted(name));
    }
}

/// Removes from the trailers of an answer what is not for the client, or may not stand there (RFC 9110 section 6.5.1).
pub fn strip_trailers(trailers: &mut HeaderMap) {
    let mut options = ConnectionOptions::default();
    trailers.get_all(header::CONNECTION).iter().for_each(|line| options.read(line));
    options.strip(trailers);
    for name in [header::CONTENT_LENGTH, header::SET_COOKIE, header::WWW_AUTHENTICATE, header::LOCATION, header::CONTENT_TYPE, header::TRAILER] {
        trailers.remove(name);
    }
}

/// Headers of one hop. The length stays: whoever sends the answer on frames it anew.
fn ends_here(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

fn is_asserted(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-forwarded-") || name.as_str().starts_with("x-doorward-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        headers.keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn options_are_read_in_any_case_and_over_several_lines() {
        for (lines, close, keep_alive) in [
            (&["close"][..], true, false),
            (&["x, Close"], true, false),
            (&["Keep-Alive"], false, true),
            (&["keep-alive", "CLOSE"], true, true),
            (&["close-not", ""], false, false),
            (&[], false, false),
        ] {
            let mut options = ConnectionOptions::default();
            lines.iter().for_each(|line| options.read(&HeaderValue::from_static(line)));
            assert_eq!((options.close, options.keep_alive), (close, keep_alive), "{lines:?}");
        }
    }

    #[test]
    fn what_ends_here_is_listed_or_echoed_goes_and_the_rest_stays() {
        let mut answer = headers(&[
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-authenticate", "Basic"),
            ("x-forwarded-user", "alice"),
            ("x-doorward-signature", "v1"),
            ("x-listed", "1"),
            ("set-cookie", "a=1"),
            ("content-type", "a/b"),
            ("content-length", "3"),
            ("x-kept", "1"),
        ]);
        let mut options = ConnectionOptions::default();
        options.read(&HeaderValue::from_static("X-Listed, not a name, Set-Cookie, content-type, Content-Length, keep-alive"));
        options.strip(&mut answer);
        let mut left = names(&answer);
        left.sort_unstable();
        assert_eq!(left, ["content-length", "content-type", "set-cookie", "x-kept"]);
    }

    #[test]
    fn trailers_hold_nothing_that_belongs_into_a_head() {
        let mut trailers = headers(&[
            ("connection", "x-listed"),
            ("x-listed", "1"),
            ("content-length", "3"),
            ("set-cookie", "a=1"),
            ("www-authenticate", "Basic"),
            ("location", "/"),
            ("content-type", "a/b"),
            ("trailer", "x"),
            ("x-forwarded-for", "10.1.1.1"),
            ("server-timing", "db;dur=1"),
        ]);
        strip_trailers(&mut trailers);
        assert_eq!(names(&trailers), ["server-timing"]);
    }
}
