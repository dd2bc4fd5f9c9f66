//! An introspection server (RFC 7662) on loopback, with switches.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::idp::{Key, jwks};
use super::now;
use super::upstream::{Act, Seen, Upstream, answer};

/// How the server behaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Manner {
    #[default]
    Well,
    /// Hangs up on everyone.
    Down,
    /// Never answers.
    Silent,
    /// These bytes, whoever asks for what.
    Says(Vec<u8>),
}

/// What it knows and how it is.
#[derive(Default)]
struct State {
    manner: Manner,
    tokens: BTreeMap<String, Value>,
    /// Signs answers for this audience.
    signs: Option<(Arc<Key>, String)>,
}

/// A running server.
pub struct Introspection {
    server: Upstream,
    state: Arc<Mutex<State>>,
}

/// What was asked of it.
#[derive(Debug)]
pub struct Asked {
    pub form: BTreeMap<String, String>,
    pub authorization: Option<String>,
    pub accept: String,
}

impl Introspection {
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let server = Upstream::scripted(move |seen| respond(&shared.lock().unwrap(), seen));
        Self { server, state }
    }

    pub fn url(&self) -> String {
        format!("{}/introspect", self.server.url())
    }

    pub fn issuer(&self) -> String {
        self.server.url()
    }

    /// Knows `token` from now on as what `members` say.
    pub fn knows(&self, token: &str, members: Value) {
        self.state.lock().unwrap().tokens.insert(token.to_owned(), members);
    }

    /// A good token of `user` that lives for five minutes.
    pub fn gives(&self, token: &str, user: &str) {
        self.knows(token, json!({"active": true, "username": user, "scope": "read write", "exp": now() + 300}));
    }

    pub fn forgets(&self, token: &str) {
        self.state.lock().unwrap().tokens.remove(token);
    }

    pub fn manner(&self, manner: Manner) {
        self.state.lock().unwrap().manner = manner;
    }

    /// Says `body` as JSON, whatever is asked.
    pub fn says(&self, body: &str) {
        self.manner(Manner::Says(answer("200 OK", &["Content-Type: application/json"], body)));
    }

    /// Signs its answers for `audience` from now on.
    pub fn signs(&self, key: Key, audience: &str) {
        self.state.lock().unwrap().signs = Some((Arc::new(key), audience.to_owned()));
    }

    /// How often anything was asked.
    pub fn hits(&self) -> usize {
        self.server.count()
    }

    /// What was asked since the last call, of metadata and keys apart.
    pub fn asked(&self) -> Vec<Asked> {
        let posted = self.server.take().into_iter().filter(|seen| seen.method == "POST");
        posted
            .map(|seen| Asked {
                form: url::form_urlencoded::parse(&seen.body).into_owned().collect(),
                authorization: seen.all("authorization").first().map(|value| (*value).to_owned()),
                accept: seen.one("accept").to_owned(),
            })
            .collect()
    }

    /// Waits until it was asked so often in all.
    pub async fn until_hits(&self, times: usize) {
        self.server.until("the server being asked", |record| record.total >= times).await;
    }
}

fn respond(state: &State, seen: &Seen) -> Act {
    let issuer = format!("http://{}", seen.one("host"));
    let reply = |media_type: &str, body: String| Act::Reply(answer("200 OK", &[&format!("Content-Type: {media_type}")], body));
    match (&state.manner, seen.method.as_str(), seen.target.as_str()) {
        (Manner::Down, ..) => Act::Close(Vec::new()),
        (Manner::Silent, ..) => Act::Hang,
        (Manner::Says(bytes), ..) => Act::Close(bytes.clone()),
        (Manner::Well, "GET", "/.well-known/oauth-authorization-server") => {
            let metadata = json!({"issuer": issuer, "introspection_endpoint": format!("{issuer}/introspect"), "jwks_uri": format!("{issuer}/jwks")});
            reply("application/json", metadata.to_string())
        }
        (Manner::Well, "GET", "/jwks") => match &state.signs {
            Some((key, _)) => reply("application/json", jwks(&[key])),
            None => Act::Reply(answer("404 Not Found", &[], "")),
        },
        (Manner::Well, "POST", "/introspect") => {
            let form: BTreeMap<String, String> = url::form_urlencoded::parse(&seen.body).into_owned().collect();
            let known = form.get("token").and_then(|token| state.tokens.get(token)).cloned().unwrap_or_else(|| json!({"active": false}));
            match &state.signs {
                Some((key, audience)) => {
                    let header = json!({"alg": key.algorithm, "kid": key.kid, "typ": "token-introspection+jwt"});
                    let claims = json!({"iss": issuer, "aud": audience, "iat": now(), "token_introspection": known});
                    reply("application/token-introspection+jwt", key.raw(&header.to_string(), &claims.to_string()))
                }
                None => reply("application/json", known.to_string()),
            }
        }
        (Manner::Well, ..) => Act::Reply(answer("404 Not Found", &[], "")),
    }
}
