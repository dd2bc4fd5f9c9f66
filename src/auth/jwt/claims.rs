//! A token's claims (RFC 7519 section 4.1): judged by the clock and the configuration, then turned into a subject.
//!
//! Pure: the time is an argument, so that every bound can be tested. Nothing here trusts a claim's type.

use serde_json::{Map, Value};

use crate::auth::{Refusal, Subject, valid_user_name};
use crate::types::{claim, whole_seconds};

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::auth) enum TokenType {
    /// Access: what says of itself that it is for something else is refused.
    Access,
    /// Access, as RFC 9068 has it.
    Rfc9068,
    /// Not judged.
    Any,
}

/// What the claims of a token must be.
#[derive(Debug)]
pub(in crate::auth) struct ClaimRules {
    /// What `iss` must be; `None` when it is not judged.
    pub issuer: Option<String>,
    /// `aud` must be or hold one of these; `None` when it is not judged.
    pub audience: Option<Vec<String>>,
    /// `azp` and `client_id`, one of which must be there, must be one of these; `None` when they are not judged.
    pub parties: Option<Vec<String>>,
    /// What the token must be for.
    pub token_type: TokenType,
    /// Claims that must be there and not be null.
    pub required: Vec<String>,
    /// How far clocks may differ, in seconds.
    pub leeway: i64,
    /// The claim that is the user's name.
    pub user: String,
    /// Whether a whole number is a user's name.
    pub numbers_name_users: bool,
    /// The claim that is the e-mail address.
    pub email: String,
    /// The claim that lists the groups.
    pub groups: String,
}

impl ClaimRules {
    /// Whether a token with these claims is good at `now` (Unix seconds). Asked again on every request.
    pub fn judge(&self, claims: &Map<String, Value>, now: i64) -> Result<(), Refusal> {
        self.judge_issuer(claims)?;
        self.judge_audience(claims)?;
        self.judge_parties(claims)?;
        self.judge_type(claims)?;
        if date(claims, "exp", f64::floor)?.is_some_and(|expires| now >= expires.saturating_add(self.leeway)) {
            return Err(Refusal::Expired);
        }
        let soonest = now.saturating_add(self.leeway);
        for claim in ["nbf", "iat"] {
            if date(claims, claim, f64::ceil)?.is_some_and(|begins| begins > soonest) {
                return Err(Refusal::NotYetValid);
            }
        }
        if self.required.iter().any(|path| claim(claims, path).is_none_or(Value::is_null)) {
            return Err(Refusal::Malformed("the token lacks a claim that is required"));
        }
        Ok(())
    }

    /// Whom the token is about. The claims have been judged.
    pub fn subject(&self, claims: Map<String, Value>) -> Result<Subject, Refusal> {
        let user = match claim(&claims, &self.user) {
            Some(Value::String(user)) if valid_user_name(user) => user.clone(),
            Some(Value::Number(number)) if self.numbers_name_users && (number.is_i64() || number.is_u64()) => number.to_string(),
            Some(Value::String(_)) => return Err(Refusal::Malformed("the claim with the user's name holds no valid name")),
            Some(_) => return Err(Refusal::Malformed("the claim with the user's name is not a string")),
            None => return Err(Refusal::Malformed("the token lacks the claim with the user's name")),
        };
        Ok(Subject {
            user,
            email: self.email(&claims),
            groups: list(claim(&claims, &self.groups)).filter(|group| valid_user_name(group)).map(str::to_owned).collect(),
            scopes: scopes(&claims),
            expires: date(&claims, "exp", f64::floor)?,
            claims,
            ..Subject::default()
        })
    }

    fn judge_issuer(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        let Some(issuer) = &self.issuer else { return Ok(()) };
        match claims.get("iss") {
            Some(Value::String(named)) if named == issuer => Ok(()),
            Some(Value::String(_)) | None => Err(Refusal::WrongIssuer),
            Some(_) => Err(Refusal::Malformed("iss is not a string")),
        }
    }

    fn judge_audience(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        let Some(ours) = &self.audience else { return Ok(()) };
        let meant = match claims.get("aud") {
            None => return Err(Refusal::WrongAudience),
            Some(Value::String(_)) => true,
            Some(Value::Array(all)) => all.iter().all(Value::is_string),
            Some(_) => false,
        };
        if !meant {
            return Err(Refusal::Malformed("aud is neither a string nor a list of strings"));
        }
        if list(claims.get("aud")).any(|named| ours.iter().any(|our| our == named)) { Ok(()) } else { Err(Refusal::WrongAudience) }
    }

    /// To whom the issuer gave the token: `azp` of OpenID Connect, `client_id` of RFC 9068. Where both stand, both count.
    fn judge_parties(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        let Some(ours) = &self.parties else { return Ok(()) };
        let mut named = ["azp", "client_id"].iter().filter_map(|claim| claims.get(*claim)).peekable();
        let is_ours = |party: &Value| party.as_str().is_some_and(|party| ours.iter().any(|our| our == party));
        let given = named.peek().is_some();
        if given && named.all(is_ours) { Ok(()) } else { Err(Refusal::Wrong("the token was given to another party (azp, client_id)")) }
    }

    /// An ID token tells a client who logged in; it is no permission to call anything (RFC 9068 section 4, RFC 8725
    /// section 2.8). There is no one mark of it, so this looks at what issuers write: `at_hash` and `c_hash` (OpenID Connect
    /// Core section 3.3.2.11), `token_use` (Cognito), the claim `typ` (Keycloak), `events` (RFC 8417, logout tokens).
    fn judge_type(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        if self.token_type == TokenType::Any {
            return Ok(());
        }
        let is = |value: &Value, kinds: &[&str]| value.as_str().is_some_and(|text| kinds.iter().any(|kind| kind.eq_ignore_ascii_case(text)));
        // Looked at once each: a token has few claims, and to look up six of them costs more.
        let other = claims.iter().any(|(claim, value)| match claim.as_str() {
            "at_hash" | "c_hash" | "s_hash" | "events" => true,
            "token_use" => is(value, &["id", "refresh"]),
            "typ" => is(value, &["ID", "Refresh", "Offline", "Logout"]),
            _ => false,
        });
        if other { Err(Refusal::Wrong("the token is not one for access: an ID token or another kind")) } else { Ok(()) }
    }

    /// An address that the issuer says nobody has checked is not passed on as the user's.
    fn email(&self, claims: &Map<String, Value>) -> Option<String> {
        let doubted = match claims.get("email_verified") {
            None | Some(Value::Bool(true)) => false,
            // Some issuers write it as a string.
            Some(Value::String(text)) => text != "true",
            Some(_) => true,
        };
        let email = claim(claims, &self.email)?.as_str().filter(|email| valid_user_name(email))?;
        (!doubted).then(|| email.to_owned())
    }
}

/// The strings of a claim that is one string or a list; anything else has none.
fn list(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let one = value.and_then(Value::as_str);
    let many = value.and_then(Value::as_array);
    one.into_iter().chain(many.into_iter().flatten().filter_map(Value::as_str))
}

/// `scope` is one string with blanks (RFC 8693 section 4.2, RFC 9068); `scp` is what others write, as a list or so.
fn scopes(claims: &Map<String, Value>) -> Vec<String> {
    let claim = if claims.contains_key("scope") { "scope" } else { "scp" };
    list(claims.get(claim)).flat_map(|text| text.split(' ')).filter(|scope| !scope.is_empty()).map(str::to_owned).collect()
}

/// A NumericDate (RFC 7519 section 2) in whole seconds; fractions by `round`. An error unless it is a number within
/// reason.
pub(in crate::auth) fn date(claims: &Map<String, Value>, claim: &str, round: fn(f64) -> f64) -> Result<Option<i64>, Refusal> {
    let Some(value) = claims.get(claim) else { return Ok(None) };
    let wrong = Refusal::Malformed("exp, nbf or iat is not a number of seconds since 1970");
    let seconds = value.as_number().and_then(|number| whole_seconds(number, round)).ok_or(wrong)?;
    Ok(Some(seconds))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::types::LAST_SECOND;
    use crate::types::json::object;

    const NOW: i64 = 1_800_000_000;

    fn rules() -> ClaimRules {
        let text = str::to_owned;
        ClaimRules {
            issuer: Some(text("us")),
            audience: Some(vec![text("orders"), text("billing")]),
            parties: None,
            token_type: TokenType::Access,
            required: vec![text("exp")],
            leeway: 10,
            user: text("sub"),
            numbers_name_users: false,
            email: text("email"),
            groups: text("groups"),
        }
    }

    fn good() -> Value {
        json!({"iss": "us", "aud": "orders", "sub": "alice", "exp": NOW + 60, "nbf": NOW - 60, "iat": NOW - 60})
    }

    /// Judges the good claims with the raw JSON `value` in the place of `claim`.
    fn judged(claim: &str, value: &str) -> Result<(), Refusal> {
        let mut claims = good();
        claims[claim] = json!("PLACE");
        let Some(claims) = object(claims.to_string().replace("\"PLACE\"", value).as_bytes()) else {
            return Err(Refusal::Malformed("json"));
        };
        rules().judge(&claims, NOW)
    }

    fn without(claim: &str) -> Result<(), Refusal> {
        let mut claims = good().as_object().unwrap().clone();
        claims.remove(claim);
        rules().judge(&claims, NOW)
    }

    fn subject(more: Value) -> Result<Subject, Refusal> {
        let mut claims = good().as_object().unwrap().clone();
        claims.extend(more.as_object().unwrap().clone());
        rules().subject(claims)
    }

    #[test]
    fn every_date_is_a_number_within_reason_or_the_token_is_refused() {
        assert_eq!(judged("x", "1"), Ok(()));
        for claim in ["exp", "nbf", "iat"] {
            for bad in [
                "\"1800000060\"",
                "\"\"",
                "\"NaN\"",
                "NaN",
                "Infinity",
                "-Infinity",
                "1e300",
                "-1e300",
                "1e400",
                "null",
                "[]",
                "[1800000060]",
                "{}",
                "{\"a\":1}",
                "true",
                "false",
                "-1",
                "-1.5",
                "18446744073709551615",
                "18446744073709551616",
                "9223372036854775807",
                "-9223372036854775808",
                "253402300800",
                "253402300800.5",
                "1800000060000",
            ] {
                assert!(matches!(judged(claim, bad), Err(Refusal::Malformed(_))), "{claim}: {bad}");
            }
            let twice = format!("{{\"{claim}\":1,\"{claim}\":{}}}", NOW);
            assert!(object(twice.as_bytes()).is_none(), "{claim} twice");
        }
        for (claim, value, outcome) in [
            ("exp", "0", Err(Refusal::Expired)),
            ("exp", "-0.0", Err(Refusal::Expired)),
            ("exp", "1799999990", Err(Refusal::Expired)),
            ("exp", "1799999990.99", Err(Refusal::Expired)),
            ("exp", "1799999991", Ok(())),
            ("exp", "1.799999991e9", Ok(())),
            ("exp", "253402300799", Ok(())),
            ("nbf", "0", Ok(())),
            ("nbf", "1800000010", Ok(())),
            ("nbf", "1800000010.01", Err(Refusal::NotYetValid)),
            ("nbf", "1800000011", Err(Refusal::NotYetValid)),
            ("nbf", "253402300799", Err(Refusal::NotYetValid)),
            ("iat", "1800000010", Ok(())),
            ("iat", "1800000011", Err(Refusal::NotYetValid)),
        ] {
            assert_eq!(judged(claim, value), outcome, "{claim}: {value}");
        }
        assert_eq!(without("nbf"), Ok(()));
        assert_eq!(without("iat"), Ok(()));
        assert!(matches!(without("exp"), Err(Refusal::Malformed(_))));
    }

    #[test]
    fn an_issuer_is_one_string_and_ours() {
        for bad in ["\"them\"", "\"us \"", "\"US\"", "\"\"", "[\"us\"]", "[\"us\",\"them\"]", "null", "7", "1e300", "true", "{}"] {
            assert!(matches!(judged("iss", bad), Err(Refusal::WrongIssuer | Refusal::Malformed(_))), "{bad}");
        }
        assert_eq!(without("iss"), Err(Refusal::WrongIssuer));
    }

    #[test]
    fn an_audience_is_ours_or_lists_ours_and_holds_strings_alone() {
        for good in ["\"orders\"", "\"billing\"", "[\"x\",\"orders\"]", "[\"orders\",\"orders\"]"] {
            assert_eq!(judged("aud", good), Ok(()), "{good}");
        }
        for other in ["\"order\"", "\"orders \"", "\"\"", "[]", "[\"x\",\"y\"]", "[\"orders billing\"]", "\"orders billing\""] {
            assert_eq!(judged("aud", other), Err(Refusal::WrongAudience), "{other}");
        }
        for bad in ["null", "7", "1.5", "1e300", "true", "{}", "{\"orders\":1}", "[7,\"orders\"]", "[\"orders\",null]", "[[\"orders\"]]", "[{}]"] {
            assert!(matches!(judged("aud", bad), Err(Refusal::Malformed(_))), "{bad}");
        }
        assert_eq!(without("aud"), Err(Refusal::WrongAudience));
        let unchecked = ClaimRules { audience: None, issuer: None, ..rules() };
        assert_eq!(unchecked.judge(object(br#"{"exp":1800000060,"aud":7,"iss":[]}"#).as_ref().unwrap(), NOW), Ok(()));
    }

    #[test]
    fn required_claims_are_there_and_not_null() {
        let strict = ClaimRules { required: vec!["a.b".to_owned()], ..rules() };
        for (value, fine) in [
            (json!({"b": 0}), true),
            (json!({"b": ""}), true),
            (json!({"b": null}), false),
            (json!({}), false),
            (json!(null), false),
            (json!("b"), false),
            (json!(["b"]), false),
        ] {
            let mut claims = good();
            claims["a"] = value.clone();
            assert_eq!(strict.judge(claims.as_object().unwrap(), NOW).is_ok(), fine, "{value}");
        }
    }

    #[test]
    fn no_clock_and_no_date_overflows() {
        let wide = ClaimRules { leeway: i64::MAX, ..rules() };
        for now in [i64::MIN, 0, i64::MAX] {
            let _ = rules().judge(good().as_object().unwrap(), now);
            let _ = wide.judge(good().as_object().unwrap(), now);
        }
        assert_eq!(rules().judge(good().as_object().unwrap(), i64::MAX), Err(Refusal::Expired));
    }

    #[test]
    fn a_user_is_a_string_that_is_a_valid_name() {
        assert_eq!(subject(json!({})).unwrap().user, "alice");
        for bad in [
            json!(null),
            json!(7),
            json!(1.5),
            json!(true),
            json!(["alice"]),
            json!({"a": 1}),
            json!(""),
            json!(" alice"),
            json!("a\u{0}b"),
            json!("a\r\nX-Forwarded-User: root"),
            json!("a\u{202e}b"),
            json!("a".repeat(256)),
        ] {
            assert!(matches!(subject(json!({"sub": bad})), Err(Refusal::Malformed(_))), "{bad}");
        }
        let mut nameless = good().as_object().unwrap().clone();
        nameless.remove("sub");
        assert!(matches!(rules().subject(nameless), Err(Refusal::Malformed(_))));
    }

    #[test]
    fn what_else_a_token_says_becomes_part_of_the_subject_if_it_makes_sense() {
        let scopes = |more| subject(more).unwrap().scopes;
        assert_eq!(scopes(json!({"scope": "read  write "})), ["read", "write"]);
        assert_eq!(scopes(json!({"scp": ["read", 7, "a b"]})), ["read", "a", "b"]);
        assert_eq!(scopes(json!({"scp": "read"})), ["read"]);
        assert_eq!(scopes(json!({"scope": "", "scp": "admin"})), [""; 0], "scope decides where it stands");
        assert_eq!(scopes(json!({"scope": {"admin": 1}})), [""; 0]);
        let groups = |more| subject(more).unwrap().groups;
        assert_eq!(groups(json!({"groups": ["a", "b\n", 7, null, ""]})), ["a"]);
        assert_eq!(groups(json!({"groups": "staff"})), ["staff"]);
        assert_eq!(groups(json!({"groups": {"staff": true}})), [""; 0]);
        let email = |more| subject(more).unwrap().email;
        assert_eq!(email(json!({"email": "a@x.example"})).as_deref(), Some("a@x.example"));
        assert_eq!(email(json!({"email": "a@x.example", "email_verified": true})).as_deref(), Some("a@x.example"));
        for more in [
            json!({"email": ["a@x"]}),
            json!({"email": "a\r\nb"}),
            json!({"email": "a@x", "email_verified": false}),
            json!({"email": "a@x", "email_verified": "false"}),
            json!({"email": "a@x", "email_verified": null}),
            json!({}),
        ] {
            assert_eq!(email(more.clone()), None, "{more}");
        }
        let alice = subject(json!({"tenant": {"id": 7}})).unwrap();
        assert_eq!((alice.expires, alice.claims["tenant"]["id"].as_i64()), (Some(NOW + 60), Some(7)));
    }

    proptest! {
        #[test]
        fn an_expired_token_never_passes(exp in any::<f64>(), now in 0..LAST_SECOND) {
            let mut claims = good().as_object().unwrap().clone();
            claims.insert("exp".to_owned(), json!(exp));
            claims.remove("nbf");
            claims.remove("iat");
            if rules().judge(&claims, now).is_ok() {
                prop_assert!(exp.is_finite() && exp.floor() + 10.0 > now as f64);
            }
        }
    }
}
