//! A client that proves that it holds a key (RFC 9449), written apart from the product.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::idp::Key;
use super::setup::HOST;
use super::{base64url, now};

/// A client with a key of its own.
pub struct Prover {
    pub key: Key,
}

impl Prover {
    pub fn new(algorithm: &'static str) -> Self {
        Self { key: Key::generate("own", algorithm) }
    }

    /// The thumbprint of its key (RFC 7638).
    pub fn thumbprint(&self) -> String {
        let jwk = self.key.jwk();
        let names: &[&str] = match jwk["kty"].as_str().unwrap() {
            "EC" => &["crv", "kty", "x", "y"],
            "OKP" => &["crv", "kty", "x"],
            _ => &["e", "kty", "n"],
        };
        let members: Vec<String> = names.iter().map(|name| format!("\"{name}\":{}", jwk[*name])).collect();
        base64url(Sha256::digest(format!("{{{}}}", members.join(","))))
    }

    /// What a token says that is bound to its key.
    pub fn confirmation(&self) -> Value {
        json!({"jkt": self.thumbprint()})
    }

    pub fn header(&self) -> Value {
        json!({"typ": "dpop+jwt", "alg": self.key.algorithm, "jwk": self.key.jwk()})
    }

    /// Claims of a good proof, with a name of their own.
    pub fn claims(method: &str, path: &str, token: &str) -> Value {
        let mut name = [0; 12];
        aws_lc_rs::rand::fill(&mut name).unwrap();
        json!({
            "jti": base64url(name), "htm": method, "htu": format!("https://{HOST}{path}"), "iat": now(), "ath": base64url(Sha256::digest(token)),
        })
    }

    /// A good proof.
    pub fn proof(&self, method: &str, path: &str, token: &str) -> String {
        self.sign(&Self::claims(method, path, token))
    }

    /// A proof of these claims.
    pub fn sign(&self, claims: &Value) -> String {
        self.key.raw(&self.header().to_string(), &claims.to_string())
    }

    /// A good proof with one claim changed.
    pub fn proof_but(&self, method: &str, path: &str, token: &str, name: &str, value: Value) -> String {
        let mut claims = Self::claims(method, path, token);
        claims[name] = value;
        self.sign(&claims)
    }
}
