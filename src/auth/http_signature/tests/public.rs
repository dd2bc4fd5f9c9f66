//! RSA keys in the draft's own dialect: the draft's examples, and that no request chooses another algorithm than its key's.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// draft-cavage-http-signatures-12, appendix C: the key "Test". It is too short to be let in here.
const TEST: &str = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDCFENGw33yGihy92pDjZQhl0C36rPJj+CvfSC8+q28hxA161QFNUd13wuCTUcq0Qd2qsBe/2hFyc2DCJJg0h1L78+6Z4UMR7EOcpfdUE9Hf3m/hs+FUR45uBJeDK1HSFHD8bHKD6kv8FPGfJTotc+2xjJwoYi+1hqp1fIekaxsyQIDAQAB";

/// Its test cases: the list, and the signature.
const EXAMPLES: [(&str, &str, &str); 3] = [
    (
        "C.1",
        "date",
        "SjWJWbWN7i0wzBvtPl8rbASWz5xQW6mcJmn+ibttBqtifLN7Sazz6m79cNfwwb8DMJ5cou1s7uEGKKCs+FLEEaDV5lp7q25WqS+lavg7T8hc0GppauB6hbgEKTwblDHYGEtbGmtdHgVCk9SuS13F0hZ8FD0k/5OxEPXe5WozsbM=",
    ),
    (
        "C.2",
        "(request-target) host date",
        "qdx+H7PHHDZgy4y/Ahn9Tny9V3GP6YgBPyUXMmoxWtLbHpUnXS2mg2+SbrQDMCJypxBLSPQR2aAjn7ndmw2iicw3HMbe8VfEdKFYRqzic+efkb3nndiv/x1xSHDJWeSWkx3ButlYSuBskLu6kd9Fswtemr3lgdDEmn04swr2Os0=",
    ),
    (
        "C.3",
        "(request-target) host date content-type digest content-length",
        "vSdrb+dS3EceC9bcwHSo4MlyKS59iFIrhgYkz8+oVLEEzmYZZvRs8rgOp+63LEM3v+MFHB32NfpB2bEKBIvB1q52LaEUHFv120V01IL+TAD48XaERZFukWgHoBTLMhYS2Gb51gWxpeIq8knRmPnYePbF5MOkR0Zkly4zKH7s1dE=",
    ),
];

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

/// A private and a public key, in PEM.
fn pair() -> (Secret, String) {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let private: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    (Secret::new(pem("PRIVATE KEY", private.as_ref())), pem("PUBLIC KEY", public.as_ref()))
}

fn with_key(public: &str, options: &str) -> Rules {
    rules_of(&format!("[keys.alice]\nsecret = \"{SECRET}\"\n[keys.rsa]\npublic_key = {public:?}\nuser = \"carol\"\n{options}"))
}

fn rules_of(toml: &str) -> Rules {
    let mut report = Report::default();
    Rules::build("s", settings(toml), false, &mut report).unwrap_or_else(|| panic!("{:?}", report.problems()))
}

fn signed_with(private: &Secret, pss: bool, method: &str, target: &str, body: &[u8]) -> Case {
    let case = Case::new(method, target);
    let uri: Uri = format!("https://{}{target}", case.host).parse().unwrap();
    let lines = sign::request_by_rsa(("rsa", private, pss), &case.method, &uri, &[("X-A".to_owned(), "1".to_owned())], body, NOW).unwrap().0;
    lines.iter().fold(case, |case, (name, value)| case.header(name, value))
}

/// The same request, with this text of its Authorization replaced.
fn with(case: &Case, from: &str, to: &str) -> Case {
    let value = case.value("authorization");
    assert!(value.contains(from), "{value}");
    case.clone().set("authorization", &value.replacen(from, to, 1))
}

#[test]
fn the_drafts_examples_are_signatures_over_their_documents() {
    let key = UnparsedPublicKey::new(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, STANDARD.decode(TEST).unwrap());
    let rules = rules("allow_unsigned_target = true\nallow_unsigned_host = true");
    for (name, list, signature) in EXAMPLES {
        let mut case = Case::new("POST", "/foo?param=value&pet=dog")
            .header("date", "Sun, 05 Jan 2014 21:31:40 GMT")
            .header("content-type", "application/json")
            .header("digest", "SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=")
            .header("authorization", &format!("Signature keyId=\"Test\",algorithm=\"rsa-sha256\",headers=\"{list}\",signature=\"{signature}\""));
        (case.host, case.length) = ("example.com".to_owned(), Some(18));
        let read = case.read(&rules).unwrap();
        let document = case.document(&rules).into_bytes();
        assert!(key.verify(&document, &read.tag).is_ok(), "{name}: {}", case.document(&rules));
        for bit in 0..document.len() * 8 {
            let mut changed = document.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(key.verify(&changed, &read.tag).is_err(), "{name}: bit {bit}");
        }
    }
    let mut report = Report::default();
    let short = pem("PUBLIC KEY", &STANDARD.decode(TEST).unwrap());
    assert!(Rules::build("s", settings(&format!("[keys.Test]\npublic_key = {short:?}")), false, &mut report).is_none(), "1024 bits");
}

#[test]
fn an_rsa_key_signs_with_its_own_algorithm_and_no_request_chooses_another() {
    let (private, public) = pair();
    let (usual, pss) = (with_key(&public, ""), with_key(&public, "algorithms = [\"rsa-pss-sha512\"]"));
    let by = |pss| signed_with(&private, pss, "POST", "/x?a=1", b"body");
    for (rules, case, good) in [
        (&usual, by(false), true),
        (&usual, with(&by(false), "rsa-sha256", "hs2019"), true),
        (&usual, with(&by(false), "algorithm=\"rsa-sha256\",", ""), true),
        (&usual, by(true), false),
        (&usual, with(&by(true), "hs2019", "rsa-sha256"), false),
        (&pss, by(true), true),
        (&pss, with(&by(true), "algorithm=\"hs2019\",", ""), true),
        (&pss, with(&by(true), "hs2019", "rsa-sha256"), false),
        (&pss, by(false), false),
        (&pss, with(&by(false), "rsa-sha256", "hs2019"), false),
    ] {
        let judged = case.judge(rules, NOW);
        assert_eq!(judged.as_deref().ok(), good.then_some("carol"), "{} {judged:?}", case.value("authorization"));
    }
    for algorithm in ["rsa-sha1", "rsa-sha512", "rsa-pss-sha512", "rsa-v1_5-sha256", "RSA-SHA256", "ecdsa-sha256", "ed25519", ""] {
        assert!(with(&by(false), "rsa-sha256", algorithm).judge(&usual, NOW).is_err(), "{algorithm}");
    }
    // (created) goes with hs2019 alone.
    let document = "(request-target): get /x\nhost: a.example\n(created): 1795327200";
    let key = crate::auth::signing::PrivateKey::from_pem(&private).unwrap();
    let tag = STANDARD.encode(key.sign(crate::auth::signing::PublicAlgorithm::RsaV15Sha256, document.as_bytes()).unwrap());
    let created = |algorithm: &str| {
        let list = "(request-target) host (created)";
        let value = format!("Signature keyId=\"rsa\",algorithm=\"{algorithm}\",created={NOW},headers=\"{list}\",signature=\"{tag}\"");
        Case::new("GET", "/x").header("authorization", &value).judge(&usual, NOW)
    };
    assert!(created("hs2019").is_ok() && created("rsa-sha256").is_err());
}

#[test]
fn a_public_key_is_never_a_secret_and_a_secret_never_a_public_key() {
    let (private, public) = pair();
    let rules = with_key(&public, "");
    let document = format!("(request-target): get /x\nhost: a.example\ndate: {DATE}");
    for secret in [public.as_str(), public.trim_end(), ""] {
        for (name, algorithm) in [("hmac-sha256", Algorithm::HmacSha256), ("hs2019", Algorithm::HmacSha512), ("rsa-sha256", Algorithm::HmacSha256)] {
            let Some(tag) = algorithm.sign(&Secret::new(secret), document.as_bytes()) else { continue };
            let list = "(request-target) host date";
            let value = format!("Signature keyId=\"rsa\",algorithm=\"{name}\",headers=\"{list}\",signature=\"{}\"", STANDARD.encode(tag));
            let case = Case::new("GET", "/x").header("date", DATE).header("authorization", &value);
            assert!(case.judge(&rules, NOW).is_err(), "{name}");
        }
    }
    let good = signed_with(&private, false, "GET", "/x", b"");
    assert_eq!(good.judge(&rules, NOW).as_deref(), Ok("carol"));
    for key in ["alice", "nobody"] {
        assert_eq!(with(&good, "keyId=\"rsa\"", &format!("keyId=\"{key}\"")).judge(&rules, NOW), Err(Refusal::Wrong("no such key")), "{key}");
    }
    let (other, _) = pair();
    assert_eq!(signed_with(&other, false, "GET", "/x", b"").judge(&rules, NOW), Err(Refusal::Wrong("the signature does not match")));
    for dialect in ["kong", "apisix", "apisix-v1"] {
        let mut report = Report::default();
        let built = Rules::build("s", settings(&format!("dialect = \"{dialect}\"\n[keys.rsa]\npublic_key = {public:?}")), false, &mut report);
        assert!(built.is_none() && report.problems()[0].key == "keys.rsa.public_key", "{dialect}");
    }
}

#[test]
fn every_bit_of_what_an_rsa_key_signed_counts() {
    let (private, public) = pair();
    let rules = with_key(&public, "");
    let good = signed_with(&private, false, "POST", "/x?a=1", b"body");
    assert!(good.judge(&rules, NOW).is_ok());
    let mut flips = 0;
    for (name, value) in &good.headers {
        for bit in 0..value.len() * 8 {
            let mut bytes = value.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let Ok(flipped) = HeaderValue::from_bytes(&bytes) else { continue };
            let mut changed = good.clone();
            changed.headers.insert(name, flipped);
            // Only the blank after a word, the case of the word, and the case of names in the list have another spelling.
            let same = changed.read(&rules).is_ok_and(|read| {
                let first = good.read(&rules).unwrap();
                (read.key, read.tag, read.rsa, read.readings) == (first.key, first.tag, first.rsa, first.readings)
            });
            assert!(same || changed.judge(&rules, NOW).is_err(), "{name} bit {bit}: {:?}", changed.headers[name]);
            flips += 1;
        }
    }
    for (method, target, host) in
        [("PUT", "/x?a=1", "a.example"), ("POST", "/x?a=0", "a.example"), ("POST", "/x", "a.example"), ("POST", "/x?a=1", "b.example")]
    {
        let changed = Case { method: method.parse().unwrap(), target: target.to_owned(), host: host.to_owned(), ..good.clone() };
        assert!(changed.judge(&rules, NOW).is_err(), "{method} {target} {host}");
    }
    assert!(flips > 2000, "{flips}");
}

#[test]
fn both_public_keys_are_accepted_while_they_are_being_changed_and_the_rights_are_the_keys() {
    let ((old, first), (new, second)) = (pair(), pair());
    let dir = tempfile::tempdir().unwrap();
    let next = dir.path().join("next.pem");
    std::fs::write(&next, &second).unwrap();
    let rules = with_key(&first, &format!("next_public_key_file = {next:?}\npaths = [\"/only/**\"]\nexpires = \"2026-11-22T06:00:01Z\""));
    for private in [&old, &new] {
        assert!(signed_with(private, false, "GET", "/only/x", b"").judge(&rules, NOW).is_ok());
        assert!(matches!(signed_with(private, false, "GET", "/other", b"").judge(&rules, NOW), Err(Refusal::Forbidden(_))));
        assert_eq!(signed_with(private, false, "GET", "/only/x", b"").judge(&rules, NOW + 1), Err(Refusal::Expired));
    }
    for (toml, key) in [
        ("public_key = \"x\"".to_owned(), "keys.a.public_key"),
        (format!("public_key = {first:?}\nsecret = \"sixteen bytes and\""), "keys.a.public_key"),
        (format!("public_key = {first:?}\nalgorithms = [\"ed25519\"]"), "keys.a.algorithms"),
        (format!("public_key = {first:?}\nalgorithms = [\"hmac-sha256\"]"), "keys.a.algorithms"),
        (
            "public_key = \"-----BEGIN PUBLIC KEY-----\\nMCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\\n-----END PUBLIC KEY-----\""
                .to_owned(),
            "keys.a.public_key",
        ),
    ] {
        let mut report = Report::default();
        assert!(Rules::build("s", settings(&format!("[keys.a]\n{toml}")), true, &mut report).is_none(), "{toml}");
        assert_eq!(report.problems()[0].key, key, "{toml}");
    }
}
