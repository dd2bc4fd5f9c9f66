//! Rejection -> Response: the only place where an error gets a status code.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode, Version};

use super::pool::ConnectError;
use super::stamp::Unstampable;
use super::upstream::UpstreamError;
use crate::auth::{AuthError, Denied, ErrorForm, Offer};
use crate::inbound::Unclean;
use crate::payload::{PayloadError, ResponseBody};

/// What a client is asked to sign, RFC 9421 section 5.1.
const ACCEPT_SIGNATURE: HeaderName = HeaderName::from_static("accept-signature");

/// Why a request is not answered by the application.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// It could be read in two ways, or asks for what is not offered.
    #[error(transparent)]
    Unclean(#[from] Unclean),
    /// The host is not ours, or not the one that the TLS handshake named.
    #[error("misdirected: {0}")]
    Misdirected(&'static str),
    /// No route, no entry.
    #[error("no route matches")]
    NoRoute,
    /// One of Doorward's own pages, asked for in another way than by GET or HEAD.
    #[error("this page is only read")]
    ReadOnly,
    /// Nobody, or nobody that could be established.
    #[error("{0}")]
    Unauthenticated(#[source] AuthError, Vec<Offer>),
    /// Somebody, but not one of those that the route asks for.
    #[error("{0}")]
    Denied(#[source] Denied, Vec<Offer>),
    /// Somebody whose name cannot be told to the application.
    #[error("cannot stamp: {0}")]
    Unstampable(#[from] Unstampable),
    /// The client's body failed on its way.
    #[error(transparent)]
    Payload(PayloadError),
    /// The application failed.
    #[error(transparent)]
    Upstream(UpstreamError),
}

/// How the client wants to be told, and what is said to all.
#[derive(Debug)]
pub struct Manner<'a> {
    /// A browser that asked for a page gets a page.
    pub navigation: bool,
    /// A HEAD request gets the head alone.
    pub head_only: bool,
    /// `Connection` exists in HTTP/1 alone.
    pub version: Version,
    /// Whether the client waits to be told to send its body. It will not be: whether it sends one nevertheless, nobody knows (RFC 9110
    /// section 10.1.1).
    pub unasked: bool,
    /// Said in the body, so that a user can quote it.
    pub request_id: &'a str,
}

impl Rejection {
    /// The status, and a fixed code: the body's `error`, the log's `code` and the metric's label at once.
    #[must_use]
    pub fn public(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Unclean(unclean) => of_unclean(unclean),
            Self::Misdirected(_) => (StatusCode::MISDIRECTED_REQUEST, "misdirected_request"),
            Self::NoRoute => (StatusCode::NOT_FOUND, "not_found"),
            Self::ReadOnly => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::Unauthenticated(AuthError::Refused(crate::auth::Refusal::Missing), _) => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            Self::Unauthenticated(AuthError::Refused(crate::auth::Refusal::Unclaimed), _) => (StatusCode::UNAUTHORIZED, "invalid_token"),
            Self::Unauthenticated(AuthError::Refused(_), _) => (StatusCode::UNAUTHORIZED, "invalid_credentials"),
            Self::Unauthenticated(AuthError::RefusedAs(_, ErrorForm::Forbidden(_)), _) => (StatusCode::FORBIDDEN, "invalid_credentials"),
            Self::Unauthenticated(AuthError::RefusedAs(_, ErrorForm::Challenge(_) | ErrorForm::FlaskJwt { .. }), _) => {
                (StatusCode::UNAUTHORIZED, "invalid_credentials")
            }
            Self::Unauthenticated(AuthError::Unavailable(_), _) => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
            Self::Unauthenticated(AuthError::Payload(error), _) | Self::Payload(error) => of_payload(error),
            Self::Denied(Denied::Scope(_), _) => (StatusCode::FORBIDDEN, "insufficient_scope"),
            Self::Denied(Denied::Require(_), _) => (StatusCode::FORBIDDEN, "forbidden"),
            Self::Unstampable(_) => (StatusCode::FORBIDDEN, "unusable_identity"),
            Self::Upstream(UpstreamError::Connect(ConnectError::Busy(_))) => (StatusCode::SERVICE_UNAVAILABLE, "upstream_busy"),
            Self::Upstream(UpstreamError::Connect(_)) => (StatusCode::BAD_GATEWAY, "upstream_unreachable"),
            Self::Upstream(UpstreamError::TimedOut(_)) => (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout"),
            Self::Upstream(UpstreamError::Broken(_) | UpstreamError::Invalid(_)) => (StatusCode::BAD_GATEWAY, "upstream_failed"),
        }
    }

    /// One sentence for the client. Fixed texts: nothing of the request and nothing of a cause.
    fn sentence(&self) -> &'static str {
        match self {
            Self::Unclean(Unclean::Method) | Self::ReadOnly => "This method is not allowed.",
            Self::Unclean(Unclean::Expectation) => "The only expectation that is met is 100-continue.",
            Self::Unclean(Unclean::TooManyHeaders) => "The request has more header lines than are allowed.",
            Self::Unclean(Unclean::HeadTooLarge) => "The head of the request is longer than is allowed.",
            Self::Unclean(Unclean::Target(_)) => "The request's target is malformed or could be read in more than one way.",
            Self::Unclean(Unclean::Host(_)) => "The request does not name exactly one valid host.",
            Self::Unclean(Unclean::Header(_)) => "A header is malformed or sent more than once.",
            Self::Unclean(Unclean::Framing(_)) => "The length of the request's body is not said in one clear way.",
            Self::Unclean(Unclean::Payload(error)) | Self::Payload(error) | Self::Unauthenticated(AuthError::Payload(error), _) => {
                payload_sentence(error)
            }
            Self::Misdirected(_) => "This host is not served on this connection.",
            Self::NoRoute => "There is nothing here.",
            Self::Unauthenticated(AuthError::Refused(crate::auth::Refusal::Missing), _) => "Credentials are required.",
            Self::Unauthenticated(AuthError::Refused(_) | AuthError::RefusedAs(..), _) => "The credentials are not valid.",
            Self::Unauthenticated(AuthError::Unavailable(_), _) => "Credentials cannot be checked at the moment. Try again.",
            Self::Denied(Denied::Scope(_), _) => "The token does not hold a scope that is needed here.",
            Self::Denied(Denied::Require(_), _) => "You may not do this.",
            Self::Unstampable(_) => "The identity cannot be used with this application.",
            Self::Upstream(UpstreamError::Connect(ConnectError::Busy(_))) => "The application is busy. Try again.",
            Self::Upstream(UpstreamError::TimedOut(_)) => "The application did not answer in time.",
            Self::Upstream(_) => "The application cannot be reached.",
        }
    }

    /// The body for a client that knows a scheme's own words.
    fn own_words(&self) -> Option<String> {
        let Self::Unauthenticated(AuthError::RefusedAs(_, form), _) = self else { return None };
        match form {
            ErrorForm::Forbidden(text) => Some(serde_json::json!({ "error": text }).to_string()),
            ErrorForm::FlaskJwt { error, description } => {
                let status = self.public().0.as_u16();
                Some(format!("{{\"status_code\":{status},\"error\":{},\"description\":{}}}", text(error), text(description)))
            }
            ErrorForm::Challenge(_) => None,
        }
    }

    /// The headers of a refusal that a scheme words itself.
    fn own_headers(&self, headers: &mut HeaderMap) {
        let Self::Unauthenticated(AuthError::RefusedAs(_, form), _) = self else { return };
        match form {
            ErrorForm::Forbidden(_) => {}
            ErrorForm::FlaskJwt { .. } => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(ErrorForm::FLASK_JWT_CHALLENGE));
            }
            ErrorForm::Challenge(own) => {
                headers.insert(header::WWW_AUTHENTICATE, own.challenge.clone());
                if let Some(nonce) = &own.nonce {
                    headers.insert(HeaderName::from_static("dpop-nonce"), nonce.clone());
                }
            }
        }
    }

    fn challenges(&self) -> &[Offer] {
        match self {
            Self::Unauthenticated(AuthError::Refused(_), challenges) | Self::Denied(Denied::Scope(_), challenges) => challenges,
            Self::Unauthenticated(..)
            | Self::Denied(..)
            | Self::Unclean(_)
            | Self::Misdirected(_)
            | Self::NoRoute
            | Self::ReadOnly
            | Self::Unstampable(_)
            | Self::Payload(_)
            | Self::Upstream(_) => &[],
        }
    }

    /// What the client gets.
    #[must_use]
    pub fn into_response(self, manner: &Manner<'_>) -> Response<ResponseBody> {
        let (status, code) = self.public();
        let own_words = self.own_words();
        let page = manner.navigation && own_words.is_none();
        let (media_type, body) = if page {
            ("text/html; charset=utf-8", page_text(status, self.sentence(), manner))
        } else {
            ("application/json", own_words.unwrap_or_else(|| json(code, self.sentence(), manner)))
        };
        let length = HeaderValue::from(body.len());
        let mut response = Response::new(ResponseBody::full(if manner.head_only { String::new() } else { body }));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, length);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if page {
            headers.insert(
                header::CONTENT_SECURITY_POLICY,
                HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
            );
        }
        for offer in self.challenges() {
            headers.append(header::WWW_AUTHENTICATE, offer.challenge.0.clone());
            if let Some(what) = &offer.accept_signature {
                headers.append(ACCEPT_SIGNATURE, what.clone());
            }
        }
        self.own_headers(headers);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        // What follows a request that could be read in two ways is not read as another one.
        if (manner.unasked || matches!(self, Self::Unclean(_) | Self::Payload(_))) && manner.version < Version::HTTP_2 {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

fn of_unclean(unclean: &Unclean) -> (StatusCode, &'static str) {
    match unclean {
        Unclean::Method => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
        Unclean::Target(_) => (StatusCode::BAD_REQUEST, "malformed_target"),
        Unclean::Host(_) => (StatusCode::BAD_REQUEST, "malformed_host"),
        Unclean::Header(_) => (StatusCode::BAD_REQUEST, "malformed_header"),
        Unclean::Framing(_) => (StatusCode::BAD_REQUEST, "malformed_framing"),
        Unclean::Expectation => (StatusCode::EXPECTATION_FAILED, "expectation_failed"),
        Unclean::TooManyHeaders | Unclean::HeadTooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large"),
        Unclean::Payload(error) => of_payload(error),
    }
}

fn of_payload(error: &PayloadError) -> (StatusCode, &'static str) {
    match error {
        PayloadError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
        PayloadError::TimedOut => (StatusCode::REQUEST_TIMEOUT, "body_timeout"),
        PayloadError::Broken(_) => (StatusCode::BAD_REQUEST, "malformed_body"),
        PayloadError::Spool(_) => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
        PayloadError::Mismatch(_) => (StatusCode::UNAUTHORIZED, "invalid_credentials"),
    }
}

fn payload_sentence(error: &PayloadError) -> &'static str {
    match error {
        PayloadError::TooLarge(_) => "The request's body is longer than is allowed.",
        PayloadError::TimedOut => "The request's body did not arrive in time.",
        PayloadError::Broken(_) => "The request's body could not be read.",
        PayloadError::Spool(_) => "The request's body cannot be checked at the moment. Try again.",
        PayloadError::Mismatch(_) => "The credentials are not valid.",
    }
}

/// A JSON string.
fn text(text: &str) -> serde_json::Value {
    text.into()
}

fn json(code: &str, sentence: &str, manner: &Manner<'_>) -> String {
    serde_json::json!({ "error": code, "error_description": sentence, "request_id": manner.request_id }).to_string()
}

/// Fixed texts, and an id of our own making or one plain word: there is nothing to escape.
fn page_text(status: StatusCode, sentence: &str, manner: &Manner<'_>) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem}}code{{color:#666}}</style>\
         <h1>{title}</h1><p>{sentence}</p><p><code>{id}</code></p></html>\n",
        title = status.canonical_reason().unwrap_or("Error"),
        id = manner.request_id,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Challenge, Refusal};

    fn manner(navigation: bool) -> Manner<'static> {
        Manner { navigation, head_only: false, version: Version::HTTP_11, unasked: false, request_id: "r-1" }
    }

    #[test]
    fn a_refused_credential_is_401_and_an_undecidable_one_503_with_retry_after() {
        let challenge = || vec![Challenge(HeaderValue::from_static("Bearer")).into()];
        let refused = Rejection::Unauthenticated(AuthError::Refused(Refusal::Wrong("unknown key")), challenge()).into_response(&manner(false));
        assert_eq!((refused.status(), refused.headers().get("www-authenticate").unwrap().as_bytes()), (StatusCode::UNAUTHORIZED, &b"Bearer"[..]));
        let undecided = Rejection::Unauthenticated(AuthError::Unavailable(crate::store::Unavailable::new("store", "down")), challenge())
            .into_response(&manner(false));
        assert_eq!(
            (undecided.status(), undecided.headers().contains_key("retry-after"), undecided.headers().contains_key("www-authenticate")),
            (StatusCode::SERVICE_UNAVAILABLE, true, false)
        );
    }

    #[test]
    fn a_schemes_own_words_are_told_as_they_are_without_a_challenge() {
        let error = AuthError::RefusedAs(Refusal::Wrong("unknown key"), ErrorForm::Forbidden("signature error".into()));
        for navigation in [false, true] {
            let rejection = Rejection::Unauthenticated(AuthError::RefusedAs(Refusal::Missing, ErrorForm::Forbidden("a \"b\"".into())), Vec::new());
            assert_eq!(rejection.own_words().unwrap(), r#"{"error":"a \"b\""}"#);
            let response = rejection.into_response(&manner(navigation));
            assert_eq!((response.status(), response.headers()["content-type"].as_bytes()), (StatusCode::FORBIDDEN, &b"application/json"[..]));
        }
        let response = Rejection::Unauthenticated(error, vec![Challenge(HeaderValue::from_static("Bearer")).into()]).into_response(&manner(false));
        assert!(!response.headers().contains_key("www-authenticate"));
    }

    #[test]
    fn a_browser_gets_a_page_that_runs_nothing() {
        let response = Rejection::NoRoute.into_response(&manner(true));
        assert_eq!(response.headers().get("content-type").unwrap(), "text/html; charset=utf-8");
        assert!(response.headers().get("content-security-policy").unwrap().to_str().unwrap().starts_with("default-src 'none'"));
    }
}
