//! `doorward key`.

use std::process::ExitCode;

use anyhow::{bail, ensure};
use clap::Subcommand;
use doorward::auth::valid_user_name;
use doorward::store::keys::{ApiKey, Keys};
use doorward::store::revocations::Revocation;
use doorward::store::sql::{Db, KeyListing, Rotation};
use doorward::types::{PathPattern, Secret};
use serde_json::json;

use super::table::{cell, date, table};
use super::{ConfigPath, open_store};

/// Arguments of the subcommand.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add an API key and print its secret, which is shown this once
    ///
    /// The secret is random. With --json it is printed as {"name":…,"secret":…}.
    #[command(after_long_help = super::help::KEY_ADD)]
    Add(Add),
    /// List the keys, without their secrets
    List(List),
    /// Refuse a key from now on
    ///
    /// A Doorward that serves follows within cache.max_age; at once if cache.shared is set. The name of a revoked key is not given again.
    Revoke(Revoke),
    /// Change a key's secret in two steps, so that no request is refused meanwhile
    ///
    /// First `doorward key rotate NAME` makes a second secret and prints it, this once: Doorward accepts the old and
    /// the new one. Give the new secret to the key's holder. When every client uses it,
    /// `doorward key rotate NAME --finish` makes it the only one.
    Rotate(Rotate),
}

#[derive(Debug, clap::Args)]
struct Add {
    /// The key's name, as clients send it: visible ASCII without : and %
    name: String,
    /// Whom the key stands for [default: the key's own name]
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Let the key act for other users
    #[arg(long)]
    impersonate: bool,
    /// A path that the key may call, such as "/api/**"; may be repeated [default: all]
    #[arg(long = "path", value_name = "PATTERN")]
    paths: Vec<String>,
    /// Print {"name":…,"secret":…}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigPath,
}

#[derive(Debug, clap::Args)]
struct List {
    /// Print a JSON array
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigPath,
}

#[derive(Debug, clap::Args)]
struct Revoke {
    /// The key's name
    name: String,
    #[command(flatten)]
    config: ConfigPath,
}

#[derive(Debug, clap::Args)]
struct Rotate {
    /// The key's name
    name: String,
    /// Make the new secret the only one
    #[arg(long)]
    finish: bool,
    /// Print {"name":…,"secret":…}
    #[arg(long, conflicts_with = "finish")]
    json: bool,
    #[command(flatten)]
    config: ConfigPath,
}

/// Runs it.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Add(args) => open_store::answer(&args.config, |db| async move { add(&db, args).await }),
        Command::List(args) => open_store::answer(&args.config, |db| async move { list(&db, args.json).await }),
        Command::Revoke(args) => {
            open_store::answer_and_tell(&args.config, Revocation::Key(&args.name), |db| async move { revoke(&db, &args.name).await })
        }
        Command::Rotate(args) => open_store::answer(&args.config, |db| async move { rotate(&db, args).await }),
    }?;
    Ok(ExitCode::SUCCESS)
}

async fn add(db: &Db, args: &Add) -> anyhow::Result<String> {
    ensure!(valid_key_name(&args.name), "{:?} cannot be a key's name; write 1 to 100 visible ASCII characters without : and %", args.name);
    if let Some(user) = &args.user {
        ensure!(valid_user_name(user), "{user:?} cannot be a user's name: it is empty, too long, or holds invisible characters");
    }
    let paths = args.paths.iter().map(|text| text.parse()).collect::<Result<Vec<PathPattern>, String>>().map_err(anyhow::Error::msg)?;
    let secret = Keys::new_secret()?;
    let key = ApiKey {
        name: args.name.clone(),
        secret: Some(secret.clone()),
        user: args.user.clone(),
        impersonate: args.impersonate,
        paths,
        ..ApiKey::default()
    };
    ensure!(db.add_key(&key).await?, "there is a key named {:?} already, in use or revoked; choose another name", args.name);
    shown_once(&args.name, &secret, args.json)
}

async fn list(db: &Db, as_json: bool) -> anyhow::Result<String> {
    let keys = db.list_keys().await?;
    if as_json {
        let keys: Vec<_> = keys.iter().map(to_json).collect();
        return Ok(format!("{}\n", serde_json::Value::from(keys)));
    }
    let rows: Vec<_> = keys
        .iter()
        .map(|key| {
            let state = match key.revoked {
                Some(_) => "revoked",
                None if key.rotating => "rotating",
                None => "good",
            };
            let impersonate = if key.impersonate { "yes" } else { "no" };
            let user = key.user.as_ref().unwrap_or(&key.name);
            [key.name.clone(), user.clone(), impersonate.to_owned(), cell(&key.paths), date(key.created), state.to_owned()]
        })
        .collect();
    Ok(table(["NAME", "USER", "IMPERSONATE", "PATHS", "CREATED", "STATE"], &rows))
}

async fn revoke(db: &Db, name: &str) -> anyhow::Result<String> {
    ensure!(db.revoke_key(name).await?, "there is no key named {name:?} that could be revoked");
    Ok(format!("key {name} is revoked\n"))
}

async fn rotate(db: &Db, args: &Rotate) -> anyhow::Result<String> {
    let name = &args.name;
    if args.finish {
        return match db.finish_rotation(name).await? {
            Rotation::Done => Ok(format!("key {name} has its new secret alone\n")),
            Rotation::NoSuchKey => bail!("there is no key named {name:?}, or it was revoked"),
            Rotation::NotNow => bail!("key {name:?} has no second secret; begin with: doorward key rotate {name}"),
        };
    }
    let secret = Keys::new_secret()?;
    match db.begin_rotation(name, secret.clone()).await? {
        Rotation::Done => shown_once(name, &secret, args.json),
        Rotation::NoSuchKey => bail!("there is no key named {name:?}, or it was revoked"),
        Rotation::NotNow => bail!("key {name:?} has a second secret already; make it the only one with: doorward key rotate {name} --finish"),
    }
}

fn shown_once(name: &str, secret: &Secret, as_json: bool) -> anyhow::Result<String> {
    let secret = std::str::from_utf8(secret.expose())?;
    if as_json {
        return Ok(format!("{}\n", json!({"name": name, "secret": secret})));
    }
    Ok(format!("the secret of key {name}, shown this once:\n{secret}\n"))
}

/// What fits between the word FOST and the colon without being escaped.
fn valid_key_name(name: &str) -> bool {
    (1..=100).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic() && b != b':' && b != b'%')
}

fn to_json(key: &KeyListing) -> serde_json::Value {
    json!({
        "name": key.name, "user": key.user, "impersonate": key.impersonate, "paths": key.paths, "rotating": key.rotating,
        "created": date(key.created), "revoked": key.revoked.map(date),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    async fn store() -> (Db, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/d.db", dir.path().display());
        (Db::open(&url, &tokio::runtime::Handle::current()).await.unwrap(), dir)
    }

    async fn key(db: &Db, line: &str) -> anyhow::Result<String> {
        let words = std::iter::once("key").chain(line.split(' '));
        match Line::try_parse_from(words)?.args.command {
            Command::Add(args) => add(db, &args).await,
            Command::List(args) => list(db, args.json).await,
            Command::Revoke(args) => revoke(db, &args.name).await,
            Command::Rotate(args) => rotate(db, &args).await,
        }
    }

    fn secret(answer: &str) -> String {
        let answer: serde_json::Value = serde_json::from_str(answer).unwrap();
        answer["secret"].as_str().unwrap().to_owned()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_added_keys_secret_is_what_the_store_verifies_with() {
        let (db, _dir) = store().await;
        let answer = key(&db, "add aspnet --user webshop --impersonate --path /api/** --path /x --json").await.unwrap();
        let stored = db.key("aspnet").await.unwrap().unwrap();
        assert_eq!((secret(&answer).as_bytes(), secret(&answer).len()), (stored.secret.unwrap().expose(), 43));
        assert_eq!((stored.user.as_deref(), stored.impersonate, stored.paths.len()), (Some("webshop"), true, 2));
        let plain = key(&db, "add other").await.unwrap();
        let stored = db.key("other").await.unwrap().unwrap();
        assert_eq!(plain.lines().last().unwrap().as_bytes(), stored.secret.unwrap().expose());
        let listed = key(&db, "list --json").await.unwrap() + &key(&db, "list").await.unwrap();
        assert!(listed.contains("aspnet") && !listed.contains(&secret(&answer)));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_rotation_is_two_steps_and_each_only_once() {
        let (db, _dir) = store().await;
        let old = secret(&key(&db, "add a --json").await.unwrap());
        assert!(key(&db, "rotate a --finish").await.unwrap_err().to_string().contains("begin with"));
        let new = secret(&key(&db, "rotate a --json").await.unwrap());
        assert!(key(&db, "rotate a").await.unwrap_err().to_string().contains("--finish"));
        let both = db.key("a").await.unwrap().unwrap();
        assert_eq!((both.secret.unwrap().expose(), both.next_secret.unwrap().expose()), (old.as_bytes(), new.as_bytes()));
        key(&db, "rotate a --finish").await.unwrap();
        assert_eq!(db.key("a").await.unwrap().unwrap().secret.unwrap().expose(), new.as_bytes());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_cannot_be_done_is_said_and_changes_nothing() {
        let (db, _dir) = store().await;
        key(&db, "add taken").await.unwrap();
        key(&db, "add gone").await.unwrap();
        key(&db, "revoke gone").await.unwrap();
        let long = format!("add {}", "a".repeat(101));
        for (line, expected) in [
            ("add taken", "already"),
            ("add gone", "already"),
            ("add a:b", "visible ASCII"),
            ("add a%b", "visible ASCII"),
            ("add é", "visible ASCII"),
            (long.as_str(), "visible ASCII"),
            ("add b --path api", "starts with '/'"),
            ("add b --path /a --path /**/x", "stand"),
            ("add b --user \u{200b}x", "invisible"),
            ("revoke gone", "no key"),
            ("revoke none", "no key"),
            ("rotate none", "no key"),
            ("rotate gone --finish", "no key"),
        ] {
            let error = key(&db, line).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{line}: {error}");
        }
        assert_eq!(db.list_keys().await.unwrap().len(), 2);
        assert!(key(&db, "rotate taken --finish --json").await.is_err());
    }
}
