//! Answers that the server signs (RFC 9701).
//!
//! ```text
//! Content-Type: application/token-introspection+jwt
//! {"alg":"ES256","kid":"…","typ":"token-introspection+jwt"}
//! {"iss":SERVER,"aud":DOORWARD,"iat":NOW,"token_introspection":{"active":true,…}}
//! ```
//!
//! An answer whose signature, type, issuer, audience or time does not hold is no answer.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use serde_json::{Map, Value};

use crate::store::jwks::{KeySet, Keyring};
use crate::types::json::object;

/// The media type, and with its prefix cut off the value of `typ`.
pub(super) const MEDIA_TYPE: &str = "application/token-introspection+jwt";
/// How far an answer's `iat` may be from this machine's clock, in seconds.
const MAX_SKEW: i64 = 300;

/// What a signed answer must be.
#[derive(Debug)]
pub struct Signed {
    /// The server's published keys.
    pub keys: Arc<KeySet>,
    /// What `iss` must be.
    pub issuer: String,
    /// What `aud` must be or hold: Doorward's name at the server.
    pub audience: String,
}

struct Parts<'t> {
    signed: &'t str,
    signature: &'t str,
    algorithm: Algorithm,
    kid: Option<String>,
    payload: Vec<u8>,
}

impl Signed {
    /// The members of a signed answer. The error is a sentence for the log.
    pub(super) async fn open(&self, body: &[u8], now: i64) -> Result<Map<String, Value>, String> {
        let parts = Parts::split(body)?;
        self.verify(&parts).await?;
        self.claims(&parts.payload, now).map_err(str::to_owned)
    }

    async fn verify(&self, parts: &Parts<'_>) -> Result<(), String> {
        let now = Instant::now();
        let keyring = self.keys.keyring(now).await.map_err(|error| error.to_string())?;
        if parts.is_signed_by(&keyring) {
            return Ok(());
        }
        // By a key that was published since, perhaps.
        let renewed = self.keys.renewed(now).await.map_err(|error| error.to_string())?;
        if parts.is_signed_by(&renewed) { Ok(()) } else { Err("the answer's signature is not by a key of the server".to_owned()) }
    }

    /// Section 5: `iss`, `aud` and `iat` are required, and what is said of the token stands apart from what is said of
    /// the answer.
    fn claims(&self, payload: &[u8], now: i64) -> Result<Map<String, Value>, &'static str> {
        let mut claims = object(payload).ok_or("the answer's claims are not one JSON object with unique names")?;
        if claims.get("iss").and_then(Value::as_str) != Some(&self.issuer) {
            return Err("the answer is by another issuer");
        }
        let meant = match claims.get("aud") {
            Some(Value::String(one)) => *one == self.audience,
            Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(&self.audience)),
            Some(_) | None => false,
        };
        if !meant {
            return Err("the answer is for another audience");
        }
        let issued = claims.get("iat").and_then(Value::as_i64).ok_or("the answer has no iat in whole seconds")?;
        if issued.checked_sub(now).is_none_or(|skew| skew.saturating_abs() > MAX_SKEW) {
            return Err("the answer's iat is minutes away from this machine's clock");
        }
        match claims.remove("token_introspection") {
            Some(Value::Object(answer)) => Ok(answer),
            Some(_) | None => Err("the answer holds no token_introspection"),
        }
    }
}

impl<'t> Parts<'t> {
    fn split(body: &'t [u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(body).map_err(|_| "the answer is no JWT")?.trim_ascii();
        let (signed, signature) = text.rsplit_once('.').ok_or("the answer is no JWT")?;
        let (header, payload) = signed.split_once('.').ok_or("the answer is no JWT")?;
        if payload.contains('.') || signature.is_empty() {
            return Err("the answer is no JWT of three parts");
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| "the answer is not base64url without padding");
        let header = object(&decode(header)?).ok_or("the answer's header is not one JSON object with unique names")?;
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err("the answer's header asks for an extension (crit, b64)");
        }
        let typ = header.get("typ").and_then(Value::as_str).map(str::to_ascii_lowercase).unwrap_or_default();
        // RFC 7515 section 4.1.9: "application/" may be left out.
        if typ != MEDIA_TYPE && format!("application/{typ}") != MEDIA_TYPE {
            return Err("the answer's typ is not token-introspection+jwt");
        }
        let algorithm = header.get("alg").and_then(Value::as_str).and_then(|name| name.parse::<Algorithm>().ok());
        let algorithm =
            algorithm.filter(|algorithm| algorithm.family() != AlgorithmFamily::Hmac).ok_or("the answer's alg is not one for public keys")?;
        let kid = header.get("kid").and_then(Value::as_str).map(str::to_owned);
        Ok(Self { signed, signature, algorithm, kid, payload: decode(payload)? })
    }

    fn is_signed_by(&self, keyring: &Keyring) -> bool {
        keyring.candidates(self.kid.as_deref(), self.algorithm).any(|key| key.verifies(self.algorithm, self.signed.as_bytes(), self.signature))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::runtime::Handle;

    use super::*;
    use crate::store::jwks::testing::Signer;
    use crate::store::jwks::{KeySets, Source};

    const NOW: i64 = 1_800_000_000;

    struct Fixture {
        signer: Signer,
        rules: Signed,
        _dir: tempfile::TempDir,
    }

    fn fixture() -> Fixture {
        let (signer, dir) = (Signer::p256(), tempfile::tempdir().unwrap());
        let path = dir.path().join("keys.json");
        std::fs::write(&path, json!({"keys": [signer.named("k")]}).to_string()).unwrap();
        let keys = KeySets::new(Handle::current()).source(Source::File(path)).unwrap();
        Fixture { signer, rules: Signed { keys, issuer: "https://id.example".to_owned(), audience: "gate".to_owned() }, _dir: dir }
    }

    impl Fixture {
        fn jwt(&self, header: &Value, claims: &Value) -> String {
            let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
            format!("{signed}.{}", self.signer.sign(Algorithm::ES256, &signed))
        }

        async fn open(&self, header: &Value, claims: &Value) -> Result<Map<String, Value>, String> {
            self.rules.open(self.jwt(header, claims).as_bytes(), NOW).await
        }
    }

    fn header() -> Value {
        json!({"alg": "ES256", "kid": "k", "typ": "token-introspection+jwt"})
    }

    fn claims() -> Value {
        json!({"iss": "https://id.example", "aud": "gate", "iat": NOW, "token_introspection": {"active": true, "sub": "alice"}})
    }

    fn with(mut value: Value, name: &str, member: Value) -> Value {
        value[name] = member;
        value
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_the_server_signed_for_us_just_now_is_believed() {
        let f = fixture();
        let said = f.open(&header(), &claims()).await.unwrap();
        assert_eq!(Value::Object(said), json!({"active": true, "sub": "alice"}));
        for (name, value) in [("aud", json!(["x", "gate"])), ("iat", json!(NOW - 300)), ("iat", json!(NOW + 300))] {
            assert!(f.open(&header(), &with(claims(), name, value)).await.is_ok(), "{name}");
        }
        for typ in ["application/token-introspection+jwt", "Token-Introspection+JWT"] {
            assert!(f.open(&with(header(), "typ", json!(typ)), &claims()).await.is_ok());
        }
        let mut nameless = header();
        nameless.as_object_mut().unwrap().remove("kid");
        assert!(f.open(&nameless, &claims()).await.is_ok());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_claim_of_an_answer_is_checked() {
        let f = fixture();
        for (name, value) in [
            ("iss", json!("https://id.example/")),
            ("iss", json!(["https://id.example"])),
            ("iss", json!(null)),
            ("aud", json!("other")),
            ("aud", json!([])),
            ("aud", json!(["gat", ["gate"]])),
            ("aud", json!(null)),
            ("iat", json!(NOW - 301)),
            ("iat", json!(NOW + 301)),
            ("iat", json!(i64::MIN)),
            ("iat", json!("1800000000")),
            ("iat", json!(null)),
            ("token_introspection", json!(null)),
            ("token_introspection", json!("active")),
            ("token_introspection", json!([{"active": true}])),
        ] {
            assert!(f.open(&header(), &with(claims(), name, value.clone())).await.is_err(), "{name}: {value}");
        }
        // As an answer that is not signed would say it.
        let plain = json!({"iss": "https://id.example", "aud": "gate", "iat": NOW, "active": true, "sub": "alice"});
        assert!(f.open(&header(), &plain).await.is_err());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_part_of_a_header_is_checked() {
        let f = fixture();
        for (name, value) in [
            ("typ", json!("JWT")),
            ("typ", json!("at+jwt")),
            ("typ", json!(null)),
            ("typ", json!(7)),
            ("alg", json!("none")),
            ("alg", json!("HS256")),
            ("alg", json!("RS256")),
            ("alg", json!(null)),
            ("crit", json!(["exp"])),
            ("b64", json!(true)),
        ] {
            assert!(f.open(&with(header(), name, value.clone()), &claims()).await.is_err(), "{name}: {value}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_answer_that_was_changed_or_signed_by_another_is_none() {
        let f = fixture();
        let (good, other) = (f.jwt(&header(), &claims()), fixture().jwt(&header(), &claims()));
        let unsigned = good.rsplit_once('.').unwrap().0.to_owned();
        let changed = good.replacen('.', &format!(".{}", URL_SAFE_NO_PAD.encode("{}")), 1);
        for bad in [
            other,
            format!("{unsigned}."),
            unsigned,
            changed,
            format!("{good}.x"),
            String::new(),
            "..".to_owned(),
            "{}".to_owned(),
            format!("{good}A"),
        ] {
            assert!(f.rules.open(bad.as_bytes(), NOW).await.is_err(), "{bad}");
        }
        assert!(f.rules.open(b"\xff.\xff.\xff", NOW).await.is_err());
        assert!(f.rules.open(format!("{good}\n").as_bytes(), NOW).await.is_ok());
    }
}
