//! The house rules that no compiler enforces: sizes, borders between modules, where a status code may stand.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Whom each module may use. Whatever stands further down is used by those above it, never the other way round.
const BORDERS: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("cli", &["observe", "reload", "config", "server", "proxy", "auth", "store", "idp", "inbound", "payload", "telemetry", "types"]),
    ("reload", &["config", "server", "proxy", "auth", "store", "idp", "inbound", "payload", "telemetry", "types"]),
    ("observe", &["reload", "store", "telemetry", "types"]),
    ("config", &["server", "proxy", "auth", "store", "idp", "telemetry", "types"]),
    ("server", &["proxy", "auth", "store", "inbound", "payload", "telemetry", "types"]),
    ("proxy", &["auth", "store", "inbound", "payload", "telemetry", "types"]),
    ("auth", &["store", "idp", "inbound", "payload", "types"]),
    ("store", &["idp", "types"]),
    ("idp", &["types"]),
    ("inbound", &["payload", "types"]),
    ("payload", &["telemetry", "types"]),
    ("telemetry", &["types"]),
    ("types", &[]),
];

/// Where an answer gets its status.
const STATUS_CODES: &[&str] = &["proxy/reject.rs", "proxy/upgrade.rs", "server/admin.rs", "server/conn.rs", "server/plain.rs", "server/redirect.rs"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() && !matches!(name.as_ref(), "target" | ".git" | "node_modules" | "corpus" | "artifacts" | "__pycache__" | ".pytest_cache") {
            walk(&path, found);
        } else if path.is_file() {
            found.push(path);
        }
    }
}

/// Each Rust file below `folder` with its text; sorted.
fn sources(folder: &str) -> Vec<(String, String)> {
    let base = root().join(folder);
    let mut found = Vec::new();
    walk(&base, &mut found);
    found.sort();
    let rust = found.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    rust.map(|path| (path.strip_prefix(&base).unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(&path).unwrap())).collect()
}

/// The part before the unit tests; nothing of a file that only holds tests.
fn production<'a>(name: &str, text: &'a str) -> &'a str {
    if name.ends_with("tests.rs") || name.contains("/tests/") {
        return "";
    }
    text.split("#[cfg(test)]\nmod ").next().unwrap()
}

fn assert_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

#[test]
fn files_are_short() {
    let mut long = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for (name, text) in sources(folder) {
            let (all, own) = (text.lines().count(), production(&name, &text).lines().count());
            if all > 500 || (folder == "src" && own > 300) {
                long.push(format!("{folder}/{name}: {all} lines, {own} of them before the tests"));
            }
        }
    }
    assert!(sources("src").len() > 20);
    assert_none("files over 500 lines, or over 300 before the tests", &long);
}

#[test]
fn functions_are_short() {
    let mut long = Vec::new();
    for (name, text) in sources("src") {
        let lines: Vec<&str> = production(&name, &text).lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let code = line.trim_start();
            let starts =
                ["fn ", "pub fn ", "pub(crate) fn ", "pub(super) fn ", "async fn ", "pub async fn ", "pub(crate) async fn ", "pub(super) async fn "];
            if !starts.iter().any(|start| code.starts_with(start)) || line.ends_with('}') {
                continue;
            }
            let end = format!("{}}}", &line[..line.len() - code.len()]);
            let length = lines[at..].iter().position(|line| **line == end).map_or(0, |after| after + 1);
            if length > 70 {
                long.push(format!("src/{name}:{}: {length} lines", at + 1));
            }
        }
    }
    assert_none("functions over 70 lines", &long);
}

#[test]
fn modules_use_only_what_stands_below_them() {
    let mut crossed = Vec::new();
    for (name, text) in sources("src") {
        if name == "lib.rs" {
            continue;
        }
        let module = name.split(['/', '.']).next().unwrap();
        let allowed = BORDERS.iter().find(|(known, _)| *known == module).unwrap_or_else(|| panic!("src/{name}: {module} has no place in BORDERS")).1;
        for (at, line) in production(&name, &text).lines().enumerate() {
            for used in line.split("crate::").skip(1) {
                let used: Vec<&str> = match used.strip_prefix('{') {
                    Some(list) => list.split(['}', ';']).next().unwrap().split(',').map(|part| part.trim().split("::").next().unwrap()).collect(),
                    None => vec![used.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap()],
                };
                for used in used {
                    if used != module && BORDERS.iter().any(|(known, _)| *known == used) && !allowed.contains(&used) {
                        crossed.push(format!("src/{name}:{}: {module} uses {used}", at + 1));
                    }
                }
            }
        }
    }
    assert_none("borders crossed", &crossed);
}

#[test]
fn status_codes_stand_where_answers_are_made() {
    let mut found = Vec::new();
    for (name, text) in sources("src") {
        for (at, line) in production(&name, &text).lines().enumerate() {
            // To read the status of somebody else's answer is another matter.
            let compares = line.contains("== StatusCode::") || line.contains("!= StatusCode::") || line.contains("matches!(");
            if line.contains("StatusCode::") && !compares && !STATUS_CODES.contains(&name.as_str()) {
                found.push(format!("src/{name}:{}: {}", at + 1, line.trim()));
            }
            if name.starts_with("auth/") && line.contains("StatusCode") {
                found.push(format!("src/{name}:{}: {}", at + 1, line.trim()));
            }
        }
    }
    assert_none("status codes elsewhere", &found);
}

#[test]
fn nothing_is_left_to_be_done() {
    let mut found = Vec::new();
    let words = ["todo!(", "unimplemented!(", "dbg!(", "TODO", "FIXME", "XXX"];
    for (name, text) in sources("src") {
        for (at, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("src/{name}:{}: {}", at + 1, line.trim()));
            }
        }
    }
    assert_none("left over", &found);
}

#[test]
fn types_are_named_after_what_they_are() {
    let mut found = Vec::new();
    for (name, text) in sources("src") {
        for line in text.lines().map(str::trim_start) {
            let declared = ["struct ", "enum ", "trait "]
                .iter()
                .find_map(|kind| line.trim_start_matches("pub ").trim_start_matches("pub(crate) ").strip_prefix(kind));
            let Some(declared) = declared else { continue };
            let declared = declared.split(|c: char| !c.is_alphanumeric()).next().unwrap();
            if ["Manager", "Handler", "Helper", "Service", "Globals"].iter().any(|word| declared.ends_with(word)) {
                found.push(format!("src/{name}: {declared}"));
            }
        }
        let file = name.rsplit('/').next().unwrap();
        if matches!(file, "utils.rs" | "util.rs" | "common.rs" | "helpers.rs" | "prelude.rs") {
            found.push(format!("src/{name}"));
        }
    }
    assert_none("names that say nothing", &found);
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent: Vec<String> = sources("src")
        .into_iter()
        .filter(|(name, text)| !production(name, text).is_empty() && !text.starts_with("//!"))
        .map(|(name, _)| name)
        .collect();
    assert_none("without a //! line", &silent);
}

/// What is kept in the project: what git ignores, such as keys made for trying things out, is not.
fn kept() -> Vec<PathBuf> {
    let listed = Command::new("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root()).output().unwrap();
    assert!(listed.status.success(), "{listed:?}");
    let files: Vec<PathBuf> = listed
        .stdout
        .split(|b| *b == 0)
        .filter(|name| !name.is_empty())
        .map(|name| root().join(String::from_utf8_lossy(name).as_ref()))
        .filter(|path| path.is_file())
        .collect();
    assert!(files.len() > 100, "{files:?}");
    files
}

#[test]
fn no_private_key_is_kept_here() {
    let files = kept();
    let mut found = Vec::new();
    for path in files {
        let mark = ["-----BEGIN", "PRIVATE KEY-----"];
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        // Code may name the marks; a key has lines of Base64 after them.
        let key = text.split(mark[0]).skip(1).filter_map(|rest| rest.split_once(mark[1])).any(|(_, rest)| {
            let line = rest.trim_start_matches(['\r', '\n']).lines().next().unwrap_or_default();
            line.len() >= 40 && line.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
        });
        if key {
            found.push(path.display().to_string());
        }
    }
    assert_none("private keys", &found);
}

#[test]
fn every_example_configuration_is_one_that_tests_load() {
    let files = kept();
    let mut examples: Vec<String> = files
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .filter(|path| std::fs::read_to_string(path).is_ok_and(|text| text.lines().any(|line| line.starts_with("[listen]"))))
        // Templates of the benchmark: whole only once it has filled them in.
        .filter(|path| !path.starts_with(root().join("benches")))
        .map(|path| path.strip_prefix(root()).unwrap().display().to_string())
        .collect();
    examples.sort();
    // `config_check.rs` loads each of these; add it there, then here.
    assert_eq!(examples, ["config.example.toml"]);
}
