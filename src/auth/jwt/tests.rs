//! Whole tokens against whole schemes: the known forgeries of JOSE, as far as they can be tried without a request.

mod vectors;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::*;
use crate::auth::Subject;
use crate::idp::provider::{Answer, Provider};
use crate::store::facts::Facts;
use crate::store::jwks::KeySets;
use crate::store::jwks::testing::{Signer, with};
use crate::types::Severity;

const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const COMMON: &str = "issuer = 'us'\naudience = ['app']\n";

fn settings(toml: &str) -> Settings {
    toml::from_str(toml).unwrap()
}

/// Builds from `toml`; panics with what was reported if that is an error.
fn built(toml: &str) -> Verifier {
    let mut report = Report::default();
    let verifier = settings(toml).verifier("corp", &KeySets::new(Handle::current()), &mut report);
    verifier.unwrap_or_else(|| panic!("{:?}", report.problems()))
}

fn shared() -> Verifier {
    built(&format!("{COMMON}secret = '{SECRET}'\nalgorithms = ['HS256', 'HS384', 'HS512']"))
}

/// A scheme with one public key, and the folder of its file.
fn pinned(signer: &Signer, more: &str) -> Verifier {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.pem");
    std::fs::write(&path, signer.pem()).unwrap();
    built(&format!("{COMMON}public_key_file = '{}'\n{more}", path.display()))
}

fn claims() -> Value {
    json!({"iss": "us", "aud": "app", "sub": "alice", "exp": unix_now() + 600})
}

fn hmac(secret: &[u8], algorithm: Algorithm, header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &EncodingKey::from_secret(secret), algorithm).unwrap();
    format!("{signed}.{signature}")
}

fn es256(signer: &Signer, header: &Value, claims: &Value) -> String {
    signer.token(Algorithm::ES256, &header.to_string(), &claims.to_string())
}

/// What comes of `token` from its first look on: `Ok(None)` if the scheme does not claim it.
async fn asked(verifier: &Verifier, token: &str) -> Result<Option<Subject>, AuthError> {
    match verifier.recall(token, &Facts::new(10), unix_now())? {
        Recall::NotMine => Ok(None),
        Recall::Known(_) => panic!("nothing is remembered"),
        Recall::New(fresh) => verifier.verify(token, fresh).await.map(Some),
    }
}

async fn refused(verifier: &Verifier, token: &str) -> Refusal {
    match asked(verifier, token).await {
        Err(AuthError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn good_tokens_name_their_bearer() {
    for (algorithm, name) in [(Algorithm::HS256, "HS256"), (Algorithm::HS384, "HS384"), (Algorithm::HS512, "HS512")] {
        let token = hmac(SECRET.as_bytes(), algorithm, &json!({"alg": name}).to_string(), &claims().to_string());
        assert_eq!(asked(&shared(), &token).await.unwrap().unwrap().user, "alice");
    }
    for (signer, algorithm, name) in [
        (Signer::rsa(), Algorithm::RS256, "RS256"),
        (Signer::rsa(), Algorithm::PS256, "PS256"),
        (Signer::p256(), Algorithm::ES256, "ES256"),
        (Signer::p384(), Algorithm::ES384, "ES384"),
        (Signer::ed25519(), Algorithm::EdDSA, "EdDSA"),
    ] {
        let verifier = pinned(&signer, &format!("algorithms = ['{name}']"));
        let token = signer.token(algorithm, &json!({"alg": name, "typ": "JWT"}).to_string(), &claims().to_string());
        assert_eq!(asked(&verifier, &token).await.unwrap().unwrap().user, "alice", "{name}");
    }
}

#[tokio::test]
async fn tokens_without_a_signature_are_refused() {
    let (shared, payload) = (shared(), URL_SAFE_NO_PAD.encode(claims().to_string()));
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg}).to_string());
        assert!(asked(&shared, &format!("{header}.{payload}.")).await.unwrap().is_none(), "two parts are no token of ours");
        assert!(matches!(refused(&shared, &format!("{header}.{payload}.AA")).await, Refusal::Malformed(_)), "{alg}");
    }
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    for signer in [Signer::rsa(), Signer::p256(), Signer::ed25519()] {
        let verifier = pinned(&signer, "");
        let pem = signer.pem();
        for secret in [pem.as_str(), pem.trim_end(), signer.jwk().to_string().as_str(), ""] {
            let token = hmac(secret.as_bytes(), Algorithm::HS256, r#"{"alg":"HS256"}"#, &claims().to_string());
            assert!(matches!(refused(&verifier, &token).await, Refusal::Malformed(_)));
            for lie in ["RS256", "ES256", "EdDSA"] {
                let token = hmac(secret.as_bytes(), Algorithm::HS256, &json!({"alg": lie}).to_string(), &claims().to_string());
                assert_eq!(refused(&verifier, &token).await, Refusal::Wrong("the token's signature is not by a key of the issuer"), "{lie}");
            }
        }
    }
    let asymmetric = es256(&Signer::p256(), &json!({"alg": "ES256"}), &claims());
    assert!(matches!(refused(&shared(), &asymmetric).await, Refusal::Malformed(_)));
}

#[tokio::test]
async fn another_secret_key_or_text_does_not_verify() {
    let signer = Signer::p256();
    let verifier = pinned(&signer, "");
    let good = es256(&signer, &json!({"alg": "ES256"}), &claims());
    assert!(asked(&verifier, &good).await.unwrap().is_some());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let zeros = URL_SAFE_NO_PAD.encode([0; 64]);
    let root = URL_SAFE_NO_PAD.encode(with(claims(), "sub", "root").to_string());
    for forged in [
        es256(&Signer::p256(), &json!({"alg": "ES256"}), &claims()),
        format!("{signed}.{zeros}"),
        format!("{signed}.{signature}A"),
        format!("{signed}.{signature}="),
        format!("{header}.{root}.{signature}"),
        format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode(r#"{ "alg":"ES256"}"#)),
    ] {
        assert!(matches!(refused(&verifier, &forged).await, Refusal::Wrong(_)), "{forged}");
    }
    let header = r#"{"alg":"HS256"}"#;
    let other = hmac(&[b'x'; 32], Algorithm::HS256, header, &claims().to_string());
    assert!(matches!(refused(&shared(), &other).await, Refusal::Wrong(_)));
    let truncated = hmac(SECRET.as_bytes(), Algorithm::HS256, header, &claims().to_string());
    assert!(matches!(refused(&shared(), &truncated[..truncated.len() - 22]).await, Refusal::Wrong(_)));
}

#[tokio::test]
async fn claims_that_say_two_things_are_refused_though_signed() {
    let (shared, exp) = (shared(), unix_now() + 600);
    for (more, fine) in [
        (r#""a":1"#.to_owned(), true),
        (r#""preferred_username":"eve","preferred_username":"root""#.to_owned(), false),
        (r#""preferred_username":"eve","preferred\u005fusername":"root""#.to_owned(), false),
        (r#""a":{"b":1,"b":2}"#.to_owned(), false),
        (format!(r#""a":{}{}"#, "[".repeat(1500), "]".repeat(1500)), false),
        (r#""sub":"root""#.to_owned(), false),
        (r#""s\u0075b":"root""#.to_owned(), false),
        (format!(r#""exp":{exp}"#), false),
    ] {
        let payload = format!(r#"{{"iss":"us","aud":"app","sub":"alice","exp":{exp},{more}}}"#);
        let token = hmac(SECRET.as_bytes(), Algorithm::HS256, r#"{"alg":"HS256"}"#, &payload);
        match asked(&shared, &token).await {
            Ok(Some(_)) => assert!(fine, "{more}"),
            Err(AuthError::Refused(Refusal::Malformed(_))) => assert!(!fine, "{more}"),
            other => panic!("{more}: {other:?}"),
        }
    }
    let twice = format!(r#"{{"iss":"us","aud":"app","sub":"alice","exp":{exp},"iss":"us"}}"#);
    let token = hmac(SECRET.as_bytes(), Algorithm::HS256, r#"{"alg":"HS256"}"#, &twice);
    assert!(asked(&shared, &token).await.unwrap().is_none(), "a token that names its issuer twice is nobody's");
}

#[tokio::test]
async fn a_token_for_somebody_else_or_another_time_is_refused() {
    let (shared, now) = (shared(), unix_now());
    for (name, value, refusal) in [
        ("exp", json!(now - 60), Refusal::Expired),
        ("nbf", json!(now + 60), Refusal::NotYetValid),
        ("iat", json!(now + 60), Refusal::NotYetValid),
        ("aud", json!("other"), Refusal::WrongAudience),
    ] {
        let token = hmac(SECRET.as_bytes(), Algorithm::HS256, r#"{"alg":"HS256"}"#, &with(claims(), name, value).to_string());
        assert_eq!(refused(&shared, &token).await, refusal);
    }
    let token = hmac(SECRET.as_bytes(), Algorithm::HS256, r#"{"alg":"HS256"}"#, &with(claims(), "iss", "them").to_string());
    assert!(asked(&shared, &token).await.unwrap().is_none(), "another scheme may know its issuer");
}

#[tokio::test]
async fn what_is_not_a_token_of_three_parts_is_left_to_others_at_no_cost() {
    let shared = shared();
    let token = hmac(SECRET.as_bytes(), Algorithm::HS256, r#"{"alg":"HS256"}"#, &claims().to_string());
    for other in [
        format!("{token}.a"),
        format!("{token}.a.b"),
        format!(".{token}"),
        "opaque".to_owned(),
        ".".repeat(1 << 20),
        "a.".repeat(1 << 19),
        "é.é.é".to_owned(),
    ] {
        assert!(asked(&shared, &other).await.unwrap().is_none());
    }
    let long = hmac(SECRET.as_bytes(), Algorithm::HS256, r#"{"alg":"HS256"}"#, &with(claims(), "x", "x".repeat(8192)).to_string());
    assert_eq!(refused(&shared, &long).await, Refusal::Malformed("the token is longer than allowed"));
    let legacy = built(&format!("issuer_check = false\naudience_check = false\nsecret = '{SECRET}'"));
    assert!(matches!(refused(&legacy, "é.é.é").await, Refusal::Malformed(_)), "without an issuer every such token is claimed");
    assert!(matches!(refused(&legacy, "a.b.c").await, Refusal::Malformed(_)));
    let nameless = json!({"sub": "alice", "exp": unix_now() + 60}).to_string();
    let token = hmac(SECRET.as_bytes(), Algorithm::HS256, r#"{"alg":"HS256"}"#, &nameless);
    assert_eq!(asked(&legacy, &token).await.unwrap().unwrap().user, "alice");
}

fn by_set(provider: &Provider) -> Verifier {
    built(&format!("{COMMON}jwks_url = '{}'", provider.url("/keys")))
}

fn published(keys: &[Value]) -> Answer {
    Answer::Body(json!({ "keys": keys }).to_string())
}

#[tokio::test]
async fn a_token_does_not_bring_its_own_key() {
    let (ours, theirs) = (Signer::p256(), Signer::p256());
    let provider = Provider::start(published(&[ours.named("k")])).await;
    let trap = Provider::start(published(&[theirs.named("k")])).await;
    let verifier = by_set(&provider);
    for header in [
        json!({"alg": "ES256", "kid": "k", "jwk": theirs.named("k")}),
        json!({"alg": "ES256", "jwk": theirs.jwk()}),
        json!({"alg": "ES256", "kid": "k", "jku": trap.url("/keys")}),
        json!({"alg": "ES256", "kid": trap.url("/keys"), "x5u": trap.url("/keys")}),
        json!({"alg": "ES256", "kid": "../../../../dev/null"}),
        json!({"alg": "ES256", "kid": "k' OR '1'='1"}),
        json!({"alg": "ES256", "kid": ""}),
    ] {
        assert!(matches!(refused(&verifier, &es256(&theirs, &header, &claims())).await, Refusal::Wrong(_)), "{header}");
    }
    assert_eq!(trap.hits(), 0);
    let header = json!({"alg": "ES256", "kid": "k", "jku": trap.url("/keys"), "jwk": theirs.jwk()});
    assert!(asked(&verifier, &es256(&ours, &header, &claims())).await.unwrap().is_some(), "ignored, not refused");
    // The names that nobody published cost the one fetch that follows on new keys.
    assert_eq!((trap.hits(), provider.hits()), (0, 2));
}

#[tokio::test]
async fn keys_of_a_set_are_found_with_and_without_a_name() {
    let (one, two, twin, rsa) = (Signer::p256(), Signer::p256(), Signer::p256(), Signer::rsa());
    let junk = json!({"kty": "oct", "kid": "b", "k": URL_SAFE_NO_PAD.encode(SECRET)});
    let provider = Provider::start(published(&[junk, one.named("a"), two.named("b"), twin.named("b"), with(rsa.named("r"), "alg", "PS256")])).await;
    let verifier = by_set(&provider);
    for (signer, kid) in [(&one, "a"), (&two, "b"), (&twin, "b")] {
        for header in [json!({"alg": "ES256", "kid": kid}), json!({"alg": "ES256"})] {
            assert!(asked(&verifier, &es256(signer, &header, &claims())).await.unwrap().is_some(), "{header}");
        }
    }
    assert_eq!(refused(&verifier, &es256(&one, &json!({"alg": "ES256", "kid": "zzz"}), &claims())).await, Refusal::Wrong("unknown key"));
    assert!(matches!(refused(&verifier, &es256(&one, &json!({"alg": "ES256", "kid": "b"}), &claims())).await, Refusal::Wrong(_)));
    let rs256 = rsa.token(Algorithm::RS256, r#"{"alg":"RS256","kid":"r"}"#, &claims().to_string());
    assert!(matches!(refused(&verifier, &rs256).await, Refusal::Wrong(_)), "the issuer says that the key is for PS256");
    let secret = hmac(SECRET.as_bytes(), Algorithm::HS256, r#"{"alg":"HS256","kid":"b"}"#, &claims().to_string());
    assert!(matches!(refused(&verifier, &secret).await, Refusal::Malformed(_)));
}

#[tokio::test]
async fn while_the_keys_cannot_be_had_nobody_says_that_a_token_is_wrong() {
    let signer = Signer::p256();
    let provider = Provider::start(Answer::Status(503)).await;
    let verifier = by_set(&provider);
    for token in [es256(&signer, &json!({"alg": "ES256", "kid": "k"}), &claims()), es256(&Signer::p256(), &json!({"alg": "ES256"}), &claims())] {
        assert!(matches!(asked(&verifier, &token).await, Err(AuthError::Unavailable(_))));
    }
    let foreign = es256(&signer, &json!({"alg": "ES256"}), &with(claims(), "iss", "them"));
    assert!(asked(&verifier, &foreign).await.unwrap().is_none(), "another scheme is not in the way of it");
    assert!(matches!(refused(&verifier, &es256(&signer, &json!({"alg": "none"}), &claims())).await, Refusal::Malformed(_)));
}

#[tokio::test]
async fn a_verified_token_is_known_until_it_expires_and_judged_on_every_hit() {
    let signer = Signer::p256();
    let (verifier, facts, now) = (pinned(&signer, ""), Facts::new(10), unix_now());
    let token = es256(&signer, &json!({"alg": "ES256"}), &with(claims(), "exp", now + 30));
    let Recall::New(fresh) = verifier.recall(&token, &facts, now).unwrap() else { panic!("known") };
    let key = fresh.key;
    let subject = Arc::new(verifier.verify(&token, fresh).await.unwrap());
    assert_eq!(deadline(&subject, now, std::time::Duration::from_secs(60)), now + 30);
    assert_eq!(deadline(&subject, now, std::time::Duration::from_secs(5)), now + 5);
    facts.insert(key, subject, now + 60, token.len());
    assert!(matches!(verifier.recall(&token, &facts, now), Ok(Recall::Known(_))));
    assert_eq!(verifier.recall(&token, &facts, now + 40).unwrap_err(), Refusal::Expired, "whatever the deadline says");
    assert!(matches!(verifier.recall(&format!("{token}A"), &facts, now), Ok(Recall::New(_))));
    for more in ["typ = ['at+jwt']", "user_claim = 'name'", "algorithms = ['ES256']", "leeway = '1s'", "required_claims = ['exp', 'tenant']"] {
        assert!(matches!(pinned(&signer, more).recall(&token, &facts, now), Ok(Recall::New(_))), "learned under other rules: {more}");
    }
    assert!(matches!(pinned(&Signer::p256(), "").recall(&token, &facts, now), Ok(Recall::New(_))), "learned by another key");
    let shared_token = hmac(SECRET.as_bytes(), Algorithm::HS256, r#"{"alg":"HS256"}"#, &claims().to_string());
    let shared_before = shared();
    let Recall::New(fresh) = shared_before.recall(&shared_token, &facts, now).unwrap() else { panic!("known") };
    let key = fresh.key;
    facts.insert(key, Arc::new(shared_before.verify(&shared_token, fresh).await.unwrap()), now + 60, shared_token.len());
    assert!(matches!(shared().recall(&shared_token, &facts, now), Ok(Recall::Known(_))), "the same secret after a reload");
    let changed = built(&format!("{COMMON}secret = '{SECRET}, changed'\nalgorithms = ['HS256', 'HS384', 'HS512']"));
    assert!(matches!(changed.recall(&shared_token, &facts, now), Ok(Recall::New(_))), "a changed secret bites at once");
}

#[tokio::test]
async fn what_is_learned_by_one_file_is_not_known_by_another_of_the_same_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.pem");
    let toml = format!("{COMMON}public_key_file = '{}'", path.display());
    let (old, new) = (Signer::p256(), Signer::p256());
    std::fs::write(&path, old.pem()).unwrap();
    let before = built(&toml);
    std::fs::write(&path, new.pem()).unwrap();
    assert_ne!(before.fact_scope, built(&toml).fact_scope);
    assert!(!shared().fact_scope.contains(SECRET));
    assert!(!format!("{:?}", shared()).contains(SECRET));
}

#[tokio::test]
async fn mistakes_in_the_settings_are_found_under_their_key() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        std::fs::write(dir.path().join(name), content).unwrap();
        dir.path().join(name).display().to_string()
    };
    let pem = file("key.pem", &Signer::p256().pem());
    let secret = format!("secret = '{SECRET}'");
    let url = "jwks_url = 'https://id.example/keys'";
    for (toml, keys) in [
        (String::new(), &["issuer", "audience", ""][..]),
        (COMMON.to_owned(), &["issuer"]),
        ("issuer = 'https://id.example'".to_owned(), &["audience"]),
        ("issuer = 'https://id.example'\naudience = []".to_owned(), &["audience"]),
        ("issuer = 'https://id.example'\naudience = ['a']\naudience_check = false".to_owned(), &["audience_check"]),
        ("issuer = 'http://id.example'\naudience = ['a']".to_owned(), &["issuer"]),
        (format!("audience = ['a']\n{secret}"), &["issuer"]),
        (format!("issuer = ''\naudience = ['a']\n{secret}"), &["issuer"]),
        (format!("issuer_check = false\naudience = ['a']\n{url}"), &["issuer_check"]),
        (format!("{COMMON}issuer_check = false\n{secret}"), &["issuer_check"]),
        (format!("{COMMON}{secret}\n{url}"), &[""]),
        (format!("{COMMON}public_key_file = '{pem}'\n{url}"), &[""]),
        (format!("{COMMON}secret = 'x'"), &["secret"]),
        (format!("{COMMON}secret = '0123456789abcdef0123456789abcde'"), &["secret"]),
        (format!("{COMMON}secret_file = '{pem}'"), &["secret"]),
        (format!("{COMMON}secret_env = 'DOORWARD_NO_SUCH_VARIABLE'"), &["secret_env"]),
        (format!("{COMMON}{secret}\nalgorithms = ['HS256', 'RS256']"), &["algorithms"]),
        (format!("{COMMON}{url}\nalgorithms = ['HS256']"), &["algorithms"]),
        (format!("{COMMON}{url}\nalgorithms = ['none', 'ES512', 'es256']"), &["algorithms", "algorithms", "algorithms"]),
        (format!("{COMMON}{url}\nalgorithms = []"), &["algorithms"]),
        (format!("{COMMON}public_key_file = '{pem}'\nalgorithms = ['RS256']"), &["algorithms"]),
        (format!("{COMMON}public_key_file = '{}'", file("junk", "junk")), &["public_key_file"]),
        (format!("{COMMON}public_key_file = '{pem}.missing'"), &["public_key_file"]),
        (format!("{COMMON}jwks_file = '{pem}'"), &["jwks_file"]),
        (format!("{COMMON}jwks_url = 'http://id.example/keys'"), &["jwks_url"]),
        (format!("{COMMON}{url}\nca_file = '{pem}.missing'"), &["ca_file"]),
        (format!("{COMMON}{secret}\nca_file = '{pem}'"), &["ca_file"]),
        (format!("{COMMON}{url}\nbearer_token_file = '{pem}'"), &["bearer_token_file"]),
        (format!("{COMMON}{secret}\nbearer_token_file = '{pem}'"), &["bearer_token_file"]),
        (format!("{COMMON}{secret}\ntoken_type = 'id'\nauthorized_parties = []"), &["token_type", "authorized_parties"]),
        (format!("{COMMON}{secret}\nauthorized_parties = ['a', '']"), &["authorized_parties"]),
        (format!("{COMMON}{secret}\ntoken_type = 'rfc9068'\ntyp = ['JWT']"), &["typ"]),
        ("error_format = 'flask-jwt'".to_owned(), &["issuer", ""]),
        (format!("error_format = 'flask-jwt'\n{url}"), &["issuer"]),
        (format!("{COMMON}issuers = ['https://a.example']\n{url}"), &["issuer", "jwks_url"]),
        ("audience = ['a']\nissuers = ['https://a.example', 'https://a.example']".to_owned(), &["issuers[1].issuer"]),
        ("issuers = ['https://a.example', 'b']".to_owned(), &["issuers[0].audience", "issuers[1].audience", "issuers[1].issuer"]),
        (
            "audience = ['a']\nissuers = [{ issuer = 'https://a.example', prefix = 'JWT', dpop = 'off', issuers = [] }]".to_owned(),
            &["issuers[0].prefix", "issuers[0].dpop"],
        ),
        (format!("audience = ['a']\nissuers = [{{ {secret} }}]"), &["issuers[0].issuer"]),
        (format!("audience = ['a']\nissuers = [{{ issuer = 'b', issuer_check = false, {secret} }}]"), &["issuers[0].issuer"]),
        (
            format!("{COMMON}{secret}\nerror_format = 'html'\ntyp = []\nuser_claim = ''\nmax_token_bytes = '1MiB'"),
            &["error_format", "max_token_bytes", "user_claim", "typ"],
        ),
    ] {
        let mut report = Report::default();
        let verifier = settings(&toml).verifier("corp", &KeySets::new(Handle::current()), &mut report);
        assert!(verifier.is_none(), "{toml}");
        let errors: Vec<_> = report.problems().iter().filter(|p| p.severity == Severity::Error).map(|p| p.key.as_str()).collect();
        assert_eq!(errors, keys, "{toml}");
    }
}

#[tokio::test]
async fn good_settings_build_and_weak_ones_are_warned_of() {
    let jwks = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(jwks.path(), "{\"keys\":[]}").unwrap();
    for (toml, warned) in [
        ("issuer = 'https://id.example/'\naudience = ['a']".to_owned(), &[][..]),
        ("issuer = 'https://id.example/'\naudience = 'a'\nprefix = 'JWT'".to_owned(), &[]),
        (format!("{COMMON}jwks_url = 'https://id.example/keys?p=1'"), &[]),
        (format!("{COMMON}jwks_file = '{}'", jwks.path().display()), &[]),
        (format!("{COMMON}secret = '{SECRET}'"), &["secret"]),
        (format!("error_format = 'flask-jwt'\nsecret = '{SECRET}'"), &["secret"]),
        ("audience = 'a'\nissuers = ['https://a.example', { issuer = 'https://b.example', audience = 'b', algorithms = ['ES384'] }]".to_owned(), &[]),
        (
            format!("issuer_check = false\naudience_check = false\nrequired_claims = []\nleeway = '6m'\nsecret = '{SECRET}'"),
            &["leeway", "required_claims", "issuer_check", "audience_check", "secret"],
        ),
        (format!("{COMMON}algorithms = ['HS512']\nsecret = '{}'", &SECRET[..32]), &["secret", "secret"]),
    ] {
        let mut report = Report::default();
        assert!(settings(&toml).verifier("corp", &KeySets::new(Handle::current()), &mut report).is_some(), "{toml}");
        let keys: Vec<_> = report.problems().iter().map(|p| p.key.as_str()).collect();
        assert_eq!(keys, warned, "{toml}");
    }
}

/// A connection's task moves between threads: this does not compile if authentication cannot.
fn _can_move_between_threads<'r>(jwt: &'r Jwt, conn: &'r Conn, inbound: &'r mut Inbound) -> impl Future<Output: Send> + Send + 'r {
    jwt.authenticate(conn, inbound)
}

#[test]
fn a_challenge_says_what_to_send_and_nothing_of_what_was_sent() {
    let text = |word: &str, why: &Refusal| challenge(word, why).0.to_str().unwrap().to_owned();
    assert_eq!(text("Bearer", &Refusal::Missing), "Bearer realm=\"doorward\"");
    assert_eq!(text("JWT", &Refusal::Expired), "JWT realm=\"doorward\", error=\"invalid_token\", error_description=\"the token has expired\"");
    assert_eq!(text("Bearer", &Refusal::Wrong("unknown key")), text("Bearer", &Refusal::Wrong("signature")));
    assert_eq!(text("\n", &Refusal::Missing), "Bearer realm=\"doorward\"");
}
