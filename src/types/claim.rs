//! Finding a claim by its dotted path.

use serde_json::{Map, Value};

/// The claim at `path`: the claim of exactly that name if there is one (names such as `https://example.com/tenant` hold
/// dots themselves), else, by its parts, a member of a member. Never an element of a list.
#[must_use]
pub fn claim<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    rest.split('.').try_fold(claims.get(first)?, |value, part| value.as_object()?.get(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_found_by_its_own_name_or_by_its_parts() {
        let claims = serde_json::json!({"a": {"b": {"c": 1}, "d": null}, "https://e.com/t": "x", "a.b": 2, "list": [{"x": 1}]});
        let find = |path| claim(claims.as_object().unwrap(), path).cloned();
        assert_eq!(find("a.b.c"), Some(1.into()));
        assert_eq!(find("a.b"), Some(2.into()));
        assert_eq!(find("a.d"), Some(Value::Null));
        assert_eq!(find("https://e.com/t"), Some("x".into()));
        for absent in ["", ".", "a.", ".a", "a..b", "x", "a.x", "a.b.c.d", "list.0", "list.x", "list.0.x"] {
            assert_eq!(find(absent), None, "{absent}");
        }
    }
}
