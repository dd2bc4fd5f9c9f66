//! `doorward key import`: keys of other gateways, each taken exactly or not at all.

mod apisix;
mod dj_api_auth;
mod document;
mod kong;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::ValueEnum;
use doorward::auth::valid_user_name;
use doorward::store::keys::ApiKey;
use doorward::store::sql::Db;
use doorward::types::Secret;
use serde_json::json;

use super::ConfigPath;
use crate::cli::table::table;

/// Longer files are not those of a gateway.
const MOST_BYTES: u64 = 16 << 20;
/// Shorter secrets can be guessed.
const WEAK_SECRET: usize = 16;

#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// Whose keys they are
    #[arg(long, value_enum, value_name = "ORIGIN")]
    from: Origin,
    /// The configuration's file (YAML or JSON), - for standard input, or for dj-api-auth the database's URL
    source: String,
    /// The password of the database, where the URL does not hold it
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Say what would be taken, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Let a key take the place of the one that has its name
    #[arg(long)]
    replace: bool,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(super) config: ConfigPath,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Origin {
    /// Kong's declarative configuration, as `kong config db_export` and decK write it
    Kong,
    /// APISIX's standalone configuration, what its Admin API lists, or what ADC dumps
    Apisix,
    /// The tables of dj-api-auth in a Django project's database
    DjApiAuth,
}

/// A key that the source holds: as it could be taken, or why it cannot.
#[derive(Debug)]
pub(super) struct Found {
    name: String,
    key: Result<ApiKey, String>,
    /// What should be known of it all the same.
    note: Option<String>,
}

impl Found {
    fn left(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self { name: name.into(), key: Err(why.into()), note: None }
    }

    /// A key with a shared secret, if Doorward could use it.
    fn shared(key: ApiKey) -> Self {
        let name = key.name.clone();
        let Some(secret) = &key.secret else { return Self::left(name, "it has no secret") };
        if let Some(why) = unfit(&name, secret) {
            return Self::left(name, why);
        }
        if key.user.iter().chain(&key.groups).any(|name| !valid_user_name(name)) {
            return Self::left(name, "its user or one of its groups has a name that an application cannot be told");
        }
        let note = (secret.len() < WEAK_SECRET).then(|| "its secret is shorter than 16 bytes; rotate it".to_owned());
        Self { name, key: Ok(key), note }
    }

    fn noted(mut self, note: Option<String>) -> Self {
        self.note = [self.note, note].into_iter().flatten().reduce(|one, other| format!("{one}; {other}"));
        self
    }
}

fn unfit(name: &str, secret: &Secret) -> Option<&'static str> {
    if name.is_empty() || name.len() > 255 || name.trim() != name || name.chars().any(char::is_control) {
        return Some("its name is empty, too long, or holds a character that does not show");
    }
    // What these gateways write for "look it up there".
    let refers = [&b"{vault://"[..], b"$secret://", b"$env://", b"$ENV://", b"${{", b"{{"];
    if refers.iter().any(|prefix| secret.expose().starts_with(prefix)) {
        return Some("its secret stands elsewhere (a vault or the environment); add it by hand");
    }
    secret.is_empty().then_some("its secret is empty")
}

/// Reads the source. Nothing of it is in an error but where the mistake is.
pub(super) fn read(args: &Import) -> anyhow::Result<Vec<Found>> {
    ensure!(args.from == Origin::DjApiAuth || args.password_file.is_none(), "--password-file is for the database of dj-api-auth");
    let found = match args.from {
        Origin::Kong => kong::keys(&text(&args.source)?)?,
        Origin::Apisix => apisix::keys(&text(&args.source)?)?,
        Origin::DjApiAuth => dj_api_auth::keys(&args.source, args.password_file.as_deref())?,
    };
    ensure!(!found.is_empty(), "there is no key in it; is it the right file, and the right --from?");
    Ok(found)
}

fn text(source: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = match source {
        "-" => std::io::stdin().lock().take(MOST_BYTES + 1).read_to_string(&mut text),
        file => std::fs::File::open(file).and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text)),
    };
    read.with_context(|| format!("cannot read {source}"))?;
    ensure!(u64::try_from(text.len()).is_ok_and(|length| length <= MOST_BYTES), "{source} is longer than 16 MiB");
    Ok(text)
}

/// What became of a key.
struct Line<'a> {
    name: &'a str,
    taken: bool,
    why: String,
}

/// Takes what was found into the store, and says what became of each.
pub(super) async fn import(db: &Db, args: &Import, found: &[Found]) -> anyhow::Result<String> {
    let there: BTreeSet<String> = db.list_keys().await?.into_iter().map(|key| key.name).collect();
    let mut lines: Vec<Line<'_>> = Vec::new();
    let mut seen = BTreeSet::new();
    for Found { name, key, note } in found {
        let mut line = |taken: bool, why: &str| lines.push(Line { name, taken, why: why.to_owned() });
        let key = match key {
            Ok(key) => key,
            Err(why) => {
                line(false, why);
                continue;
            }
        };
        if !seen.insert(name) {
            line(false, "another key of this name stands before it in the source");
            continue;
        }
        let replaces = there.contains(name);
        if replaces && !args.replace {
            line(false, "there is a key of this name already; --replace puts this one in its place");
            continue;
        }
        if !args.dry_run && !write(db, key, replaces).await? {
            line(false, "another process changed a key of this name at the same moment");
            continue;
        }
        let what = if replaces { "in place of the one that was there" } else { "" };
        line(true, &[what, note.as_deref().unwrap_or_default()].iter().filter(|text| !text.is_empty()).copied().collect::<Vec<_>>().join("; "));
    }
    Ok(report(&lines, args))
}

async fn write(db: &Db, key: &ApiKey, replaces: bool) -> anyhow::Result<bool> {
    Ok(if replaces { db.replace_key(key).await? } else { db.add_key(key).await? })
}

fn report(lines: &[Line<'_>], args: &Import) -> String {
    if args.json {
        let all: Vec<_> = lines.iter().map(|line| json!({"name": line.name, "taken": line.taken, "why": line.why})).collect();
        return format!("{}\n", serde_json::Value::from(all));
    }
    // Names of another program's making: nothing in them may move a terminal's cursor.
    let shown = |text: &str| text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect::<String>();
    let rows: Vec<_> = lines.iter().map(|line| [shown(line.name), if line.taken { "taken" } else { "left" }.to_owned(), shown(&line.why)]).collect();
    let taken = lines.iter().filter(|line| line.taken).count();
    let end = if args.dry_run { "; nothing was changed (--dry-run)" } else { "" };
    format!("{}{taken} taken, {} left{end}\n", table(["NAME", "", "WHY"], &rows), lines.len() - taken)
}
