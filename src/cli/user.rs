//! `doorward user`.

use std::io::Read;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Subcommand;
use doorward::auth::valid_user_name;
use doorward::store::passwords::{MAX_PASSWORD_BYTES, hash_password};
use doorward::store::revocations::Revocation;
use doorward::store::sql::{Db, NewUser, UserListing};
use doorward::types::Secret;
use serde_json::json;
use zeroize::Zeroizing;

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
    /// Add a user; the password is asked for on the terminal
    Add(Add),
    /// List the users
    List(List),
    /// Keep a user out: by password and by token
    ///
    /// A Doorward that serves follows within cache.max_age; at once if cache.shared is set.
    Disable(Named),
    /// Let a disabled user in again
    Enable(Named),
    /// Give a user another password; it is asked for on the terminal
    ///
    /// A Doorward that serves accepts the old password until cache.max_age has passed; no longer if cache.shared is set.
    Passwd(Passwd),
}

#[derive(Debug, clap::Args)]
struct Add {
    /// The user's name
    name: String,
    /// A group that the user is in; may be repeated
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// E-mail address
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// Take the first line of standard input as the password
    #[arg(long)]
    password_stdin: bool,
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
struct Named {
    /// The user's name
    name: String,
    #[command(flatten)]
    config: ConfigPath,
}

#[derive(Debug, clap::Args)]
struct Passwd {
    /// The user's name
    name: String,
    /// Take the first line of standard input as the password
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    config: ConfigPath,
}

/// Runs it.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Add(args) => open_store::answer(&args.config, |db| async move { add(&db, args, || password(args.password_stdin)).await }),
        Command::List(args) => open_store::answer(&args.config, |db| async move { list(&db, args.json).await }),
        Command::Disable(args) => {
            open_store::answer_and_tell(
                &args.config,
                Revocation::FactsAbout(&args.name),
                |db| async move { set_disabled(&db, &args.name, true).await },
            )
        }
        Command::Enable(args) => {
            open_store::answer_and_tell(
                &args.config,
                Revocation::FactsAbout(&args.name),
                |db| async move { set_disabled(&db, &args.name, false).await },
            )
        }
        Command::Passwd(args) => open_store::answer_and_tell(&args.config, Revocation::FactsAbout(&args.name), |db| async move {
            passwd(&db, &args.name, || password(args.password_stdin)).await
        }),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// Everything else is judged before the password is asked for.
async fn add(db: &Db, args: &Add, password: impl FnOnce() -> anyhow::Result<Secret>) -> anyhow::Result<String> {
    let name = &args.name;
    ensure!(valid_user_name(name), "{name:?} cannot be a user's name: it is empty, too long, or holds invisible characters");
    // RFC 7617 section 2: what stands after the first colon is the password.
    ensure!(!name.contains(':'), "{name:?} cannot be a user's name: no client could send the colon in it");
    for group in &args.groups {
        ensure!(
            valid_user_name(group) && !group.contains(','),
            "{group:?} cannot be a group's name: it is empty, too long, or holds a comma or invisible characters"
        );
    }
    if let Some(email) = &args.email {
        ensure!(valid_email(email), "{email:?} is not an e-mail address");
    }
    ensure!(db.user(name).await?.is_none(), "there is a user named {name:?} already");
    let password_hash = hash_password(&password()?)?;
    let user = NewUser { name: name.clone(), password_hash, email: args.email.clone(), groups: args.groups.clone() };
    ensure!(db.add_user(user).await?, "there is a user named {name:?} already");
    Ok(format!("user {name} is added\n"))
}

async fn passwd(db: &Db, name: &str, password: impl FnOnce() -> anyhow::Result<Secret>) -> anyhow::Result<String> {
    ensure!(db.user(name).await?.is_some(), "there is no user named {name:?}");
    let hash = hash_password(&password()?)?;
    ensure!(db.set_password_hash(name, hash).await?, "there is no user named {name:?}");
    Ok(format!("user {name} has a new password\n"))
}

async fn set_disabled(db: &Db, name: &str, disabled: bool) -> anyhow::Result<String> {
    ensure!(db.set_disabled(name, disabled).await?, "there is no user named {name:?}");
    Ok(format!("user {name} is {}\n", if disabled { "disabled" } else { "enabled" }))
}

async fn list(db: &Db, as_json: bool) -> anyhow::Result<String> {
    let users = db.list_users().await?;
    if as_json {
        let users: Vec<_> = users.iter().map(to_json).collect();
        return Ok(format!("{}\n", serde_json::Value::from(users)));
    }
    let rows: Vec<_> = users
        .iter()
        .map(|user| {
            let state = if user.disabled { "disabled" } else { "good" };
            let email = user.email.as_deref().unwrap_or("-");
            [user.name.clone(), email.to_owned(), cell(&user.groups), date(user.created), state.to_owned()]
        })
        .collect();
    Ok(table(["NAME", "E-MAIL", "GROUPS", "CREATED", "STATE"], &rows))
}

fn password(from_stdin: bool) -> anyhow::Result<Secret> {
    if from_stdin {
        return first_line(std::io::stdin().lock());
    }
    let no_terminal = "the password could not be read from the terminal; without one, use --password-stdin";
    let once = Zeroizing::new(rpassword::prompt_password("Password: ").context(no_terminal)?);
    let twice = Zeroizing::new(rpassword::prompt_password("Once more: ").context(no_terminal)?);
    ensure!(*once == *twice, "the two passwords differ");
    Ok(Secret::new(once.as_bytes()))
}

/// The first line without its end. A longer password than is allowed comes out too long, and is refused as such.
fn first_line(input: impl Read) -> anyhow::Result<Secret> {
    // With room for all, so that no copy is left behind when the buffer grows.
    let limit = MAX_PASSWORD_BYTES + 3;
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit + 1));
    input.take(limit as u64).read_to_end(&mut bytes).context("the password could not be read from standard input")?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(Secret::new(line.strip_suffix(b"\r").unwrap_or(line)))
}

fn valid_email(email: &str) -> bool {
    valid_user_name(email)
        && !email.contains([' ', ','])
        && email.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'))
}

fn to_json(user: &UserListing) -> serde_json::Value {
    json!({"name": user.name, "email": user.email, "groups": user.groups, "disabled": user.disabled, "created": date(user.created)})
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

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

    /// Runs a line; a password that is asked for is `typed`.
    async fn user(db: &Db, line: &str, typed: &str) -> anyhow::Result<String> {
        let words = std::iter::once("user").chain(line.split(' '));
        let password = || Ok(Secret::new(typed));
        match Line::try_parse_from(words)?.args.command {
            Command::Add(args) => add(db, &args, password).await,
            Command::List(args) => list(db, args.json).await,
            Command::Disable(args) => set_disabled(db, &args.name, true).await,
            Command::Enable(args) => set_disabled(db, &args.name, false).await,
            Command::Passwd(args) => passwd(db, &args.name, password).await,
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_user_is_added_listed_disabled_and_gets_another_password() {
        let (db, _dir) = store().await;
        user(&db, "add alice --group staff --group ops --email a@example.com", "first").await.unwrap();
        let added = db.user("alice").await.unwrap().unwrap();
        assert_eq!((added.email.as_deref(), &added.groups[..]), (Some("a@example.com"), &["staff".to_owned(), "ops".to_owned()][..]));
        assert!(added.password_hash.expose().starts_with(b"$argon2id$"));
        let listed = user(&db, "list --json", "").await.unwrap() + &user(&db, "list", "").await.unwrap();
        assert!(listed.contains("alice") && listed.contains("staff ops") && !listed.contains("argon2"));
        user(&db, "disable alice", "").await.unwrap();
        assert!(db.user("alice").await.unwrap().unwrap().disabled);
        user(&db, "enable alice", "").await.unwrap();
        user(&db, "passwd alice", "second").await.unwrap();
        let changed = db.user("alice").await.unwrap().unwrap();
        assert!(!changed.disabled && changed.password_hash.expose() != added.password_hash.expose());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_cannot_be_done_is_said_before_a_password_is_asked_for() {
        let (db, _dir) = store().await;
        user(&db, "add taken", "x").await.unwrap();
        for (line, expected) in [
            ("add taken", "already"),
            ("add ", "user's name"),
            ("add a:b", "colon"),
            ("add a\u{202e}b", "user's name"),
            ("add b --group a,b", "group's name"),
            ("add b --group ", "group's name"),
            ("add b --email nobody", "e-mail"),
            ("add b --email a@b@c", "e-mail"),
            ("passwd none", "no user"),
        ] {
            let asked = Cell::new(false);
            let password = || {
                asked.set(true);
                Ok(Secret::new("x"))
            };
            let words = std::iter::once("user").chain(line.split(' '));
            let error = match Line::try_parse_from(words).unwrap().args.command {
                Command::Add(args) => add(&db, &args, password).await,
                Command::Passwd(args) => passwd(&db, &args.name, password).await,
                Command::List(_) | Command::Disable(_) | Command::Enable(_) => unreachable!("{line}"),
            };
            let error = error.unwrap_err().to_string();
            assert!(error.contains(expected) && !asked.get(), "{line}: {error}");
        }
        for line in ["disable none", "enable none"] {
            assert!(user(&db, line, "").await.unwrap_err().to_string().contains("no user"), "{line}");
        }
        for (typed, expected) in [("", "empty"), ("a\tb", "control"), (&"a".repeat(1025), "longer")] {
            assert!(user(&db, "add b", typed).await.unwrap_err().to_string().contains(expected), "{typed:?}");
        }
        assert_eq!(db.list_users().await.unwrap().len(), 1);
    }

    #[test]
    fn the_first_line_is_the_password_and_its_end_is_not() {
        for (input, password) in [("a b\n", "a b"), ("a", "a"), ("a\r\nrest\n", "a"), (" a \n\n", " a "), ("\nx", ""), ("", "")] {
            assert_eq!(first_line(input.as_bytes()).unwrap().expose(), password.as_bytes(), "{input:?}");
        }
        let endless = std::io::repeat(b'a');
        assert!(hash_password(&first_line(endless).unwrap()).is_err(), "not cut to a shorter password");
    }
}
