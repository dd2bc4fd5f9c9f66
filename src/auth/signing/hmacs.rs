//! HMAC with one of four hashes, for schemes whose clients choose.
//!
//! A key's MACs are begun when its signature names one: a key is good for all four, and making all ready would cost more than it saves.

use hmac::digest::common::KeySizeUser;
use hmac::digest::consts::U32;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

use super::Macs;
use crate::types::Secret;

/// How a signature was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// For old clients only; nobody is let in with it unless the configuration names it.
    #[serde(rename = "hmac-sha1")]
    HmacSha1,
    /// The usual one.
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    /// The same with SHA-384.
    #[serde(rename = "hmac-sha384")]
    HmacSha384,
    /// The same with SHA-512.
    #[serde(rename = "hmac-sha512")]
    HmacSha512,
}

impl Algorithm {
    pub(in crate::auth) const ALL: [Self; 4] = [Self::HmacSha1, Self::HmacSha256, Self::HmacSha384, Self::HmacSha512];

    /// As clients and keys call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::HmacSha1 => "hmac-sha1",
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        }
    }

    pub(in crate::auth) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// How many bytes its signatures have.
    pub(in crate::auth) fn length(self) -> usize {
        match self {
            Self::HmacSha1 => 20,
            Self::HmacSha256 => 32,
            Self::HmacSha384 => 48,
            Self::HmacSha512 => 64,
        }
    }

    /// The one whose signatures are so long.
    pub(in crate::auth) fn of_length(length: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.length() == length)
    }

    /// Whether any of `seeds` signed any of `readings` with `tag`. Each is measured and compared, in constant time.
    pub(in crate::auth) fn verify(self, seeds: &[Seed], readings: &[Vec<u8>], tag: &[u8]) -> bool {
        match self {
            Self::HmacSha1 => begin::<Hmac<Sha1>>(seeds, readings).match_any(tag),
            Self::HmacSha256 => begin::<Hmac<Sha256>>(seeds, readings).match_any(tag),
            Self::HmacSha384 => begin::<Hmac<Sha384>>(seeds, readings).match_any(tag),
            Self::HmacSha512 => begin::<Hmac<Sha512>>(seeds, readings).match_any(tag),
        }
    }

    /// The signature of `document`; `None` without a secret.
    pub(in crate::auth) fn sign(self, secret: &Secret, document: &[u8]) -> Option<Vec<u8>> {
        fn tag<M: Mac + KeyInit>(secret: &Secret, document: &[u8]) -> Option<Vec<u8>> {
            let mac = <M as KeyInit>::new_from_slice(secret.expose()).ok().filter(|_| !secret.is_empty())?;
            Some(Mac::chain_update(mac, document).finalize().into_bytes().to_vec())
        }
        match self {
            Self::HmacSha1 => tag::<Hmac<Sha1>>(secret, document),
            Self::HmacSha256 => tag::<Hmac<Sha256>>(secret, document),
            Self::HmacSha384 => tag::<Hmac<Sha384>>(secret, document),
            Self::HmacSha512 => tag::<Hmac<Sha512>>(secret, document),
        }
    }

    /// MACs of something that is to be fed.
    pub(in crate::auth) fn begin(self, seeds: &[Seed]) -> Hmacs {
        let nothing: [&[u8]; 1] = [b""];
        match self {
            Self::HmacSha1 => Hmacs::Sha1(begin(seeds, &nothing)),
            Self::HmacSha256 => Hmacs::Sha256(begin(seeds, &nothing)),
            Self::HmacSha384 => Hmacs::Sha384(begin(seeds, &nothing)),
            Self::HmacSha512 => Hmacs::Sha512(begin(seeds, &nothing)),
        }
    }
}

fn begin<M: Mac + KeyInit + Clone>(seeds: &[Seed], readings: &[impl AsRef<[u8]>]) -> Macs<M> {
    // An HMAC takes a key of any length.
    let states: Vec<M> = seeds.iter().filter_map(|seed| <M as KeyInit>::new_from_slice(seed.0.expose()).ok()).collect();
    Macs::begin(&states, readings.iter().map(AsRef::as_ref))
}

/// MACs under one algorithm.
#[derive(Debug, Clone)]
pub(in crate::auth) enum Hmacs {
    Sha1(Macs<Hmac<Sha1>>),
    Sha256(Macs<Hmac<Sha256>>),
    Sha384(Macs<Hmac<Sha384>>),
    Sha512(Macs<Hmac<Sha512>>),
}

impl Hmacs {
    pub(in crate::auth) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(macs) => macs.update(bytes),
            Self::Sha256(macs) => macs.update(bytes),
            Self::Sha384(macs) => macs.update(bytes),
            Self::Sha512(macs) => macs.update(bytes),
        }
    }

    pub(in crate::auth) fn match_any(self, tag: &[u8]) -> bool {
        match self {
            Self::Sha1(macs) => macs.match_any(tag),
            Self::Sha256(macs) => macs.match_any(tag),
            Self::Sha384(macs) => macs.match_any(tag),
            Self::Sha512(macs) => macs.match_any(tag),
        }
    }
}

/// A secret from which any of the MACs is begun.
#[derive(Debug, Clone)]
pub(in crate::auth) struct Seed(Secret);

impl Seed {
    pub(in crate::auth) fn of(secret: Secret) -> Self {
        Self(secret)
    }
}

impl KeySizeUser for Seed {
    type KeySize = U32;
}

impl KeyInit for Seed {
    fn new(key: &hmac::digest::Key<Self>) -> Self {
        Self(Secret::new(key.as_slice()))
    }

    fn new_from_slice(key: &[u8]) -> Result<Self, hmac::digest::InvalidLength> {
        Ok(Self(Secret::new(key)))
    }
}

/// The bytes of a signature: base64 with its padding and without stray bits, so that one signature has one spelling.
pub(in crate::auth) fn tag_of_any_length(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    // Longer than any signature: nobody makes us decode more.
    (text.len() <= 88).then(|| base64::engine::general_purpose::STANDARD.decode(text).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2202 test case 2 and RFC 4231 test case 2, SHA-1 and SHA-256: the other two in the same place.
    #[test]
    fn the_published_values_are_made_and_accepted() {
        let (secret, document) = (Secret::new("Jefe"), b"what do ya want for nothing?");
        let seed = [<Seed as KeyInit>::new_from_slice(b"Jefe").unwrap()];
        for (algorithm, hex) in [
            (Algorithm::HmacSha1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
            (Algorithm::HmacSha256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (Algorithm::HmacSha384, "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"),
            (
                Algorithm::HmacSha512,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
        ] {
            let tag = algorithm.sign(&secret, document).unwrap();
            assert_eq!(tag.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), hex);
            assert_eq!(
                (tag.len(), Algorithm::of_length(tag.len()), Algorithm::named(algorithm.name())),
                (algorithm.length(), Some(algorithm), Some(algorithm))
            );
            assert!(algorithm.verify(&seed, &[b"another".to_vec(), document.to_vec()], &tag));
            let mut body = algorithm.begin(&seed);
            document.chunks(3).for_each(|chunk| body.update(chunk));
            assert!(body.match_any(&tag));
            for other in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
                assert!(!other.verify(&seed, &[document.to_vec()], &tag));
            }
            for wrong in [&tag[1..], &tag[..tag.len() - 1], &[]] {
                assert!(!algorithm.verify(&seed, &[document.to_vec()], wrong), "part of a signature is none");
            }
            assert!(!algorithm.verify(&[], &[document.to_vec()], &tag) && !algorithm.verify(&seed, &[], &tag));
            assert!(algorithm.sign(&Secret::new(""), document).is_none());
        }
    }

    #[test]
    fn a_signature_has_one_spelling() {
        assert_eq!(tag_of_any_length("AQI="), Some(vec![1, 2]));
        for text in ["AQI", "AQJ=", "AQI==", " AQI=", "AQ-=", &"A".repeat(92)] {
            assert_eq!(tag_of_any_length(text), None, "{text}");
        }
    }
}
