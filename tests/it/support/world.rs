//! The standard world: one gateway before one upstream, with all four schemes and a route for each.

use std::ops::Deref;

use serde_json::{Value, json};

use super::client::Call;
use super::fost::{self, Fost};
use super::gateway::Gateway;
use super::idp::{self, Key};
use super::setup::Setup;
use super::upstream::Upstream;

/// The four schemes of the standard world, by kind. Those that have tests of their own alone are in the matrix too.
pub const SCHEMES: [&str; 4] = ["fost", "jwt", "token", "basic"];

/// The password of `bob`.
pub const PASSWORD: &str = "correct horse battery staple 7";

/// A running standard world.
pub struct World {
    pub gate: Gateway,
    pub upstream: Upstream,
    pub key: Key,
    pub token: String,
}

impl Deref for World {
    type Target = Gateway;

    fn deref(&self) -> &Gateway {
        &self.gate
    }
}

/// Adds the four schemes to a setup: `partners` (fost), `corp` (jwt), `tokens`, `staff` (basic), and gives the bearer token.
pub fn schemes(setup: Setup, key: &Key) -> (Setup, String) {
    let setup = setup.file("secrets/aspnet.key", fost::SECRET).file("secrets/jwks.json", &idp::jwks(&[key])).rest(&format!(
        r#"
[auth.partners.fost]
[auth.partners.fost.keys.{fost_key}]
secret_file = "secrets/aspnet.key"
user = "webshop"
impersonate = true
[auth.corp.jwt]
issuer = "{issuer}"
jwks_file = "secrets/jwks.json"
audience = ["{audience}"]
algorithms = ["RS256", "PS256", "ES256", "EdDSA"]
[auth.tokens.token]
source = "store"
[auth.staff.basic]
users = "store"
"#,
        fost_key = fost::KEY,
        issuer = idp::ISSUER,
        audience = idp::AUDIENCE,
    ));
    setup.cli_ok(&["user", "add", "bob", "--group", "staff", "--password-stdin"], &format!("{PASSWORD}\n"));
    setup.cli_ok(&["user", "add", "tom", "--password-stdin"], "another password of some length\n");
    let issued = setup.cli_ok(&["token", "issue", "--user", "tom", "--scope", "read", "--json"], "");
    let token = serde_json::from_str::<Value>(&issued).unwrap()["token"].as_str().unwrap().to_owned();
    (setup, token)
}

impl World {
    pub async fn start() -> Self {
        Self::with(|setup| setup).await
    }

    /// With changes to the configuration, and with further routes before the standard ones where `change` adds some.
    pub async fn with(change: impl FnOnce(Setup) -> Setup) -> Self {
        let upstream = Upstream::echo();
        let key = Key::generate("test-1", "ES256");
        let setup = change(Setup::new(&upstream.url()))
            .public("/public/**")
            .route("/fost/**", &["partners"])
            .route("/jwt/**", &["corp"])
            .route("/token/**", &["tokens"])
            .route("/basic/**", &["staff"])
            .route("/any/**", &["partners", "corp", "tokens", "staff"]);
        let (setup, token) = schemes(setup, &key);
        Self { gate: setup.start().await, upstream, key, token }
    }

    /// Whom a good credential of this scheme stands for.
    pub fn user_of(scheme: &str) -> &'static str {
        match scheme {
            "fost" => "webshop",
            "jwt" => "carol",
            "token" => "tom",
            "basic" => "bob",
            other => panic!("no scheme {other}"),
        }
    }

    /// The headers of a good credential for a request without body.
    pub fn good(&self, scheme: &str, method: &str, target: &str) -> Vec<(String, String)> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match scheme {
            "fost" => Fost::new().sign(method, path, query.as_bytes()),
            "jwt" => bearer(&self.key.token(&idp::claims("carol"))),
            "token" => bearer(&self.token),
            "basic" => basic("bob", PASSWORD),
            other => panic!("no scheme {other}"),
        }
    }

    /// The headers of a credential of the right form that nobody gave out.
    pub fn forged(scheme: &str, method: &str, target: &str) -> Vec<(String, String)> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match scheme {
            "fost" => Fost::new().key(fost::KEY, "another secret").sign(method, path, query.as_bytes()),
            "jwt" => bearer(&Key::generate("test-1", "ES256").token(&idp::claims("carol"))),
            "token" => bearer("dw_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"),
            "basic" => basic("bob", "wrong"),
            other => panic!("no scheme {other}"),
        }
    }

    /// A GET below the scheme's route with a good credential.
    pub fn good_call(&self, scheme: &str) -> Call {
        let target = format!("/{scheme}/page");
        self.gate.get(&target).headers(&self.good(scheme, "GET", &target))
    }
}

/// An `Authorization: Bearer` header.
pub fn bearer(token: &str) -> Vec<(String, String)> {
    vec![("Authorization".to_owned(), format!("Bearer {token}"))]
}

/// An `Authorization: Basic` header.
pub fn basic(user: &str, password: &str) -> Vec<(String, String)> {
    vec![("Authorization".to_owned(), format!("Basic {}", super::base64(format!("{user}:{password}"))))]
}

/// A JSON object of claims with more in it.
pub fn claims_and(user: &str, more: Value) -> Value {
    let mut claims = idp::claims(user);
    let more = match more {
        Value::Object(map) => map,
        other => panic!("{}", json!({"not an object": other})),
    };
    claims.as_object_mut().unwrap().extend(more);
    claims
}
