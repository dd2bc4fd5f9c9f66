//! What plain HTTP is told: come back over TLS. Never contacts the upstream, and sends no `Strict-Transport-Security`, which
//! means nothing on plain HTTP (RFC 6797 section 7.2).
//!
//! ```text
//! GET http://app.example.com:8080/a?b   ->  308  Location: https://app.example.com:8443/a?b
//! POST, or with a credential            ->  403  it has been seen by everyone on the way: a redirect would hide that
//! ```

use http::header::{AUTHORIZATION, HOST, HeaderValue, LOCATION, PROXY_AUTHORIZATION};
use http::{Method, Request, StatusCode};
use url::Url;

use super::ListenSettings;
use super::plain::{self, Answer};
use crate::inbound::{parse_host, path_is_clear};
use crate::types::{HostPattern, Report};

/// Query parameters that carry credentials.
const SECRET_PARAMETERS: [&str; 4] = ["_s", "signature", "Signature", "access_token"];

/// Where to send clients.
#[derive(Debug, Clone)]
pub(super) struct Redirect {
    /// `host[:port]` of `public_url`: used for all, whatever host they asked for.
    authority: Option<String>,
    /// Empty: all.
    hosts: Vec<HostPattern>,
    /// The TLS listener's port; `None` if it has none, or the standard one.
    port: Option<u16>,
}

impl Redirect {
    /// `port` is that of the first TLS listener. Reports a `public_url` that cannot be one.
    pub(super) fn new(settings: &ListenSettings, port: Option<u16>, report: &mut Report) -> Option<Self> {
        let authority = match &settings.public_url {
            Some(text) => Some(authority(text).or_else(|| {
                report.error("public_url", &format!("{text:?} is not an https:// address of a host"), "write \"https://app.example.com\"");
                None
            })?),
            None => None,
        };
        Some(Self { authority, hosts: settings.hosts.clone(), port: port.filter(|port| *port != 443) })
    }

    /// Answers a request. `exposed`: it holds a credential of a configured scheme.
    pub(super) fn answer<B>(&self, request: &Request<B>, exposed: bool) -> Answer {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return plain::text(StatusCode::FORBIDDEN, "This server speaks https only. What was sent over http could be read on the way.\n");
        }
        if exposed || has_credentials(request) {
            return plain::text(
                StatusCode::FORBIDDEN,
                "A credential was sent over http, where it could be read on the way. Replace it, and use https from now on.\n",
            );
        }
        match self.location(request) {
            Some(location) => {
                let mut answer = plain::text(StatusCode::PERMANENT_REDIRECT, "Use https.\n");
                answer.headers_mut().insert(LOCATION, location);
                answer
            }
            None => {
                plain::text(StatusCode::BAD_REQUEST, "The request names no host that is served here, or a path that could be read in two ways.\n")
            }
        }
    }

    fn location<B>(&self, request: &Request<B>) -> Option<HeaderValue> {
        let path = request.uri().path_and_query().map(http::uri::PathAndQuery::as_str).filter(|_| path_is_clear(request.uri().path()))?;
        let authority = match &self.authority {
            Some(authority) => authority.clone(),
            None => {
                let name = self.asked_host(request)?;
                self.port.map_or_else(|| name.clone(), |port| format!("{name}:{port}"))
            }
        };
        HeaderValue::from_bytes(format!("https://{authority}{path}").as_bytes()).ok()
    }

    /// The host of the request if it is one, the only one, and one of ours.
    fn asked_host<B>(&self, request: &Request<B>) -> Option<String> {
        let mut given = request.headers().get_all(HOST).iter();
        let (host, more) = (given.next()?.to_str().ok()?, given.next());
        // An absolute target would name the host a second time (RFC 9112 section 3.2.2); no browser sends one here.
        if more.is_some() || request.uri().authority().is_some() {
            return None;
        }
        let (name, _port) = parse_host(host)?;
        let bare = name.trim_matches(['[', ']']);
        let ours = self.hosts.is_empty() || self.hosts.iter().any(|host| host.matches(&name) || host.matches(bare));
        ours.then_some(name)
    }
}

fn authority(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let plain = url.scheme() == "https" && url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    let host = url.host_str().filter(|host| plain && !host.is_empty())?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

fn has_credentials<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    if headers.contains_key(AUTHORIZATION) || headers.contains_key(PROXY_AUTHORIZATION) {
        return true;
    }
    let query = request.uri().query().unwrap_or_default();
    query.split(['&', ';']).any(|pair| {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
        SECRET_PARAMETERS.contains(&&*name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redirect(public_url: Option<&str>, hosts: &[&str], port: u16) -> Redirect {
        let settings = ListenSettings {
            https: Vec::new(),
            http: Vec::new(),
            admin: None,
            public_url: public_url.map(str::to_owned),
            hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
            trusted_proxies: Vec::new(),
            hsts: String::new(),
        };
        Redirect::new(&settings, Some(port), &mut Report::default()).unwrap()
    }

    fn ask(redirect: &Redirect, method: &str, target: &str, headers: &[(&str, &str)]) -> (u16, Option<String>) {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = redirect.answer(&request.body(()).unwrap(), false);
        assert!(answer.headers().get("strict-transport-security").is_none());
        let location = answer.headers().get(LOCATION).map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), location)
    }

    #[test]
    fn a_plain_get_is_sent_to_the_same_place_over_tls() {
        for (port, target, host, location) in [
            (443, "/", "app.example.com", "https://app.example.com/"),
            (8443, "/a/b?c=d&e", "App.Example.com:8080", "https://app.example.com:8443/a/b?c=d&e"),
            (443, "/evil", "127.0.0.1:80", "https://127.0.0.1/evil"),
            (443, "/x", "[2001:DB8::1]:80", "https://[2001:db8::1]/x"),
        ] {
            let have = ask(&redirect(None, &[], port), "GET", target, &[("host", host)]);
            assert_eq!(have, (308, Some(location.to_owned())), "{host} {target}");
        }
        assert_eq!(ask(&redirect(None, &[], 443), "HEAD", "/", &[("host", "a")]).0, 308);
    }

    #[test]
    fn a_path_that_could_be_read_as_a_host_or_in_two_ways_is_not_repeated() {
        for target in ["//evil.example/%2f..", "/\\evil", "/a/../b", "/%2e%2e/a", "/a;b"] {
            assert_eq!(ask(&redirect(None, &[], 443), "GET", target, &[("host", "a")]), (400, None), "{target}");
        }
    }

    #[test]
    fn a_credential_of_a_configured_scheme_is_refused_wherever_it_stands() {
        let request = Request::builder().uri("/x").header("host", "a").body(()).unwrap();
        assert_eq!(redirect(None, &[], 443).answer(&request, true).status(), StatusCode::FORBIDDEN);
    }

    #[test]
    fn the_public_url_is_said_whatever_host_was_asked_for() {
        let fixed = redirect(Some("https://app.example.com:444/ignored"), &[], 8443);
        for headers in [&[("host", "evil.example")][..], &[], &[("host", "a@b")]] {
            assert_eq!(ask(&fixed, "GET", "/x", headers), (308, Some("https://app.example.com:444/x".to_owned())));
        }
    }

    #[test]
    fn a_host_that_is_none_is_never_repeated() {
        for host in [
            "", "a@b", "a/b", "a,b", "a b", "a:", "a:b", "a:99999", "a:+80", "[::1", "[x]", "[::1]x", "a..b", ".", "a%2f", "*.a", "a\\b", "a#b",
            "a?b",
        ] {
            assert_eq!(ask(&redirect(None, &[], 443), "GET", "/", &[("host", host)]), (400, None), "{host:?}");
        }
        assert_eq!(ask(&redirect(None, &[], 443), "GET", "/", &[]), (400, None));
        assert_eq!(ask(&redirect(None, &[], 443), "GET", "/", &[("host", "a"), ("host", "a")]), (400, None));
        assert_eq!(ask(&redirect(None, &[], 443), "GET", "http://evil.example/", &[("host", "a")]), (400, None));
        assert_eq!(ask(&redirect(None, &[], 443), "GET", "*", &[("host", "a")]), (400, None));
    }

    #[test]
    fn only_configured_hosts_are_repeated() {
        let ours = redirect(None, &["app.example.com", "*.apps.example.com"], 443);
        for (host, status) in [("app.example.com", 308), ("x.apps.example.com:80", 308), ("example.com", 400), ("a.b.apps.example.com", 400)] {
            assert_eq!(ask(&ours, "GET", "/", &[("host", host)]).0, status, "{host}");
        }
    }

    #[test]
    fn what_changes_something_or_carries_a_credential_is_refused() {
        let redirect = redirect(None, &[], 443);
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get"] {
            assert_eq!(ask(&redirect, method, "/", &[("host", "a")]), (403, None), "{method}");
        }
        assert_eq!(ask(&redirect, "GET", "/", &[("host", "a"), ("authorization", "Bearer x")]), (403, None));
        for query in
            ["_s=1", "a=b&_s", "signature=x", "access_token=x", "%5fs=1", "a;access%5Ftoken=x", "_k=1&_s=2", "AWSAccessKeyId=a&Expires=1&Signature=x"]
        {
            assert_eq!(ask(&redirect, "GET", &format!("/?{query}"), &[("host", "a")]), (403, None), "{query}");
        }
        for query in ["s=1", "a=_s", "signatures=x", "x_s=1"] {
            assert_eq!(ask(&redirect, "GET", &format!("/?{query}"), &[("host", "a")]).0, 308, "{query}");
        }
        assert_eq!(ask(&redirect, "GET", "/", &[("host", "a"), ("cookie", "a=b")]).0, 308);
    }

    #[test]
    fn a_public_url_that_is_none_is_reported() {
        for text in ["", "app.example.com", "http://a", "https://", "https://u:p@a", "https://a/?b", "https://a/#b"] {
            let mut report = Report::default();
            let settings = ListenSettings {
                https: Vec::new(),
                http: Vec::new(),
                admin: None,
                public_url: Some(text.to_owned()),
                hosts: Vec::new(),
                trusted_proxies: Vec::new(),
                hsts: String::new(),
            };
            assert!(Redirect::new(&settings, None, &mut report).is_none(), "{text}");
            assert_eq!(report.problems()[0].key, "public_url");
        }
    }
}
