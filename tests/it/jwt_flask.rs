//! Flask-JWT's tokens and errors, to the letter of Flask-JWT 0.3.2 with PyJWT 1.4.

use serde_json::{Value, json};

use crate::support::client::{Answer, BOTH};
use crate::support::gateway::Gateway;
use crate::support::idp::Key;
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;
use crate::support::{base64url, now};

const SECRET: &str = "super-secret-of-the-legacy-app-0123456789";

async fn place() -> (Gateway, Upstream) {
    let upstream = Upstream::echo();
    let scheme = "[auth.legacy.jwt]\nsecret_file = \"flask.key\"\nerror_format = \"flask-jwt\"\n[auth.staff.basic]\nusers = \"store\"";
    let setup =
        Setup::new(&upstream.url()).file("flask.key", SECRET).rest(scheme).route("/api/**", &["legacy"]).route("/both/**", &["staff", "legacy"]);
    (setup.start().await, upstream)
}

fn claims() -> Value {
    json!({"identity": 7, "iat": now(), "nbf": now(), "exp": now() + 300})
}

fn token(claims: &Value) -> String {
    Key::secret("", SECRET).raw(r#"{"typ":"JWT","alg":"HS256"}"#, &claims.to_string())
}

fn but(name: &str, value: Value) -> String {
    let mut claims = claims();
    claims[name] = value;
    token(&claims)
}

fn without(name: &str) -> String {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    token(&claims)
}

#[track_caller]
fn says(answer: &Answer, error: &str, description: &str) {
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(answer.text(), format!("{{\"status_code\":401,\"error\":{},\"description\":{}}}", json!(error), json!(description)));
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("www-authenticate"), "JWT realm=\"Login Required\"");
}

#[tokio::test]
async fn a_token_of_flask_jwt_names_its_user_by_number_or_text() {
    let (gate, upstream) = place().await;
    for proto in BOTH {
        for (identity, user) in
            [(json!(7), "7"), (json!("ann"), "ann"), (json!(18_446_744_073_709_551_615_u64), "18446744073709551615"), (json!(-1), "-1")]
        {
            let answer = gate.get("/api/x").proto(proto).header("Authorization", format!("JWT {}", but("identity", identity))).send().await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(upstream.only().user(), Some(user));
        }
    }
    for (name, value) in [("exp", json!(now() - 8)), ("nbf", json!(now() + 8)), ("iat", json!(now() + 8))] {
        let answer = gate.get("/api/x").header("Authorization", format!("jwt {}", but(name, value))).send().await;
        assert_eq!(answer.status, 200, "ten seconds of leeway: {name}");
    }
}

#[tokio::test]
async fn refusals_are_told_in_its_own_words() {
    let (gate, upstream) = place().await;
    let good = token(&claims());
    let (input, _) = good.rsplit_once('.').unwrap();
    let body = base64url(claims().to_string());
    let other = Key::secret("", "another secret of at least 32 bytes!").raw(r#"{"typ":"JWT","alg":"HS256"}"#, &claims().to_string());
    let hs512 = Key::secret("", SECRET).raw(r#"{"typ":"JWT","alg":"HS512"}"#, &claims().to_string());
    let (header, invalid) = ("Invalid JWT header", "Invalid token");
    let missing = |claim: &str| format!("Token is missing the \"{claim}\" claim");
    for proto in BOTH {
        let says_of = async |authorization: &str, error: &str, description: &str| {
            let answer = gate.get("/api/x").proto(proto).header("Authorization", authorization).send().await;
            says(&answer, error, description);
        };
        says(&gate.get("/api/x").proto(proto).send().await, "Authorization Required", "Request does not contain an access token");
        says_of(&format!("Bearer {good}"), header, "Unsupported authorization type").await;
        says_of("Basic eDp5", header, "Unsupported authorization type").await;
        says_of("JWT", header, "Token missing").await;
        says_of("JWT a b", header, "Token contains spaces").await;
        says_of("JWT x", invalid, "Not enough segments").await;
        says_of("JWT x.y", invalid, "Not enough segments").await;
        says_of("JWT !.y.z", invalid, "Invalid header padding").await;
        says_of(&format!("JWT {}.{body}.AAAA", base64url("[]")), invalid, "Invalid header string: must be a json object").await;
        says_of(&format!("JWT {}.!.AAAA", base64url(r#"{"alg":"HS256"}"#)), invalid, "Invalid payload padding").await;
        says_of(&format!("JWT {input}.!"), invalid, "Invalid crypto padding").await;
        says_of(&format!("JWT {}.{body}.AAAA", base64url(r#"{"alg":"none"}"#)), invalid, "The specified alg value is not allowed").await;
        says_of(&format!("JWT {hs512}"), invalid, "The specified alg value is not allowed").await;
        says_of(&format!("JWT {other}"), invalid, "Signature verification failed").await;
        says_of(&format!("JWT {input}.AAAA"), invalid, "Signature verification failed").await;
        says_of(&format!("JWT {}", but("exp", json!(now() - 60))), invalid, "Signature has expired").await;
        says_of(&format!("JWT {}", but("nbf", json!(now() + 60))), invalid, "The token is not yet valid (nbf)").await;
        says_of(&format!("JWT {}", but("iat", json!(now() + 60))), invalid, "Issued At claim (iat) cannot be in the future.").await;
        says_of(&format!("JWT {}", but("exp", json!("soon"))), invalid, "Expiration Time claim (exp) must be an integer.").await;
        says_of(&format!("JWT {}", but("nbf", json!("soon"))), invalid, "Not Before claim (nbf) must be an integer.").await;
        says_of(&format!("JWT {}", but("iat", json!("soon"))), invalid, "Issued At claim (iat) must be an integer.").await;
        for claim in ["exp", "iat", "nbf"] {
            says_of(&format!("JWT {}", without(claim)), invalid, &missing(claim)).await;
            says_of(&format!("JWT {}", but(claim, json!(null))), invalid, &missing(claim)).await;
        }
        for token in
            [without("identity"), but("identity", json!(null)), but("identity", json!("")), but("identity", json!(1.5)), but("identity", json!([7]))]
        {
            says_of(&format!("JWT {token}"), "Invalid JWT", "User does not exist").await;
        }
    }
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn where_another_scheme_comes_first_the_answer_is_everybodys() {
    let (gate, _) = place().await;
    let answer = gate.get("/both/x").send().await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "unauthenticated"));
    let all: Vec<_> = answer.headers.get_all("www-authenticate").iter().map(|value| value.to_str().unwrap().to_owned()).collect();
    assert_eq!(all, ["Basic realm=\"doorward\", charset=\"UTF-8\"", "JWT realm=\"Login Required\""]);
    assert_eq!(gate.get("/both/x").header("Authorization", "JWT x").send().await.code(), "invalid_token");
    let expired = gate.get("/both/x").header("Authorization", format!("JWT {}", but("exp", json!(now() - 60)))).send().await;
    says(&expired, "Invalid token", "Signature has expired");
}
