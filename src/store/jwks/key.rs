//! One public key: of a JWK (RFC 7517, RFC 7518 section 6, RFC 8037) or of a PEM file.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey as ParsedSpki;
use x509_parser::x509::SubjectPublicKeyInfo;

/// RSA keys of fewer bits are broken (NIST SP 800-131A); of more, they cost an attacker's target too much time.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Object identifiers of curves (RFC 5480, RFC 8410).
const OID_P256: &str = "1.2.840.10045.3.1.7";
const OID_P384: &str = "1.3.132.0.34";
const OID_ED25519: &str = "1.3.101.112";

/// What may be verified with an RSA key. PSS with a salt as long as the hash (RFC 7518 section 3.5).
const RSA_ALGORITHMS: [(Algorithm, &RsaParameters); 6] = [
    (Algorithm::RS256, &RSA_PKCS1_2048_8192_SHA256),
    (Algorithm::RS384, &RSA_PKCS1_2048_8192_SHA384),
    (Algorithm::RS512, &RSA_PKCS1_2048_8192_SHA512),
    (Algorithm::PS256, &RSA_PSS_2048_8192_SHA256),
    (Algorithm::PS384, &RSA_PSS_2048_8192_SHA384),
    (Algorithm::PS512, &RSA_PSS_2048_8192_SHA512),
];

/// A public key that verifies signatures. Never a shared secret: a key of one family verifies no algorithm of another.
#[derive(Debug)]
pub struct PublicKey {
    kid: Option<String>,
    /// Read once for each algorithm that it is for: to read a key anew costs a fifth of an RSA verification.
    parsed: Vec<(Algorithm, ParsedPublicKey)>,
}

/// The members of a JWK that matter here.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl PublicKey {
    /// A key of a JWK set. The error is a sentence for the log: why the key is passed over.
    pub fn from_jwk(jwk: serde_json::Value) -> Result<Self, &'static str> {
        if !jwk.is_object() {
            return Err("not an object");
        }
        let jwk: Jwk = serde_json::from_value(jwk).map_err(|_| "not a JWK, or a member of the wrong type")?;
        if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return Err("not for signatures (use)");
        }
        if jwk.key_ops.as_ref().is_some_and(|operations| !operations.iter().any(|operation| operation == "verify")) {
            return Err("not for verifying (key_ops)");
        }
        let mut key = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => Self::rsa(&member(jwk.n)?, &member(jwk.e)?)?,
            ("EC", Some("P-256")) => Self::ec(Algorithm::ES256, &point(32, jwk.x, jwk.y)?)?,
            ("EC", Some("P-384")) => Self::ec(Algorithm::ES384, &point(48, jwk.x, jwk.y)?)?,
            ("OKP", Some("Ed25519")) => Self::ed25519(&member(jwk.x)?)?,
            ("oct", _) => return Err("a shared secret has no place in a published key set"),
            _ => return Err("a type or curve that is not known here"),
        };
        let only = match jwk.alg.as_deref() {
            None => None,
            // RFC 9864 gives the same algorithm a second name.
            Some("Ed25519") => Some(Algorithm::EdDSA),
            Some(name) => Some(name.parse::<Algorithm>().map_err(|_| "for an algorithm that is not known here (alg)")?),
        };
        key.parsed.retain(|(algorithm, _)| only.is_none_or(|only| only == *algorithm));
        if key.parsed.is_empty() {
            return Err("alg does not fit the key's type");
        }
        key.kid = jwk.kid;
        Ok(key)
    }

    /// The key of a PEM file: `BEGIN PUBLIC KEY` (SubjectPublicKeyInfo) with an RSA, P-256, P-384 or Ed25519 key.
    pub fn from_pem(pem: &[u8]) -> Result<Self, &'static str> {
        let spki = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| "no BEGIN PUBLIC KEY in it")?;
        let Ok((rest, spki)) = SubjectPublicKeyInfo::from_der(&spki) else {
            return Err("not a SubjectPublicKeyInfo");
        };
        if !rest.is_empty() {
            return Err("bytes follow the key");
        }
        if spki.algorithm.algorithm.to_id_string() == OID_ED25519 {
            return Self::ed25519(&spki.subject_public_key.data);
        }
        match spki.parsed() {
            Ok(ParsedSpki::RSA(key)) => Self::rsa(key.modulus, key.exponent),
            Ok(ParsedSpki::EC(point)) => {
                let curve = spki.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok()).map(|oid| oid.to_id_string());
                match curve.as_deref() {
                    Some(OID_P256) => Self::ec(Algorithm::ES256, point.data()),
                    Some(OID_P384) => Self::ec(Algorithm::ES384, point.data()),
                    Some(_) | None => Err("a curve other than P-256 and P-384"),
                }
            }
            Ok(_) | Err(_) => Err("not an RSA, P-256, P-384 or Ed25519 key"),
        }
    }

    /// Whether signatures by `algorithm` may be verified with this key.
    #[must_use]
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.parsed(algorithm).is_some()
    }

    /// The name that tokens know it by.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether `signature` (base64url without padding) is this key's over `message`. False for an algorithm that does not fit.
    #[must_use]
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &str) -> bool {
        let Some(key) = self.parsed(algorithm) else { return false };
        URL_SAFE_NO_PAD.decode(signature).is_ok_and(|signature| key.verify_sig(message, &signature).is_ok())
    }

    /// Whether both are one key under one name for the same algorithms.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let same = |(a, b): (&(Algorithm, ParsedPublicKey), &(Algorithm, ParsedPublicKey))| a.0 == b.0 && a.1.as_ref() == b.1.as_ref();
        self.kid == other.kid && self.parsed.len() == other.parsed.len() && self.parsed.iter().zip(&other.parsed).all(same)
    }

    fn parsed(&self, algorithm: Algorithm) -> Option<&ParsedPublicKey> {
        self.parsed.iter().find(|(known, _)| *known == algorithm).map(|(_, key)| key)
    }

    fn rsa(n: &[u8], e: &[u8]) -> Result<Self, &'static str> {
        let (n, e) = (without_leading_zeros(n), without_leading_zeros(e));
        let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
        if !RSA_BITS.contains(&bits) {
            return Err("an RSA key of fewer than 2048 or more than 8192 bits");
        }
        // With an exponent of 1 every message is its own signature.
        let exponent = e.iter().try_fold(0_u64, |value, byte| value.checked_mul(256).map(|value| value + u64::from(*byte)));
        if !exponent.is_some_and(|e| e >= 3 && e % 2 == 1) {
            return Err("an RSA exponent that is even, below 3 or beyond all measure");
        }
        let read = |(algorithm, parameters)| Ok((algorithm, RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters)?));
        let parsed = RSA_ALGORITHMS.into_iter().map(read).collect::<Result<_, aws_lc_rs::error::Unspecified>>();
        Ok(Self { kid: None, parsed: parsed.map_err(|_| "not a valid RSA key")? })
    }

    /// `point` is uncompressed: 4, x, y. The library says whether it lies on the curve.
    fn ec(algorithm: Algorithm, point: &[u8]) -> Result<Self, &'static str> {
        let curve = if algorithm == Algorithm::ES384 { &ECDSA_P384_SHA384_FIXED } else { &ECDSA_P256_SHA256_FIXED };
        if point.first() != Some(&4) {
            return Err("not an uncompressed point");
        }
        Self::single(algorithm, curve, point).ok_or("not a point on its curve")
    }

    fn ed25519(x: &[u8]) -> Result<Self, &'static str> {
        if x.len() != 32 {
            return Err("an Ed25519 key has 32 bytes");
        }
        Self::single(Algorithm::EdDSA, &ED25519, x).ok_or("not a valid Ed25519 key")
    }

    fn single(algorithm: Algorithm, parameters: &'static dyn VerificationAlgorithm, bytes: &[u8]) -> Option<Self> {
        let key = ParsedPublicKey::new(parameters, bytes).ok()?;
        Some(Self { kid: None, parsed: vec![(algorithm, key)] })
    }
}

fn member(value: Option<String>) -> Result<Vec<u8>, &'static str> {
    let value = value.ok_or("a member is missing")?;
    URL_SAFE_NO_PAD.decode(value).map_err(|_| "a member is not base64url without padding")
}

fn point(size: usize, x: Option<String>, y: Option<String>) -> Result<Vec<u8>, &'static str> {
    let (x, y) = (member(x)?, member(y)?);
    // Each alone: a short x and a long y together would have the right length, too (RFC 7518 section 6.2.1.2).
    if x.len() != size || y.len() != size {
        return Err("a coordinate of the wrong length");
    }
    Ok([&[4], x.as_slice(), y.as_slice()].concat())
}

fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::testing::{Signer, with};
    use super::*;

    fn refused(jwk: Value) -> &'static str {
        PublicKey::from_jwk(jwk).unwrap_err()
    }

    #[test]
    fn a_key_fits_the_algorithms_of_its_type_and_curve_alone() {
        use Algorithm::{ES256, ES384, EdDSA, HS256, PS256, RS256, RS512};
        let all = [HS256, RS256, RS512, PS256, ES256, ES384, EdDSA];
        let fitting = |key: &PublicKey| all.into_iter().filter(|algorithm| key.fits(*algorithm)).collect::<Vec<_>>();
        for (signer, fits) in [
            (Signer::rsa(), vec![RS256, RS512, PS256]),
            (Signer::p256(), vec![ES256]),
            (Signer::p384(), vec![ES384]),
            (Signer::ed25519(), vec![EdDSA]),
        ] {
            assert_eq!(fitting(&PublicKey::from_jwk(signer.jwk()).unwrap()), fits);
            assert_eq!(fitting(&PublicKey::from_pem(signer.pem().as_bytes()).unwrap()), fits);
        }
        let only = PublicKey::from_jwk(with(Signer::rsa().jwk(), "alg", "PS256")).unwrap();
        assert_eq!(fitting(&only), [PS256]);
        let named = PublicKey::from_jwk(with(Signer::ed25519().jwk(), "alg", "Ed25519")).unwrap();
        assert_eq!(fitting(&named), [EdDSA]);
    }

    #[test]
    fn what_one_key_signed_that_key_alone_verifies() {
        let (one, other) = (Signer::p256(), Signer::p256());
        let signature = one.sign(Algorithm::ES256, "a.b");
        let key = PublicKey::from_jwk(one.jwk()).unwrap();
        assert!(key.verifies(Algorithm::ES256, b"a.b", &signature));
        assert!(PublicKey::from_pem(one.pem().as_bytes()).unwrap().verifies(Algorithm::ES256, b"a.b", &signature));
        assert!(!key.verifies(Algorithm::ES256, b"a.c", &signature));
        assert!(!key.verifies(Algorithm::ES384, b"a.b", &signature));
        assert!(!PublicKey::from_jwk(other.jwk()).unwrap().verifies(Algorithm::ES256, b"a.b", &signature));
        let rsa = Signer::rsa();
        let key = PublicKey::from_jwk(rsa.jwk()).unwrap();
        for algorithm in [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512] {
            assert!(key.verifies(algorithm, b"a.b", &rsa.sign(algorithm, "a.b")), "{algorithm:?}");
            assert!(!key.verifies(algorithm, b"a.x", &rsa.sign(algorithm, "a.b")), "{algorithm:?}");
        }
        assert!(!key.verifies(Algorithm::PS256, b"a.b", &rsa.sign(Algorithm::RS256, "a.b")));
    }

    #[test]
    fn signatures_in_another_spelling_are_refused() {
        let signer = Signer::p256();
        let key = PublicKey::from_jwk(signer.jwk()).unwrap();
        let good = signer.sign(Algorithm::ES256, "a.b");
        // 64 bytes end in a character with four unused bits: any other than zero is a second spelling.
        let last = good.chars().last().unwrap();
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let next = alphabet.chars().nth(alphabet.find(last).unwrap() + 1).unwrap();
        let psychic = URL_SAFE_NO_PAD.encode([0_u8; 64]);
        let der = URL_SAFE_NO_PAD.encode([0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01]);
        for bad in [
            format!("{}{next}", &good[..good.len() - 1]),
            format!("{good}=="),
            format!("{good}A"),
            format!("{good}AAAA"),
            format!(" {good}"),
            good.replace(['-', '_'], "+") + "+",
            good[..good.len() - 4].to_owned(),
            String::new(),
            "A".to_owned(),
            psychic,
            der,
        ] {
            assert!(!key.verifies(Algorithm::ES256, b"a.b", &bad), "{bad}");
        }
        assert!(key.verifies(Algorithm::ES256, b"a.b", &good));
    }

    #[test]
    fn keys_for_other_purposes_and_broken_ones_are_refused() {
        let good = Signer::p256().jwk();
        for (name, value) in [
            ("use", json!("enc")),
            ("use", json!(7)),
            ("key_ops", json!(["sign"])),
            ("key_ops", json!([])),
            ("key_ops", json!("verify")),
            ("alg", json!("RS256")),
            ("alg", json!("HS256")),
            ("alg", json!("ES512")),
            ("alg", json!("none")),
            ("kty", json!("oct")),
            ("kty", json!("RSA")),
            ("kty", json!("ec")),
            ("kty", json!(null)),
            ("crv", json!("P-384")),
            ("crv", json!("P-521")),
            ("crv", json!("secp256k1")),
            ("crv", json!(null)),
            ("x", json!("AA")),
            ("x", json!("")),
            ("x", json!(null)),
            ("y", json!(URL_SAFE_NO_PAD.encode([1_u8; 32]))),
            ("x", json!(format!("{}=", good["x"].as_str().unwrap()))),
            ("kid", json!(7)),
        ] {
            assert!(PublicKey::from_jwk(with(good.clone(), name, value.clone())).is_err(), "{name} {value}");
        }
        for (name, value) in
            [("use", json!("sig")), ("key_ops", json!(["verify", "x"])), ("alg", json!("ES256")), ("x5c", json!(["junk"])), ("d", json!(7))]
        {
            assert!(PublicKey::from_jwk(with(good.clone(), name, value.clone())).is_ok(), "{name} {value}");
        }
        assert_eq!(refused(json!({"kty": "oct", "k": "c2VjcmV0"})), "a shared secret has no place in a published key set");
        for junk in [json!(null), json!([]), json!("x"), json!({}), json!({"kty": "RSA"}), json!({"kty": "OKP", "crv": "Ed25519", "x": "AA"})] {
            assert!(PublicKey::from_jwk(junk).is_err());
        }
    }

    #[test]
    fn rsa_keys_under_2048_bits_are_refused_however_they_are_padded() {
        let e = "AQAB";
        let jwk = |n: &[u8], e: &str| json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode(n), "e": e});
        let mut padded = vec![0_u8; 128];
        padded.extend([0xff; 128]);
        for n in [vec![0xff_u8; 128], [0x7f].into_iter().chain([0xff; 255]).collect(), padded, vec![], vec![0; 256], vec![0xff; 1025]] {
            assert_eq!(refused(jwk(&n, e)), "an RSA key of fewer than 2048 or more than 8192 bits");
        }
        let n = URL_SAFE_NO_PAD.decode(Signer::rsa().jwk()["n"].as_str().unwrap()).unwrap();
        assert!(PublicKey::from_jwk(jwk(&[&[0], n.as_slice()].concat(), e)).is_ok());
        for e in ["", "AA", "AQ", "Ag", "////"] {
            assert!(PublicKey::from_jwk(jwk(&n, e)).is_err(), "{e}");
        }
    }

    #[test]
    fn a_pem_file_holds_a_public_key_and_nothing_else_will_do() {
        let pem = Signer::p256().pem();
        assert!(PublicKey::from_pem(pem.replace("PUBLIC KEY", "PRIVATE KEY").as_bytes()).is_err());
        assert!(PublicKey::from_pem(pem.replace("PUBLIC KEY", "CERTIFICATE").as_bytes()).is_err());
        assert!(PublicKey::from_pem(pem.replace("MFk", "MFg").as_bytes()).is_err());
        assert!(PublicKey::from_pem(b"").is_err());
        assert!(PublicKey::from_pem(b"a secret of 32 bytes or even more").is_err());
    }
}
