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
