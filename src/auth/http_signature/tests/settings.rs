//! Mistakes and weak choices of the configuration.

use super::*;
use crate::types::Severity;

fn build(toml: &str, store: bool) -> (bool, Vec<(bool, String)>) {
    let mut report = Report::default();
    let built = Rules::build("p", settings(toml), store, &mut report).is_some();
    (built, report.problems().iter().map(|p| (p.severity == Severity::Error, p.key.clone())).collect())
}

#[test]
fn every_mistake_in_the_settings_is_reported() {
    for (toml, expected) in [
        ("", &["keys"][..]),
        ("max_skew = \"10ms\"\n[keys.a]\nsecret = \"sixteen bytes and\"", &["max_skew"]),
        ("algorithms = []\n[keys.a]\nsecret = \"sixteen bytes and\"", &["algorithms"]),
        ("required = [\"a b\"]\n[keys.a]\nsecret = \"sixteen bytes and\"", &["required"]),
        ("[keys.a]\nsecret = \"sixteen bytes and\"\nimpersonate = true", &["keys.a.impersonate"]),
        ("[keys.a]\nsecret = \"sixteen bytes and\"\nalgorithms = [\"ed25519\"]", &["keys.a.algorithms"]),
        ("max_skew = \"0s\"\nrequired = [\"\"]\nalgorithms = []", &["keys", "max_skew", "algorithms", "required"]),
    ] {
        let (built, problems) = build(toml, false);
        let errors: Vec<_> = problems.into_iter().filter(|(error, _)| *error).map(|(_, key)| key).collect();
        assert!(!built && errors == expected, "{toml}: {errors:?}");
    }
    for toml in ["dialect = \"Kong\"", "algorithms = [\"hmac-md5\"]", "algorithms = [\"rsa-sha256\"]", "allow_unsigned_date = true"] {
        assert!(toml::from_str::<Settings>(toml).is_err(), "{toml}");
    }
}

#[test]
fn weak_choices_are_warned_of() {
    assert_eq!(build("", true), (true, Vec::new()));
    for (toml, key) in [
        ("max_skew = \"301s\"", "max_skew"),
        ("algorithms = [\"hmac-sha256\", \"hmac-sha1\"]", "algorithms"),
        ("allow_unsigned_target = true", "allow_unsigned_target"),
        ("allow_unsigned_host = true", "allow_unsigned_host"),
        ("allow_unsigned_body = true", "allow_unsigned_body"),
    ] {
        assert_eq!(build(toml, true), (true, vec![(false, key.to_owned())]), "{toml}");
    }
}
