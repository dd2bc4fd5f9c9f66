//! Mistakes in the settings.

use super::*;
use crate::types::Severity;

fn build(toml: &str, store: bool) -> (bool, Vec<(bool, String)>) {
    let mut report = Report::default();
    let built = Rules::build("p", toml::from_str(toml).unwrap(), store, &mut report).is_some();
    (built, report.problems().iter().map(|p| (p.severity == Severity::Error, p.key.clone())).collect())
}

const WELL: &str = "region = \"eu-1\"\nservice = \"s3\"\n";

#[test]
fn every_mistake_is_reported_and_weak_choices_are_warned_of() {
    let key = "[keys.a]\nsecret = \"sixteen bytes and\"";
    for (toml, place) in [
        (format!("service = \"s3\"\n{key}"), "region"),
        (format!("region = \"eu-1\"\n{key}"), "service"),
        (format!("region = \"eu/1\"\nservice = \"s3\"\n{key}"), "region"),
        (format!("{WELL}max_skew = \"10ms\"\n{key}"), "max_skew"),
        (format!("{WELL}max_expiry = \"0s\"\n{key}"), "max_expiry"),
        (WELL.to_owned(), "keys"),
        (format!("{WELL}{key}\nimpersonate = true"), "keys.a.impersonate"),
    ] {
        let (built, problems) = build(&toml, false);
        assert!(!built && problems.contains(&(true, place.to_owned())), "{toml}: {problems:?}");
    }
    for (toml, place) in [
        ("max_skew = \"16m\"", "max_skew"),
        ("allow_unsigned_payload = true", "allow_unsigned_payload"),
        ("allow_session_token = true", "allow_session_token"),
    ] {
        assert_eq!(build(&format!("{WELL}{toml}"), true), (true, vec![(false, place.to_owned())]), "{toml}");
    }
    assert!(build(&format!("{WELL}{key}"), false).0);
    assert_eq!(build(WELL, true), (true, Vec::new()), "keys may all be in the store");
    assert!(toml::from_str::<Settings>("regoin = \"eu-1\"").is_err());
}

#[test]
fn the_service_says_how_often_paths_are_escaped_unless_the_settings_do() {
    for (service, more, twice) in [
        ("s3", "", false),
        ("s3express", "", false),
        ("execute-api", "", true),
        ("execute-api", "path_escapes = \"once\"", false),
        ("s3", "path_escapes = \"twice\"", true),
    ] {
        assert_eq!(rules_of(service, more).twice, twice, "{service} {more}");
    }
}
