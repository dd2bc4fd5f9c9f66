//! `doorward token`.

use std::process::ExitCode;

use anyhow::{anyhow, ensure};
use clap::Subcommand;
use doorward::auth::valid_user_name;
use doorward::store::revocations::Revocation;
use doorward::store::sql::{Db, TokenListing};
use doorward::store::tokens;
use doorward::types::{HumanDuration, unix_now};
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
    /// Issue a bearer token and print it, which is done this once
    Issue(Issue),
    /// List the tokens by their ids; the tokens themselves are not stored
    List(List),
    /// Refuse a token from now on
    ///
    /// A Doorward that serves follows within cache.max_age; at once if cache.shared is set.
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
struct Issue {
    /// Whose token it is; need not be a user of the store
    #[arg(long, value_name = "USER")]
    user: String,
    /// What it may be used for; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// How long it lasts, such as 30m, 12h or 90d
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    ttl: String,
    /// Print {"token":…,"expires_at":…,"id":…}
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
    /// The token's id, as `doorward token list` shows it
    id: String,
    #[command(flatten)]
    config: ConfigPath,
}

/// Runs it.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Issue(args) => open_store::answer(&args.config, |db| async move { issue(&db, args).await }),
        Command::List(args) => open_store::answer(&args.config, |db| async move { list(&db, args.json, unix_now()).await }),
        Command::Revoke(args) => {
            open_store::answer_and_tell(&args.config, Revocation::StoredToken(&args.id), |db| async move { revoke(&db, &args.id).await })
        }
    }?;
    Ok(ExitCode::SUCCESS)
}

async fn issue(db: &Db, args: &Issue) -> anyhow::Result<String> {
    let user = &args.user;
    ensure!(valid_user_name(user), "{user:?} cannot be a user's name: it is empty, too long, or holds invisible characters");
    for scope in &args.scopes {
        ensure!(valid_scope(scope), "{scope:?} is not one scope; write visible ASCII without blanks, quotes and backslashes, once for each --scope");
    }
    let ttl: HumanDuration = args.ttl.parse().map_err(|error: String| anyhow!("--ttl: {error}"))?;
    ensure!(ttl.0.as_secs() > 0, "--ttl: a token lasts a second at least");
    ensure!(!db.user(user).await?.is_some_and(|user| user.disabled), "user {user:?} is disabled; the token would not be accepted");
    let issued = tokens::issue(db, user, &args.scopes, i64::try_from(ttl.0.as_secs())?).await?;
    let expires = date(issued.expires);
    if args.json {
        return Ok(format!("{}\n", json!({"token": issued.token.as_str(), "expires_at": expires, "id": issued.id})));
    }
    Ok(format!("the token {} of {user}, good until {expires}, shown this once:\n{}\n", issued.id, *issued.token))
}

async fn list(db: &Db, as_json: bool, now: i64) -> anyhow::Result<String> {
    let tokens = db.list_tokens().await?;
    if as_json {
        let tokens: Vec<_> = tokens.iter().map(to_json).collect();
        return Ok(format!("{}\n", serde_json::Value::from(tokens)));
    }
    let rows: Vec<_> = tokens
        .iter()
        .map(|token| {
            let state = match token.revoked {
                Some(_) => "revoked",
                None if token.expires <= now => "expired",
                None => "good",
            };
            [token.id.clone(), token.user.clone(), cell(&token.scopes), date(token.created), date(token.expires), state.to_owned()]
        })
        .collect();
    Ok(table(["ID", "USER", "SCOPES", "CREATED", "EXPIRES", "STATE"], &rows))
}

async fn revoke(db: &Db, id: &str) -> anyhow::Result<String> {
    // A token given by mistake for its id must not be repeated in the error.
    ensure!(id.len() == 12 && id.bytes().all(|b| b.is_ascii_hexdigit()), "a token's id has 12 hexadecimal digits; see: doorward token list");
    let id = id.to_ascii_lowercase();
    ensure!(db.revoke_token(&id).await?, "there is no token with the id {id} that could be revoked");
    Ok(format!("token {id} is revoked\n"))
}

/// A scope-token of RFC 6749 section 3.3.
fn valid_scope(scope: &str) -> bool {
    (1..=255).contains(&scope.len()) && scope.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}

fn to_json(token: &TokenListing) -> serde_json::Value {
    json!({
        "id": token.id, "user": token.user, "scopes": token.scopes,
        "created": date(token.created), "expires_at": date(token.expires), "revoked": token.revoked.map(date),
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use doorward::store::sql::NewUser;

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

    async fn token(db: &Db, line: &str) -> anyhow::Result<String> {
        let words = std::iter::once("token").chain(line.split(' '));
        match Line::try_parse_from(words)?.args.command {
            Command::Issue(args) => issue(db, &args).await,
            Command::List(args) => list(db, args.json, unix_now()).await,
            Command::Revoke(args) => revoke(db, &args.id).await,
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_issued_token_is_printed_once_and_listed_by_its_id() {
        let (db, _dir) = store().await;
        let before = unix_now();
        let answer = token(&db, "issue --user alice --scope read --scope write --ttl 2h --json").await.unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        let (text, id) = (answer["token"].as_str().unwrap(), answer["id"].as_str().unwrap());
        assert!(text.starts_with("dw_") && text.len() == 46);
        let [stored] = &db.list_tokens().await.unwrap()[..] else { panic!("one token") };
        assert_eq!((stored.id.as_str(), stored.user.as_str()), (id, "alice"));
        assert_eq!(stored.scopes, ["read", "write"]);
        assert!((before + 7200..=unix_now() + 7200).contains(&stored.expires));
        assert_eq!(answer["expires_at"], date(stored.expires));
        let listed = token(&db, "list --json").await.unwrap() + &token(&db, "list").await.unwrap();
        assert!(listed.contains(id) && listed.contains("good") && !listed.contains(text));
        token(&db, &format!("revoke {}", id.to_uppercase())).await.unwrap();
        assert!(token(&db, "list").await.unwrap().contains("revoked"));
        let plain = token(&db, "issue --user bob").await.unwrap();
        assert!(plain.lines().last().unwrap().starts_with("dw_"));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_cannot_be_done_is_said_and_changes_nothing() {
        let (db, _dir) = store().await;
        db.add_user(NewUser { name: "eve".to_owned(), password_hash: "-".to_owned(), email: None, groups: Vec::new() }).await.unwrap();
        db.set_disabled("eve", true).await.unwrap();
        for (line, expected) in [
            ("issue --user ", "user's name"),
            ("issue --user a\u{200b}", "user's name"),
            ("issue --user eve", "disabled"),
            ("issue --user a --scope é", "not one scope"),
            ("issue --user a --scope \"", "not one scope"),
            ("issue --user a --ttl 1", "--ttl"),
            ("issue --user a --ttl 0s", "--ttl"),
            ("issue --user a --ttl 999ms", "--ttl"),
            ("revoke 0123456789ab", "no token"),
            ("revoke dw_secret", "12 hexadecimal"),
        ] {
            let error = token(&db, line).await.unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("dw_secret"), "{line}: {error}");
        }
        assert!(db.list_tokens().await.unwrap().is_empty());
    }
}
