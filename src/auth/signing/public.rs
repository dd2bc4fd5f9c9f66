//! Public keys that verify signatures over requests.
//!
//! A key of one type verifies no algorithm of another, whatever the request says of itself.

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA512,
    VerificationAlgorithm,
};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject as _;

use crate::store::jwks::PublicKey;

/// Ways to sign with a private key, by their names in RFC 9421 section 3.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicAlgorithm {
    /// RSASSA-PSS with SHA-512, MGF1 with SHA-512, and a salt of 64 bytes.
    RsaPssSha512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RsaV15Sha256,
    /// ECDSA on P-256 with SHA-256; the signature is r and s, 32 bytes each.
    EcdsaP256Sha256,
    /// ECDSA on P-384 with SHA-384; the signature is r and s, 48 bytes each.
    EcdsaP384Sha384,
    /// Ed25519, RFC 8032.
    Ed25519,
}

impl PublicAlgorithm {
    /// All of them. Where a key fits two, the better one stands first.
    pub const ALL: [Self; 5] = [Self::RsaPssSha512, Self::RsaV15Sha256, Self::EcdsaP256Sha256, Self::EcdsaP384Sha384, Self::Ed25519];

    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::RsaPssSha512 => &RSA_PSS_2048_8192_SHA512,
            Self::RsaV15Sha256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::EcdsaP256Sha256 => &ECDSA_P256_SHA256_FIXED,
            Self::EcdsaP384Sha384 => &ECDSA_P384_SHA384_FIXED,
            Self::Ed25519 => &ED25519,
        }
    }
}

/// A public key, made ready for each algorithm that fits its type.
#[derive(Clone)]
pub struct VerifyingKey(Vec<(PublicAlgorithm, ParsedPublicKey)>);

impl VerifyingKey {
    /// The key of a PEM text: `BEGIN PUBLIC KEY` (SubjectPublicKeyInfo) with an RSA key of 2048 to 8192 bits, a P-256, P-384 or
    /// Ed25519 key. The error is a sentence for the operator, and holds nothing of the text.
    pub fn from_pem(pem: &[u8]) -> Result<Self, &'static str> {
        // The same judge as for the keys of token issuers: sizes, exponents, points.
        PublicKey::from_pem(pem)?;
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| "no BEGIN PUBLIC KEY in it")?;
        let parsed = |algorithm: PublicAlgorithm| Some((algorithm, ParsedPublicKey::new(algorithm.verification(), &der).ok()?));
        let ready: Vec<_> = PublicAlgorithm::ALL.into_iter().filter_map(parsed).collect();
        if ready.is_empty() { Err("not an RSA, P-256, P-384 or Ed25519 key") } else { Ok(Self(ready)) }
    }

    /// The algorithms that fit the key's type, the best first.
    pub fn algorithms(&self) -> impl Iterator<Item = PublicAlgorithm> + '_ {
        self.0.iter().map(|(algorithm, _)| *algorithm)
    }

    /// Whether `signature` is this key's over `message`. False for an algorithm that does not fit.
    #[must_use]
    pub fn verifies(&self, algorithm: PublicAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        let key = self.0.iter().find(|(known, _)| *known == algorithm);
        key.is_some_and(|(_, key)| key.verify_sig(message, signature).is_ok())
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VerifyingKey").field(&self.algorithms().collect::<Vec<_>>()).finish()
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair};
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    use base64::Engine as _;

    use super::*;
    use crate::auth::signing::PrivateKey;
    use crate::types::Secret;

    fn pem(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", base64::engine::general_purpose::STANDARD.encode(der))
    }

    #[test]
    fn a_key_verifies_what_its_private_half_signed_with_its_own_algorithm_alone() {
        let ec = |curve| EcdsaKeyPair::generate(curve).unwrap();
        let (p256, p384, ed) = (ec(&ECDSA_P256_SHA256_FIXED_SIGNING), ec(&ECDSA_P384_SHA384_FIXED_SIGNING), Ed25519KeyPair::generate().unwrap());
        let pairs = [
            (p256.to_pkcs8v1().unwrap(), p256.public_key().as_der().unwrap(), PublicAlgorithm::EcdsaP256Sha256),
            (p384.to_pkcs8v1().unwrap(), p384.public_key().as_der().unwrap(), PublicAlgorithm::EcdsaP384Sha384),
            (ed.to_pkcs8v1().unwrap(), ed.public_key().as_der().unwrap(), PublicAlgorithm::Ed25519),
        ];
        for (private, public, algorithm) in pairs {
            let private = PrivateKey::from_pem(&Secret::new(pem("PRIVATE KEY", private.as_ref()))).unwrap();
            let public = VerifyingKey::from_pem(pem("PUBLIC KEY", public.as_ref()).as_bytes()).unwrap();
            assert_eq!((private.algorithms(), public.algorithms().collect::<Vec<_>>()), (&[algorithm][..], vec![algorithm]));
            let signature = private.sign(algorithm, b"message").unwrap();
            assert!(public.verifies(algorithm, b"message", &signature) && !public.verifies(algorithm, b"Message", &signature));
            assert!(!public.verifies(algorithm, b"message", &signature[1..]) && !public.verifies(algorithm, b"message", &[]));
            for other in PublicAlgorithm::ALL.into_iter().filter(|other| *other != algorithm) {
                assert!(!public.verifies(other, b"message", &signature) && private.sign(other, b"message").is_none());
            }
            assert!(format!("{private:?}").ends_with("***)"));
        }
    }

    #[test]
    fn what_is_no_such_key_is_refused() {
        let p521 = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap();
        let spki = p521.public_key().as_der().unwrap();
        assert!(VerifyingKey::from_pem(pem("PUBLIC KEY", spki.as_ref()).as_bytes()).is_err(), "P-521");
        for text in ["", "x", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"] {
            assert!(VerifyingKey::from_pem(text.as_bytes()).is_err() && PrivateKey::from_pem(&Secret::new(text)).is_err(), "{text:?}");
        }
        let pair = Ed25519KeyPair::generate().unwrap();
        let (private, public) = (pair.to_pkcs8v1().unwrap(), pair.public_key().as_der().unwrap());
        assert!(VerifyingKey::from_pem(pem("PRIVATE KEY", private.as_ref()).as_bytes()).is_err(), "a private key is not published");
        assert!(PrivateKey::from_pem(&Secret::new(pem("PUBLIC KEY", public.as_ref()))).is_err());
        let longer = [public.as_ref(), &[0]].concat();
        assert!(VerifyingKey::from_pem(pem("PUBLIC KEY", &longer).as_bytes()).is_err(), "bytes follow the key");
    }
}
