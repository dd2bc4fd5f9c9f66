//! From the members of an answer, or the columns of a row, to a subject.

use serde_json::{Map, Value};

use super::facts::Subject;
use crate::types::{claim, valid_user_name};

/// Which claims say who somebody is. A dot stands between the names of nested ones.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// The claim that is the user's name: the first of these that is there.
    pub user: Vec<String>,
    /// The claim that is the e-mail address.
    pub email: String,
    /// The claim that lists the groups.
    pub groups: String,
}

impl Mapping {
    /// The subject of `claims`. A name that is missing, no string, or cannot be told to an application is left empty:
    /// whoever judges the subject refuses that.
    #[must_use]
    pub fn subject(&self, claims: Map<String, Value>, scopes: Vec<String>, expires: Option<i64>) -> Subject {
        let present = |path: &&String| claim(&claims, path).is_some_and(|value| !value.is_null());
        let user = self.user.iter().find(present).and_then(|path| claim(&claims, path)).and_then(Value::as_str);
        let email = claim(&claims, &self.email).and_then(Value::as_str).filter(|email| valid_user_name(email));
        let groups = texts(claim(&claims, &self.groups)).filter(|group| valid_user_name(group));
        Subject {
            user: user.filter(|user| valid_user_name(user)).unwrap_or_default().to_owned(),
            email: email.filter(|_| is_verified(&claims)).map(str::to_owned),
            groups: groups.map(str::to_owned).collect(),
            scopes,
            expires,
            claims,
            ..Subject::default()
        }
    }
}

/// An address that its server says nobody has checked is not passed on as the user's.
fn is_verified(claims: &Map<String, Value>) -> bool {
    match claims.get("email_verified") {
        None | Some(Value::Bool(true)) => true,
        Some(Value::String(text)) => text == "true",
        Some(_) => false,
    }
}

/// The strings of a claim that is one string or a list; anything else has none.
fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let one = value.and_then(Value::as_str);
    let many = value.and_then(Value::as_array);
    one.into_iter().chain(many.into_iter().flatten().filter_map(Value::as_str))
}

/// Scopes in one text with blanks between them (RFC 6749 section 3.3).
#[must_use]
pub fn scopes(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn subject(claims: Value) -> Subject {
        let mapping = Mapping { user: vec!["username".to_owned(), "a.b".to_owned()], email: "email".to_owned(), groups: "realm.roles".to_owned() };
        let Value::Object(claims) = claims else { panic!("no object") };
        mapping.subject(claims, Vec::new(), None)
    }

    #[test]
    fn the_first_claim_that_is_there_is_the_user() {
        assert_eq!(subject(json!({"username": "alice", "a": {"b": "bob"}})).user, "alice");
        assert_eq!(subject(json!({"username": null, "a": {"b": "bob"}})).user, "bob");
        assert_eq!(subject(json!({"a.b": "carol"})).user, "carol");
        // One that is there and is no name is not passed over for another.
        for bad in [json!(7), json!(""), json!(" x"), json!("a\nb"), json!(["alice"]), json!({"x": 1}), json!(true)] {
            assert_eq!(subject(json!({"username": bad, "a": {"b": "bob"}})).user, "", "{bad}");
        }
        assert_eq!(subject(json!({})).user, "");
    }

    #[test]
    fn groups_and_address_are_taken_over_where_they_can_be_told() {
        let groups = |roles: Value| subject(json!({"realm": {"roles": roles}})).groups;
        assert_eq!(groups(json!(["a", "b\n", 7, ["c"], "d e"])), ["a", "d e"]);
        assert_eq!(groups(json!("staff")), ["staff"]);
        assert!(groups(json!({"staff": true})).is_empty() && groups(json!(null)).is_empty());
        let email = |claims| subject(claims).email;
        assert_eq!(email(json!({"email": "a@x.example"})).as_deref(), Some("a@x.example"));
        assert_eq!(email(json!({"email": "a@x.example", "email_verified": "true"})).as_deref(), Some("a@x.example"));
        for claims in [
            json!({"email": "a@x", "email_verified": false}),
            json!({"email": "a@x", "email_verified": 1}),
            json!({"email": "a\r\n"}),
            json!({"email": 1}),
        ] {
            assert_eq!(email(claims.clone()), None, "{claims}");
        }
    }

    #[test]
    fn scopes_stand_between_blanks() {
        assert_eq!(scopes(" read  write "), ["read", "write"]);
        assert!(scopes("").is_empty());
    }
}
