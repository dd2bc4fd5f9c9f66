//! Wycheproof's vectors of raw signatures, through the keys that verify tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm::{self, ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify as pkcs1, rsa_pss_verify as pss};

use super::super::PublicKey;

/// One key of a set with its vectors: message, signature, what is expected, and its number.
type Vector<'v> = (&'v [u8], &'v [u8], TestResult, usize);

/// Counts what is accepted and what is refused.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    accepted: usize,
    refused: usize,
}

impl Tally {
    fn run<'v>(&mut self, what: &str, key: &PublicKey, algorithm: Algorithm, vectors: impl Iterator<Item = Vector<'v>>) {
        for (message, signature, expected, number) in vectors {
            let accepted = key.verifies(algorithm, message, &URL_SAFE_NO_PAD.encode(signature));
            match expected {
                TestResult::Valid => assert!(accepted, "{what} {number} is valid"),
                TestResult::Invalid => assert!(!accepted, "{what} {number} is invalid"),
                // Padding without the NULL that RFC 8017 asks for, and the like: refused, all of them.
                TestResult::Acceptable => assert!(!accepted, "{what} {number} is acceptable to some, not here"),
            }
            if accepted { self.accepted += 1 } else { self.refused += 1 }
        }
    }
}

macro_rules! vectors {
    ($group:expr) => {
        $group.tests.iter().map(|test| (test.msg.as_ref(), test.sig.as_ref(), test.result, test.tc_id))
    };
}

#[test]
fn ecdsa_of_fixed_length_is_verified_as_wycheproof_says() {
    let mut tally = Tally::default();
    for (set, algorithm) in [(ecdsa::TestName::EcdsaSecp256r1Sha256P1363, ES256), (ecdsa::TestName::EcdsaSecp384r1Sha384P1363, ES384)] {
        for group in ecdsa::TestSet::load(set).unwrap().test_groups {
            let key = PublicKey::from_pem(group.pem.as_bytes()).unwrap();
            tally.run(&format!("{set:?}"), &key, algorithm, vectors!(group));
        }
    }
    assert_eq!((tally.accepted, tally.refused), (366, 176));
}

#[test]
fn ecdsa_in_der_is_no_signature_of_a_token() {
    for (set, algorithm) in [(ecdsa::TestName::EcdsaSecp256r1Sha256, ES256), (ecdsa::TestName::EcdsaSecp384r1Sha384, ES384)] {
        for group in ecdsa::TestSet::load(set).unwrap().test_groups {
            let key = PublicKey::from_pem(group.pem.as_bytes()).unwrap();
            for test in &group.tests {
                assert!(!key.verifies(algorithm, &test.msg, &URL_SAFE_NO_PAD.encode(&test.sig)), "{set:?} {}", test.tc_id);
            }
        }
    }
}

#[test]
fn keys_of_curves_that_are_not_offered_are_refused() {
    for set in [ecdsa::TestName::EcdsaSecp521r1Sha512P1363, ecdsa::TestName::EcdsaSecp256k1Sha256P1363, ecdsa::TestName::EcdsaSecp224r1Sha256P1363] {
        for group in ecdsa::TestSet::load(set).unwrap().test_groups {
            assert!(PublicKey::from_pem(group.pem.as_bytes()).is_err(), "{set:?}");
        }
    }
    for group in eddsa::TestSet::load(eddsa::TestName::Ed448).unwrap().test_groups {
        assert!(PublicKey::from_pem(group.pem.as_bytes()).is_err());
    }
}

#[test]
fn ed25519_is_verified_as_wycheproof_says() {
    let mut tally = Tally::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let key = PublicKey::from_pem(group.pem.as_bytes()).unwrap();
        tally.run("Ed25519", &key, EdDSA, vectors!(group));
    }
    assert_eq!((tally.accepted, tally.refused), (88, 63));
}

#[test]
fn rsa_pkcs1_is_verified_as_wycheproof_says() {
    use pkcs1::TestName::{
        Rsa2048Sha256, Rsa2048Sha384, Rsa2048Sha512, Rsa3072Sha256, Rsa3072Sha384, Rsa3072Sha512, Rsa4096Sha256, Rsa4096Sha384, Rsa4096Sha512,
        Rsa8192Sha256,
    };
    let mut tally = Tally::default();
    for (set, algorithm) in [
        (Rsa2048Sha256, RS256),
        (Rsa3072Sha256, RS256),
        (Rsa4096Sha256, RS256),
        (Rsa8192Sha256, RS256),
        (Rsa2048Sha384, RS384),
        (Rsa3072Sha384, RS384),
        (Rsa4096Sha384, RS384),
        (Rsa2048Sha512, RS512),
        (Rsa3072Sha512, RS512),
        (Rsa4096Sha512, RS512),
    ] {
        for group in pkcs1::TestSet::load(set).unwrap().test_groups {
            let key = PublicKey::from_pem(group.pem.as_bytes()).unwrap();
            tally.run(&format!("{set:?}"), &key, algorithm, vectors!(group));
        }
    }
    assert_eq!((tally.accepted, tally.refused), (75, 2513));
}

#[test]
fn rsa_pss_is_verified_as_wycheproof_says() {
    use pss::TestName::{
        RsaPss2048Sha256Mgf1SaltLen32, RsaPss2048Sha384Mgf1SaltLen48, RsaPss3072Sha256Mgf1SaltLen32, RsaPss4096Sha256Mgf1SaltLen32,
        RsaPss4096Sha384Mgf1SaltLen48, RsaPss4096Sha512Mgf1SaltLen64,
    };
    let mut tally = Tally::default();
    for (set, algorithm) in [
        (RsaPss2048Sha256Mgf1SaltLen32, PS256),
        (RsaPss3072Sha256Mgf1SaltLen32, PS256),
        (RsaPss4096Sha256Mgf1SaltLen32, PS256),
        (RsaPss2048Sha384Mgf1SaltLen48, PS384),
        (RsaPss4096Sha384Mgf1SaltLen48, PS384),
        (RsaPss4096Sha512Mgf1SaltLen64, PS512),
    ] {
        for group in pss::TestSet::load(set).unwrap().test_groups {
            let key = PublicKey::from_pem(group.pem.as_bytes()).unwrap();
            tally.run(&format!("{set:?}"), &key, algorithm, vectors!(group));
        }
    }
    assert_eq!((tally.accepted, tally.refused), (511, 274));
}

/// A salt of another length, or another hash inside the mask, is another algorithm: no JOSE name has it (RFC 7518 section 3.5).
#[test]
fn rsa_pss_with_other_parameters_is_refused() {
    use pss::TestName::{RsaPss2048Sha256Mgf1SaltLen0, RsaPss2048Sha256Mgf1Sha1_20, RsaPss4096Sha512Mgf1SaltLen32};
    for (set, algorithm) in [(RsaPss2048Sha256Mgf1SaltLen0, PS256), (RsaPss2048Sha256Mgf1Sha1_20, PS256), (RsaPss4096Sha512Mgf1SaltLen32, PS512)] {
        for group in pss::TestSet::load(set).unwrap().test_groups {
            let key = PublicKey::from_pem(group.pem.as_bytes()).unwrap();
            for test in &group.tests {
                // One vector of the set without a salt has one of 32 bytes: wrong there, right for PS256.
                let right = matches!(set, RsaPss2048Sha256Mgf1SaltLen0) && test.comment == "s_len changed to 32";
                assert_eq!(key.verifies(algorithm, &test.msg, &URL_SAFE_NO_PAD.encode(&test.sig)), right, "{set:?} {}", test.tc_id);
            }
        }
    }
}
