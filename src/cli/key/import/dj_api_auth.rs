//! The tables of dj-api-auth. An entry point is the regular expressions of Django's URLs, level by level: what can be said as a
//! path pattern that matches exactly the same is taken, everything else is left out and told.

use std::path::Path;

use anyhow::Context;
use doorward::store::keys::ApiKey;
use doorward::store::sql::{DjKey, DjUser, Place};
use doorward::types::{PathPattern, Secret};

use super::Found;

/// The keys of the database at `url`.
pub(super) fn keys(url: &str, password_file: Option<&Path>) -> anyhow::Result<Vec<Found>> {
    let password = password_file.map(|file| Secret::from_file(file).with_context(|| format!("cannot read {}", file.display()))).transpose()?;
    let place = Place::parse(url, password.as_ref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime can be started")?;
    Ok(runtime.block_on(DjKey::read_all(&place))?.into_iter().map(key).collect())
}

pub(super) fn key(dj: DjKey) -> Found {
    let user = match dj.user {
        DjUser::Nobody => None,
        DjUser::Active(name) => Some(name),
        DjUser::Inactive(name) => return Found::left(dj.name, format!("its user {name} is not active")),
        DjUser::Unknown => return Found::left(dj.name, "its user does not stand in auth_user; add it by hand"),
    };
    let (mut paths, mut unsaid) = (Vec::new(), Vec::new());
    for entry_point in &dj.entry_points {
        match path(entry_point).and_then(|path| path.parse::<PathPattern>().ok()) {
            Some(path) => paths.push(path),
            None => unsaid.push(entry_point.as_str()),
        }
    }
    // A key without paths may call all paths; this one may call none.
    if paths.is_empty() {
        let why = if unsaid.is_empty() { "it has no entry point, so it may call nothing".to_owned() } else { cannot_be_said(&unsaid) };
        return Found::left(dj.name, why);
    }
    let note = (!unsaid.is_empty()).then(|| cannot_be_said(&unsaid));
    Found::shared(ApiKey { name: dj.name, secret: Some(dj.secret), user, paths, ..ApiKey::default() }).noted(note)
}

fn cannot_be_said(entry_points: &[&str]) -> String {
    format!("without what cannot be said exactly as a path: {}", entry_points.join(", "))
}

/// The path pattern that matches what the entry point `name` matches, and nothing else. Each level is a regular expression
/// behind a `^`; a blank stands between two.
pub(super) fn path(name: &str) -> Option<String> {
    let mut path = "/".to_owned();
    let mut levels = name.split(' ').peekable();
    while let Some(level) = levels.next() {
        let expression = level.strip_prefix('^')?;
        let (expression, last) = match expression.strip_suffix('$') {
            Some(before) if !before.ends_with('\\') => (before, true),
            Some(_) | None => (expression, false),
        };
        // An end before the last level matches nothing.
        if last && levels.peek().is_some() {
            return None;
        }
        literal(expression, &mut path)?;
    }
    Some(path)
}

/// Adds what a regular expression without choices matches: characters, and whole segments of any kind.
fn literal(expression: &str, path: &mut String) -> Option<()> {
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = segment(rest) {
            // Only a whole one: `{any}` stands for no less.
            if !path.ends_with('/') || !(after.is_empty() || after.starts_with('/')) {
                return None;
            }
            path.push_str("{any}");
            rest = after;
            continue;
        }
        let mut chars = rest.chars();
        chars.next();
        let character = match first {
            '\\' => chars.next().filter(char::is_ascii_punctuation)?,
            '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '^' | '$' => return None,
            plain => plain,
        };
        // These mean something in a pattern.
        if matches!(character, '{' | '}' | '*' | '?' | '#' | '%' | '\\' | ';') {
            return None;
        }
        path.push(character);
        rest = chars.as_str();
    }
    Some(())
}

/// What comes after `[^/]+`, in a group or not, if `text` begins with it.
fn segment(text: &str) -> Option<&str> {
    let Some(group) = text.strip_prefix('(') else { return text.strip_prefix("[^/]+") };
    let inner = match group.strip_prefix("?P<") {
        Some(named) => named.split_once('>')?.1,
        None => group,
    };
    inner.strip_prefix("[^/]+")?.strip_prefix(')')
}
