//! Amazon's signature test suite, as the package `aws-sigv4` carries it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize)]
struct Told {
    normalize: bool,
    #[serde(default)]
    omit_session_token: bool,
}

/// Where the package was unpacked: a dependency of the tests.
fn folder() -> PathBuf {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let arguments =
        ["metadata", "--format-version", "1", "--locked", "--offline", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")];
    let output = Command::new(cargo).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let package = metadata["packages"].as_array().unwrap().iter().find(|package| package["name"] == "aws-sigv4").unwrap();
    Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().join("aws-signing-test-suite/v4")
}

/// A request as it is written there: not quite HTTP.
fn request(text: &str) -> Case {
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
    let mut lines: Vec<String> = Vec::new();
    for line in head.lines() {
        match (line.strip_prefix(' '), lines.last_mut()) {
            // A folded line, which HTTP has no longer.
            (Some(more), Some(last)) => last.push_str(&format!(" {}", more.trim())),
            _ => lines.push(line.to_owned()),
        }
    }
    let start = lines.remove(0);
    let (method, target) = start.split_once(' ').unwrap();
    let mut case = Case::new(method, target.strip_suffix(" HTTP/1.1").unwrap_or(target), &[]);
    case.body = body.as_bytes().to_vec();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        match name.to_ascii_lowercase().as_str() {
            "host" => case.host = value.trim().to_owned(),
            "content-length" => case.length = Some(value.trim().parse().unwrap()),
            _ => case = case.header(name, value.trim()),
        }
    }
    case
}

fn judge(case: &Case, rules: &Rules, want: &str) -> Result<String, Refusal> {
    if let Ok(read) = case.read(rules) {
        let hash = read.content.text(&Sha256::digest(&case.body).into());
        let canonical = String::from_utf8([read.canonical, hash.into_bytes()].concat()).unwrap();
        assert_eq!(canonical, want);
    }
    case.judge(rules, NOW)
}

#[test]
fn every_request_of_amazons_suite_is_read_as_amazon_reads_it() {
    let rules = rules("allow_session_token = true");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    let (mut accepted, mut not_let_in, mut uncovered) = (0, 0, 0);
    for case in &cases {
        let name = case.file_name().unwrap().to_str().unwrap();
        let file = |name: &str| std::fs::read_to_string(case.join(name)).unwrap();
        if name.starts_with("double-") {
            continue;
        }
        let told: Told = serde_json::from_str(&file("context.json")).unwrap();
        for form in ["header", "query"] {
            let (mut sent, canonical) = (request(&file(&format!("{form}-signed-request.txt"))), file(&format!("{form}-canonical-request.txt")));
            let normal = canonical.lines().nth(1).unwrap();
            if told.omit_session_token {
                // A token that was put in after signing: somebody else can have done so.
                assert!(sent.judge(&rules, NOW).is_err(), "{name} {form}");
                uncovered += 1;
                continue;
            }
            if told.normalize && sent.path != normal && !sent.path.contains([' ', 'ሴ']) {
                // Doorward does not let such a path in, and so has nothing to normalise.
                assert!(!crate::inbound::path_is_clear(&sent.path), "{name} {}", sent.path);
                assert!(sent.judge(&rules, NOW).is_err(), "{name} {form}");
                normal.clone_into(&mut sent.path);
                not_let_in += 1;
            }
            assert_eq!(judge(&sent, &rules, &canonical).as_deref(), Ok("AKIDEXAMPLE"), "{name} {form}");
            accepted += 1;
        }
    }
    assert_eq!((cases.len(), accepted, not_let_in, uncovered), (40, 74, 12, 2));
}

#[test]
fn a_path_is_escaped_twice_as_in_amazons_suite() {
    for (name, region, service, key, secret, at) in [
        ("double-encode-path", "us-east-1", "service", "ANOTREAL", "notrealrnrELgWzOk3IfjzDKtFBhDby", NOW),
        ("double-url-encode", "us-east-2", "lambda", "AKIDEXAMPLE", SECRET, 1_620_747_645),
    ] {
        let file = |file: &str| std::fs::read_to_string(folder().join(name).join(file)).unwrap();
        let text = format!("region = \"{region}\"\nservice = \"{service}\"\n[keys.{key}]\nsecret = \"{secret}\"");
        let build = |more: &str| Rules::build("a", toml::from_str(&format!("{more}\n{text}")).unwrap(), false, &mut Report::default()).unwrap();
        let sent = request(&file("header-signed-request.txt"));
        let read = sent.read(&build("")).unwrap();
        let canonical = String::from_utf8(read.canonical).unwrap() + &read.content.text(&Sha256::digest(&sent.body).into());
        // The first one's files are of two dates.
        let want = file("header-canonical-request.txt").replace("20210511T154045Z", sent.headers["x-amz-date"].to_str().unwrap());
        assert_eq!(canonical, want, "{name}");
        assert_eq!(sent.judge(&build(""), at).as_deref(), Ok(key), "{name}");
        assert!(sent.judge(&build("path_escapes = \"once\""), at).is_err(), "{name}");
    }
}
