//! Verifying, with keys of the configuration: the RFC's examples, every way to cover less, every bit of what is covered.

mod coverage;
mod properties;
mod settings;
mod vectors;

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Uri};

use super::sign::{Signer, Terms};
use super::*;
use crate::payload::{BodyCheck as _, Ready};
use crate::types::Secret;

const NOW: i64 = 1_790_000_000;
const SECRET: &str = "a shared secret of some length!!";

/// Each algorithm, with the key of the test configuration that has it.
const ALL: [(&str, &str); 6] = [
    ("hmac-sha256", "shared"),
    ("rsa-pss-sha512", "rsa"),
    ("rsa-v1_5-sha256", "rsa-old"),
    ("ecdsa-p256-sha256", "p256"),
    ("ecdsa-p384-sha384", "p384"),
    ("ed25519", "ed25519"),
];

/// A private key and its public half, PEM.
struct Pair {
    private: String,
    public: String,
}

/// RSA, P-256, P-384 and Ed25519 keys, made once.
fn pairs() -> &'static [Pair; 4] {
    static PAIRS: OnceLock<[Pair; 4]> = OnceLock::new();
    PAIRS.get_or_init(|| {
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let ed25519 = Ed25519KeyPair::generate().unwrap();
        let rsa_der = AsDer::<Pkcs8V1Der<'_>>::as_der(&rsa).unwrap();
        [
            pair(rsa_der.as_ref(), rsa.public_key()),
            pair(p256.to_pkcs8v1().unwrap().as_ref(), p256.public_key()),
            pair(p384.to_pkcs8v1().unwrap().as_ref(), p384.public_key()),
            pair(ed25519.to_pkcs8v1().unwrap().as_ref(), ed25519.public_key()),
        ]
    })
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label} KEY-----\n{}\n-----END {label} KEY-----\n", STANDARD.encode(der))
}

fn pair(private: &[u8], public: &impl AsDer<aws_lc_rs::encoding::PublicKeyX509Der<'static>>) -> Pair {
    Pair { private: pem("PRIVATE", private), public: pem("PUBLIC", public.as_der().unwrap().as_ref()) }
}

/// The scheme without store, replay memory and sockets.
struct Gate {
    rules: Rules,
    keys: Keys,
}

impl Gate {
    /// With keys for all algorithms.
    fn with(options: &str) -> Self {
        let [rsa, p256, p384, ed25519] = pairs();
        let key = |name: &str, pem: &str, more: &str| format!("[keys.{name}]\npublic_key = '''{pem}'''\nuser = \"{name}-user\"\n{more}\n");
        Self::with_keys(&format!(
            "{options}\n[keys.shared]\nsecret = \"{SECRET}\"\nuser = \"webshop\"\n[keys.narrow]\nsecret = \"{SECRET}\"\nnext_secret = \"another secret of some length\"\n\
             paths = [\"/only/**\"]\n{}{}{}{}{}{}",
            key("rsa", &rsa.public, ""),
            key("rsa-old", &rsa.public, "algorithms = [\"rsa-v1_5-sha256\"]"),
            key("rsa-both", &rsa.public, "algorithms = [\"rsa-v1_5-sha256\", \"rsa-pss-sha512\"]"),
            key("p256", &p256.public, ""),
            key("p384", &p384.public, ""),
            key("ed25519", &ed25519.public, ""),
        ))
    }

    fn with_keys(toml: &str) -> Self {
        let settings: Settings = toml::from_str(toml).unwrap_or_else(|error| panic!("{error}"));
        let mut report = Report::default();
        let rules = Rules::build(&settings, &mut report);
        let keys = Keys::build(settings.keys, "p", false, &mut report);
        match (rules, keys) {
            (Some(rules), Some(keys)) => Self { rules, keys },
            _ => panic!("{:?}", report.problems()),
        }
    }

    /// Who signed the request. `Ok(None)`: nobody of ours.
    fn judge(&self, case: &Case, now: i64) -> Result<Option<String>, Refusal> {
        if !fields::is_mine(&case.headers) {
            return Ok(None);
        }
        let digests = digest::read(&case.headers)?;
        let Some(documents) = self.rules.documents(&case.message(), now)? else { return Ok(None) };
        let found: Vec<_> = documents.iter().map(|document| self.keys.get(&document.keyid).cloned()).collect();
        let subject = self.keys.settle(&documents, &found, &case.path, now).map_err(|(_, refusal)| refusal)?;
        if let Some(mut digests) = digests {
            let body = Bytes::copy_from_slice(&case.body);
            digests.take(body, &mut Ready::default()).and_then(|()| digests.end(&mut Ready::default())).map_err(Refusal::from)?;
        }
        Ok(Some(subject.user.clone()))
    }

    fn user(&self, case: &Case) -> Result<String, Refusal> {
        self.judge(case, NOW).map(|user| user.expect("the request is signed for us"))
    }
}

/// A request as it reaches the scheme.
#[derive(Debug, Clone)]
struct Case {
    method: Method,
    authority: String,
    host: HeaderValue,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    body: Vec<u8>,
    length: Option<u64>,
}

impl Case {
    fn new(method: &str, authority: &str, target: &str) -> Self {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query.to_owned())));
        Self {
            method: method.parse().unwrap(),
            authority: authority.to_owned(),
            host: authority.parse().unwrap(),
            path: path.to_owned(),
            query,
            headers: HeaderMap::new(),
            body: Vec::new(),
            length: Some(0),
        }
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    fn with(self, name: &str, value: &str) -> Self {
        self.without(name).header(name, value)
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    fn body(mut self, body: &[u8]) -> Self {
        (self.body, self.length) = (body.to_vec(), Some(body.len() as u64));
        self
    }

    fn text(&self, name: &str) -> String {
        self.headers[name].to_str().unwrap().to_owned()
    }

    fn message(&self) -> Message<'_> {
        Message {
            method: &self.method,
            authority: self.authority.clone(),
            host: &self.host,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
            length: self.length,
        }
    }

    /// Signed over exactly `input`, a list of components with its parameters, as no decent client would.
    fn signed_over(self, label: &str, input: &str, key: &str) -> Self {
        let bare = self.clone().header("signature-input", &format!("{label}={input}")).header("signature", &format!("{label}=::"));
        let signed = fields::read(&bare.headers).unwrap().pop().unwrap().read();
        let base = signed.and_then(|signed| component::base(&signed.components, &signed.input, &self.message()));
        // What cannot be understood is signed as it is written: the signature is not what it is to fail for.
        let base = base.unwrap_or_else(|_| input.as_bytes().to_vec());
        let signature = STANDARD.encode(signer(key).sign(&base).unwrap());
        self.header("signature-input", &format!("{label}={input}")).header("signature", &format!("{label}=:{signature}:"))
    }
}

fn signer(key: &str) -> Signer {
    let [rsa, p256, p384, ed25519] = pairs();
    let private = |pair: &Pair, algorithm| Signer::private_key(&Secret::new(pair.private.clone()), algorithm).unwrap();
    match key {
        "rsa" => private(rsa, None),
        "rsa-old" => private(rsa, Some("rsa-v1_5-sha256")),
        "p256" => private(p256, None),
        "p384" => private(p384, None),
        "ed25519" => private(ed25519, None),
        _ => Signer::secret(Secret::new(SECRET)).unwrap(),
    }
}

const TERMS: Terms<'static> = Terms { keyid: "shared", created: NOW, expires: None, nonce: None, tag: None, label: "sig1" };

/// A request to `https://app.example.com` as the signer makes it.
fn signed(key: &str, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Case {
    let keyid = if ALL.iter().any(|(_, known)| *known == key) { key } else { "shared" };
    signed_with(&signer(key), &Terms { keyid, ..TERMS }, method, target, headers, body)
}

fn signed_with(signer: &Signer, terms: &Terms<'_>, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Case {
    let extra: Vec<_> = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let uri: Uri = format!("https://app.example.com{target}").parse().unwrap();
    let lines = signer.request(terms, &method.parse().unwrap(), &uri, &extra, body).unwrap();
    lines.iter().fold(Case::new(method, "app.example.com", target), |case, (name, value)| case.header(name, value)).body(body)
}
