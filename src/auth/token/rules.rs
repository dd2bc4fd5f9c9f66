//! What must hold of a token's bearer on every request, also of a fact that is remembered. Pure.

use serde_json::Value;

use crate::auth::{Refusal, Subject};
use crate::types::valid_user_name;

/// What the facts of a token must be.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Rules {
    /// What `iss` must be; `None` when it is not judged.
    pub issuer: Option<String>,
    /// `aud` must be or hold one of these; `None` when it is not judged.
    pub audience: Option<Vec<String>>,
    /// How far ahead a server's clock may be, in seconds.
    pub leeway: i64,
    /// Whether a token without an expiry is refused.
    pub expiry_required: bool,
}

impl Rules {
    /// Judges `subject` at `now` (Unix seconds).
    pub fn judge(&self, subject: &Subject, now: i64) -> Result<(), Refusal> {
        if subject.expires.map_or(self.expiry_required, |expires| expires <= now) {
            return Err(Refusal::Expired);
        }
        let soonest = now.saturating_add(self.leeway);
        let begins = |claim: &str| subject.claims.get(claim).and_then(Value::as_i64);
        if ["nbf", "iat"].into_iter().filter_map(begins).any(|begins| begins > soonest) {
            return Err(Refusal::NotYetValid);
        }
        if let Some(issuer) = &self.issuer
            && subject.claims.get("iss").and_then(Value::as_str) != Some(issuer)
        {
            return Err(Refusal::WrongIssuer);
        }
        if let Some(ours) = &self.audience
            && !is_meant(subject.claims.get("aud"), ours)
        {
            return Err(Refusal::WrongAudience);
        }
        // What a token is bound to, the scheme checks. One that says that it is bound, and not to what, is nobody's.
        if is_dpop(subject) && !subject.claims.contains_key("cnf") {
            return Err(Refusal::Forbidden("the token is bound to a key, and the server does not say to which"));
        }
        if !valid_user_name(&subject.user) {
            return Err(Refusal::Forbidden("the token names no user, or one that cannot be told to an application"));
        }
        Ok(())
    }
}

fn is_meant(audience: Option<&Value>, ours: &[String]) -> bool {
    let is_ours = |named: &Value| named.as_str().is_some_and(|named| ours.iter().any(|our| our == named));
    match audience {
        Some(Value::Array(all)) => all.iter().any(is_ours),
        Some(one) => is_ours(one),
        None => false,
    }
}

fn is_dpop(subject: &Subject) -> bool {
    subject.claims.get("token_type").and_then(Value::as_str).is_some_and(|kind| kind.eq_ignore_ascii_case("DPoP"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn subject(expires: Option<i64>, claims: Value) -> Subject {
        let Value::Object(claims) = claims else { panic!("no object") };
        Subject { user: "alice".to_owned(), expires, claims, ..Subject::default() }
    }

    fn said(rules: &Rules, claims: Value) -> Result<(), Refusal> {
        rules.judge(&subject(None, claims), NOW)
    }

    #[test]
    fn a_token_holds_until_the_second_before_its_expiry() {
        let judge = |required, expires, now| Rules { expiry_required: required, ..Rules::default() }.judge(&subject(expires, json!({})), now);
        for required in [true, false] {
            assert_eq!(judge(required, Some(100), 99), Ok(()));
            for (expires, now) in [(Some(100), 100), (Some(100), 101), (Some(i64::MIN), 0), (Some(i64::MAX), i64::MAX)] {
                assert_eq!(judge(required, expires, now), Err(Refusal::Expired), "{expires:?} at {now}");
            }
        }
        assert_eq!(judge(true, None, 0), Err(Refusal::Expired));
        assert_eq!(judge(false, None, i64::MAX), Ok(()));
    }

    #[test]
    fn a_token_that_begins_later_than_the_clocks_may_differ_is_not_valid_yet() {
        let rules = Rules { leeway: 10, ..Rules::default() };
        for claim in ["nbf", "iat"] {
            assert_eq!(said(&rules, json!({claim: NOW + 10})), Ok(()));
            assert_eq!(said(&rules, json!({claim: NOW + 11})), Err(Refusal::NotYetValid));
            assert_eq!(said(&rules, json!({claim: i64::MAX})), Err(Refusal::NotYetValid));
        }
        let wide = Rules { leeway: i64::MAX, ..Rules::default() };
        assert_eq!(wide.judge(&subject(None, json!({"nbf": i64::MAX})), i64::MAX), Ok(()));
    }

    #[test]
    fn issuer_and_audience_are_there_and_ours_where_they_are_judged() {
        let rules = Rules { issuer: Some("us".to_owned()), audience: Some(vec!["orders".to_owned(), "billing".to_owned()]), ..Rules::default() };
        for aud in [json!("orders"), json!(["x", "billing"])] {
            assert_eq!(said(&rules, json!({"iss": "us", "aud": aud})), Ok(()));
        }
        for iss in [json!("them"), json!("us "), json!(null), json!(["us"]), json!(7)] {
            assert_eq!(said(&rules, json!({"iss": iss, "aud": "orders"})), Err(Refusal::WrongIssuer), "{iss}");
        }
        assert_eq!(said(&rules, json!({"aud": "orders"})), Err(Refusal::WrongIssuer));
        for aud in [json!("order"), json!("orders billing"), json!([]), json!(["x"]), json!(null), json!([["orders"]]), json!({"orders": 1})] {
            assert_eq!(said(&rules, json!({"iss": "us", "aud": aud})), Err(Refusal::WrongAudience), "{aud}");
        }
        assert_eq!(said(&rules, json!({"iss": "us"})), Err(Refusal::WrongAudience));
        assert_eq!(said(&Rules::default(), json!({"iss": 7, "aud": 7})), Ok(()));
    }

    #[test]
    fn a_token_that_is_bound_to_nobody_knows_what_is_refused() {
        for kind in ["DPoP", "dpop"] {
            assert!(matches!(said(&Rules::default(), json!({"token_type": kind})), Err(Refusal::Forbidden(_))), "{kind}");
            assert_eq!(said(&Rules::default(), json!({"token_type": kind, "cnf": {"jkt": "x"}})), Ok(()));
        }
        assert_eq!(said(&Rules::default(), json!({"token_type": "Bearer"})), Ok(()));
    }

    #[test]
    fn nobody_is_let_in_without_a_name_that_can_be_told() {
        for name in ["", " x", "a\nb", "a\u{202e}b"] {
            let nameless = Subject { user: name.to_owned(), ..Subject::default() };
            assert!(matches!(Rules::default().judge(&nameless, NOW), Err(Refusal::Forbidden(_))), "{name:?}");
        }
    }
}
