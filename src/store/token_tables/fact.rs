//! From a row to what is known of a token's bearer. Pure.

use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use super::moment;
use super::row::{Cell, Row};
use super::statement::Reading;
use crate::store::facts::Subject;
use crate::store::mapping::{self, Mapping};
use crate::types::{LAST_SECOND, json};

/// The rows that are of exactly the value that was bound. A table may compare without regard to case; this does not,
/// and takes as long for one row as for another. Without a column `token` nothing can be said of a row: all are given.
pub(super) fn exact(rows: Vec<Row>, bound: &str) -> Vec<Row> {
    let same = |row: &Row| match row.get("token") {
        Cell::Text(token) => bool::from(token.as_bytes().ct_eq(bound.as_bytes())),
        Cell::Null | Cell::Bool(_) | Cell::Int(_) | Cell::Moment(_) => false,
    };
    rows.into_iter().filter(|row| !row.has("token") || same(row)).collect()
}

/// `text` with its letters in the other case; `None` where it has none.
pub(super) fn other_case(text: &str) -> Option<String> {
    let swap = |c: char| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
    text.contains(|c: char| c.is_ascii_alphabetic()).then(|| text.chars().map(swap).collect())
}

/// The fact in a row; `None` when its user is not active. The error says which column cannot be read.
pub(super) fn read(row: &Row, reading: Reading, mapping: &Mapping) -> Result<Option<Subject>, String> {
    let has_user = match (reading.standing, row.get("standing")) {
        (false, _) | (true, Cell::Int(1)) => true,
        (true, Cell::Int(2)) => false,
        (true, Cell::Null | Cell::Bool(_) | Cell::Int(_) | Cell::Text(_) | Cell::Moment(_)) => return Ok(None),
    };
    let expires = expires(row)?;
    if reading.expiry_required && expires.is_none() {
        return Err("the column expires is empty".to_owned());
    }
    let scopes = scopes(row, reading.scope_bits)?;
    let mut claims = claims(row)?;
    // The columns win over what stands in `claims`: nothing there makes somebody another user.
    put(&mut claims, "username", text(row, "user_name")?.filter(|_| has_user).map(Value::String));
    put(&mut claims, "client_id", text(row, "client_id")?.map(Value::String));
    put(&mut claims, "exp", expires.map(Value::from));
    put(&mut claims, "scope", (!scopes.is_empty()).then(|| scopes.join(" ").into()));
    if let Some(email) = text(row, "email")? {
        put(&mut claims, "email", Some(email.into()));
    }
    if let Some(groups) = groups(row)? {
        put(&mut claims, "groups", Some(groups));
    }
    Ok(Some(mapping.subject(claims, scopes, expires)))
}

fn put(claims: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => claims.insert(name.to_owned(), value),
        None => claims.remove(name),
    };
}

fn unreadable(column: &str, cell: &Cell) -> String {
    let kind = match cell {
        Cell::Null => "nothing",
        Cell::Bool(_) => "true or false",
        Cell::Int(_) => "a number",
        Cell::Text(_) => "a text of another form",
        Cell::Moment(_) => "a time",
    };
    format!("the column {column} holds {kind}")
}

/// A text, or a number as one; `None` where there is nothing.
pub(in crate::store) fn text(row: &Row, column: &str) -> Result<Option<String>, String> {
    match row.get(column) {
        Cell::Null => Ok(None),
        Cell::Text(text) => Ok(Some(text.clone())),
        Cell::Int(number) => Ok(Some(number.to_string())),
        cell @ (Cell::Bool(_) | Cell::Moment(_)) => Err(unreadable(column, cell)),
    }
}

fn expires(row: &Row) -> Result<Option<i64>, String> {
    match row.get("expires") {
        Cell::Null => Ok(None),
        Cell::Moment(seconds) => Ok(Some(*seconds)),
        Cell::Int(seconds) if (0..=LAST_SECOND).contains(seconds) => Ok(Some(*seconds)),
        cell @ Cell::Text(text) => moment::parse(text).map(Some).ok_or_else(|| unreadable("expires", cell)),
        cell @ (Cell::Bool(_) | Cell::Int(_)) => Err(unreadable("expires", cell)),
    }
}

fn scopes(row: &Row, bits: bool) -> Result<Vec<String>, String> {
    match (row.get("scope"), bits) {
        (Cell::Null, _) => Ok(Vec::new()),
        (Cell::Text(text), false) => Ok(mapping::scopes(text)),
        (Cell::Int(number), true) => {
            let named = [(2, "read"), (4, "write")];
            Ok(named.iter().filter(|(bit, _)| number & bit == *bit).map(|(_, name)| (*name).to_owned()).collect())
        }
        (cell @ (Cell::Bool(_) | Cell::Int(_) | Cell::Text(_) | Cell::Moment(_)), _) => Err(unreadable("scope", cell)),
    }
}

fn claims(row: &Row) -> Result<Map<String, Value>, String> {
    match row.get("claims") {
        Cell::Null => Ok(Map::new()),
        cell @ Cell::Text(text) => json::object(text.as_bytes()).ok_or_else(|| unreadable("claims", cell)),
        cell @ (Cell::Bool(_) | Cell::Int(_) | Cell::Moment(_)) => Err(unreadable("claims", cell)),
    }
}

/// A JSON list, as the presets read it. Without any group PostgreSQL and MySQL give nothing.
pub(in crate::store) fn groups(row: &Row) -> Result<Option<Value>, String> {
    match row.get("group_names") {
        Cell::Null if row.has("group_names") => Ok(Some(Value::Array(Vec::new()))),
        Cell::Null => Ok(None),
        cell @ Cell::Text(text) => {
            let names: Option<Vec<String>> = serde_json::from_str(text).ok();
            names.map(|names| Some(names.into())).ok_or_else(|| unreadable("group_names", cell))
        }
        cell @ (Cell::Bool(_) | Cell::Int(_) | Cell::Moment(_)) => Err(unreadable("group_names", cell)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OWN: Reading = Reading { expiry_required: false, scope_bits: false, standing: false };
    const DJANGO: Reading = Reading { expiry_required: true, scope_bits: false, standing: true };
    const BITS: Reading = Reading { scope_bits: true, ..DJANGO };

    fn mapping() -> Mapping {
        Mapping { user: vec!["username".to_owned()], email: "email".to_owned(), groups: "groups".to_owned() }
    }

    fn cell(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    fn said(reading: Reading, cells: &[(&str, Cell)]) -> Result<Option<Subject>, String> {
        read(&Row::of(cells), reading, &mapping())
    }

    #[test]
    fn only_rows_of_exactly_the_value_are_left() {
        let rows = |tokens: &[Cell]| tokens.iter().map(|token| Row::of(&[("token", token.clone())])).collect::<Vec<_>>();
        let found = exact(rows(&[cell("abc"), cell("ABC"), cell("aBc"), cell("abcd"), cell(""), Cell::Null, Cell::Int(7)]), "aBc");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].get("token"), &cell("aBc"));
        assert_eq!(exact(vec![Row::of(&[("user_name", cell("a"))])], "x").len(), 1);
        assert_eq!((other_case("aB-1"), other_case("12-_")), (Some("Ab-1".to_owned()), None));
    }

    #[test]
    fn only_an_active_user_or_none_at_all_stands_behind_a_row_of_django() {
        let row = |standing: Cell| said(DJANGO, &[("user_name", cell("alice")), ("standing", standing), ("expires", Cell::Moment(5))]);
        assert_eq!(row(Cell::Int(1)).unwrap().unwrap().user, "alice");
        assert_eq!(row(Cell::Int(2)).unwrap().unwrap().user, "");
        for standing in [Cell::Int(0), Cell::Int(3), Cell::Null, Cell::Bool(true), cell("1")] {
            assert_eq!(row(standing.clone()), Ok(None), "{standing:?}");
        }
    }

    #[test]
    fn an_expiry_is_a_time_in_one_of_a_few_forms_and_no_other() {
        let expiry = |value: Cell| said(OWN, &[("user_name", cell("a")), ("expires", value)]).map(|subject| subject.unwrap().expires);
        for (value, seconds) in [
            (Cell::Null, None),
            (Cell::Moment(7), Some(7)),
            (Cell::Moment(i64::MAX), Some(i64::MAX)),
            (Cell::Moment(i64::MIN), Some(i64::MIN)),
            (Cell::Int(7), Some(7)),
            (cell("2026-11-22 10:45:00"), Some(1_795_344_300)),
        ] {
            assert_eq!(expiry(value), Ok(seconds));
        }
        for bad in [Cell::Bool(true), Cell::Int(-1), Cell::Int(i64::MAX), cell(""), cell("soon"), cell("2026-11-22")] {
            assert!(expiry(bad.clone()).is_err(), "{bad:?}");
        }
        assert!(said(DJANGO, &[("user_name", cell("a")), ("standing", Cell::Int(1)), ("expires", Cell::Null)]).is_err());
    }

    #[test]
    fn scopes_are_words_or_bits() {
        let words = |scope: Cell| said(OWN, &[("user_name", cell("a")), ("scope", scope)]).map(|subject| subject.unwrap().scopes);
        assert_eq!(words(cell("read  write")).unwrap(), ["read", "write"]);
        assert!(words(Cell::Null).unwrap().is_empty());
        assert!(words(Cell::Int(2)).is_err() && words(Cell::Bool(true)).is_err());
        let bits = |scope: Cell| {
            said(BITS, &[("user_name", cell("a")), ("standing", Cell::Int(1)), ("expires", Cell::Int(9)), ("scope", scope)])
                .map(|subject| subject.unwrap().scopes.join(" "))
        };
        for (number, expected) in [(0, ""), (1, ""), (2, "read"), (4, "write"), (6, "read write"), (7, "read write"), (8, ""), (-1, "read write")] {
            assert_eq!(bits(Cell::Int(number)).unwrap(), expected, "{number}");
        }
        assert!(bits(cell("read")).is_err());
    }

    #[test]
    fn columns_become_claims_and_win_over_those_in_json() {
        let row = [
            ("user_name", cell("alice")),
            ("client_id", Cell::Int(7)),
            ("scope", cell("read")),
            ("expires", Cell::Int(9)),
            ("claims", cell(r#"{"username":"root","exp":99,"tenant":{"id":5},"groups":["a"],"email":"a@x.example"}"#)),
        ];
        let subject = said(OWN, &row).unwrap().unwrap();
        assert_eq!((subject.user.as_str(), subject.groups, subject.email.as_deref()), ("alice", vec!["a".to_owned()], Some("a@x.example")));
        let claims =
            json!({"username": "alice", "exp": 9, "client_id": "7", "scope": "read", "tenant": {"id": 5}, "groups": ["a"], "email": "a@x.example"});
        assert_eq!(Value::Object(subject.claims), claims);
        // A row without a user is nobody's, whatever its claims say.
        assert_eq!(said(OWN, &[("user_name", Cell::Null), ("claims", cell(r#"{"username":"root"}"#))]).unwrap().unwrap().user, "");
        for bad in [cell(""), cell("[]"), cell("{"), cell(r#"{"a":1,"a":2}"#), Cell::Int(1)] {
            assert!(said(OWN, &[("user_name", cell("a")), ("claims", bad.clone())]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn groups_of_django_are_a_json_list() {
        let groups = |value: Cell| {
            said(DJANGO, &[("user_name", cell("a")), ("standing", Cell::Int(1)), ("expires", Cell::Int(9)), ("group_names", value)])
                .map(|subject| subject.unwrap().groups)
        };
        assert_eq!(groups(cell(r#"["staff","b c"]"#)).unwrap(), ["staff", "b c"]);
        assert!(groups(cell("[]")).unwrap().is_empty() && groups(Cell::Null).unwrap().is_empty());
        assert!(groups(cell(r#"["staff","trunc"#)).is_err() && groups(cell("staff")).is_err() && groups(Cell::Int(1)).is_err());
    }
}
