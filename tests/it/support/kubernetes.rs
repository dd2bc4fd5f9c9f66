//! A Kubernetes API server as far as tokens go: TokenReview, and its metadata and keys as an issuer, over TLS by an
//! authority of its own, for those who bear its token alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::idp::{Key, jwks};
use super::pki::Ca;
use super::upstream::{Act, Seen, Upstream, answer};

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// Hangs up on everyone.
    Down,
    /// Never answers.
    Silent,
    /// Answers what nobody can read.
    Garbage,
    /// Knows nothing of audiences, as old servers do.
    NoAudiences,
}

struct State {
    mood: Mood,
    /// The token of whoever may ask.
    own: String,
    /// The audiences and the user of each token.
    tokens: BTreeMap<String, (Vec<String>, Value)>,
}

/// The server.
pub struct Cluster {
    server: Upstream,
    pub ca: Ca,
    pub key: Key,
    state: Arc<Mutex<State>>,
}

impl Cluster {
    /// `own` is the token that it demands of those who ask.
    pub fn start(own: &str) -> Self {
        let (ca, key) = (Ca::new("cluster"), Key::generate("sa-1", "RS256"));
        let server = Upstream::tls(&ca.leaf(&["127.0.0.1", "localhost"]));
        let state = Arc::new(Mutex::new(State { mood: Mood::Well, own: own.to_owned(), tokens: BTreeMap::new() }));
        let (shared, keys) = (state.clone(), jwks(&[&key]));
        server.script(move |seen| respond(&shared.lock().unwrap(), seen, &keys));
        Self { server, ca, key, state }
    }

    pub fn url(&self) -> String {
        self.server.url().replace("http://", "https://")
    }

    /// A token that it gave a service account, and will say so.
    pub fn issue(&self, name: &str, audience: &str, expires: i64) -> String {
        let token = self.token(name, audience, expires);
        let user =
            json!({"username": format!("system:serviceaccount:{name}"), "uid": "u-1", "groups": ["system:serviceaccounts", "system:authenticated"]});
        self.state.lock().unwrap().tokens.insert(token.clone(), (vec![audience.to_owned()], user));
        token
    }

    /// A token by its key, of which its TokenReview says that it is not good.
    pub fn token(&self, name: &str, audience: &str, expires: i64) -> String {
        let (namespace, account) = name.split_once(':').unwrap();
        let now = super::now();
        self.key.token(&json!({
            "iss": self.url(), "aud": [audience], "sub": format!("system:serviceaccount:{name}"), "iat": now - 10, "nbf": now - 10, "exp": expires,
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": account, "uid": "u-1"}},
        }))
    }

    /// As if the token's pod had been deleted.
    pub fn forget(&self, token: &str) {
        self.state.lock().unwrap().tokens.remove(token);
    }

    pub fn mood(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    /// From now on, another token is demanded.
    pub fn demand(&self, own: &str) {
        own.clone_into(&mut self.state.lock().unwrap().own);
    }

    /// How often anything was asked.
    pub fn hits(&self) -> usize {
        self.server.count()
    }

    pub fn take(&self) -> Vec<Seen> {
        self.server.take()
    }
}

fn respond(state: &State, seen: &Seen, keys: &str) -> Act {
    let json = |status: &str, body: String| Act::Reply(answer(status, &["Content-Type: application/json"], body));
    match state.mood {
        Mood::Down => return Act::Close(Vec::new()),
        Mood::Silent => return Act::Hang,
        Mood::Garbage => return json("201 Created", "{\"kind\":\"TokenReview\",\"status\":{\"authenticated\":\"true\"}}".to_owned()),
        Mood::Well | Mood::NoAudiences => {}
    }
    if !seen.has("authorization") || seen.one("authorization") != format!("Bearer {}", state.own) {
        return json("401 Unauthorized", json!({"kind": "Status", "status": "Failure", "reason": "Unauthorized", "code": 401}).to_string());
    }
    let url = format!("https://{}", seen.one("host"));
    match (seen.method.as_str(), seen.target.as_str()) {
        ("GET", "/.well-known/openid-configuration") => {
            json("200 OK", json!({"issuer": url, "jwks_uri": format!("{url}/openid/v1/jwks"), "response_types_supported": ["id_token"]}).to_string())
        }
        ("GET", "/openid/v1/jwks") => json("200 OK", keys.to_owned()),
        ("POST", "/apis/authentication.k8s.io/v1/tokenreviews") => json("201 Created", review(state, &seen.body).to_string()),
        _ => json("404 Not Found", "{}".to_owned()),
    }
}

fn review(state: &State, body: &[u8]) -> Value {
    let mut review: Value = serde_json::from_slice(body).unwrap();
    assert_eq!((&review["apiVersion"], &review["kind"]), (&json!("authentication.k8s.io/v1"), &json!("TokenReview")));
    let asked: Vec<String> = serde_json::from_value(review["spec"]["audiences"].clone()).unwrap();
    let known = state.tokens.get(review["spec"]["token"].as_str().unwrap());
    let fitting = known.map(|(audiences, user)| (audiences.iter().filter(|one| asked.contains(one)).cloned().collect::<Vec<_>>(), user));
    review["status"] = match fitting {
        Some((_, user)) if state.mood == Mood::NoAudiences => json!({"authenticated": true, "user": user}),
        Some((audiences, user)) if !audiences.is_empty() => json!({"authenticated": true, "user": user, "audiences": audiences}),
        Some(_) | None => json!({"user": {}, "error": "[invalid bearer token, token lookup failed]"}),
    };
    review
}
