//! What the configuration may say.

use super::*;
use crate::types::Severity;

/// Whether it loads, and at which keys mistakes (`true`) and weak choices were found.
fn build(toml: &str) -> (bool, Vec<(bool, String)>) {
    let settings: Settings = toml::from_str(toml).unwrap();
    let mut report = Report::default();
    let rules = Rules::build(&settings, &mut report).is_some();
    let keys = Keys::build(settings.keys, "p", false, &mut report).is_some();
    (rules && keys, report.problems().iter().map(|p| (p.severity == Severity::Error, p.key.clone())).collect())
}

const KEY: &str = "[keys.a]\nsecret_env = \"PATH\"";

#[test]
fn every_mistake_is_reported_at_its_key() {
    let pem = &pairs()[3].public;
    for (options, keys, key) in [
        ("", "", "keys"),
        ("components = []", KEY, "components"),
        ("components = [\"@method\", \"@method\"]", KEY, "components"),
        ("components = [\"@status\"]", KEY, "components"),
        ("components = [\"Content-Type\"]", KEY, "components"),
        ("components = [\"signature\"]", KEY, "components"),
        ("components = [\"@query-param\"]", KEY, "components"),
        ("components = [\"connection\"]", KEY, "components"),
        ("components = [\"x-forwarded-for\"]", KEY, "components"),
        ("components_if_present = [\"@method\"]", KEY, "components_if_present"),
        ("components_if_present = [\"te\"]", KEY, "components_if_present"),
        ("max_age = \"10ms\"", KEY, "max_age"),
        ("label = \"Sig\"", KEY, "label"),
        ("label = \"\"", KEY, "label"),
        ("tag = \"é\"", KEY, "tag"),
        ("", &format!("{KEY}\nimpersonate = true"), "keys.a.impersonate"),
        ("", &format!("{KEY}\nalgorithms = [\"hmac-sha1\"]"), "keys.a.algorithms"),
        ("", &format!("{KEY}\nalgorithms = [\"ed25519\"]"), "keys.a.algorithms"),
        ("", &format!("[keys.a]\npublic_key = '''{pem}'''\nalgorithms = [\"hmac-sha256\"]"), "keys.a.algorithms"),
        ("", &format!("[keys.a]\npublic_key = '''{pem}'''\nalgorithms = [\"rsa-pss-sha512\"]"), "keys.a.algorithms"),
        ("", "[keys.a]\npublic_key = \"x\"", "keys.a.public_key"),
    ] {
        let (built, problems) = build(&format!("{options}\n{keys}"));
        let errors: Vec<_> = problems.into_iter().filter(|(error, _)| *error).map(|(_, key)| key).collect();
        assert!(!built && errors == [key], "{options} {keys}: {errors:?}");
    }
}

#[test]
fn weak_choices_are_warned_of_and_good_ones_are_not() {
    for (options, key) in [
        ("", None),
        ("components = [\"@method\", \"@request-target\", \"host\"]", None),
        ("components = [\"@method\", \"@path\", \"@query\", \"@authority\", \"content-digest\"]", None),
        ("components = [\"@authority\", \"@target-uri\"]", Some("components")),
        ("components = [\"@method\", \"@path\", \"@authority\"]", Some("components")),
        ("components = [\"@method\", \"@path\", \"@query\"]", Some("components")),
        ("max_age = \"2h\"", Some("max_age")),
        ("max_skew = \"16m\"", Some("max_skew")),
        ("allow_unsigned_body = true", Some("allow_unsigned_body")),
    ] {
        let expected = key.map(|key| (false, key.to_owned())).into_iter().collect();
        assert_eq!(build(&format!("{options}\n{KEY}")), (true, expected), "{options}");
    }
}

#[test]
fn the_challenge_says_what_to_sign() {
    for (options, expected) in [
        ("", r#"sig1=("@method" "@authority" "@target-uri" "content-digest");created"#),
        ("allow_unsigned_body = true\nlabel = \"a\"\ntag = \"b\\\"c\"", r#"a=("@method" "@authority" "@target-uri");created;tag="b\"c""#),
        ("require_expires = true\ncomponents = [\"content-digest\"]", r#"sig1=("content-digest");created;expires"#),
    ] {
        assert_eq!(Gate::with(options).rules.accept, expected, "{options}");
    }
}

#[test]
fn damage_of_a_key_is_told_apart_from_an_unknown_one() {
    use crate::store::keys::ApiKey;
    for key in [
        ApiKey::default(),
        ApiKey { secret: Some(Secret::new("")), ..ApiKey::default() },
        ApiKey { public_key: Some("x".to_owned()), ..ApiKey::default() },
    ] {
        assert!(keys::Prepared::new(Arc::new(key)).is_err());
    }
}
