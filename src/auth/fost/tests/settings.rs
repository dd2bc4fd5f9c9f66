//! What the configuration may say.

use super::super::*;
use super::settings;

#[test]
fn every_mistake_in_the_settings_is_reported_with_its_key() {
    for (toml, key) in [
        ("", "keys"),
        ("max_skew = \"10ms\"\n[keys.a]\nsecret = \"sixteen bytes and\"", "max_skew"),
        ("[keys.a]", "keys.a.secret"),
        ("[keys.a]\nsecret = \"\"", "keys.a.secret"),
        ("[keys.a]\nsecret = \"x\"\nnext_secret_file = \"/does/not/exist\"", "keys.a.next_secret_file"),
        ("[keys.a]\nsecret = \"x\"\nuser = \"a\\u0000b\"", "keys.a.user"),
        ("[keys.a]\nsecret = \"x\"\nuser = \"\"", "keys.a.user"),
        ("[keys.a]\nsecret = \"x\"\npaths = []", "keys.a.paths"),
        ("[keys.\"\"]\nsecret = \"x\"", "keys"),
        ("[keys.\" a\"]\nsecret = \"x\"", "keys. a"),
        ("[keys.good]\nsecret = \"x\"\n[keys.a]\nsecret = \"\"", "keys.a.secret"),
    ] {
        let mut report = Report::default();
        assert!(Rules::build("p", settings(toml), false, &mut report).is_none(), "{toml}");
        let errors: Vec<_> = report.problems().iter().filter(|p| p.severity == crate::types::Severity::Error).map(|p| p.key.as_str()).collect();
        assert_eq!(errors, [key], "{toml}");
    }
}

#[test]
fn weak_choices_are_warned_of_and_defaults_are_not() {
    let warnings = |toml: &str| {
        let mut report = Report::default();
        Rules::build("p", settings(toml), true, &mut report).unwrap();
        report.problems().iter().map(|p| p.key.clone()).collect::<Vec<_>>()
    };
    assert!(warnings("").is_empty());
    assert_eq!(warnings("max_skew = \"301s\""), ["max_skew"]);
    assert_eq!(warnings("allow_unsigned_query = true"), ["allow_unsigned_query"]);
    assert_eq!(warnings("require_expiry = false"), ["require_expiry"]);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("k"), "fifteen bytes!!\n").unwrap();
    assert_eq!(warnings(&format!("[keys.a]\nsecret_file = {:?}", dir.path().join("k"))), ["keys.a.secret"]);
}
