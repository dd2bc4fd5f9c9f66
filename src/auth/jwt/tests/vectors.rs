//! Published vectors: Wycheproof's tokens, and the extension of RFC 7797 that is refused.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use super::super::claims::ClaimRules;
use super::super::header::HeaderRules;
use super::super::keys::Keys;
use super::super::verifier::Rules;
use super::*;
use crate::store::jwks::PublicKey;
use crate::types::Secret;

#[derive(Deserialize)]
struct Vectors {
    #[serde(rename = "numberOfTests")]
    number: usize,
    #[serde(rename = "testGroups")]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    private: Value,
    public: Option<Value>,
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    #[serde(rename = "tcId")]
    id: usize,
    comment: String,
    jws: Value,
    result: String,
}

impl Group {
    /// The key as a scheme would hold it; `None` for one that no scheme takes.
    fn keys(&self) -> Option<Keys> {
        match &self.public {
            Some(jwk) => PublicKey::from_jwk(jwk.clone()).ok().map(|key| Keys::Pinned { key, pem: Vec::new() }),
            None => Some(Keys::secret(&Secret::new(URL_SAFE_NO_PAD.decode(self.private["k"].as_str().unwrap()).unwrap()))),
        }
    }
}

/// A scheme with this key that accepts every algorithm of the key's family, and no claims.
fn verifier(keys: Keys) -> Verifier {
    let names: &[&str] = match keys {
        Keys::Secret { .. } => &["HS256", "HS384", "HS512"],
        Keys::Pinned { .. } | Keys::Set(_) => &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"],
    };
    let algorithms = names.iter().map(|name| name.parse().unwrap()).collect();
    let header = HeaderRules { algorithms, types: ["", "jwt"].map(str::to_owned).to_vec() };
    let claims = shared().issuers.remove(0).claims;
    Verifier { issuers: vec![Rules { header, keys, claims: ClaimRules { issuer: None, ..claims } }], ..shared() }
}

/// Whether the token is one of this scheme's form, with a header that is accepted and a good signature.
async fn accepts(verifier: &Verifier, token: &str) -> bool {
    match verifier.recall(token, &Facts::new(10), 0) {
        Ok(Recall::New(fresh)) => verifier.signed_payload(token, fresh).await.is_ok(),
        Ok(Recall::NotMine) | Err(_) => false,
        Ok(Recall::Known(_)) => panic!("nothing is remembered"),
    }
}

/// Valid to Wycheproof and refused here, and why.
const REFUSED_ON_PURPOSE: [(usize, &str); 12] = [
    (259, "an empty payload holds no claims; a token with an empty part is none of ours"),
    (264, "an empty payload"),
    (268, "an empty payload"),
    (272, "an empty payload"),
    (320, "an empty payload"),
    (325, "an empty payload"),
    (346, "the key says PS256 and the token PS384: a key is for the one algorithm that it names"),
    (347, "P-521 (and the key's alg, ES521, does not exist)"),
    (350, "the key says PS256 and the token PS384"),
    (351, "P-521"),
    (372, "a character outside base64url in the header"),
    (373, "a character outside base64url in the payload"),
];

/// Invalid to Wycheproof by their comments, but byte for byte the valid vector 357: the padding that would make them
/// invalid is not in the published file.
const SAME_AS_VALID: [usize; 2] = [367, 370];
const VALID: usize = 357;

#[tokio::test]
async fn tokens_of_wycheproof_are_accepted_and_refused_as_it_says() {
    let text = include_str!("../../../../tests/vectors/wycheproof/json_web_signature_test.json");
    let vectors: Vectors = serde_json::from_str(text).unwrap();
    let tests = || vectors.groups.iter().flat_map(|group| &group.tests);
    let valid = tests().find(|test| test.id == VALID).unwrap();
    assert!(tests().filter(|test| SAME_AS_VALID.contains(&test.id)).all(|test| test.jws == valid.jws && test.result == "invalid"));
    let (mut seen, mut accepted, mut wrong) = (0, 0, Vec::new());
    for group in &vectors.groups {
        let verifier = group.keys().map(verifier);
        for test in &group.tests {
            seen += 1;
            // The other serialisation of JWS, as a JSON object, is text like any other to a bearer token.
            let token = test.jws.as_str().map_or_else(|| test.jws.to_string(), str::to_owned);
            let good = match &verifier {
                Some(verifier) => accepts(verifier, &token).await,
                None => false,
            };
            accepted += usize::from(good);
            let on_purpose = REFUSED_ON_PURPOSE.iter().any(|(id, _)| *id == test.id);
            let same = SAME_AS_VALID.contains(&test.id);
            if good != (same || test.result == "valid" && !on_purpose) {
                wrong.push((test.id, &test.comment, &test.result));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!((seen, accepted), (vectors.number, 36));
}

/// RFC 7797 section 4 and the JOSE cookbook's rfc7797 folder: payloads that are not base64url. Good signatures, all of them.
#[tokio::test]
async fn a_payload_that_is_not_encoded_is_refused_whatever_it_says() {
    let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let secret = URL_SAFE_NO_PAD.decode(key).unwrap();
    let scheme = verifier(Keys::secret(&Secret::new(secret.clone())));
    let accepted = |token: String| {
        let scheme = &scheme;
        async move { accepts(scheme, &token).await }
    };
    // RFC 7797 section 4.1: the control, with an encoded payload.
    let plain = "eyJhbGciOiJIUzI1NiJ9.JC4wMg.5mvfOroL-g7HyqJoozehmsaqmvTYGEq5jTI1gVvoEoQ";
    assert!(accepted(plain.to_owned()).await);
    let unencoded = "eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il19";
    let without_crit = "eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2V9";
    for token in [
        // RFC 7797 section 4.2, detached and in place.
        format!("{unencoded}..A5dxf2s96_n5FLueVuW1Z_vh161FwXZC4YLPff6dmDY"),
        format!("{unencoded}.$.02.A5dxf2s96_n5FLueVuW1Z_vh161FwXZC4YLPff6dmDY"),
        format!("{unencoded}.JC4wMg.A5dxf2s96_n5FLueVuW1Z_vh161FwXZC4YLPff6dmDY"),
        // The cookbook's two.
        format!("{without_crit}.$.02.GsyM6AQJbQHY8aQKCbZSPJHzMRWo3HKIlcDuXof7nqs"),
        format!("{unencoded}.This is the payload string!.ciks0B6Hs-amhOqxI5_iG6mPKnMDlWCb7J2Wu7mtIcg"),
        format!("{unencoded}.VGhpcyBpcyB0aGUgcGF5bG9hZCBzdHJpbmch.ciks0B6Hs-amhOqxI5_iG6mPKnMDlWCb7J2Wu7mtIcg"),
    ] {
        assert!(!accepted(token.clone()).await, "{token}");
    }
    // The same headers, with a signature over what stands there.
    for header in [
        r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#,
        r#"{"alg":"HS256","b64":false}"#,
        r#"{"alg":"HS256","b64":true,"crit":["b64"]}"#,
        // RFC 7515 appendix E.
        r#"{"alg":"HS256","crit":["http://example.invalid/UNDEFINED"],"http://example.invalid/UNDEFINED":true}"#,
    ] {
        assert!(!accepted(hmac(&secret, Algorithm::HS256, header, "$.02")).await, "{header}");
    }
    assert!(accepted(hmac(&secret, Algorithm::HS256, r#"{"alg":"HS256"}"#, "$.02")).await);
}
