//! `doorward key`.

mod add;
mod debug;
mod import;
mod list;
mod rotate;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Subcommand;
use doorward::store::jwks::PublicKey;
use doorward::store::revocations::Revocation;
use doorward::store::sql::Db;
use doorward::types::{Secret, unix_now};
use serde_json::json;

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
    /// The secret is random. With --json it is printed as {"name":…,"secret":…}. With --public-key-file there is no secret:
    /// the holder signs with a private key that only the holder has.
    #[command(after_long_help = super::help::KEY_ADD)]
    Add(add::Add),
    /// List the keys, without their secrets
    List(List),
    /// Refuse a key from now on
    ///
    /// A Doorward that serves on the same store follows within a second or so. The name of a revoked key is not given again.
    Revoke(Name),
    /// Refuse a key until it is enabled again
    Disable(Name),
    /// Let a disabled key in again
    Enable(Name),
    /// Have the log show what should have been signed with a key, for an hour
    ///
    /// Wherever a signature of this key does not match, the log then holds the string that should have been signed: path, query,
    /// headers; of a body its length and SHA-256; never the secret and no credential. It ends by itself.
    Debug(debug::Debug),
    /// Change a key's secret in two steps, so that no request is refused meanwhile
    ///
    /// First `doorward key rotate NAME` makes a second secret and prints it, this once: Doorward accepts the old and
    /// the new one. Give the new secret to the key's holder. When every client uses it,
    /// `doorward key rotate NAME --finish` makes it the only one. A public key is changed with --public-key-file.
    Rotate(rotate::Rotate),
    /// Take over the keys of another gateway
    ///
    /// Reads the declarative configuration of Kong (consumers with hmacauth_credentials and acls) or APISIX (consumers with
    /// hmac-auth), or the tables of dj-api-auth, and says of each key whether it was taken and why not. Whatever a key may
    /// not be given exactly is left out, never widened. A key that is there already stays as it is without --replace.
    #[command(after_long_help = super::help::KEY_IMPORT)]
    Import(import::Import),
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
struct Name {
    /// The key's name
    name: String,
    #[command(flatten)]
    config: ConfigPath,
}

/// Runs it.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Add(args) => open_store::answer(&args.config, |db| async move { add::add(&db, args, unix_now()).await }),
        Command::List(args) => open_store::answer(&args.config, |db| async move { list::list(&db, args.json, unix_now()).await }),
        Command::Revoke(args) => {
            open_store::answer_and_tell(&args.config, Revocation::Key(&args.name), |db| async move { revoke(&db, &args.name).await })
        }
        Command::Disable(args) => open_store::answer(&args.config, |db| async move { set_disabled(&db, &args.name, true).await }),
        Command::Enable(args) => open_store::answer(&args.config, |db| async move { set_disabled(&db, &args.name, false).await }),
        Command::Debug(args) => open_store::answer(&args.config, |db| async move { debug::debug(&db, args, unix_now()).await }),
        Command::Rotate(args) => open_store::answer(&args.config, |db| async move { rotate::rotate(&db, args).await }),
        Command::Import(args) => {
            // What is to be taken over is read before the store is opened: a mistake in it leaves no trace.
            let source = import::read(args)?;
            open_store::answer(&args.config, |db| async move { import::import(&db, args, &source).await })
        }
    }?;
    Ok(ExitCode::SUCCESS)
}

async fn revoke(db: &Db, name: &str) -> anyhow::Result<String> {
    ensure!(db.revoke_key(name).await?, "there is no key named {name:?} that could be revoked");
    Ok(format!("key {name} is revoked\n"))
}

async fn set_disabled(db: &Db, name: &str, disabled: bool) -> anyhow::Result<String> {
    ensure!(db.set_key_disabled(name, disabled).await?, "there is no key named {name:?}, or it was revoked");
    Ok(format!("key {name} is {}\n", if disabled { "disabled" } else { "enabled" }))
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

fn read_public_key(file: &std::path::Path) -> anyhow::Result<String> {
    let pem = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    if let Err(why) = PublicKey::from_pem(pem.as_bytes()) {
        anyhow::bail!("{} is not the public key of an RSA, P-256, P-384 or Ed25519 pair as -----BEGIN PUBLIC KEY-----: {why}", file.display());
    }
    Ok(pem)
}
