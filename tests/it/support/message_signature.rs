//! A client of RFC 9421, written from the RFC and apart from the product.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use aws_lc_rs::{digest, hmac};

use super::setup::HOST;
use super::{base64, now};

/// What must be covered unless the configuration says otherwise.
pub const COVERED: [&str; 3] = ["@method", "@authority", "@target-uri"];

/// A key of one algorithm.
pub enum Key {
    Secret(String),
    Rsa(Box<RsaKeyPair>, &'static dyn signature::RsaEncoding),
    Ec(Box<EcdsaKeyPair>),
    Ed(Ed25519KeyPair),
}

impl Key {
    pub fn secret(secret: &str) -> Self {
        Self::Secret(secret.to_owned())
    }

    pub fn generate(algorithm: &str) -> Self {
        let rsa = || Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
        let ec = |curve| Box::new(EcdsaKeyPair::generate(curve).unwrap());
        match algorithm {
            "rsa-pss-sha512" => Self::Rsa(rsa(), &signature::RSA_PSS_SHA512),
            "rsa-v1_5-sha256" => Self::Rsa(rsa(), &signature::RSA_PKCS1_SHA256),
            "ecdsa-p256-sha256" => Self::Ec(ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING)),
            "ecdsa-p384-sha384" => Self::Ec(ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING)),
            "ed25519" => Self::Ed(Ed25519KeyPair::generate().unwrap()),
            other => panic!("no keys for {other}"),
        }
    }

    /// The public half, PEM.
    pub fn public(&self) -> String {
        let der = match self {
            Self::Rsa(pair, _) => pair.public_key().as_der().unwrap(),
            Self::Ec(pair) => pair.public_key().as_der().unwrap(),
            Self::Ed(pair) => pair.public_key().as_der().unwrap(),
            Self::Secret(_) => panic!("a secret has no public half"),
        };
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", base64(der.as_ref()))
    }

    /// The private half, PKCS#8, PEM.
    pub fn private(&self) -> String {
        let der = match self {
            Self::Rsa(pair, _) => AsDer::<Pkcs8V1Der<'_>>::as_der(&**pair).unwrap().as_ref().to_vec(),
            Self::Ec(pair) => pair.to_pkcs8v1().unwrap().as_ref().to_vec(),
            Self::Ed(pair) => pair.to_pkcs8v1().unwrap().as_ref().to_vec(),
            Self::Secret(_) => panic!("a secret has no private half"),
        };
        let label = "PRIVATE KEY";
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", base64(der))
    }

    pub fn sign(&self, base: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Secret(secret) => hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), base).as_ref().to_vec(),
            Self::Rsa(pair, encoding) => {
                let mut bytes = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, base, &mut bytes).unwrap();
                bytes
            }
            Self::Ec(pair) => pair.sign(&random, base).unwrap().as_ref().to_vec(),
            Self::Ed(pair) => pair.sign(base).as_ref().to_vec(),
        }
    }
}

/// A signature to be.
#[derive(Clone)]
pub struct Signature<'a> {
    pub label: &'a str,
    pub keyid: &'a str,
    pub key: &'a Key,
    pub created: i64,
    pub covered: Vec<&'a str>,
    /// Further parameters, such as `;nonce="x"`.
    pub more: String,
    /// Sent, and covered if named in `covered`.
    pub headers: Vec<(&'a str, String)>,
}

impl<'a> Signature<'a> {
    pub fn new(keyid: &'a str, key: &'a Key) -> Self {
        Self { label: "sig1", keyid, key, created: now(), covered: COVERED.to_vec(), more: String::new(), headers: Vec::new() }
    }

    pub fn label(mut self, label: &'a str) -> Self {
        self.label = label;
        self
    }

    pub fn skewed(mut self, seconds: i64) -> Self {
        self.created += seconds;
        self
    }

    /// Covers only this.
    pub fn covering(mut self, covered: &[&'a str]) -> Self {
        self.covered = covered.to_vec();
        self
    }

    pub fn more(mut self, more: &str) -> Self {
        self.more.push_str(more);
        self
    }

    /// Sends a header and covers it.
    pub fn header(mut self, name: &'a str, value: &str) -> Self {
        self.covered.push(name);
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Covers a header that the client library sends by itself.
    pub fn sent(mut self, name: &'a str) -> Self {
        self.covered.push(name);
        self
    }

    /// Sends and covers the digest of this body.
    pub fn body(self, body: &[u8]) -> Self {
        let value = content_digest(body);
        self.header("content-digest", &value)
    }

    /// The headers to send. `length` of the body is covered where `content-length` is.
    pub fn sign(&self, method: &str, target: &str, length: usize) -> Vec<(String, String)> {
        let list: Vec<String> = self.covered.iter().map(|name| format!("\"{name}\"")).collect();
        let input = format!("({});created={};keyid=\"{}\"{}", list.join(" "), self.created, self.keyid, self.more);
        let mut base = String::new();
        for name in &self.covered {
            let value = match *name {
                "@method" => method.to_owned(),
                "@authority" | "host" => HOST.to_owned(),
                "@target-uri" => format!("https://{HOST}{target}"),
                "@path" => target.split('?').next().unwrap().to_owned(),
                "@query" => format!("?{}", target.split_once('?').map_or("", |(_, query)| query)),
                "content-length" => length.to_string(),
                name => self.headers.iter().filter(|(have, _)| *have == name).map(|(_, value)| value.trim()).collect::<Vec<_>>().join(", "),
            };
            base += &format!("\"{name}\": {value}\n");
        }
        base += &format!("\"@signature-params\": {input}");
        let mut all: Vec<(String, String)> = self.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        all.push(("Signature-Input".to_owned(), format!("{}={input}", self.label)));
        all.push(("Signature".to_owned(), format!("{}=:{}:", self.label, base64(self.key.sign(base.as_bytes())))));
        all
    }
}

/// `Content-Digest` of a body.
pub fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", base64(digest::digest(&digest::SHA256, body)))
}

/// The other signature of the same message under the same P-256 key: r, and the group's order less s.
pub fn twin(signature: &[u8]) -> Vec<u8> {
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3,
        0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let (r, s) = signature.split_at(32);
    let mut borrow = 0;
    let mut other = [0; 32];
    for at in (0..32).rev() {
        let difference = i16::from(ORDER[at]) - i16::from(s[at]) - borrow;
        borrow = i16::from(difference < 0);
        other[at] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    [r, &other].concat()
}
