//! JSON objects from elsewhere: every name once, at every depth, and not too deep.
//!
//! serde_json keeps the last of two members with one name; other readers keep the first. A document that says two things
//! says nothing (RFC 8725 section 2.6), so it is refused. Names are compared after escapes are resolved.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Deeper than any claim that means something.
const MAX_DEPTH: usize = 16;

/// Reads `bytes`, which hold one JSON object with unique names and nothing else.
#[must_use]
pub fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: MAX_DEPTH }.deserialize(&mut json).ok()?;
    json.end().ok()?;
    match value {
        Value::Object(map) => Some(map),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
    }
}

/// One value that may hold `depth` more levels.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn inner<E: Error>(self) -> Result<Self, E> {
        self.depth.checked_sub(1).map(|depth| Self { depth }).ok_or_else(|| E::custom("nested too deeply"))
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON with unique names")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if map.contains_key(&name) {
                return Err(A::Error::custom("two members with one name"));
            }
            let value = members.next_value_seed(inner)?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_unique_at_every_depth() {
        for good in [r"{}", r#"{"a":1,"b":{"a":1}}"#, r#" {"a":[{"a":1},{"a":1}],"A":null} "#] {
            assert!(object(good.as_bytes()).is_some(), "{good}");
        }
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"preferred_username":"eve","preferred\u005fusername":"root"}"#,
            r#"{"x":{"a":1,"\u0061":2}}"#,
            r#"{"x":[0,{"a":1,"b":2,"a":3}]}"#,
            r#"{"":1,"":2}"#,
        ] {
            assert!(object(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn only_one_whole_object_is_read() {
        for bad in [
            "",
            " ",
            "null",
            "[]",
            "[{}]",
            "\"{}\"",
            "7",
            "{} {}",
            "{}x",
            "{}\0",
            "{",
            "}",
            "{a:1}",
            "{'a':1}",
            r#"{"a":1,}"#,
            r#"{"a":NaN}"#,
            r#"{"a":1e400}"#,
            r#"{"a":Infinity}"#,
            r#"{"a":01}"#,
            r#"{"a":"\ud800"}"#,
            "{\"a\":\"\n\"}",
            "\u{feff}{}",
            "{}//",
            r#"{"a":.5}"#,
        ] {
            assert!(object(bad.as_bytes()).is_none(), "{bad:?}");
        }
        assert!(object(b"{\"a\":\"\xff\"}").is_none(), "not UTF-8");
        assert!(object(b"{\"a\xc0\xae\":1}").is_none(), "overlong UTF-8");
    }

    #[test]
    fn nesting_is_bounded() {
        let lists = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert!(object(lists(MAX_DEPTH - 1).as_bytes()).is_some());
        assert!(object(objects(MAX_DEPTH).as_bytes()).is_some());
        for depth in [MAX_DEPTH, 10_000, 100_000] {
            assert!(object(lists(depth).as_bytes()).is_none());
            assert!(object(objects(depth + 1).as_bytes()).is_none());
            assert!(object("{\"a\":[".repeat(depth).as_bytes()).is_none());
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_serde_json_reads(text in r#"[\[\]{}:,"ab0-9.eE+\\ u-]{0,40}"#) {
            if let Some(map) = object(text.as_bytes()) {
                prop_assert_eq!(serde_json::from_str::<Value>(&text).ok(), Some(Value::Object(map)));
            }
        }

        #[test]
        fn what_serde_json_writes_is_read_back(names in proptest::collection::btree_map("\\PC{0,5}", "\\PC{0,5}", 0..6)) {
            let value = serde_json::to_value(&names).unwrap();
            prop_assert_eq!(object(value.to_string().as_bytes()).map(Value::Object), Some(value));
        }
    }
}
