//! Text -> Config. Every mistake of form in one report.

use std::path::Path;

use serde_path_to_error::{Path as KeyPath, Segment};
use toml::Value;

use super::Config;
use crate::types::Report;

/// Keys whose value is a file's path, besides those that end in `_file`.
const FILE_KEYS: &[&str] = &["certificate", "private_key", "client_ca", "client_crl"];
/// More mistakes than this are not listed: the file is something else.
const MOST_MISTAKES: usize = 100;

/// What could be read, without what could not.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) config: Config,
    /// Keys whose values were of no use, and were left out or replaced by a harmless one.
    pub(super) replaced: Vec<String>,
}

/// `None` if nothing could be made of it. What is found wrong is in the report.
pub(super) fn read(path: &Path, text: &str, report: &mut Report) -> Option<Read> {
    let (_, errors) = toml::de::DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let starts: Vec<usize> = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        for error in errors {
            let line = error.span().map_or(1, |span| super::lines::line_of(span.start, &starts));
            report.error(&format!("line {line}"), &format!("this is not TOML: {}", error.message()), "see https://toml.io for the form");
        }
        return None;
    }
    let mut root: Value = match toml::from_str::<toml::Table>(text) {
        Ok(table) => Value::Table(table),
        Err(error) => {
            report.error("", &format!("this is not TOML: {}", error.message()), "see https://toml.io for the form");
            return None;
        }
    };
    replace_variables(&mut root, "", report);
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    resolve_paths(&mut root, "", &folder);
    deserialize(root, report)
}

/// serde stops at the first mistake. So each is noted and taken out, and the rest is read again; a key that is missed only
/// because it was taken out is not reported.
fn deserialize(mut root: Value, report: &mut Report) -> Option<Read> {
    let mut replaced: Vec<String> = report.problems().iter().map(|problem| problem.key.clone()).collect();
    for _ in 0..MOST_MISTAKES {
        let error = match serde_path_to_error::deserialize::<_, Config>(root.clone()) {
            Ok(config) => return Some(Read { config, replaced }),
            Err(error) => error,
        };
        let message = error.inner().message().to_owned();
        let at = error.path();
        if let Some(missing) = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
            let key = join(&text_of(at), missing);
            if !replaced.contains(&key) {
                report.error(&key, "this key is required and missing", &format!("add {missing} = …; see config.example.toml"));
                replaced.push(key);
            }
            // What lacks a key cannot be read. With a harmless value in its place, or without its section, the rest can.
            match filler(missing) {
                Some(filler) => put(&mut root, at, missing, filler),
                None if take_out(&mut root, at) => replaced.push(text_of(at)),
                None => return None,
            }
            continue;
        }
        let (problem, remedy) = explain(&message);
        let key = text_of(at);
        if !replaced.contains(&key) {
            report.error(&key, &problem, &remedy);
        }
        if !take_out(&mut root, at) {
            return None;
        }
        replaced.push(key);
    }
    None
}

/// Stands in for a required key or section that is missing, so that the rest of the file is still read.
fn filler(key: &str) -> Option<Value> {
    let text = match key {
        "listen" => "https = [\"127.0.0.1:0\"]",
        "tls" => "certificate = \"\"\nprivate_key = \"\"",
        "upstream" => "url = \"http://127.0.0.1:1\"",
        "https" => return Some(Value::Array(Vec::new())),
        "certificate" | "private_key" | "url" => return Some(Value::String(String::new())),
        "path" => return Some(Value::String("/".to_owned())),
        "source" | "users" => return Some(Value::String("store".to_owned())),
        _ => return None,
    };
    toml::from_str::<toml::Table>(text).ok().map(Value::Table)
}

fn explain(message: &str) -> (String, String) {
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return (message.to_owned(), "see config.example.toml for its form".to_owned());
    };
    let unknown = rest.split('`').next().unwrap_or_default();
    let known: Vec<&str> = rest.split('`').skip(1).skip(1).step_by(2).collect();
    let nearest = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(unknown, known), known))
        .min()
        .filter(|(distance, known)| *distance <= 3.min(known.len() / 3));
    let remedy = match nearest {
        Some((_, nearest)) => format!("did you mean {nearest}?"),
        None if known.is_empty() => "remove it".to_owned(),
        None => format!("known here: {}", known.join(", ")),
    };
    (format!("there is no key {unknown} here"), remedy)
}

fn text_of(path: &KeyPath) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("[{index}]")),
            Segment::Map { key } => text = join(&text, key),
            Segment::Enum { variant } => text = join(&text, variant),
            Segment::Unknown => {}
        }
    }
    text
}

fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

fn descend<'v>(root: &'v mut Value, segments: &[&Segment]) -> Option<&'v mut Value> {
    segments.iter().try_fold(root, |value, segment| match segment {
        Segment::Seq { index } => value.as_array_mut()?.get_mut(*index),
        Segment::Map { key } => value.as_table_mut()?.get_mut(key),
        Segment::Enum { .. } | Segment::Unknown => Some(value),
    })
}

/// Takes the value at `path` out. An element of an array is replaced, where it is a table, by nothing: its neighbours keep their places
/// only if the whole array is taken, so the array goes.
fn take_out(root: &mut Value, path: &KeyPath) -> bool {
    let mut segments: Vec<&Segment> = path.iter().collect();
    while let Some(last) = segments.pop() {
        if let Segment::Map { key } = last
            && let Some(table) = descend(root, &segments).and_then(Value::as_table_mut)
        {
            return table.remove(key).is_some();
        }
    }
    false
}

fn put(root: &mut Value, path: &KeyPath, key: &str, value: Value) {
    let segments: Vec<&Segment> = path.iter().collect();
    if let Some(table) = descend(root, &segments).and_then(Value::as_table_mut) {
        table.insert(key.to_owned(), value);
    }
}

/// `${NAME}` becomes the variable's value; `$${` stands for a plain `${`.
fn replace_variables(value: &mut Value, key: &str, report: &mut Report) {
    match value {
        Value::String(text) => {
            if text.contains("${") {
                *text = interpolate(text, key, report);
            }
        }
        Value::Array(array) => array.iter_mut().enumerate().for_each(|(at, value)| replace_variables(value, &format!("{key}[{at}]"), report)),
        Value::Table(table) => table.iter_mut().for_each(|(name, value)| replace_variables(value, &join(key, name), report)),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {}
    }
}

fn interpolate(text: &str, key: &str, report: &mut Report) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(escaped) = before.strip_suffix('$') {
            out.push_str(escaped);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            report.error(key, "a ${ is not closed", "write ${NAME}, or $${ for the characters themselves");
            return out;
        };
        match std::env::var(name) {
            Ok(value) => out.push_str(&value),
            Err(_) => report.error(key, &format!("the environment variable {name} is not set or is not UTF-8"), "set it, or write the value itself"),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Relative paths are meant from the configuration file's folder, wherever Doorward is started.
fn resolve_paths(value: &mut Value, key: &str, folder: &Path) {
    match value {
        Value::String(text) if key.ends_with("_file") || FILE_KEYS.contains(&key) => {
            *text = folder.join(&*text).to_string_lossy().into_owned();
        }
        Value::String(text) if key == "url" => {
            resolve_database(text, "sqlite:", folder);
        }
        Value::Array(array) => array.iter_mut().for_each(|value| resolve_paths(value, key, folder)),
        Value::Table(table) => table.iter_mut().for_each(|(name, value)| {
            if let ("basic", "users", Value::String(text)) = (key, name.as_str(), &mut *value) {
                resolve_source(text, folder);
            } else {
                resolve_paths(value, name, folder);
            }
        }),
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {}
    }
}

/// The place of `[auth.NAME.basic] users`, which may be a file or a database in one.
fn resolve_source(text: &mut String, folder: &Path) {
    if let Some(file) = text.strip_prefix("htpasswd:").filter(|file| !file.is_empty()) {
        *text = format!("htpasswd:{}", folder.join(file).display());
    }
    resolve_database(text, "django:sqlite:", folder);
}

fn resolve_database(text: &mut String, prefix: &str, folder: &Path) {
    if let Some(file) = text.strip_prefix(prefix) {
        let file = file.strip_prefix("//").unwrap_or(file);
        *text = format!("{prefix}{}", folder.join(file).display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = r#"
[listen]
https = ["127.0.0.1:0"]
[tls]
certificate = "c.crt"
private_key = "/abs/c.key"
[upstream]
url = "http://127.0.0.1:8000"
[store]
url = "sqlite:doorward.db"
[[route]]
path = "/**"
access = "public"
"#;

    fn problems(text: &str) -> Vec<(usize, String, String, String)> {
        let error = super::super::parse(Path::new("/etc/doorward/config.toml"), text).unwrap_err();
        error.0.into_iter().map(|l| (l.line, l.problem.key, l.problem.problem, l.problem.remedy)).collect()
    }

    #[test]
    fn paths_are_taken_from_the_files_folder() {
        let loaded = super::super::parse(Path::new("/etc/doorward/config.toml"), MINIMAL).unwrap();
        assert_eq!(loaded.config.tls.certificate, Path::new("/etc/doorward/c.crt"));
        assert_eq!(loaded.config.tls.private_key, Path::new("/abs/c.key"));
        assert_eq!(loaded.config.store.unwrap().url, "sqlite:/etc/doorward/doorward.db");
    }

    #[test]
    fn users_are_looked_up_in_files_of_that_folder_and_their_names_stay_as_they_are() {
        for (given, meant) in [
            ("store", "store"),
            ("htpasswd:users", "htpasswd:/etc/users"),
            ("htpasswd:/abs/users", "htpasswd:/abs/users"),
            ("htpasswd:", "htpasswd:"),
            ("django:sqlite:db.sqlite3", "django:sqlite:/etc/db.sqlite3"),
            ("django:sqlite:///abs/db", "django:sqlite:/abs/db"),
            ("django:postgres://u@h/d", "django:postgres://u@h/d"),
        ] {
            let mut root: Value =
                toml::from_str(&format!("auth.x.basic.users = {given:?}\nroute.require.users = [{given:?}]")).map(Value::Table).unwrap();
            resolve_paths(&mut root, "", Path::new("/etc"));
            assert_eq!(root["auth"]["x"]["basic"]["users"].as_str(), Some(meant));
            assert_eq!(root["route"]["require"]["users"][0].as_str(), Some(given));
        }
    }

    #[test]
    fn all_mistakes_are_found_at_once_each_with_its_line_and_a_remedy() {
        let text = MINIMAL
            .replace("https = [", "htps = 1\nhttps = [")
            .replace("[store]", "[limits]\nheader_timeout = \"soon\"\nmax_headers = \"many\"\n[store]")
            .replace("access = \"public\"", "acess = \"public\"");
        let found = problems(&text);
        let keys: Vec<_> = found.iter().map(|(line, key, ..)| (*line, key.as_str())).collect();
        assert_eq!(keys, [(3, "listen.htps"), (11, "limits.header_timeout"), (12, "limits.max_headers"), (17, "route[0].acess")]);
        assert_eq!(found[0].3, "did you mean https?");
        assert_eq!(found[3].3, "did you mean access?");
    }

    #[test]
    fn a_missing_section_is_named_and_the_rest_is_still_read() {
        let text = MINIMAL.replace("[tls]\ncertificate = \"c.crt\"\nprivate_key = \"/abs/c.key\"\n", "").replace("path =", "pth =");
        let keys: Vec<_> = problems(&text).into_iter().map(|(_, key, ..)| key).collect();
        assert!(keys.contains(&"tls".to_owned()), "{keys:?}");
        assert!(keys.contains(&"route[0].pth".to_owned()), "{keys:?}");
    }

    #[test]
    fn text_that_is_not_toml_is_reported_with_its_line() {
        let found = problems("[listen]\nhttps = [\n[tls\n");
        assert!(found.iter().all(|(line, ..)| (1..=4).contains(line)) && !found.is_empty(), "{found:?}");
    }

    #[test]
    fn an_unset_variable_is_a_mistake_and_a_doubled_dollar_is_a_plain_one() {
        let mut report = Report::default();
        assert_eq!(interpolate("a$${b}${PATH}", "k", &mut report), format!("a${{b}}{}", std::env::var("PATH").unwrap()));
        assert!(!report.has_errors());
        interpolate("${DOORWARD_SURELY_UNSET}", "k", &mut report);
        assert!(report.has_errors());
    }
}
