//! `doorward key list`.

use doorward::store::sql::{Db, KeyListing};
use serde_json::json;

use crate::cli::table::{cell, date, table};

pub(super) async fn list(db: &Db, as_json: bool, now: i64) -> anyhow::Result<String> {
    let keys = db.list_keys().await?;
    if as_json {
        let keys: Vec<_> = keys.iter().map(|key| to_json(key, now)).collect();
        return Ok(format!("{}\n", serde_json::Value::from(keys)));
    }
    let rows: Vec<_> = keys.iter().map(|key| row(key, now)).collect();
    Ok(table(["NAME", "KIND", "USER", "GROUPS", "SCOPES", "IMPERSONATE", "PATHS", "EXPIRES", "LAST USED", "STATE"], &rows))
}

fn row(key: &KeyListing, now: i64) -> [String; 10] {
    let moment = |at: Option<i64>| at.map_or_else(|| "-".to_owned(), date);
    [
        key.name.clone(),
        kind(key).to_owned(),
        key.user.as_ref().unwrap_or(&key.name).clone(),
        cell(&key.groups),
        cell(&key.scopes),
        if key.impersonate { "yes" } else { "no" }.to_owned(),
        cell(&key.paths),
        moment(key.expires),
        moment(key.last_used),
        format!("{}{}", state(key, now), if is_debugged(key, now) { ", debugged" } else { "" }),
    ]
}

/// Why the key is not good, or that it is.
fn state(key: &KeyListing, now: i64) -> &'static str {
    if key.revoked.is_some() {
        "revoked"
    } else if key.disabled {
        "disabled"
    } else if key.expires.is_some_and(|ends| ends <= now) {
        "expired"
    } else if key.not_before.is_some_and(|begins| now < begins) {
        "not yet"
    } else if key.rotating {
        "rotating"
    } else {
        "good"
    }
}

fn is_debugged(key: &KeyListing, now: i64) -> bool {
    key.debug_until.is_some_and(|until| now < until)
}

fn kind(key: &KeyListing) -> &'static str {
    match (key.has_secret, key.has_public_key) {
        (true, false) => "secret",
        (false, true) => "public",
        (true, true) | (false, false) => "damaged",
    }
}

fn to_json(key: &KeyListing, now: i64) -> serde_json::Value {
    json!({
        "name": key.name, "kind": kind(key), "user": key.user, "groups": key.groups, "scopes": key.scopes, "algorithms": key.algorithms,
        "impersonate": key.impersonate, "paths": key.paths, "rotating": key.rotating, "disabled": key.disabled, "state": state(key, now),
        "not_before": key.not_before.map(date), "expires": key.expires.map(date), "last_used": key.last_used.map(date),
        "debug_until": key.debug_until.filter(|_| is_debugged(key, now)).map(date), "created": date(key.created), "revoked": key.revoked.map(date),
    })
}
