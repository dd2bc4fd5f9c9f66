//! `[identity.keys.ID]`: what signs, and what is accepted and published beside it while keys are being changed.

use std::fmt;
use std::path::PathBuf;

use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair, UnparsedPublicKey, VerificationAlgorithm};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Value, json};
use x509_parser::prelude::FromDer as _;

use super::{fost, hmac};
use crate::types::{Report, Secret, SecretSource};

/// Shorter secrets do not sign.
const SHORTEST_SECRET: usize = 32;

/// One of `[identity.keys.ID]`: a secret or a private key.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeySettings {
    /// A shared secret in place.
    pub secret: Option<Secret>,
    /// A shared secret in a file.
    pub secret_file: Option<PathBuf>,
    /// A shared secret in the environment.
    pub secret_env: Option<String>,
    /// PKCS#8 PEM.
    pub private_key_file: Option<PathBuf>,
}

/// Keys in the order of the file: the first of its kind signs.
#[derive(Debug, Default)]
pub struct KeyList(pub Vec<(String, KeySettings)>);

impl<'de> Deserialize<'de> for KeyList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = KeyList;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of keys")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<KeyList, A::Error> {
                let mut keys = Vec::new();
                while let Some(key) = map.next_entry()? {
                    keys.push(key);
                }
                Ok(KeyList(keys))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// All keys, by kind.
#[derive(Debug, Default)]
pub(super) struct Keys {
    pub shared: Vec<(String, hmac::State)>,
    /// The same secrets, for `fost`.
    pub fost: Vec<(String, fost::State)>,
    pub private: Vec<(String, SigningKey)>,
}

impl KeyList {
    /// Reads every key; reports each mistake under `keys`, and returns `None` if there was one.
    pub(super) fn load(self, report: &mut Report) -> Option<Keys> {
        let mut keys = Keys::default();
        let mut sound = true;
        report.within("keys", |report| {
            for (id, settings) in self.0 {
                sound &= report.within(&id, |report| settings.load(&id, &mut keys, report)).is_some();
            }
        });
        sound.then_some(keys)
    }
}

impl KeySettings {
    fn load(&self, id: &str, keys: &mut Keys, report: &mut Report) -> Option<()> {
        if !hmac::valid_key_id(id) {
            report.error("", "a key's name is written into headers and tokens", "use letters, digits, '.', '_' and '-'");
            return None;
        }
        let source = SecretSource { key: "secret", inline: self.secret.as_ref(), file: self.secret_file.as_ref(), env: self.secret_env.as_deref() };
        match (&self.private_key_file, source.is_absent()) {
            (Some(_), false) => {
                report.error("private_key_file", "a key is either a secret or a private key", "give the other one a name of its own");
                return None;
            }
            (Some(path), true) => {
                let pem = SecretSource { key: "private_key", inline: None, file: Some(path), env: None }.load(report)?;
                match SigningKey::from_pem(&pem) {
                    Ok(key) => keys.private.push((id.to_owned(), key)),
                    Err(problem) => {
                        report.error(
                            "private_key_file",
                            problem,
                            "make one with: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out FILE",
                        );
                        return None;
                    }
                }
            }
            (None, _) => {
                let secret = source.load(report)?;
                let state = hmac::prepare(&secret).filter(|_| secret.len() >= SHORTEST_SECRET);
                let Some(state) = state else {
                    report.error("secret", "the secret is shorter than 32 bytes", "use the output of: openssl rand -base64 32");
                    return None;
                };
                keys.fost.extend(fost::prepare(&secret).map(|state| (id.to_owned(), state)));
                keys.shared.push((id.to_owned(), state));
            }
        }
        Some(())
    }
}

/// A private key. Its type decides the algorithm.
pub(super) enum SigningKey {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(Box<RsaKeyPair>),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ***", self.algorithm())
    }
}

impl SigningKey {
    pub(super) fn from_pem(pem: &Secret) -> Result<Self, &'static str> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.expose()).map_err(|_| "the file holds no PKCS#8 private key in PEM form")?;
        let der = der.secret_pkcs8_der();
        if let Ok(key) = EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, der) {
            return Ok(Self::Es256(key));
        }
        if let Ok(key) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            return Ok(Self::EdDsa(key));
        }
        match RsaKeyPair::from_pkcs8(der) {
            Ok(key) if key.public_modulus_len() >= 256 => Ok(Self::Rs256(Box::new(key))),
            Ok(_) => Err("the RSA key is shorter than 2048 bits"),
            Err(_) => Err("the key is none of EC P-256, Ed25519 and RSA"),
        }
    }

    /// The name of its algorithm, RFC 7518 and RFC 8037.
    pub(super) fn algorithm(&self) -> &'static str {
        match self {
            Self::Es256(_) => "ES256",
            Self::EdDsa(_) => "EdDSA",
            Self::Rs256(_) => "RS256",
        }
    }

    /// The name of the same algorithm in RFC 9421. A key has one, whatever it signs.
    pub(super) fn message_algorithm(&self) -> &'static str {
        match self {
            Self::Es256(_) => "ecdsa-p256-sha256",
            Self::EdDsa(_) => "ed25519",
            Self::Rs256(_) => "rsa-v1_5-sha256",
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = aws_lc_rs::rand::SystemRandom::new();
        match self {
            Self::Es256(key) => key.sign(&random, message).ok().map(|signature| signature.as_ref().to_vec()),
            Self::EdDsa(key) => key.try_sign(message).ok().map(|signature| signature.as_ref().to_vec()),
            Self::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut signature).ok().map(|()| signature)
            }
        }
    }

    pub(super) fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        let (algorithm, public): (&dyn VerificationAlgorithm, &[u8]) = match self {
            Self::Es256(key) => (&signature::ECDSA_P256_SHA256_FIXED, key.public_key().as_ref()),
            Self::EdDsa(key) => (&signature::ED25519, key.public_key().as_ref()),
            Self::Rs256(key) => (&signature::RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref()),
        };
        UnparsedPublicKey::new(algorithm, public).verify(message, tag).is_ok()
    }

    /// The public half, RFC 7517. `None` if it is not of the form that its algorithm gives it.
    pub(super) fn jwk(&self, id: &str) -> Option<Value> {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match self {
            Self::Es256(key) => {
                // An uncompressed point: 4, then x and y of 32 bytes each.
                let (x, y) = key.public_key().as_ref().strip_prefix(&[4]).filter(|point| point.len() == 64)?.split_at_checked(32)?;
                json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y)})
            }
            Self::EdDsa(key) => json!({"kty": "OKP", "crv": "Ed25519", "x": text(key.public_key().as_ref())}),
            Self::Rs256(key) => {
                let (_, public) = x509_parser::public_key::RSAPublicKey::from_der(key.public_key().as_ref()).ok()?;
                let unsigned = |number: &[u8]| text(number.strip_prefix(&[0]).unwrap_or(number));
                json!({"kty": "RSA", "n": unsigned(public.modulus), "e": unsigned(public.exponent)})
            }
        };
        let members = jwk.as_object_mut()?;
        for (name, value) in [("kid", id), ("use", "sig"), ("alg", self.algorithm())] {
            members.insert(name.to_owned(), value.into());
        }
        Some(jwk)
    }
}
