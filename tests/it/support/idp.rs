//! An identity provider: keys, tokens of any content, and a server of its key set with switches.

use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use aws_lc_rs::{hmac, rsa};
use serde_json::{Value, json};

use super::upstream::{Act, Upstream, answer};
use super::{base64url, now};

/// The issuer of the standard configuration; nothing is fetched from there.
pub const ISSUER: &str = "https://id.example.com/";
pub const AUDIENCE: &str = "orders";

enum Private {
    Rsa(Box<RsaKeyPair>),
    Ec(Box<EcdsaKeyPair>),
    Ed(Box<Ed25519KeyPair>),
    Secret(String),
}

/// A signing key with its id.
pub struct Key {
    pub kid: String,
    pub algorithm: &'static str,
    private: Private,
}

impl Key {
    /// A new key for RS256, PS256, ES256 or EdDSA.
    pub fn generate(kid: &str, algorithm: &'static str) -> Self {
        let private = match algorithm {
            "RS256" | "PS256" => Private::Rsa(Box::new(RsaKeyPair::generate(rsa::KeySize::Rsa2048).unwrap())),
            "ES256" => Private::Ec(Box::new(EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())),
            "EdDSA" => Private::Ed(Box::new(Ed25519KeyPair::generate().unwrap())),
            other => panic!("no keys for {other}"),
        };
        Self { kid: kid.to_owned(), algorithm, private }
    }

    /// A shared secret for HS256.
    pub fn secret(kid: &str, secret: &str) -> Self {
        Self { kid: kid.to_owned(), algorithm: "HS256", private: Private::Secret(secret.to_owned()) }
    }

    /// The public half as a JWK.
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.private {
            Private::Rsa(pair) => {
                let (n, e) = rsa_numbers(pair.public_key().as_ref());
                json!({"kty": "RSA", "n": base64url(n), "e": base64url(e)})
            }
            Private::Ec(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "x": base64url(&point[1..33]), "y": base64url(&point[33..65])})
            }
            Private::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key().as_ref())}),
            Private::Secret(_) => panic!("a secret is not published"),
        };
        jwk["kid"] = self.kid.clone().into();
        jwk["alg"] = self.algorithm.into();
        jwk["use"] = "sig".into();
        jwk
    }

    /// A token of these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.raw(&self.header().to_string(), &claims.to_string())
    }

    pub fn header(&self) -> Value {
        json!({"typ": "JWT", "alg": self.algorithm, "kid": self.kid})
    }

    /// A token of exactly this text, however wrong, signed well.
    pub fn raw(&self, header: &str, claims: &str) -> String {
        let input = format!("{}.{}", base64url(header), base64url(claims));
        let signature = self.signature(input.as_bytes());
        format!("{input}.{}", base64url(signature))
    }

    pub fn signature(&self, input: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.private {
            Private::Rsa(pair) => {
                let padding: &dyn signature::RsaEncoding =
                    if self.algorithm == "PS256" { &signature::RSA_PSS_SHA256 } else { &signature::RSA_PKCS1_SHA256 };
                let mut bytes = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, input, &mut bytes).unwrap();
                bytes
            }
            Private::Ec(pair) => pair.sign(&random, input).unwrap().as_ref().to_vec(),
            Private::Ed(pair) => pair.sign(input).as_ref().to_vec(),
            Private::Secret(secret) => hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), input).as_ref().to_vec(),
        }
    }

    /// The bytes of the public key, for those who would use them as a secret.
    pub fn public_bytes(&self) -> Vec<u8> {
        match &self.private {
            Private::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            Private::Ec(pair) => pair.public_key().as_ref().to_vec(),
            Private::Ed(pair) => pair.public_key().as_ref().to_vec(),
            Private::Secret(_) => panic!("no public half"),
        }
    }
}

/// Claims that the standard configuration accepts.
pub fn claims(user: &str) -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": user, "iat": now(), "exp": now() + 300})
}

/// The same with one claim changed; `Null` takes it out.
pub fn claims_but(user: &str, name: &str, value: Value) -> Value {
    let mut claims = claims(user);
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

/// A key set document.
pub fn jwks(keys: &[&Key]) -> String {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string()
}

/// The two numbers of a PKCS#1 public key: 30 82 LL LL, 02 82 01 01 00 N(256), 02 03 E(3).
fn rsa_numbers(der: &[u8]) -> (&[u8], &[u8]) {
    assert_eq!(&der[4..9], [2, 0x82, 1, 1, 0], "not a 2048-bit key");
    (&der[9..9 + 256], &der[der.len() - 3..])
}

/// How the provider behaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Mood {
    #[default]
    Well,
    /// Hangs up on everyone.
    Down,
    /// Never answers.
    Silent,
    /// Answers this to whoever asks for the key set.
    Says(Vec<u8>),
}

/// A provider on loopback.
pub struct Provider {
    server: Upstream,
    state: Arc<Mutex<(Mood, String)>>,
}

impl Provider {
    pub fn start(keys: &[&Key]) -> Self {
        let state = Arc::new(Mutex::new((Mood::Well, jwks(keys))));
        let shared = state.clone();
        let server = Upstream::scripted(move |seen| {
            let (mood, jwks) = shared.lock().unwrap().clone();
            let host = seen.one("host");
            match (mood, seen.target.as_str()) {
                (Mood::Down, _) => Act::Close(Vec::new()),
                (Mood::Silent, _) => Act::Hang,
                (_, "/.well-known/openid-configuration" | "/.well-known/oauth-authorization-server") => {
                    let issuer = format!("http://{host}");
                    let body = json!({"issuer": issuer, "jwks_uri": format!("{issuer}/jwks"), "token_endpoint": format!("{issuer}/token")});
                    Act::Reply(answer("200 OK", &["Content-Type: application/json"], body.to_string()))
                }
                (Mood::Says(bytes), _) => Act::Close(bytes),
                (Mood::Well, "/jwks") => Act::Reply(answer("200 OK", &["Content-Type: application/json"], jwks)),
                (Mood::Well, _) => Act::Reply(answer("404 Not Found", &[], "")),
            }
        });
        Self { server, state }
    }

    pub fn issuer(&self) -> String {
        self.server.url()
    }

    pub fn jwks_url(&self) -> String {
        format!("{}/jwks", self.server.url())
    }

    pub fn mood(&self, mood: Mood) {
        self.state.lock().unwrap().0 = mood;
    }

    /// Publishes other keys from now on.
    pub fn rotate(&self, keys: &[&Key]) {
        self.state.lock().unwrap().1 = jwks(keys);
    }

    /// How often anything was asked.
    pub fn hits(&self) -> usize {
        self.server.count()
    }

    pub async fn until_hits(&self, times: usize) {
        self.server.until("the provider being asked", |record| record.total >= times).await;
    }
}
