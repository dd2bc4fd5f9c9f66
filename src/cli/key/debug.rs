//! `doorward key debug`.

use anyhow::{anyhow, ensure};
use doorward::store::sql::Db;
use doorward::types::HumanDuration;

use super::ConfigPath;
use crate::cli::table::date;

/// Nobody debugs for longer, in seconds; whoever does, says so again.
const LONGEST: u64 = 24 * 3600;

#[derive(Debug, clap::Args)]
pub(super) struct Debug {
    /// The key's name
    name: String,
    /// For how long, at most 24h
    #[arg(long = "for", value_name = "DURATION", default_value = "1h")]
    period: String,
    /// No longer
    #[arg(long, conflicts_with = "period")]
    off: bool,
    #[command(flatten)]
    pub(super) config: ConfigPath,
}

pub(super) async fn debug(db: &Db, args: &Debug, now: i64) -> anyhow::Result<String> {
    let period: HumanDuration = args.period.parse().map_err(|error| anyhow!("--for: {error}"))?;
    ensure!((1..=LONGEST).contains(&period.0.as_secs()), "--for: write at least 1s and at most 24h");
    let until = now.saturating_add(i64::try_from(period.0.as_secs())?);
    let name = &args.name;
    ensure!(db.set_key_debugged(name, (!args.off).then_some(until)).await?, "there is no key named {name:?}, or it was revoked");
    Ok(if args.off {
        format!("key {name} is not debugged any longer\n")
    } else {
        format!("until {} the log shows what should have been signed with key {name}, wherever a signature does not match\n", date(until))
    })
}
