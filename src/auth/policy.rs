//! May this identity do this? The only place that makes a [`Permit`].

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::Identity;
use super::claim;
use crate::inbound::Inbound;
use crate::store::facts::Subject;
use crate::types::Report;

/// `[route.require]`: every line must hold; a list is any-of. An empty list is a mistake: nobody could pass it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Users, by exact name.
    pub users: Option<Vec<String>>,
    /// Groups.
    pub groups: Option<Vec<String>>,
    /// OAuth scopes.
    pub scopes: Option<Vec<String>>,
    /// Claims by dotted path; each must have, or hold in its list, one of the values: strings, numbers, booleans, and
    /// `1`, `1.0`, `"1"` and `true` are four values.
    pub claims: BTreeMap<String, Vec<Value>>,
    /// Query parameters: each of these must be there exactly once, with one of its values, both compared as decoded. A query
    /// that applications read in different ways (a raw `;`, `Name[]` beside `name`, what does not decode) is refused.
    pub query: BTreeMap<String, Vec<String>>,
}

/// A route's policy.
#[derive(Debug)]
pub struct Policy {
    users: Option<BTreeSet<String>>,
    groups: Option<BTreeSet<String>>,
    scopes: Option<Vec<String>>,
    claims: BTreeMap<String, Vec<Value>>,
    query: BTreeMap<String, Vec<String>>,
}

/// Proof that policy was asked and said yes. Forwarding takes one by value; only [`Policy::authorize`] makes one.
#[derive(Debug)]
pub struct Permit {
    identity: Option<Identity>,
}

impl Permit {
    /// Whom the request is forwarded for; `None` on a public route.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }
}

/// Why policy said no. The log is told the line of `require` that did not hold; the client is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// A line of `require` does not hold; names the line, such as `groups`.
    #[error("require.{0} does not hold")]
    Require(&'static str),
    /// The token lacks a scope; holds the scopes that the route asks for, separated by spaces (RFC 6750 section 3.1).
    #[error("the token has none of the scopes {0:?}")]
    Scope(String),
}

impl Policy {
    /// Builds a policy. `public` routes may only have `query`.
    pub fn build(settings: Settings, public: bool, report: &mut Report) -> Option<Self> {
        let Settings { users, groups, scopes, claims, query } = settings;
        let mut sound = true;
        let mut fault = |key: &str, problem: &str, remedy: &str| {
            report.error(key, problem, remedy);
            sound = false;
        };
        for (key, list) in [("users", &users), ("groups", &groups), ("scopes", &scopes)] {
            if list.as_ref().is_some_and(Vec::is_empty) {
                fault(key, "the list is empty, so nobody could pass", "list who may, or leave the line out");
            }
            if public && list.is_some() {
                fault(key, "a public route has nobody to ask this of", "write accept = [\"SCHEME\"] instead of access = \"public\"");
            }
        }
        if public && !claims.is_empty() {
            fault("claims", "a public route has nobody to ask this of", "write accept = [\"SCHEME\"] instead of access = \"public\"");
        }
        for (path, values) in &claims {
            let key = format!("claims.{path}");
            if values.is_empty() {
                fault(&key, "the list is empty, so nobody could pass", "list the values that may, or leave the line out");
            }
            if values.iter().any(|value| value.is_array() || value.is_object() || value.is_null()) {
                fault(&key, "a claim is compared with strings, numbers and booleans only", "write such values");
            }
        }
        for (name, values) in &query {
            if values.is_empty() || name.is_empty() {
                fault(
                    &format!("query.{name}"),
                    "a name or its list is empty, so no request could pass",
                    "list the values that may, or leave the line out",
                );
            }
        }
        let set = |list: Option<Vec<String>>| list.map(BTreeSet::from_iter);
        sound.then(|| Self { users: set(users), groups: set(groups), scopes, claims, query })
    }

    /// Judges `identity` on this request. `identity` is `None` on a public route alone.
    pub fn authorize(&self, identity: Option<Identity>, inbound: &Inbound) -> Result<Permit, Denied> {
        self.judge(identity.as_ref().map(|identity| &*identity.subject), || inbound.query())?;
        Ok(Permit { identity })
    }

    /// `query` is asked only where the policy speaks of it.
    fn judge<'a>(&self, subject: Option<&Subject>, query: impl FnOnce() -> Option<&'a str>) -> Result<(), Denied> {
        let holds = |line: &'static str, holds: bool| if holds { Ok(()) } else { Err(Denied::Require(line)) };
        if let Some(users) = &self.users {
            holds("users", subject.is_some_and(|subject| users.contains(&subject.user)))?;
        }
        if let Some(groups) = &self.groups {
            holds("groups", subject.is_some_and(|subject| subject.groups.iter().any(|group| groups.contains(group))))?;
        }
        for (path, values) in &self.claims {
            let value = subject.and_then(|subject| claim(&subject.claims, path));
            holds("claims", value.is_some_and(|value| claim_holds(value, values)))?;
        }
        if let Some(scopes) = &self.scopes
            && !subject.is_some_and(|subject| subject.scopes.iter().any(|scope| scopes.contains(scope)))
        {
            return Err(Denied::Scope(scopes.join(" ")));
        }
        if !self.query.is_empty() {
            holds("query", query_holds(query().unwrap_or_default(), &self.query))?;
        }
        Ok(())
    }
}

fn claim_holds(value: &Value, wanted: &[Value]) -> bool {
    match value {
        Value::Array(elements) => elements.iter().any(|element| wanted.contains(element)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => wanted.contains(value),
    }
}

/// Whether each parameter that is spoken of is there exactly once, with one of its values.
fn query_holds(query: &str, wanted: &BTreeMap<String, Vec<String>>) -> bool {
    // Some applications separate parameters by `;` too, and would see one that is not seen here.
    if query.contains(';') {
        return false;
    }
    let mut met = 0;
    let mut seen = BTreeSet::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let Some(name) = decode(name) else { return false };
        match wanted.get(&name) {
            Some(values) => {
                if !decode(value).is_some_and(|value| values.contains(&value)) || !seen.insert(name) {
                    return false;
                }
                met += 1;
            }
            None if wanted.keys().any(|key| folded(key) == folded(&name)) => return false,
            None => {}
        }
    }
    met == wanted.len()
}

/// Decoded as an HTML form is; `None` for a `%` without two hexadecimal digits, or what is not UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'+' => decoded.push(b' '),
            b'%' => {
                let [high, low, after @ ..] = rest else { return None };
                let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
                decoded.push(digit(*high)? << 4 | digit(*low)?);
                rest = after;
            }
            other => decoded.push(*other),
        }
    }
    String::from_utf8(decoded).ok()
}

/// A parameter's name as the most forgiving application reads it: PHP drops blanks before it, cuts it at `[` or NUL and turns
/// other signs into `_`; others ignore case.
fn folded(name: &str) -> String {
    let name = name.trim_start().split(['[', '\0']).next().unwrap_or_default();
    name.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::Severity;

    fn policy(toml: &str) -> Policy {
        Policy::build(toml::from_str(toml).unwrap(), false, &mut Report::default()).unwrap()
    }

    fn subject(json: &str) -> Subject {
        let value: Value = serde_json::from_str(json).unwrap();
        let list = |name: &str| -> Vec<String> { serde_json::from_value(value.get(name).cloned().unwrap_or(Value::Array(vec![]))).unwrap() };
        Subject {
            user: value.get("user").and_then(Value::as_str).unwrap_or("alice").to_owned(),
            groups: list("groups"),
            scopes: list("scopes"),
            claims: value.get("claims").and_then(Value::as_object).cloned().unwrap_or_default(),
            ..Subject::default()
        }
    }

    #[test]
    fn every_line_must_hold_and_a_list_is_any_of() {
        for (toml, who, denied) in [
            ("", r#"{}"#, None),
            (r#"users = ["bob", "alice"]"#, r#"{}"#, None),
            (r#"users = ["Alice", "alic", "alice "]"#, r#"{}"#, Some("users")),
            (r#"groups = ["staff", "ops"]"#, r#"{"groups": ["x", "ops"]}"#, None),
            (r#"groups = ["staff"]"#, r#"{"groups": ["staff,ops", "STAFF", "staf"]}"#, Some("groups")),
            (r#"groups = ["staff"]"#, r#"{}"#, Some("groups")),
            (r#"groups = ["staff"]"#, r#"{"claims": {"groups": ["staff"]}}"#, Some("groups")),
            ("users = [\"alice\"]\ngroups = [\"staff\"]", r#"{}"#, Some("groups")),
            ("users = [\"bob\"]\ngroups = [\"staff\"]", r#"{"groups": ["staff"]}"#, Some("users")),
            (r#"claims = { tenant = ["acme"] }"#, r#"{"claims": {"tenant": "acme"}}"#, None),
            (r#"claims = { tenant = ["acme"] }"#, r#"{"claims": {"tenant": ["x", "acme"]}}"#, None),
            (r#"claims = { tenant = ["acme"] }"#, r#"{"claims": {"tenant": [["acme"]]}}"#, Some("claims")),
            (r#"claims = { tenant = ["acme"] }"#, r#"{"claims": {"tenant": {"acme": true}}}"#, Some("claims")),
            (r#"claims = { tenant = ["acme"] }"#, r#"{"claims": {"tenant": "acme2"}}"#, Some("claims")),
            (r#"claims = { tenant = ["acme"] }"#, r#"{"claims": {}}"#, Some("claims")),
            (r#"claims = { "org.id" = [7] }"#, r#"{"claims": {"org": {"id": 7}}}"#, None),
            (r#"claims = { n = [7] }"#, r#"{"claims": {"n": 7.0}}"#, Some("claims")),
            (r#"claims = { n = [7] }"#, r#"{"claims": {"n": "7"}}"#, Some("claims")),
            (r#"claims = { n = [1] }"#, r#"{"claims": {"n": true}}"#, Some("claims")),
            (r#"claims = { n = [true] }"#, r#"{"claims": {"n": true}}"#, None),
            (r#"claims = { n = [true] }"#, r#"{"claims": {"n": "true"}}"#, Some("claims")),
            (r#"claims = { a = ["x"], b = ["y"] }"#, r#"{"claims": {"a": "x"}}"#, Some("claims")),
        ] {
            let said = policy(toml).judge(Some(&subject(who)), || None);
            assert_eq!(said, denied.map_or(Ok(()), |line| Err(Denied::Require(line))), "{toml} {who}");
        }
    }

    #[test]
    fn a_missing_scope_is_answered_with_the_scopes_that_are_asked_for() {
        let policy = policy(r#"scopes = ["read", "write"]"#);
        assert_eq!(policy.judge(Some(&subject(r#"{"scopes": ["x", "write"]}"#)), || None), Ok(()));
        for who in [r#"{}"#, r#"{"scopes": ["Read", "read write", ""]}"#] {
            assert_eq!(policy.judge(Some(&subject(who)), || None), Err(Denied::Scope("read write".to_owned())));
        }
    }

    #[test]
    fn nobody_passes_a_line_that_asks_who_somebody_is() {
        for toml in [r#"users = [""]"#, r#"groups = [""]"#, r#"scopes = [""]"#, r#"claims = { a = [""] }"#] {
            assert!(policy(toml).judge(None, || None).is_err(), "{toml}");
        }
        assert_eq!(policy("").judge(None, || None), Ok(()));
    }

    #[test]
    fn a_parameter_is_there_exactly_once_with_one_of_its_values() {
        let policy = policy(r#"query = { collection = ["orders", "a b", ""], "x y" = ["é"] }"#);
        let said = |query: Option<&str>| policy.judge(None, || query).is_ok();
        for query in [
            "collection=orders&x+y=%C3%A9",
            "x%20y=%c3%a9&&z=1&collection=a+b",
            "%63ollection=a%20b&x+y=é",
            "collection&x+y=é",
            "collection=&x+y=é&q=%ff",
        ] {
            assert!(said(Some(query)), "{query}");
        }
        assert!(!said(None));
        for query in [
            "",
            "collection=orders",
            "x+y=é",
            "collection=secret&x+y=é",
            "collection=Orders&x+y=é",
            "collection=orders&x+y=é&collection=orders",
            "collection=orders&x+y=é&collection=secret",
            "collection=orders&x+y=é&%63ollection=secret",
            "collection=orders&x+y=é&z=1;collection=secret",
            "collection=orders&x+y=é&collection[]=secret",
            "collection=orders&x+y=é&+collection=secret",
            "collection=orders&x+y=é&Collection=secret",
            "collection=orders&x+y=é&collection%00=secret",
            "collection=orders&x.y=a&x+y=é",
            "collection=orders&x+y=é&%zz=1",
            "collection=orders&x+y=é&%ff=1",
            "collection=orders&x+y=%E9",
            "collection=orders%&x+y=é",
            "collection=orders%00&x+y=é",
            "collection=orders%2&x+y=é",
        ] {
            assert!(!said(Some(query)), "{query}");
        }
    }

    #[test]
    fn a_policy_that_nobody_could_pass_does_not_load() {
        for (toml, public, key) in [
            ("users = []", false, "users"),
            ("groups = []", false, "groups"),
            ("scopes = []", false, "scopes"),
            ("claims = { a = [] }", false, "claims.a"),
            ("claims = { a = [[1]] }", false, "claims.a"),
            ("claims = { a = [{ b = 1 }] }", false, "claims.a"),
            ("claims = { a = [1979-05-27] }", false, "claims.a"),
            ("query = { a = [] }", false, "query.a"),
            ("users = [\"a\"]", true, "users"),
            ("groups = [\"a\"]", true, "groups"),
            ("scopes = [\"a\"]", true, "scopes"),
            ("claims = { a = [1] }", true, "claims"),
        ] {
            let mut report = Report::default();
            assert!(Policy::build(toml::from_str(toml).unwrap(), public, &mut report).is_none(), "{toml}");
            let keys: Vec<_> = report.problems().iter().filter(|p| p.severity == Severity::Error).map(|p| p.key.as_str()).collect();
            assert_eq!(keys, [key], "{toml}");
        }
        assert!(Policy::build(toml::from_str("query = { a = [\"1\"] }").unwrap(), true, &mut Report::default()).is_some());
    }

    proptest! {
        #[test]
        fn no_query_makes_policy_panic(query in "\\PC*") {
            let _ = policy(r#"query = { a = ["1"] }"#).judge(None, || Some(&query));
        }

        #[test]
        fn whatever_stands_around_it_a_second_value_never_passes(
            before in "[a-z0-9=&%+;.\\[\\]]{0,12}",
            between in "[a-z0-9=&%+;.\\[\\]]{0,12}",
            name in "(c|%63|C|\\+c|%20c|c\\[\\]|c\\[x\\]|c%5B%5D|c%00)",
        ) {
            let query = format!("{before}&c=1&{between}&{name}=2");
            let said = policy(r#"query = { c = ["1"] }"#).judge(None, || Some(&query));
            prop_assert!(said.is_err(), "{}", query);
        }

        #[test]
        fn a_form_encoded_pair_is_read_as_it_was_meant(name in "\\PC{1,8}", value in "\\PC{0,8}", other in "[0-9]{1,4}") {
            prop_assume!(name != "z");
            let pairs = url::form_urlencoded::Serializer::new(String::new()).append_pair(&name, &value).finish();
            let wanted = BTreeMap::from([(name.clone(), vec![value])]);
            prop_assert!(query_holds(&pairs, &wanted));
            let mixed = format!("{other}={other}&{pairs}");
            prop_assert!(query_holds(&mixed, &wanted) || folded(&name) == folded(&other));
            let twice = format!("{pairs}&{pairs}");
            prop_assert!(!query_holds(&twice, &wanted));
        }
    }
}
