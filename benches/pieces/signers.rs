//! Those who sign tokens and requests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorward::types::unix_now;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use serde_json::{Value, json};
use sha1::Sha1;

pub const ISSUER: &str = "https://id.example.test/";
pub const AUDIENCE: &str = "bench";
pub const SECRET: &str = "a secret of the benchmark: 32 bytes and more";

/// What identity providers say of a user.
pub fn claims() -> Value {
    let now = unix_now();
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 86_400, "jti": "7f1c0b1e-5d0a-4a53",
           "scope": "read write", "email": "alice@example.test"})
}

/// Signs tokens.
pub struct Signer {
    algorithm: Algorithm,
    key: EncodingKey,
    /// The lines of its scheme, and the public key that they name.
    pub settings: String,
    pub public: Option<String>,
}

impl Signer {
    pub fn rsa() -> Self {
        let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
        let key = EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).expect("a key");
        Self { algorithm: Algorithm::RS256, key, settings: public_key("RS256"), public: Some(pair.public_key_pem()) }
    }

    pub fn ec() -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).expect("a key");
        Self { algorithm: Algorithm::ES256, key, settings: public_key("ES256"), public: Some(pair.public_key_pem()) }
    }

    pub fn secret() -> Self {
        let settings = format!("secret = \"{SECRET}\"\nalgorithms = [\"HS256\"]");
        Self { algorithm: Algorithm::HS256, key: EncodingKey::from_secret(SECRET.as_bytes()), settings, public: None }
    }

    pub fn token(&self, claims: &Value) -> String {
        jsonwebtoken::encode(&Header::new(self.algorithm), claims, &self.key).expect("a token")
    }
}

fn public_key(algorithm: &str) -> String {
    format!("public_key_file = \"{algorithm}.pub\"\nalgorithms = [\"{algorithm}\"]")
}

/// Signs requests.
pub struct Fost(Hmac<Sha1>);

impl Fost {
    pub fn of_the_gate() -> Self {
        Self(Hmac::new_from_slice(SECRET.as_bytes()).expect("a key of any length"))
    }

    /// The headers of a signed POST.
    pub fn sign(&self, path: &str, body: &str) -> Vec<(&'static str, String)> {
        let form = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
        let stamp = time::OffsetDateTime::now_utc().format(form).expect("a time of our days");
        let mut mac = self.0.clone();
        mac.update(format!("POST {path}\n{stamp}\nX-FOST-Headers\n{body}").as_bytes());
        let tag = STANDARD.encode(mac.finalize().into_bytes());
        vec![("X-FOST-Headers", "X-FOST-Headers".to_owned()), ("X-FOST-Timestamp", stamp), ("Authorization", format!("FOST bench:{tag}"))]
    }
}
