//! Refusals in Flask-JWT's own words, for clients that look for them.
//!
//! ```text
//! 401  WWW-Authenticate: JWT realm="Login Required"
//! {"status_code":401,"error":"Invalid token","description":"Signature has expired"}
//! ```
//!
//! Nothing is decided here. What was refused is looked at again, in the order in which Flask-JWT 0.3.2 and PyJWT 1.4 look,
//! so that the text is theirs. No text holds anything of the request.

use serde_json::{Map, Value};

use super::claims::date;
use super::compact::{Compact, decode};
use super::verifier::Rules;
use crate::auth::{ErrorForm, Refusal};
use crate::types::json;

/// What a refusal is called when no token was found. `words` are those of the `Authorization` header.
pub(super) fn without_token(why: &Refusal, words: usize) -> ErrorForm {
    let (error, description) = match (why, words) {
        (Refusal::Missing, _) => ("Authorization Required", "Request does not contain an access token"),
        (Refusal::Unclaimed, _) => ("Invalid JWT header", "Unsupported authorization type"),
        (_, 0 | 1) => ("Invalid JWT header", "Token missing"),
        (_, _) => ("Invalid JWT header", "Token contains spaces"),
    };
    ErrorForm::FlaskJwt { error, description }
}

/// What a refusal of `token` is called.
pub(super) fn with_token(why: &Refusal, token: &str, rules: Option<&Rules>, now: i64) -> ErrorForm {
    let description = rules.and_then(|rules| description(why, token, rules, now));
    match description {
        Some(description) => ErrorForm::FlaskJwt { error: "Invalid token", description },
        None => ErrorForm::FlaskJwt { error: "Invalid JWT", description: "User does not exist" },
    }
}

/// `None` when the token itself has nothing that PyJWT would have found.
fn description(why: &Refusal, token: &str, rules: &Rules, now: i64) -> Option<&'static str> {
    let Ok(Some(token)) = Compact::split(token, usize::MAX) else { return Some("Not enough segments") };
    let Some(header) = decode(token.header) else { return Some("Invalid header padding") };
    let Some(header) = json::object(&header) else { return Some("Invalid header string: must be a json object") };
    let Some(payload) = decode(token.payload) else { return Some("Invalid payload padding") };
    if decode(token.signature).is_none() {
        return Some("Invalid crypto padding");
    }
    let named = header.get("alg").and_then(Value::as_str).and_then(|name| name.parse().ok());
    if !named.is_some_and(|named| rules.header.algorithms.contains(&named)) {
        return Some("The specified alg value is not allowed");
    }
    if matches!(why, Refusal::Wrong(_)) {
        return Some("Signature verification failed");
    }
    let Some(claims) = json::object(&payload) else { return Some("Invalid payload string: must be a json object") };
    missing(&claims).or_else(|| untimely(&claims, rules.claims.leeway, now)).or(match why {
        Refusal::WrongIssuer => Some("Invalid issuer"),
        Refusal::WrongAudience => Some("Invalid audience"),
        Refusal::Missing
        | Refusal::Unclaimed
        | Refusal::Malformed(_)
        | Refusal::Wrong(_)
        | Refusal::Mismatch(_)
        | Refusal::WrongBody(_)
        | Refusal::Expired
        | Refusal::NotYetValid
        | Refusal::Skewed(_)
        | Refusal::Replayed
        | Refusal::Forbidden(_) => None,
    })
}

fn missing(claims: &Map<String, Value>) -> Option<&'static str> {
    let texts =
        [("exp", "Token is missing the \"exp\" claim"), ("iat", "Token is missing the \"iat\" claim"), ("nbf", "Token is missing the \"nbf\" claim")];
    texts.into_iter().find(|(claim, _)| claims.get(*claim).is_none_or(Value::is_null)).map(|(_, text)| text)
}

fn untimely(claims: &Map<String, Value>, leeway: i64, now: i64) -> Option<&'static str> {
    let soonest = now.saturating_add(leeway);
    match date(claims, "iat", f64::ceil) {
        Err(_) => return Some("Issued At claim (iat) must be an integer."),
        Ok(Some(issued)) if issued > soonest => return Some("Issued At claim (iat) cannot be in the future."),
        Ok(_) => {}
    }
    match date(claims, "nbf", f64::ceil) {
        Err(_) => return Some("Not Before claim (nbf) must be an integer."),
        Ok(Some(begins)) if begins > soonest => return Some("The token is not yet valid (nbf)"),
        Ok(_) => {}
    }
    match date(claims, "exp", f64::floor) {
        Err(_) => Some("Expiration Time claim (exp) must be an integer."),
        Ok(Some(expires)) if now >= expires.saturating_add(leeway) => Some("Signature has expired"),
        Ok(_) => None,
    }
}
