//! Mistakes and weak choices of the configuration.

use super::*;
use crate::types::Severity;

#[test]
fn every_mistake_in_the_settings_is_reported() {
    let slack = "preset = \"slack\"\npaths = [\"/hooks\"]\nsecret = \"sixteen bytes and\"\n";
    let own = |lines: &str| format!("paths = [\"/hooks\"]\nsecret = \"sixteen bytes and\"\n[template]\nsignature_header = \"X-S\"\n{lines}");
    let svix = "preset = \"svix\"\npaths = [\"/hooks\"]\n";
    let public = "public_key = \"whpk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"\n";
    for (toml, expected) in [
        (String::new(), &["preset"][..]),
        (format!("{slack}[template]\nsignature_header = \"X-S\"\nsigned = \"{{body}}\""), &["preset"]),
        ("preset = \"slack\"\nsecret = \"sixteen bytes and\"".to_owned(), &["paths"]),
        ("preset = \"slack\"\npaths = [\"/hooks\"]".to_owned(), &["secret"]),
        (format!("{slack}max_skew = \"10ms\""), &["max_skew"]),
        (format!("{slack}methods = []"), &["methods"]),
        (format!("{slack}methods = [\"P OST\"]"), &["methods"]),
        (format!("{slack}user = \"\""), &["user"]),
        (format!("{slack}{public}"), &["public_key"]),
        (format!("{slack}secret_file = \"x\""), &["secret"]),
        (format!("{svix}secret = \"not base64!\""), &["secret"]),
        (format!("{svix}secret = \"whsec_\""), &["secret"]),
        (format!("{svix}next_secret = \"!\"\n{public}"), &["next_secret"]),
        (format!("{svix}public_key = \"whpk_AAAA\""), &["public_key"]),
        (format!("{svix}public_key_file = \"/nonexistent\""), &["public_key_file"]),
        (format!("{svix}{public}public_key_file = \"x\""), &["public_key"]),
        (format!("{svix}{public}max_body = \"5MiB\""), &["max_body"]),
        (own("signed = \"x\""), &["template.signed"]),
        (own("signed = \"{body}\"\nprefix = \"a=\"\nfield = \"v1\""), &["template.prefix"]),
        (own("signed = \"{timestamp}{body}\""), &["template.signed"]),
        (own("signed = \"{body}\"\ntimestamp_header = \"X-T\""), &["template.signed"]),
        (own("signed = \"{timestamp}.{body}\"\ntimestamp_field = \"t\""), &["template.timestamp_field"]),
        (own("signed = \"{timestamp}.{body}\"\nfield = \"s\"\ntimestamp_field = \"t\"\ntimestamp_header = \"X-T\""), &["template.timestamp_field"]),
        (own("signed = \"{id}.{body}\""), &["template.signed"]),
        (own("signed = \"{body}\"\nid_header = \"X-Id\""), &["template.signed"]),
        (own("signed = \"{id}.{body}\"\nid_header = \"X Id\""), &["template.id_header"]),
        (own("signed = \"{timestamp}.{body}\"\ntimestamp_header = \"\""), &["template.timestamp_header"]),
        (own("signed = \"{body}\"\nalgorithm = \"ed25519\""), &["secret", "public_key"]),
        (own("signed = \"{body}\"\nsecret_encoding = \"hex\""), &["secret"]),
        ("[template]\nsignature_header = \"X S\"\nsigned = \"{path}\"".to_owned(), &["template.signed", "template.signature_header"]),
    ] {
        let (rules, problems) = try_rules(&toml);
        let errors: Vec<_> = problems.into_iter().filter(|(severity, _)| *severity == Severity::Error).map(|(_, key)| key).collect();
        assert!(rules.is_none() && errors == expected, "{toml}: {errors:?}");
    }
    for toml in [
        "preset = \"gitlab\"",
        "secrets = []",
        "[template]\nsigned = \"{body}\"",
        "[template]\nsignature_header = \"a\"\nsigned = \"{body}\"\nalgorithm = \"md5\"",
    ] {
        assert!(toml::from_str::<Settings>(toml).is_err(), "{toml}");
    }
}

#[test]
fn weak_choices_are_warned_of() {
    let base = |preset: &str| format!("preset = \"{preset}\"\npaths = [\"/hooks\"]\nsecret_env = \"PATH\"\n");
    let own = |lines: &str| format!("paths = [\"/hooks\"]\nsecret_env = \"PATH\"\n[template]\nsignature_header = \"X-S\"\n{lines}");
    for (toml, expected) in [
        (base("slack"), &[][..]),
        (base("github"), &["once_within"]),
        (format!("{}once_within = \"24h\"", base("github")), &[]),
        (format!("{}once_within = \"0s\"", base("github")), &["once_within"]),
        (format!("{}once_within = \"0s\"", base("slack")), &["once_within"]),
        (format!("{}max_skew = \"10m\"", base("slack")), &["max_skew"]),
        (format!("{}allow_unsigned_query = true", base("slack")), &["allow_unsigned_query"]),
        (own("signed = \"{timestamp}.{body}\"\ntimestamp_header = \"X-T\""), &[]),
        (own("signed = \"{timestamp}.{body}\"\ntimestamp_header = \"X-T\"\nalgorithm = \"hmac-sha1\""), &["template.algorithm"]),
        (own("signed = \"{id}{timestamp}{body}\"\ntimestamp_header = \"X-T\"\nid_header = \"X-Id\""), &["template.signed"]),
    ] {
        let (rules, problems) = try_rules(&toml);
        let keys: Vec<_> = problems.iter().map(|(severity, key)| (*severity == Severity::Warning, key.as_str())).collect();
        assert_eq!((rules.is_some(), keys), (true, expected.iter().map(|key| (true, *key)).collect()), "{toml}");
    }
    let (rules, problems) = try_rules("preset = \"slack\"\npaths = [\"/hooks\"]\nsecret = \"short\"");
    assert!(rules.is_some() && problems.len() == 2 && problems.iter().all(|(severity, key)| *severity == Severity::Warning && key == "secret"));
}

#[test]
fn a_webhook_stands_for_its_user_or_its_own_name() {
    for (more, user) in [("", "hooks"), ("user = \"GitHub\"", "GitHub")] {
        let rules = rules(&format!("preset = \"github\"\npaths = [\"/hooks\"]\nsecret = \"sixteen bytes and\"\n{more}"));
        assert_eq!(rules.subject.user, user);
    }
}
