//! What an introspection server says of a token (RFC 7662 section 2.2), judged by form and turned into a fact.
//!
//! Pure. An answer that is not of the form that the standard gives it is no answer: neither "good" nor "bad".

use serde_json::{Map, Value};

use crate::store::facts::Subject;
use crate::store::mapping::{self, Mapping};
use crate::types::whole_seconds;

/// The fact in `answer`; `None` when the token is not active, or is none to call an application with. The dates in the
/// fact's claims are whole seconds. The error is a fixed sentence for the log.
pub(super) fn read(mut answer: Map<String, Value>, mapping: &Mapping) -> Result<Option<Subject>, &'static str> {
    match answer.get("active") {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) => return Ok(None),
        Some(_) | None => return Err("active is neither true nor false"),
    }
    // Nothing said is nothing there.
    answer.retain(|_, value| !value.is_null());
    if !is_access_token(&answer)? {
        return Ok(None);
    }
    let expires = date(&mut answer, "exp", f64::floor)?;
    date(&mut answer, "nbf", f64::ceil)?;
    date(&mut answer, "iat", f64::ceil)?;
    if !answer.get("iss").is_none_or(Value::is_string) {
        return Err("iss is not a string");
    }
    if !answer.get("aud").is_none_or(is_audience) {
        return Err("aud is neither a string nor a list of strings");
    }
    let scopes = scopes(&answer)?;
    Ok(Some(mapping.subject(answer, scopes, expires)))
}

/// Servers also know refresh tokens, and call them active. Those that say what a token is for say it in one of these.
fn is_access_token(answer: &Map<String, Value>) -> Result<bool, &'static str> {
    for name in ["token_type", "token_use", "typ"] {
        match answer.get(name) {
            None => {}
            Some(Value::String(text)) => {
                let text = text.to_ascii_lowercase();
                if text.starts_with("refresh") || text.starts_with("offline") || text == "id" || text == "id_token" {
                    return Ok(false);
                }
            }
            Some(_) => return Err("token_type, token_use or typ is not a string"),
        }
    }
    Ok(true)
}

fn is_audience(value: &Value) -> bool {
    value.is_string() || value.as_array().is_some_and(|all| all.iter().all(Value::is_string))
}

/// One string with blanks. Some servers write a list.
fn scopes(answer: &Map<String, Value>) -> Result<Vec<String>, &'static str> {
    let wrong = "scope is not a string";
    match answer.get("scope") {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(mapping::scopes(text)),
        Some(Value::Array(all)) => all.iter().map(|one| one.as_str().map(str::to_owned).ok_or(wrong)).collect(),
        Some(_) => Err(wrong),
    }
}

/// Makes a date whole, and gives it.
fn date(answer: &mut Map<String, Value>, name: &str, round: fn(f64) -> f64) -> Result<Option<i64>, &'static str> {
    let Some(value) = answer.get_mut(name) else { return Ok(None) };
    let seconds = value.as_number().and_then(|number| whole_seconds(number, round));
    let seconds = seconds.ok_or("exp, nbf or iat is not a number of seconds since 1970")?;
    *value = seconds.into();
    Ok(Some(seconds))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::types::json::object;

    fn mapping() -> Mapping {
        Mapping { user: vec!["username".to_owned(), "sub".to_owned()], email: "email".to_owned(), groups: "groups".to_owned() }
    }

    fn said(text: &str) -> Result<Option<Subject>, &'static str> {
        read(object(text.as_bytes()).ok_or("not JSON")?, &mapping())
    }

    #[test]
    fn active_is_true_or_false_and_nothing_else() {
        assert!(said(r#"{"active":true,"sub":"alice"}"#).unwrap().is_some());
        assert!(said(r#"{"active":false}"#).unwrap().is_none());
        assert!(said(r#"{"active":false,"sub":"alice","exp":"x"}"#).unwrap().is_none());
        for bad in ["\"true\"", "\"false\"", "1", "0", "null", "\"\"", "[true]", "{}", "1.0"] {
            assert!(said(&format!(r#"{{"active":{bad},"sub":"alice"}}"#)).is_err(), "{bad}");
        }
        for bad in [
            r#"{"sub":"alice"}"#,
            "{}",
            "true",
            "[]",
            "",
            "[true]",
            r#"{"Active":true}"#,
            r#"{"active":true,"active":false}"#,
            r#"{"active":false,"active":true}"#,
        ] {
            assert!(said(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_good_answer_becomes_a_subject_with_all_that_was_said() {
        let text = r#"{"active":true,"username":"alice","sub":"u-1","scope":"read  write","exp":2000000000.9,"nbf":5,"iat":4.2,"aud":["a","b"],
            "iss":"https://id.example","client_id":"app","email":"a@x.example","groups":["staff"],"ext":{"tenant":"acme"}}"#;
        let subject = said(text).unwrap().unwrap();
        assert_eq!((subject.user.as_str(), subject.email.as_deref()), ("alice", Some("a@x.example")));
        assert_eq!((subject.groups, subject.scopes), (vec!["staff".to_owned()], vec!["read".to_owned(), "write".to_owned()]));
        assert_eq!(subject.expires, Some(2_000_000_000));
        assert_eq!(
            (&subject.claims["iat"], &subject.claims["exp"], &subject.claims["ext"]),
            (&json!(5), &json!(2_000_000_000), &json!({"tenant": "acme"}))
        );
        assert_eq!(said(r#"{"active":true,"sub":"u-1","username":null}"#).unwrap().unwrap().user, "u-1");
        assert_eq!(said(r#"{"active":true}"#).unwrap().unwrap().user, "");
        let nulls = said(r#"{"active":true,"sub":"a","exp":null,"aud":null,"cnf":null,"scope":null,"token_type":null}"#).unwrap().unwrap();
        assert_eq!((nulls.expires, nulls.claims.len()), (None, 2));
        assert_eq!(said(r#"{"active":true,"scope":["a","b c"]}"#).unwrap().unwrap().scopes, ["a", "b c"]);
    }

    #[test]
    fn members_of_the_wrong_type_make_an_answer_none() {
        for (name, bad) in [
            ("exp", "\"2000000000\""),
            ("exp", "-1"),
            ("exp", "1e300"),
            ("exp", "18446744073709551615"),
            ("exp", "253402300800"),
            ("exp", "true"),
            ("exp", "[]"),
            ("nbf", "\"x\""),
            ("iat", "{}"),
            ("iat", "1800000000000"),
            ("iss", "7"),
            ("iss", "[\"a\"]"),
            ("aud", "7"),
            ("aud", "[7]"),
            ("aud", "{}"),
            ("scope", "7"),
            ("scope", "[7]"),
            ("scope", "{}"),
            ("token_type", "7"),
            ("token_use", "[]"),
        ] {
            assert!(said(&format!(r#"{{"active":true,"sub":"a","{name}":{bad}}}"#)).is_err(), "{name}: {bad}");
        }
    }

    #[test]
    fn a_refresh_token_is_no_token_to_call_with() {
        for (name, value) in
            [("token_type", "refresh_token"), ("token_type", "Refresh"), ("token_use", "refresh_token"), ("typ", "Offline"), ("typ", "ID")]
        {
            assert!(said(&format!(r#"{{"active":true,"sub":"a","{name}":"{value}"}}"#)).unwrap().is_none(), "{name} {value}");
        }
        for (name, value) in
            [("token_type", "Bearer"), ("token_type", "access_token"), ("token_use", "access_token"), ("typ", "at+jwt"), ("typ", "Bearer")]
        {
            assert!(said(&format!(r#"{{"active":true,"sub":"a","{name}":"{value}"}}"#)).unwrap().is_some(), "{name} {value}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic_and_only_true_is_active(text in r#"\{"active":(true|false|1|null|"true"),"(exp|nbf|aud|scope|sub|iss)":[\[\]{}",a0-9.e-]{0,12}\}"#) {
            if let Ok(Some(_)) = said(&text) {
                prop_assert!(text.contains("true,"), "{}", text);
            }
        }
    }
}
