//! `doorward key add`.

use std::path::PathBuf;

use anyhow::{anyhow, ensure};
use doorward::auth::{ALGORITHMS, valid_scope, valid_user_name};
use doorward::store::keys::{ApiKey, Keys};
use doorward::store::sql::Db;
use doorward::types::{HumanDuration, Moment, PathPattern, Secret};
use serde_json::json;

use super::{ConfigPath, read_public_key, shown_once, valid_key_name};

#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// The key's name, as clients send it: visible ASCII without : and %
    name: String,
    /// Whom the key stands for [default: the key's own name]
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// A group of that user; may be repeated
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// What requests with the key may do; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// An algorithm that the key may sign with, such as hmac-sha256; may be repeated [default: all of its scheme]
    #[arg(long = "algorithm", value_name = "NAME")]
    algorithms: Vec<String>,
    /// The holder's public key (PEM), in place of a secret
    #[arg(long, value_name = "FILE")]
    public_key_file: Option<PathBuf>,
    /// Let the key act for other users
    #[arg(long)]
    impersonate: bool,
    /// A path that the key may call, such as "/api/**"; may be repeated [default: all]
    #[arg(long = "path", value_name = "PATTERN")]
    paths: Vec<String>,
    /// When the key begins to be good: 2027-01-31T12:00:00Z, or 2027-01-31 [default: at once]
    #[arg(long, value_name = "MOMENT")]
    not_before: Option<String>,
    /// From when on the key is good no longer [default: never]
    #[arg(long, value_name = "MOMENT")]
    expires: Option<String>,
    /// How long the key is good, such as 12h or 90d
    #[arg(long, value_name = "DURATION", conflicts_with = "expires")]
    ttl: Option<String>,
    /// Print {"name":…,"secret":…}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(super) config: ConfigPath,
}

pub(super) async fn add(db: &Db, args: &Add, now: i64) -> anyhow::Result<String> {
    let key = checked(args, now)?;
    ensure!(db.add_key(&key).await?, "there is a key named {:?} already, in use or revoked; choose another name", args.name);
    match &key.secret {
        Some(secret) => shown_once(&args.name, secret, args.json),
        None if args.json => Ok(format!("{}\n", json!({"name": key.name, "secret": null}))),
        None => Ok(format!("key {} is added, with the public key\n", key.name)),
    }
}

fn checked(args: &Add, now: i64) -> anyhow::Result<ApiKey> {
    ensure!(valid_key_name(&args.name), "{:?} cannot be a key's name; write 1 to 100 visible ASCII characters without : and %", args.name);
    for user in args.user.iter().chain(&args.groups) {
        ensure!(valid_user_name(user), "{user:?} cannot be a user's or group's name: it is empty, too long, or holds invisible characters");
    }
    for scope in &args.scopes {
        ensure!(valid_scope(scope), "{scope:?} is not one scope; write visible ASCII without blanks, quotes and backslashes, once for each --scope");
    }
    for algorithm in &args.algorithms {
        ensure!(ALGORITHMS.contains(&algorithm.as_str()), "{algorithm:?} is no algorithm that a scheme knows; there are {}", ALGORITHMS.join(", "));
        let fits = algorithm.starts_with("hmac-") == args.public_key_file.is_none();
        ensure!(
            fits,
            "{algorithm} goes with {}",
            if args.public_key_file.is_none() { "--public-key-file" } else { "a secret, not with a public key" }
        );
    }
    let public_key = args.public_key_file.as_deref().map(read_public_key).transpose()?;
    let secret: Option<Secret> = if public_key.is_none() { Some(Keys::new_secret()?) } else { None };
    let (not_before, expires) = life(args, now)?;
    Ok(ApiKey {
        name: args.name.clone(),
        secret,
        public_key,
        user: args.user.clone(),
        groups: args.groups.clone(),
        scopes: args.scopes.clone(),
        algorithms: args.algorithms.clone(),
        impersonate: args.impersonate,
        paths: args.paths.iter().map(|text| text.parse()).collect::<Result<Vec<PathPattern>, String>>().map_err(anyhow::Error::msg)?,
        not_before,
        expires,
        ..ApiKey::default()
    })
}

fn life(args: &Add, now: i64) -> anyhow::Result<(Option<i64>, Option<i64>)> {
    let moment = |option: &str, text: &Option<String>| -> anyhow::Result<Option<i64>> {
        let moment = text.as_deref().map(str::parse::<Moment>).transpose().map_err(|error| anyhow!("--{option}: {error}"))?;
        Ok(moment.map(|moment| moment.0))
    };
    let not_before = moment("not-before", &args.not_before)?;
    let expires = match args.ttl.as_deref().map(str::parse::<HumanDuration>).transpose().map_err(|error| anyhow!("--ttl: {error}"))? {
        Some(ttl) => Some(not_before.unwrap_or(now).saturating_add(i64::try_from(ttl.0.as_secs())?)),
        None => moment("expires", &args.expires)?,
    };
    if let Some(expires) = expires {
        ensure!(expires > not_before.unwrap_or(now).max(now), "the key would never be good: it ends before it begins, or has ended");
    }
    Ok((not_before, expires))
}
