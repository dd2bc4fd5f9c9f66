//! How Doorward says who it is to an introspection server (RFC 7662 section 2.1).
//!
//! ```text
//! basic             Authorization: Basic base64( form(client_id) ":" form(client_secret) )      RFC 6749 section 2.3.1
//! post              client_id=…&client_secret=…  in the form
//! bearer            Authorization: Bearer SECRET
//! private_key_jwt   client_assertion_type=…jwt-bearer&client_assertion=JWT  in the form         RFC 7523 section 2.2
//! ```

use std::fmt;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderValue;
use jsonwebtoken::{Algorithm, EncodingKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};
use zeroize::Zeroizing;

use crate::types::{Secret, is_graphic};

/// How long an assertion is good for, in seconds. Each is used once.
const ASSERTION_SECONDS: i64 = 60;
/// RFC 7523 section 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Doorward's own credential. `Debug` shows nothing secret of it.
#[derive(Debug)]
pub enum ClientAuth {
    /// A header that is the same each time: `Basic` or `Bearer`.
    Header(HeaderValue),
    /// Name and secret in the form.
    Post {
        /// `client_id`.
        id: String,
        /// `client_secret`.
        secret: Secret,
    },
    /// A signed statement in the form.
    PrivateKeyJwt {
        /// `iss` and `sub` of the statement.
        id: String,
        /// What signs it.
        key: AssertionKey,
        /// `aud` of the statement; the endpoint's own address without one.
        audience: Option<String>,
    },
}

impl ClientAuth {
    /// HTTP Basic. `None` if the two cannot stand in a header, which they always can.
    #[must_use]
    pub fn basic(id: &str, secret: &Secret) -> Option<Self> {
        let id: String = byte_serialize(id.as_bytes()).collect();
        let secret: Zeroizing<String> = Zeroizing::new(byte_serialize(secret.expose()).collect());
        let pair = Zeroizing::new(format!("{id}:{}", *secret));
        Self::header(&Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes()))))
    }

    /// A bearer token. `None` if it cannot stand in a header.
    #[must_use]
    pub fn bearer(token: &Secret) -> Option<Self> {
        let token = std::str::from_utf8(token.expose()).ok()?;
        if !is_graphic(token) {
            return None;
        }
        Self::header(&Zeroizing::new(format!("Bearer {token}")))
    }

    fn header(text: &str) -> Option<Self> {
        let mut value = HeaderValue::from_str(text).ok()?;
        value.set_sensitive(true);
        Some(Self::Header(value))
    }

    /// Adds what belongs into the form of a request to `endpoint` at `now` (Unix seconds), and gives what belongs into
    /// `Authorization`.
    pub(super) fn sign(&self, form: &mut Serializer<'_, String>, endpoint: &Url, now: i64) -> Result<Option<HeaderValue>, &'static str> {
        match self {
            Self::Header(value) => return Ok(Some(value.clone())),
            Self::Post { id, secret } => {
                let secret = std::str::from_utf8(secret.expose()).map_err(|_| "the client's secret is not UTF-8")?;
                form.append_pair("client_id", id).append_pair("client_secret", secret);
            }
            Self::PrivateKeyJwt { id, key, audience } => {
                let assertion = key.assertion(id, audience.as_deref().unwrap_or(endpoint.as_str()), now)?;
                form.append_pair("client_id", id).append_pair("client_assertion_type", ASSERTION_TYPE).append_pair("client_assertion", &assertion);
            }
        }
        Ok(None)
    }
}

/// A private key that signs assertions. Its kind decides the algorithm.
pub struct AssertionKey {
    key: EncodingKey,
    algorithm: Algorithm,
    kid: Option<String>,
}

impl fmt::Debug for AssertionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?} ***", self.algorithm, self.kid)
    }
}

impl AssertionKey {
    /// A PKCS#8 key in PEM: EC P-256 or P-384, Ed25519, or RSA of at least 2048 bits. `kid` names it to the server.
    pub fn from_pem(pem: &Secret, kid: Option<String>) -> Result<Self, &'static str> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.expose()).map_err(|_| "the file holds no PKCS#8 private key in PEM form")?;
        let der = der.secret_pkcs8_der();
        let (key, algorithm) = if EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).is_ok() {
            (EncodingKey::from_ec_der(der), Algorithm::ES256)
        } else if EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, der).is_ok() {
            (EncodingKey::from_ec_der(der), Algorithm::ES384)
        } else if Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).is_ok() {
            (EncodingKey::from_ed_der(der), Algorithm::EdDSA)
        } else {
            match RsaKeyPair::from_pkcs8(der) {
                Ok(pair) if pair.public_modulus_len() < 256 => return Err("the RSA key is shorter than 2048 bits"),
                Ok(pair) if pair.public_key().as_ref().is_empty() => return Err("the RSA key is not whole"),
                Ok(_) => (EncodingKey::from_rsa_pem(pem.expose()).map_err(|_| "the RSA key cannot be read")?, Algorithm::RS256),
                Err(_) => return Err("the key is none of EC P-256 and P-384, Ed25519 and RSA"),
            }
        };
        let made = Self { key, algorithm, kid };
        made.assertion("x", "x", 0)?;
        Ok(made)
    }

    /// RFC 7523 section 3: who says it, to whom, until when, and once.
    fn assertion(&self, client: &str, audience: &str, now: i64) -> Result<String, &'static str> {
        let mut id = [0; 16];
        aws_lc_rs::rand::fill(&mut id).map_err(|_| "no random numbers")?;
        let mut header = json!({"alg": format!("{:?}", self.algorithm), "typ": "JWT"});
        if let (Some(kid), Some(header)) = (&self.kid, header.as_object_mut()) {
            header.insert("kid".to_owned(), kid.clone().into());
        }
        let claims = json!({
            "iss": client, "sub": client, "aud": audience, "jti": URL_SAFE_NO_PAD.encode(id),
            "iat": now, "exp": now.saturating_add(ASSERTION_SECONDS),
        });
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &self.key, self.algorithm).map_err(|_| "the private key cannot sign")?;
        Ok(format!("{signed}.{signature}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Url {
        "https://id.example/introspect".parse().unwrap()
    }

    fn sent(auth: &ClientAuth) -> (Option<HeaderValue>, Vec<(String, String)>) {
        let mut form = Serializer::new(String::new());
        let header = auth.sign(&mut form, &endpoint(), 1_000).unwrap();
        (header, url::form_urlencoded::parse(form.finish().as_bytes()).into_owned().collect())
    }

    #[test]
    fn name_and_secret_of_basic_are_encoded_as_a_form_before_base64() {
        let auth = ClientAuth::basic("my app:1", &Secret::new("p%&=ä+")).unwrap();
        let (header, form) = sent(&auth);
        let expected = format!("Basic {}", STANDARD.encode("my+app%3A1:p%25%26%3D%C3%A4%2B"));
        assert_eq!(header.unwrap(), expected.as_str());
        assert!(form.is_empty());
        assert!(!format!("{auth:?}").contains("Basic"));
    }

    #[test]
    fn a_bearer_stands_in_the_header_and_one_that_cannot_is_none() {
        let (header, form) = sent(&ClientAuth::bearer(&Secret::new("tok-1")).unwrap());
        assert_eq!((header.unwrap(), form.len()), (HeaderValue::from_static("Bearer tok-1"), 0));
        for bad in [&b"a b"[..], b"a\n", b"\xff", b"a\0"] {
            assert!(ClientAuth::bearer(&Secret::new(bad)).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn name_and_secret_of_post_stand_in_the_form() {
        let (header, form) = sent(&ClientAuth::Post { id: "a&b".to_owned(), secret: Secret::new("c=d") });
        assert_eq!(header, None);
        assert_eq!(form, [("client_id".to_owned(), "a&b".to_owned()), ("client_secret".to_owned(), "c=d".to_owned())]);
    }

    #[test]
    fn an_assertion_says_who_to_whom_and_until_when_and_is_never_the_same() {
        use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
        for (kind, name) in [(&PKCS_ECDSA_P256_SHA256, "ES256"), (&PKCS_ECDSA_P384_SHA384, "ES384"), (&PKCS_ED25519, "EdDSA")] {
            let pair = KeyPair::generate_for(kind).unwrap();
            let key = AssertionKey::from_pem(&Secret::new(pair.serialize_pem()), Some("k1".to_owned())).unwrap();
            let auth = ClientAuth::PrivateKeyJwt { id: "gate".to_owned(), key, audience: None };
            let ((header, form), (_, again)) = (sent(&auth), sent(&auth));
            assert_eq!(header, None);
            assert_eq!(form[1], ("client_assertion_type".to_owned(), ASSERTION_TYPE.to_owned()));
            assert_ne!(form[2], again[2]);
            let parts: Vec<&str> = form[2].1.split('.').collect();
            let part = |at: usize| serde_json::from_slice::<serde_json::Value>(&URL_SAFE_NO_PAD.decode(parts[at]).unwrap()).unwrap();
            assert_eq!(part(0), json!({"alg": name, "typ": "JWT", "kid": "k1"}));
            let claims = part(1);
            assert_eq!((&claims["iss"], &claims["sub"], &claims["aud"]), (&json!("gate"), &json!("gate"), &json!("https://id.example/introspect")));
            assert_eq!((&claims["iat"], &claims["exp"]), (&json!(1000), &json!(1060)));
            let spki = pair.public_key_pem();
            let public = crate::store::jwks::PublicKey::from_pem(spki.as_bytes()).unwrap();
            assert!(public.verifies(name.parse().unwrap(), format!("{}.{}", parts[0], parts[1]).as_bytes(), parts[2]));
            assert!(!format!("{auth:?}").contains("PRIVATE"));
        }
    }

    #[test]
    fn an_rsa_key_signs_too() {
        use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
        use aws_lc_rs::rsa::KeySize;
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let pem = |label: &str, der: &[u8]| format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der));
        let private: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let key = AssertionKey::from_pem(&Secret::new(pem("PRIVATE KEY", private.as_ref())), None).unwrap();
        let assertion = key.assertion("gate", "us", 0).unwrap();
        let (signed, signature) = assertion.rsplit_once('.').unwrap();
        let public = crate::store::jwks::PublicKey::from_pem(pem("PUBLIC KEY", public.as_ref()).as_bytes()).unwrap();
        assert!(public.verifies(Algorithm::RS256, signed.as_bytes(), signature));
    }

    #[test]
    fn what_is_no_private_key_is_refused() {
        for bad in ["", "secret", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"] {
            assert!(AssertionKey::from_pem(&Secret::new(bad), None).is_err());
        }
    }
}
