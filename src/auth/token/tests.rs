//! The scheme over Doorward's own store, and settings of every kind.

use tokio::runtime::Handle;

use super::*;
use crate::store::CacheSettings;
use crate::store::sql::Db;
use crate::store::tokens::{Tokens, issue};
use crate::types::Severity;

struct Fixture {
    db: Db,
    scheme: Token,
    _dir: tempfile::TempDir,
}

async fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let aux = Handle::current();
    let db = Db::open(&format!("sqlite:{}/d.db", dir.path().display()), &aux).await.unwrap();
    let tokens = Tokens::new(db.clone(), &CacheSettings::default(), &aux, &Arc::default());
    let carrier = Carrier::build(None, None, None, &mut Report::default()).unwrap();
    let rules = Rules { expiry_required: true, ..Rules::default() };
    let senders = crate::auth::sender::build(None, 0, &mut Report::default()).unwrap();
    let stores = Stores::open(None, &CacheSettings::default(), aux, &mut Report::default()).await.unwrap();
    let scheme = Token { name: "tokens".into(), carrier, source: Source::Store(tokens), rules, senders, jwt_form: false, stores };
    Fixture { db, scheme, _dir: dir }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_store_names_its_user_and_another_is_wrong() {
    let f = fixture().await;
    let issued = issue(&f.db, "alice", &[], 3600).await.unwrap();
    assert_eq!(f.scheme.verify(&issued.token).await.unwrap().unwrap().user, "alice");
    for token in ["dw_unknown", "x", "a.b", "a.b.c.d.e", "..", &issued.id, &"a".repeat(4096)] {
        assert!(matches!(f.scheme.verify(token).await, Err(AuthError::Refused(Refusal::Wrong(_)))), "{token}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_jwts_form_is_left_to_others_however_long_unless_it_is_looked_up_too() {
    let mut f = fixture().await;
    for token in ["eyJh.eyJz.c2ln".to_owned(), format!("eyJh.{}.c2ln", "c".repeat(90_000))] {
        assert!(f.scheme.verify(&token).await.unwrap().is_none());
    }
    f.scheme.jwt_form = true;
    assert!(matches!(f.scheme.verify("eyJh.eyJz.c2ln").await, Err(AuthError::Refused(Refusal::Wrong(_)))));
    let long = format!("eyJh.{}.c2ln", "c".repeat(MAX_JWT_BYTES));
    assert!(matches!(f.scheme.verify(&long).await, Err(AuthError::Refused(Refusal::Malformed(_)))));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlong_token_is_malformed() {
    let f = fixture().await;
    for token in ["a".repeat(4097), format!("a.b.c.d.{}", "e".repeat(4096))] {
        assert!(matches!(f.scheme.verify(&token).await, Err(AuthError::Refused(Refusal::Malformed(_)))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_expired_and_a_name_that_cannot_be_told_is_refused() {
    let f = fixture().await;
    let expired = issue(&f.db, "alice", &[], 0).await.unwrap();
    assert!(matches!(f.scheme.verify(&expired.token).await, Err(AuthError::Refused(Refusal::Expired))));
    let odd = issue(&f.db, "alice\r\nX: y", &[], 3600).await.unwrap();
    assert!(matches!(f.scheme.verify(&odd.token).await, Err(AuthError::Refused(Refusal::Forbidden(_)))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_gone_is_unavailable() {
    let f = fixture().await;
    let issued = issue(&f.db, "alice", &[], 3600).await.unwrap();
    f.db.close().await;
    assert!(matches!(f.scheme.verify(&issued.token).await, Err(AuthError::Unavailable(_))));
}

#[test]
fn only_a_credential_that_was_sent_is_called_invalid() {
    let text = |why| challenge("Token", &why).0.to_str().unwrap().to_owned();
    assert_eq!(text(Refusal::Missing), "Token realm=\"doorward\"");
    assert!(text(Refusal::Expired).ends_with("error=\"invalid_token\", error_description=\"The token has expired\""));
    for why in [Refusal::Unclaimed, Refusal::Wrong("secret detail"), Refusal::Malformed("secret detail"), Refusal::Skewed(7)] {
        let text = text(why);
        assert!(text.contains("error=\"invalid_token\"") && !text.contains("secret detail"), "{text}");
    }
}

/// Builds a scheme of `toml`; what was reported, as (key, whether an error).
async fn built(toml: &str) -> (Option<Token>, Vec<(String, bool)>) {
    let stores = Stores::open(None, &CacheSettings::default(), Handle::current(), &mut Report::default()).await.unwrap();
    let mut report = Report::default();
    let token = Token::build("t", toml::from_str(toml).unwrap(), &stores, &mut report);
    (token, report.problems().iter().map(|p| (p.key.clone(), p.severity == Severity::Error)).collect())
}

const ASK: &str = "source = 'introspection'\nintrospection_url = 'https://id.example/i'\nclient_id = 'gate'\nclient_secret = 's'\n";
const DRF: &str = "source = 'sql'\nsql = { url = 'postgres://u@127.0.0.1/d', preset = 'drf-authtoken' }\n";

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_source_can_be_written() {
    for toml in [
        ASK.to_owned(),
        format!("{ASK}client_auth = 'post'\nissuer = 'us'\naudience = ['a', 'b']\nuser_claim = 'ext.name'\nleeway = '30s'\ntoken_type_hint = ''"),
        "source = 'introspection'\nintrospection_url = ['https://a.example/i', 'http://127.0.0.1:9/i']\nclient_auth = 'bearer'\nclient_secret = 't'"
            .to_owned(),
        "source = 'introspection'\nissuer = 'https://id.example'\nissuer_check = false\nclient_id = 'gate'\nclient_secret = 's'".to_owned(),
        format!("{ASK}issuer = 'https://id.example'\nresponse = 'jwt'\njwks_url = 'https://id.example/keys'"),
        format!("{ASK}dpop = 'optional'\njwt_form = true\nquery_parameter = 'access_token'\nprefix = ''\nheader = 'X-Token'\ncookie = 'tok'"),
        DRF.to_owned(),
        format!("{DRF}user_claim = ['username', 'client_id']\nprefix = ['Bearer', 'Token']"),
    ] {
        let (token, problems) = built(&toml).await;
        assert!(token.is_some() && problems.iter().all(|(_, error)| !error), "{toml}: {problems:?}");
    }
    assert_eq!(built(DRF).await.0.unwrap().carrier.word(), "Token");
    assert_eq!(built(&format!("{DRF}prefix = 'Bearer'")).await.0.unwrap().carrier.word(), "Bearer");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_is_reported_under_its_key() {
    for (toml, key) in [
        ("source = 'store'".to_owned(), "source"),
        ("source = 'Store'".to_owned(), "source"),
        ("source = ''".to_owned(), "source"),
        ("source = 'store'\naudience = 'x'".to_owned(), "audience"),
        ("source = 'store'\ndpop = 'optional'".to_owned(), "dpop"),
        (format!("{ASK}dpop = 'sometimes'"), "dpop.mode"),
        ("source = 'store'\nclient_id = 'x'".to_owned(), "client_id"),
        ("source = 'store'\nsql = { url = 'sqlite:x', preset = 'drf-authtoken' }".to_owned(), "sql"),
        ("source = 'introspection'\nclient_id = 'x'\nclient_secret = 's'".to_owned(), "introspection_url"),
        ("source = 'introspection'\nissuer = 'us'\nclient_id = 'x'\nclient_secret = 's'".to_owned(), "issuer"),
        (ASK.replace("https", "http"), "introspection_url"),
        (ASK.replace("'https://id.example/i'", "[]"), "introspection_url"),
        (ASK.replace("id.example", "u:p@id.example"), "introspection_url"),
        (ASK.replace("client_id = 'gate'", ""), "client_id"),
        (ASK.replace("client_secret = 's'", ""), "client_secret"),
        (ASK.replace("client_secret = 's'", "client_secret_env = 'DOORWARD_SURELY_UNSET'"), "client_secret_env"),
        (format!("{ASK}client_auth = 'digest'"), "client_auth"),
        (format!("{ASK}client_auth = 'bearer'"), "client_id"),
        (format!("{ASK}client_auth = 'private_key_jwt'"), "private_key_file"),
        (format!("{ASK}client_auth = 'private_key_jwt'\nprivate_key_file = '/nonexistent'"), "private_key_file"),
        (format!("{ASK}private_key_id = 'k'"), "private_key_id"),
        (format!("{ASK}issuer_check = false"), "issuer_check"),
        (format!("{ASK}audience = []"), "audience"),
        (format!("{ASK}issuer = ''"), "issuer"),
        (format!("{ASK}user_claim = ['']"), "user_claim"),
        (format!("{ASK}response = 'xml'"), "response"),
        (format!("{ASK}response = 'jwt'"), "response"),
        (format!("{ASK}response = 'jwt'\nissuer = 'us'"), "issuer"),
        (format!("{ASK}jwks_url = 'https://id.example/keys'"), "jwks_url"),
        (format!("{ASK}ca_file = '/nonexistent'"), "ca_file"),
        (format!("{ASK}query_parameter = 'token'"), "query_parameter"),
        (format!("{ASK}sql = {{}}"), "sql"),
        ("source = 'sql'".to_owned(), "sql"),
        (DRF.replace("postgres:", "redis:"), "sql.url"),
        (DRF.replace("drf-authtoken", "drf"), "sql.preset"),
        (format!("{DRF}leeway = '1s'"), "leeway"),
    ] {
        let (token, problems) = built(&toml).await;
        assert!(token.is_none() && problems.contains(&(key.to_owned(), true)), "{toml}: {problems:?}");
    }
    for unread in ["", "source = 'store'\nsauce = 1", "source = 7", "source = 'sql'\nsql = { uri = 'x' }"] {
        assert!(toml::from_str::<Settings>(unread).is_err(), "{unread}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_outlives_a_reload_that_changes_nothing_about_it() {
    let stores = Stores::open(None, &CacheSettings::default(), Handle::current(), &mut Report::default()).await.unwrap();
    let build = |toml: &str| Token::build("t", toml::from_str(toml).unwrap(), &stores, &mut Report::default()).unwrap();
    let place = |token: &Token| match &token.source {
        Source::Introspection(server) => Arc::as_ptr(server) as usize,
        Source::Sql(table) => Arc::as_ptr(table) as usize,
        Source::Store(_) => 0,
    };
    let (ask, drf) = (build(ASK), build(DRF));
    assert_eq!((place(&ask), place(&drf)), (place(&build(ASK)), place(&build(DRF))));
    // A secret that is another makes another source, although it prints alike.
    let other = build(&ASK.replace("'s'", "'t'"));
    assert_ne!(place(&ask), place(&other));
    let password = |text: &str| build(&DRF.replace("u@", &format!("u:{text}@")));
    let (one, two) = (password("a"), password("b"));
    assert_ne!(place(&one), place(&two));
}
