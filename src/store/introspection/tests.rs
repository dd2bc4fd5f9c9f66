//! A server that answers well, badly or not at all.

use std::time::Duration;

use super::*;
use crate::idp::provider::{Answer, Provider};
use crate::types::{HumanDuration, Secret};

const GOOD: &str = r#"{"active":true,"sub":"alice","scope":"read","exp":4000000000}"#;

fn cache(max_age: u64) -> CacheSettings {
    let age = HumanDuration::from_secs(max_age);
    CacheSettings { max_age: age, negative_max_age: age, ..CacheSettings::default() }
}

fn tokens(providers: &[&Provider], cache: &CacheSettings) -> Introspection {
    let urls: Vec<IssuerUrl> = providers.iter().map(|provider| provider.url("/i").parse().unwrap()).collect();
    let server = Server {
        endpoints: Endpoints::Fixed(urls.into()),
        client_auth: ClientAuth::basic("gate", &Secret::new("secret")).unwrap(),
        hint: "access_token".to_owned(),
        signed: None,
        mapping: Mapping { user: vec!["username".to_owned(), "sub".to_owned()], email: "email".to_owned(), groups: "groups".to_owned() },
        client: Client::build(None, Handle::current()).unwrap().with_total_timeout(Duration::from_millis(300)),
    };
    Introspection::new(&[7; 32], server, cache, &Handle::current(), &Arc::default())
}

async fn provider(body: &str) -> Provider {
    Provider::start(Answer::Json(body.to_owned())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_says_is_remembered_good_and_bad() {
    let server = provider(GOOD).await;
    let tokens = tokens(&[&server], &cache(60));
    for _ in 0..3 {
        assert_eq!(tokens.find("t-1").await.unwrap().unwrap().user, "alice");
    }
    assert_eq!(server.hits(), 1);
    let sent = server.last();
    assert_eq!(sent.body, "token=t-1&token_type_hint=access_token");
    assert_eq!(sent.headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(
        (&sent.headers["accept"], &sent.headers["authorization"]),
        (&"application/json".parse().unwrap(), &"Basic Z2F0ZTpzZWNyZXQ=".parse().unwrap())
    );
    server.answer(Answer::Json(r#"{"active":false}"#.to_owned()));
    for _ in 0..3 {
        assert!(tokens.find("t-2").await.unwrap().is_none());
    }
    assert_eq!((server.hits(), tokens.find("t-1").await.unwrap().unwrap().user.as_str()), (2, "alice"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_failure_and_no_nonsense_is_an_answer_or_is_remembered() {
    let server = provider(GOOD).await;
    let tokens = tokens(&[&server], &cache(60));
    let huge = format!(r#"{{"active":true,"sub":"alice","x":"{}"}}"#, "x".repeat(70_000));
    for answer in [
        Answer::Status(500),
        Answer::Status(401),
        Answer::Status(204),
        Answer::Redirect("/elsewhere".to_owned()),
        Answer::Silence,
        Answer::HangUp,
        Answer::Endless,
        Answer::Body(GOOD.to_owned()),
        Answer::Json(huge),
        Answer::Json(r#"{"active":"true","sub":"alice"}"#.to_owned()),
        Answer::Json(r#"{"active":true,"sub":"alice","sub":"root"}"#.to_owned()),
        Answer::Json(r#"{"active":false,"sub":"alice","\u0061ctive":true}"#.to_owned()),
        Answer::Json("not JSON".to_owned()),
        Answer::Json(String::new()),
        Answer::Json("[]".to_owned()),
    ] {
        server.answer(answer.clone());
        let hits = server.hits();
        let error = tokens.find("secret-token").await.unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
        assert_eq!(server.hits(), hits + 1, "{answer:?}: asked once, no redirect followed");
        assert!(tokens.status().last_error.is_some());
    }
    server.answer(Answer::Json(GOOD.to_owned()));
    assert!(tokens.find("secret-token").await.unwrap().is_some());
    assert_eq!((tokens.status().ok, tokens.status().failures_total), (Some(true), 15));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_address_answers_while_one_is_down_and_stays_the_first_asked() {
    let (one, two) = (provider(GOOD).await, provider(GOOD).await);
    let tokens = tokens(&[&one, &two], &cache(0));
    assert!(tokens.find("t").await.unwrap().is_some());
    assert_eq!((one.hits(), two.hits()), (1, 0));
    for answer in [Answer::Status(500), Answer::Silence, Answer::Json("garbage".to_owned())] {
        let (before, after) = (one.hits(), two.hits());
        one.answer(answer);
        assert!(tokens.find("t").await.unwrap().is_some());
        assert!(tokens.find("t").await.unwrap().is_some());
        assert_eq!((one.hits(), two.hits()), (before + 1, after + 2));
        one.answer(Answer::Json(GOOD.to_owned()));
        two.answer(Answer::HangUp);
        assert!(tokens.find("t").await.unwrap().is_some());
        two.answer(Answer::Json(GOOD.to_owned()));
    }
    one.answer(Answer::Status(500));
    two.answer(Answer::Status(503));
    let error = tokens.find("t").await.unwrap_err().to_string();
    assert!(error.contains("500") && error.contains("503"), "{error}");
    // One that says "not active" has answered: no other is asked.
    one.answer(Answer::Json(r#"{"active":false}"#.to_owned()));
    let hits = two.hits();
    assert!(tokens.find("t").await.unwrap().is_none());
    assert!(two.hits() <= hits + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_answer_is_asked_for_and_a_plain_one_is_not_taken_instead() {
    use crate::store::jwks::{KeySets, Source, testing::Signer};
    let (server, dir) = (provider(GOOD).await, tempfile::tempdir().unwrap());
    let path = dir.path().join("keys.json");
    let signer = Signer::p256();
    std::fs::write(&path, serde_json::json!({"keys": [signer.jwk()]}).to_string()).unwrap();
    let keys = KeySets::new(Handle::current()).source(Source::File(path)).unwrap();
    let mut tokens = tokens(&[&server], &cache(60));
    Arc::get_mut(&mut tokens.asker).unwrap().server.signed = Some(Signed { keys, issuer: "us".to_owned(), audience: "gate".to_owned() });
    assert!(tokens.find("t").await.is_err());
    assert_eq!(server.last().headers["accept"], "application/token-introspection+jwt");
    let part = |value: serde_json::Value| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, value.to_string());
    let header = part(serde_json::json!({"alg": "ES256", "typ": "token-introspection+jwt"}));
    let claims = serde_json::json!({"iss": "us", "aud": "gate", "iat": unix_now(), "token_introspection": {"active": true, "sub": "bob"}});
    let signed = format!("{header}.{}", part(claims));
    let jwt = format!("{signed}.{}", signer.sign(jsonwebtoken::Algorithm::ES256, &signed));
    for (media_type, good) in [("application/json", false), ("application/jwt", false), ("application/token-introspection+jwt", true)] {
        server.answer(Answer::Typed(media_type, jwt.clone()));
        assert_eq!(tokens.find("t").await.is_ok(), good, "{media_type}");
    }
    assert_eq!(tokens.find("t").await.unwrap().unwrap().user, "bob");
}
