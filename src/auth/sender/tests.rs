//! Proofs against everything that RFC 9449 section 4.3 asks for, and what a token may be bound to.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::proof::{Origin, Proved};
use super::*;
use crate::inbound::{ClientCertificate, Host, Open, Peer, parse_host};
use crate::store::jwks::testing::{Signer, with};

const NOW: i64 = 1_800_000_000;
const TOKEN: &str = "eyJh.eyJz.c2ln";

fn host(text: &'static str) -> Host {
    let (name, port) = parse_host(text).unwrap();
    Host { name: name.into(), port, raw: HeaderValue::from_static(text) }
}

fn jkt(signer: &Signer) -> String {
    thumbprint::of(signer.jwk().as_object().unwrap()).unwrap()
}

fn header(signer: &Signer) -> Value {
    json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": signer.jwk()})
}

fn claims() -> Value {
    json!({"jti": "1", "htm": "GET", "htu": "https://api.example.com/a/b", "iat": NOW, "ath": URL_SAFE_NO_PAD.encode(Sha256::digest(TOKEN))})
}

fn proofs() -> Proofs {
    Proofs::new(vec![Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256], 60, 10, Vec::new(), None)
}

fn judge(rules: &Proofs, signer: &Signer, proof: &str) -> Result<Proved, &'static str> {
    let (host, thumbprint) = (host("api.example.com"), jkt(signer));
    rules.verify(proof, &Expected { method: "GET", host: &host, path: "/a/b", token: TOKEN, thumbprint: &thumbprint }, NOW)
}

fn signed(signer: &Signer, header: &Value, claims: &Value) -> String {
    signer.token(Algorithm::ES256, &header.to_string(), &claims.to_string())
}

#[test]
fn a_proof_by_the_tokens_key_for_this_request_is_good() {
    for (signer, name, algorithm) in
        [(Signer::p256(), "ES256", Algorithm::ES256), (Signer::ed25519(), "EdDSA", Algorithm::EdDSA), (Signer::rsa(), "RS256", Algorithm::RS256)]
    {
        let header = with(header(&signer), "alg", name);
        let proof = signer.token(algorithm, &header.to_string(), &claims().to_string());
        let proved = judge(&proofs(), &signer, &proof).unwrap();
        assert_eq!((proved.once.until, proved.nonce), (NOW + 70, None), "{name}");
    }
}

#[test]
fn a_claim_that_is_wrong_spoils_a_proof() {
    let signer = Signer::p256();
    for (name, value) in [
        ("htm", json!("POST")),
        ("htm", json!("get")),
        ("htm", json!(null)),
        ("htm", json!(["GET"])),
        ("htu", json!("https://api.example.com/a/c")),
        ("htu", json!("https://api.example.com/a/b/")),
        ("htu", json!("https://api.example.com/A/b")),
        ("htu", json!("http://api.example.com/a/b")),
        ("htu", json!("https://api.example.com:8443/a/b")),
        ("htu", json!("https://evil.example/a/b")),
        ("htu", json!("https://api.example.com.evil.example/a/b")),
        ("htu", json!("https://user@api.example.com/a/b")),
        ("htu", json!("https://:p@api.example.com/a/b")),
        ("htu", json!(" https://api.example.com/a/b")),
        ("htu", json!("https://api.exam\tple.com/a/b")),
        ("htu", json!("https:\\\\api.example.com\\a\\b")),
        ("htu", json!("/a/b")),
        ("htu", json!("")),
        ("htu", json!(7)),
        ("htu", json!(null)),
        ("ath", json!(URL_SAFE_NO_PAD.encode(Sha256::digest("another")))),
        ("ath", json!("")),
        ("ath", json!(null)),
        ("iat", json!(NOW - 71)),
        ("iat", json!(NOW + 11)),
        ("iat", json!(NOW.to_string())),
        ("iat", json!(null)),
        ("iat", json!(-1)),
        ("iat", json!(1e300)),
        ("jti", json!("")),
        ("jti", json!("x".repeat(257))),
        ("jti", json!(7)),
        ("jti", json!(null)),
    ] {
        assert!(judge(&proofs(), &signer, &signed(&signer, &header(&signer), &with(claims(), name, value.clone()))).is_err(), "{name} {value}");
        let mut without = claims();
        without.as_object_mut().unwrap().remove(name);
        assert!(judge(&proofs(), &signer, &signed(&signer, &header(&signer), &without)).is_err(), "without {name}");
    }
    for (name, value) in [
        ("htu", json!("https://api.example.com:443/a/b")),
        ("htu", json!("HTTPS://API.example.com/a/b")),
        ("htu", json!("https://api.example.com/a/b?q=1#x")),
        ("htu", json!("https://api.example.com/x/../a/./b")),
        ("iat", json!(NOW - 70)),
        ("iat", json!(NOW + 10)),
        ("iat", json!(NOW as f64 + 0.5)),
        ("jti", json!("x".repeat(256))),
        ("more", json!({"a": 1})),
    ] {
        assert!(judge(&proofs(), &signer, &signed(&signer, &header(&signer), &with(claims(), name, value.clone()))).is_ok(), "{name} {value}");
    }
}

#[test]
fn a_header_that_is_wrong_spoils_a_proof() {
    let (signer, other) = (Signer::p256(), Signer::p256());
    let private = with(signer.jwk(), "d", "AA");
    for (name, value) in [
        ("typ", json!("JWT")),
        ("typ", json!("at+jwt")),
        ("typ", json!("")),
        ("typ", json!(null)),
        ("typ", json!(["dpop+jwt"])),
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!("ES384")),
        ("alg", json!("RS256")),
        ("alg", json!(null)),
        ("jwk", other.jwk()),
        ("jwk", private),
        ("jwk", with(signer.jwk(), "use", "enc")),
        ("jwk", with(signer.jwk(), "alg", "ES384")),
        ("jwk", json!({"kty": "oct", "k": "AA"})),
        ("jwk", json!(signer.jwk().to_string())),
        ("jwk", json!(null)),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
    ] {
        assert!(judge(&proofs(), &signer, &signed(&signer, &with(header(&signer), name, value.clone()), &claims())).is_err(), "{name} {value}");
    }
    let mut keyless = header(&signer);
    keyless.as_object_mut().unwrap().remove("jwk");
    assert!(judge(&proofs(), &signer, &signed(&signer, &keyless, &claims())).is_err());
    let twice = format!(r#"{{"typ":"dpop+jwt","alg":"ES256","jwk":{0},"jwk":{0}}}"#, signer.jwk());
    assert!(judge(&proofs(), &signer, &signer.token(Algorithm::ES256, &twice, &claims().to_string())).is_err());
    let stranger = signed(&other, &header(&signer), &claims());
    assert!(judge(&proofs(), &signer, &stranger).is_err(), "another's signature under the right key");
    let good = signed(&signer, &header(&signer), &claims());
    for bad in [format!("{good}A"), format!("{good}, {good}"), good.replace('.', ".."), String::new(), "x".to_owned(), format!("{good}.{good}")] {
        assert!(judge(&proofs(), &signer, &bad).is_err(), "{bad:.40}");
    }
    let long = signed(&signer, &header(&signer), &with(claims(), "pad", "x".repeat(9000)));
    assert!(judge(&proofs(), &signer, &long).is_err());
}

#[test]
fn the_origin_is_the_requests_own_or_one_that_is_listed() {
    let signer = Signer::p256();
    let listed = |text: &str| Proofs::new(vec![Algorithm::ES256], 60, 10, vec![Origin::parse(text).unwrap()], None);
    let htu = |htu: &str| signed(&signer, &header(&signer), &with(claims(), "htu", htu));
    for (rules, address, good) in [
        (listed("https://public.example"), "https://public.example/a/b", true),
        (listed("https://public.example:443/"), "https://public.example/a/b", true),
        (listed("https://public.example"), "https://api.example.com/a/b", false),
        (listed("http://public.example:8080"), "http://public.example:8080/a/b", true),
        (listed("http://public.example:8080"), "https://public.example:8080/a/b", false),
        (listed("https://public.example"), "https://public.example/a/c", false),
    ] {
        assert_eq!(judge(&rules, &signer, &htu(address)).is_ok(), good, "{address}");
    }
    for bad in ["", "api.example.com", "https://", "https://a/b", "https://a?b", "https://a#b", "https://u@a", "ftp://a", "data:x"] {
        assert_eq!(Origin::parse(bad), None, "{bad}");
    }
}

#[test]
fn proofs_are_told_apart_by_key_and_name() {
    let (one, two) = (Signer::p256(), Signer::p256());
    let mark =
        |signer: &Signer, jti: &str| judge(&proofs(), signer, &signed(signer, &header(signer), &with(claims(), "jti", jti))).unwrap().once.mark;
    assert_eq!(mark(&one, "a"), mark(&one, "a"));
    assert_ne!(mark(&one, "a"), mark(&one, "b"));
    assert_ne!(mark(&one, "a"), mark(&two, "a"));
}

#[tokio::test]
async fn a_proof_is_taken_once() {
    let replay = Replay::new(10);
    let once = || Once { mark: [1; 32], until: NOW + 70 };
    once().take(&replay, NOW).await.unwrap();
    assert!(matches!(once().take(&replay, NOW + 70).await, Err(AuthError::Refused(Refusal::Replayed))));
    assert!(matches!(once().take(&Replay::new(0), NOW).await, Err(AuthError::Unavailable(_))));
}

#[test]
fn a_token_is_bound_to_what_can_be_checked_or_refused() {
    let read = |cnf: Value| {
        let claims = json!({ "cnf": cnf });
        Bound::read(claims.as_object().unwrap()).map(|bound| (bound.key.is_some(), bound.certificate.is_some()))
    };
    assert_eq!(Bound::read(&Map::new()), Ok(Bound { key: None, certificate: None }));
    assert_eq!(read(json!({"jkt": "x"})), Ok((true, false)));
    assert_eq!(read(json!({"x5t#S256": "x"})), Ok((false, true)));
    assert_eq!(read(json!({"x5t#S256": "x", "jkt": "y"})), Ok((true, true)));
    for bad in [
        json!(null),
        json!({}),
        json!([]),
        json!("x"),
        json!({"jkt": null}),
        json!({"jkt": 7}),
        json!({"x5t": "x"}),
        json!({"jwk": {}}),
        json!({"kid": "x"}),
        json!({"jkt": "x", "jku": "https://x"}),
        json!({"x5t#s256": "x"}),
    ] {
        assert!(read(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn a_certificate_is_the_connections_own() {
    let mut conn = Conn::new(Peer::Unix, None, None, 0, Open::default());
    let hash = |der: &[u8]| URL_SAFE_NO_PAD.encode(Sha256::digest(der));
    assert!(check_certificate(&conn, &hash(b"a")).is_err(), "no certificate at all");
    conn.client_certificate = Some(std::sync::Arc::new(ClientCertificate::new(b"a")));
    assert!(check_certificate(&conn, &hash(b"a")).is_ok());
    for bad in
        [hash(b"b"), String::new(), "!".to_owned(), format!("{}=", hash(b"a")), hash(b"a").replace('-', "+") + "A", hash(b"a")[..42].to_owned()]
    {
        assert!(check_certificate(&conn, &bad).is_err(), "{bad}");
    }
}

fn build_from(toml: &str) -> (Option<Senders>, Vec<String>) {
    #[derive(Deserialize)]
    struct Outer {
        dpop: Settings,
    }
    let mut report = Report::default();
    let built = build(Some(&toml::from_str::<Outer>(toml).unwrap().dpop), 10, &mut report);
    (built.filter(|_| !report.has_errors()), report.problems().iter().map(|problem| problem.key.clone()).collect())
}

#[test]
fn settings_are_a_word_or_a_table_and_mistakes_are_found() {
    let secret = "0123456789abcdef0123456789abcdef";
    for good in
        ["dpop = 'off'", "dpop = 'optional'", "dpop = 'required'", "dpop = { mode = 'required', nonce = true, origins = ['https://a.example'] }"]
    {
        assert!(build_from(good).0.is_some(), "{good}");
    }
    for (bad, keys) in [
        ("dpop = ''", vec!["dpop.mode"]),
        ("dpop = 'Required'", vec!["dpop.mode"]),
        ("dpop = {}", vec!["dpop.mode"]),
        ("dpop = { mode = 'off', nonce = true }", vec!["dpop.mode"]),
        ("dpop = { mode = 'optional', algorithms = [] }", vec!["dpop.algorithms"]),
        ("dpop = { mode = 'optional', algorithms = ['HS256', 'none', 'ES512'] }", vec!["dpop.algorithms"; 3]),
        ("dpop = { mode = 'optional', origins = ['a', 'https://a/b'] }", vec!["dpop.origins"; 2]),
        ("dpop = { mode = 'optional', max_age = '0s' }", vec!["dpop.max_age"]),
        ("dpop = { mode = 'optional', max_age = '11m' }", vec!["dpop.max_age"]),
        ("dpop = { mode = 'optional', nonce = true, nonce_secret = 'short' }", vec!["dpop.nonce_secret"; 2]),
        (&format!("dpop = {{ mode = 'optional', nonce_secret = '{secret}' }}"), vec!["dpop.nonce"]),
    ] {
        let (built, found) = build_from(bad);
        assert!(built.is_none(), "{bad}");
        assert_eq!(found, keys, "{bad}");
    }
    let outer = |text: &str| toml::from_str::<crate::auth::jwt::Settings>(text);
    assert!(outer("dpop = 7").is_err() && outer("dpop = { mode = 'off', moed = 1 }").is_err());
}

#[test]
fn a_challenge_names_both_words_or_the_one_that_is_needed() {
    let bearer = || Challenge(HeaderValue::from_static("Bearer realm=\"doorward\""));
    let text = |toml: &str, why| build_from(toml).0.unwrap().challenge(bearer(), why).0.to_str().unwrap().to_owned();
    let dpop = "DPoP realm=\"doorward\", algs=\"ES256 ES384 EdDSA PS256 RS256\"";
    assert_eq!(text("dpop = 'off'", &Refusal::Missing), "Bearer realm=\"doorward\"");
    assert_eq!(text("dpop = 'optional'", &Refusal::Missing), format!("Bearer realm=\"doorward\", {dpop}"));
    assert_eq!(text("dpop = 'required'", &Refusal::Missing), dpop);
    assert!(text("dpop = 'required'", &Refusal::Expired).contains("error=\"invalid_token\""));
}
