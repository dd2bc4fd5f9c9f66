//! Tokens that the Kubernetes API server knows: its TokenReview API is asked.
//!
//! ```text
//! POST /apis/authentication.k8s.io/v1/tokenreviews     with the pod's own token and the cluster's authority
//! {"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":…,"audiences":[…]}}
//! 201 {…,"status":{"authenticated":true,"user":{"username":"system:serviceaccount:NS:NAME","groups":[…]},"audiences":[…]}}
//! ```
//!
//! Unlike `jwt` with the cluster as issuer, this learns of a service account or pod that was deleted, within `[cache]
//! max_age`. Answers are facts: the expiry is judged on every request. A token of another form than a JWT's is another
//! scheme's; the server's silence is 503.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::bearer::{self, Carrier, has_jwt_form};
use super::jwt::claims::date;
use super::jwt::compact::{decode, issuer_of};
use super::{AuthError, Challenge, CredentialNames, Identity, Refusal, Subject, valid_user_name};
use crate::idp::{Client, IssuerUrl, bearer_header};
use crate::inbound::{Conn, Inbound};
use crate::store::cache::{Known, Limits};
use crate::store::facts::Facts;
use crate::store::facts::Origin;
use crate::store::jwks::bearer_token;
use crate::store::sources::Watch;
use crate::store::{Stores, Unavailable};
use crate::types::{self, Report, unix_now};

/// Longer tokens are refused before anything is computed of them.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// How many questions are under way at a time.
const LOADS: usize = 256;
const PATH: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const SOURCE: &str = "kubernetes";

/// `[auth.NAME.kubernetes-token-review]`. The defaults are those of a pod.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The API server.
    url: String,
    /// The authority that vouches for it.
    ca_file: PathBuf,
    /// Doorward's own token; read for every question.
    bearer_token_file: PathBuf,
    /// For whom tokens must be: asked of the server, and looked for in its answer.
    #[serde(deserialize_with = "bearer::one_or_many")]
    audience: Option<Vec<String>>,
    /// `false` for tokens that are for the API server itself.
    audience_check: bool,
    /// Tokens of another `iss` are left to other schemes.
    issuer: Option<String>,
    /// Words before the token in `Authorization`.
    #[serde(deserialize_with = "bearer::one_or_many")]
    prefix: Option<Vec<String>>,
    /// A header that may hold the token.
    header: Option<String>,
    /// A cookie that may hold the token.
    cookie: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let of_pod = |name: &str| PathBuf::from(format!("/var/run/secrets/kubernetes.io/serviceaccount/{name}"));
        Self {
            url: "https://kubernetes.default.svc".to_owned(),
            ca_file: of_pod("ca.crt"),
            bearer_token_file: of_pod("token"),
            audience: None,
            audience_check: true,
            issuer: None,
            prefix: None,
            header: None,
            cookie: None,
        }
    }
}

/// The scheme.
#[derive(Debug)]
pub struct TokenReview {
    name: Arc<str>,
    carrier: Carrier,
    issuer: Option<String>,
    reviewer: Arc<Reviewer>,
    known: Known<Subject>,
}

/// Who is asked, and for which audiences.
#[derive(Debug)]
struct Reviewer {
    client: Client,
    url: String,
    bearer_token_file: PathBuf,
    audiences: Vec<String>,
    watch: Arc<Watch>,
}

impl TokenReview {
    /// Builds the scheme; reports what is wrong with the settings and returns `None` then. Asks nobody.
    pub fn build(name: &str, settings: Settings, stores: &Arc<Stores>, report: &mut Report) -> Option<Self> {
        let audiences = settings.checked_audience(report);
        let url = match settings.url.parse::<IssuerUrl>() {
            Ok(url) => Some(format!("{}{PATH}", url.as_url().as_str().trim_end_matches('/'))),
            Err(error) => {
                report.error("url", &error, "write the API server's https:// URL, or leave it out within a pod");
                None
            }
        };
        let client = match Client::build(Some(&settings.ca_file), stores.aux.clone()) {
            Ok(client) => Some(client),
            Err(error) => {
                report.error("ca_file", &error, "name the PEM file of the cluster's authority");
                None
            }
        };
        let carrier = Carrier::build(settings.prefix, settings.header, settings.cookie, report)?;
        let url = url?;
        // Of one server there is one account, however many schemes ask it.
        let watch = stores.token_reviews.get(Facts::key(SOURCE, url.as_bytes()), || Watch::new(&format!("{SOURCE} {}", url.trim_end_matches(PATH))));
        let reviewer = Reviewer { client: client?, url, bearer_token_file: settings.bearer_token_file, audiences: audiences?, watch };
        let limits = Limits::new(&stores.cache, LOADS);
        let known = Known::new(SOURCE, limits, stores.aux.clone(), Arc::clone(&stores.metrics), |metrics| &metrics.tokens);
        let known = known.ended_by(&stores.revocations);
        Some(Self { name: name.into(), carrier, issuer: settings.issuer, reviewer: Arc::new(reviewer), known })
    }

    /// Whether the request bears a credential of this scheme, and whose.
    pub async fn authenticate(&self, _: &Conn, inbound: &mut Inbound) -> Result<Option<Identity>, AuthError> {
        let Some(token) = self.carrier.take(inbound)? else { return Ok(None) };
        if !has_jwt_form(token) {
            return Ok(None);
        }
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refusal::Malformed("the token is longer than 8 KiB").into());
        }
        if self.issuer.is_some() && issuer_of(token) != self.issuer {
            return Ok(None);
        }
        let key = Facts::key(&self.name, token.as_bytes());
        let load = || {
            let (reviewer, token) = (Arc::clone(&self.reviewer), token.to_owned());
            async move { reviewer.watch.heard(reviewer.review(&token).await) }
        };
        let Some(subject) = self.known.get(key, Instant::now(), load).await? else {
            return Err(Refusal::Wrong("the API server does not know the token").into());
        };
        if subject.expires.is_some_and(|expires| expires <= unix_now()) {
            return Err(Refusal::Expired.into());
        }
        Ok(Some(Identity { subject, scheme: Arc::clone(&self.name), query_credentials: &[] }))
    }

    /// How to ask for this scheme's credential: RFC 6750 section 3. All texts are fixed.
    pub fn challenge(&self, why: &Refusal) -> Challenge {
        Challenge(HeaderValue::from_static(match why {
            Refusal::Missing => r#"Bearer realm="doorward""#,
            Refusal::Expired => r#"Bearer realm="doorward", error="invalid_token", error_description="The token has expired""#,
            Refusal::Unclaimed
            | Refusal::Malformed(_)
            | Refusal::Wrong(_)
            | Refusal::Mismatch(_)
            | Refusal::WrongBody(_)
            | Refusal::NotYetValid
            | Refusal::Skewed(_)
            | Refusal::WrongAudience
            | Refusal::WrongIssuer
            | Refusal::Replayed
            | Refusal::Forbidden(_) => r#"Bearer realm="doorward", error="invalid_token", error_description="The token is not accepted""#,
        }))
    }

    /// Where this scheme's credentials travel.
    pub fn credentials(&self) -> CredentialNames {
        self.carrier.credentials()
    }
}

impl Settings {
    fn checked_audience(&self, report: &mut Report) -> Option<Vec<String>> {
        let listed = self.audience.clone().unwrap_or_default();
        match (listed.is_empty() || listed.iter().any(String::is_empty), self.audience_check) {
            (false, true) => return Some(listed),
            (true, true) => report.error(
                "audience",
                "no audience is given: whoever may call the API server would be let in with that token",
                "write audience = [\"…\"] and mount tokens for it: serviceAccountToken: { audience: … }",
            ),
            (false, false) => report.error("audience_check", "an audience is given and is not to be checked", "remove audience_check"),
            (true, false) => {
                report.warn("audience_check", "tokens for the API server itself are accepted", "write audience = [\"…\"]");
                return Some(Vec::new());
            }
        }
        None
    }
}

impl Reviewer {
    /// `Ok(None)`: the server says that the token is not good.
    async fn review(&self, token: &str) -> Result<Option<Subject>, Unavailable> {
        let down = |cause: String| Unavailable::new(SOURCE, format_args!("{}: {cause}", self.url));
        let own = bearer_token(&self.bearer_token_file).await.map_err(down)?;
        let spec = json!({"token": token, "audiences": self.audiences});
        let question = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec});
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.url)
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, bearer_header(&own).map_err(|error| down(error.to_string()))?)
            .body(Full::new(Bytes::from(question.to_string())))
            .map_err(|error| down(error.to_string()))?;
        let answer = self.client.send(request).await.map_err(|error| down(error.to_string()))?;
        // A refusal here is of Doorward's own token, or of its right to ask. It says nothing of the caller.
        if !matches!(answer.status, 200 | 201) {
            return Err(down(format!("status {}", answer.status)));
        }
        read(&answer.body, token, &self.audiences).map_err(|cause| down(cause.to_owned()))
    }
}

#[derive(Deserialize)]
struct Answer {
    kind: String,
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    authenticated: bool,
    user: User,
    audiences: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct User {
    username: String,
    uid: String,
    groups: Vec<String>,
    extra: Map<String, Value>,
}

/// Reads the server's answer. `Ok(None)`: the token is not good, or not for us. The error is for the log.
fn read(body: &[u8], token: &str, audiences: &[String]) -> Result<Option<Subject>, &'static str> {
    let answer: Answer = serde_json::from_slice(body).map_err(|_| "the answer is no TokenReview")?;
    if answer.kind != "TokenReview" {
        return Err("the answer is no TokenReview");
    }
    let Status { authenticated, user, audiences: accepted } = answer.status;
    // A server that does not know of audiences answers without any: then the token is for the server itself.
    let for_us = audiences.is_empty() || audiences.iter().any(|ours| accepted.contains(ours));
    if !authenticated || !for_us || !valid_user_name(&user.username) {
        return Ok(None);
    }
    let mut claims = Map::new();
    // What the server does not repeat, of a token that it has verified: by these a token is revoked.
    if let Some(mut own) = payload(token) {
        claims.extend(["iss", "jti", "iat"].into_iter().filter_map(|name| own.remove(name).map(|value| (name.to_owned(), value))));
    }
    claims.insert("sub".to_owned(), user.username.clone().into());
    claims.insert("uid".to_owned(), user.uid.into());
    claims.insert("aud".to_owned(), accepted.into());
    claims.insert("extra".to_owned(), user.extra.into());
    let groups = user.groups.into_iter().filter(|group| valid_user_name(group)).collect();
    let origin = Origin::of_known_token(token, &claims);
    Ok(Some(Subject { user: user.username, groups, expires: expiry(token), claims, origin, ..Subject::default() }))
}

/// The token's own `exp`. The server has verified it; it does not say it.
fn expiry(token: &str) -> Option<i64> {
    date(&payload(token)?, "exp", f64::floor).ok().flatten()
}

fn payload(token: &str) -> Option<Map<String, Value>> {
    types::json::object(&decode(token.split('.').nth(1)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjE4MDAwMDAwMDB9.c2ln";

    fn answer(status: &Value) -> String {
        json!({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {}, "status": status}).to_string()
    }

    fn good() -> Value {
        json!({
            "authenticated": true,
            "user": {"username": "system:serviceaccount:shop:web", "uid": "u-1", "groups": ["system:serviceaccounts", "a\nb"],
                     "extra": {"authentication.kubernetes.io/pod-name": ["web-1"]}},
            "audiences": ["orders"],
        })
    }

    fn review(status: &Value) -> Result<Option<Subject>, &'static str> {
        read(answer(status).as_bytes(), TOKEN, &["orders".to_owned(), "billing".to_owned()])
    }

    #[test]
    fn what_the_server_does_not_repeat_is_taken_from_the_token_that_it_verified() {
        use base64::Engine;
        let payload =
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"iss":"https://k8s","jti":"j-1","iat":1790000000,"sub":"mallory"}"#);
        let subject = read(answer(&good()).as_bytes(), &format!("e30.{payload}.c2ln"), &["orders".to_owned()]).unwrap().unwrap();
        assert_eq!((&subject.claims["iss"], &subject.claims["jti"]), (&json!("https://k8s"), &json!("j-1")));
        assert_eq!(subject.claims["sub"], "system:serviceaccount:shop:web", "who it is, the server says");
        assert!(matches!(subject.origin, Origin::Elsewhere { issued: Some(1_790_000_000), .. }), "{:?}", subject.origin);
    }

    #[test]
    fn an_authenticated_user_is_told_with_groups_and_expiry() {
        let subject = review(&good()).unwrap().unwrap();
        assert_eq!((subject.user.as_str(), subject.expires), ("system:serviceaccount:shop:web", Some(1_800_000_000)));
        assert_eq!(subject.groups, ["system:serviceaccounts"]);
        assert_eq!(subject.claims["extra"]["authentication.kubernetes.io/pod-name"][0], "web-1");
    }

    #[test]
    fn a_token_that_is_not_authenticated_or_not_for_us_is_not_good() {
        for (name, value) in [
            ("authenticated", json!(false)),
            ("audiences", json!([])),
            ("audiences", json!(["other"])),
            ("audiences", json!(["order"])),
            ("user", json!({})),
            ("user", json!({"username": ""})),
            ("user", json!({"username": "a\r\nb"})),
        ] {
            let mut status = good();
            status[name] = value.clone();
            assert_eq!(review(&status), Ok(None), "{name} {value}");
        }
        assert_eq!(review(&json!({"error": "[invalid bearer token, Token has been invalidated]"})), Ok(None));
        let mut status = good();
        status.as_object_mut().unwrap().remove("audiences");
        assert_eq!(review(&status), Ok(None), "a server without audiences");
        assert!(read(answer(&status).as_bytes(), TOKEN, &[]).unwrap().is_some());
    }

    #[test]
    fn an_answer_of_another_form_is_no_answer() {
        for (name, value) in [("authenticated", json!("true")), ("authenticated", json!(1)), ("audiences", json!("orders")), ("user", json!("x"))] {
            let mut status = good();
            status[name] = value.clone();
            assert!(review(&status).is_err(), "{name} {value}");
        }
        let other = answer(&good()).replace("\"TokenReview\"", "\"Status\"");
        for bad in ["", "{}", "[]", "null", "<html>", r#"{"kind":"TokenReview"}"#, r#"{"kind":"TokenReview","status":null}"#, &other] {
            assert!(read(bad.as_bytes(), TOKEN, &[]).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_audience_is_asked_for_or_it_is_said_that_it_is_not() {
        let check = |toml: &str| {
            let mut report = Report::default();
            let audience = toml::from_str::<Settings>(toml).unwrap().checked_audience(&mut report);
            (audience.is_some(), report.problems().first().map(|problem| problem.key.clone()))
        };
        let key = |key: &str| Some(key.to_owned());
        assert_eq!(check("audience = 'orders'"), (true, None));
        assert_eq!(check("audience_check = false"), (true, key("audience_check")));
        assert_eq!(check(""), (false, key("audience")));
        assert_eq!(check("audience = []"), (false, key("audience")));
        assert_eq!(check("audience = ['']"), (false, key("audience")));
        assert_eq!(check("audience = ['a']\naudience_check = false"), (false, key("audience_check")));
    }
}
