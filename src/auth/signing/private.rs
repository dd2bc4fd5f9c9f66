//! Private keys, for those who sign: the command line, and tests against the verifier.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA512, RsaKeyPair,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;

use super::PublicAlgorithm;
use crate::types::Secret;

/// The least that an RSA key may have, in bytes.
const SHORTEST_MODULUS: usize = 256;

/// A private key. Its type decides the algorithm; an RSA key has two.
pub struct PrivateKey(Pair);

enum Pair {
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl PrivateKey {
    /// The key of a PEM text: `BEGIN PRIVATE KEY` (PKCS#8) with an RSA key of 2048 bits at least, a P-256, P-384 or Ed25519 key. The
    /// error is a sentence for whoever has the key, and holds nothing of it.
    pub fn from_pem(pem: &Secret) -> Result<Self, &'static str> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.expose()).map_err(|_| "there is no PKCS#8 private key in PEM form")?;
        let der = der.secret_pkcs8_der();
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
            return Ok(Self(Pair::P256(pair)));
        }
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, der) {
            return Ok(Self(Pair::P384(pair)));
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            return Ok(Self(Pair::Ed25519(pair)));
        }
        match RsaKeyPair::from_pkcs8(der) {
            Ok(pair) if pair.public_modulus_len() >= SHORTEST_MODULUS => Ok(Self(Pair::Rsa(Box::new(pair)))),
            Ok(_) => Err("the RSA key is shorter than 2048 bits"),
            Err(_) => Err("the key is none of RSA, EC P-256, EC P-384 and Ed25519"),
        }
    }

    /// The algorithms that it can sign with, the best first.
    #[must_use]
    pub fn algorithms(&self) -> &'static [PublicAlgorithm] {
        match self.0 {
            Pair::Rsa(_) => &[PublicAlgorithm::RsaPssSha512, PublicAlgorithm::RsaV15Sha256],
            Pair::P256(_) => &[PublicAlgorithm::EcdsaP256Sha256],
            Pair::P384(_) => &[PublicAlgorithm::EcdsaP384Sha384],
            Pair::Ed25519(_) => &[PublicAlgorithm::Ed25519],
        }
    }

    /// Signs `message`; `None` with an algorithm that does not fit, or where the machine has no randomness.
    #[must_use]
    pub fn sign(&self, algorithm: PublicAlgorithm, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        if !self.algorithms().contains(&algorithm) {
            return None;
        }
        match &self.0 {
            Pair::P256(pair) | Pair::P384(pair) => pair.sign(&random, message).ok().map(|signature| signature.as_ref().to_vec()),
            Pair::Ed25519(pair) => pair.try_sign(message).ok().map(|signature| signature.as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let encoding = if algorithm == PublicAlgorithm::RsaV15Sha256 { &RSA_PKCS1_SHA256 } else { &RSA_PSS_SHA512 };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut signature).ok().map(|()| signature)
            }
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({:?}, ***)", self.algorithms())
    }
}
