//! APISIX: consumers and their credentials, in its standalone file, as its Admin API lists them, or as ADC dumps them.
//!
//! ```text
//! consumers:
//! - username: jack
//!   plugins: {hmac-auth: {key_id: …, secret_key: …}}                   before 3.11: access_key, secret_key, algorithm
//!   credentials: [{plugins: {hmac-auth: …}}, {type: hmac-auth, config: …}]
//! - {id: jack/credentials/one, plugins: {hmac-auth: …}}
//! {"list": [{"key": "/apisix/consumers/jack", "value": {"username": "jack", "plugins": …}}]}
//! ```

use std::collections::BTreeMap;

use doorward::auth::ALGORITHMS;
use doorward::store::keys::ApiKey;
use doorward::types::Secret;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Found, document};

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    consumers: Vec<Consumer>,
    #[serde(default)]
    list: Vec<Listed>,
    value: Option<Consumer>,
}

#[derive(Deserialize)]
struct Listed {
    key: Option<String>,
    value: Consumer,
}

#[derive(Deserialize)]
struct Consumer {
    id: Option<String>,
    username: Option<String>,
    group_id: Option<String>,
    #[serde(default)]
    plugins: Plugins,
    #[serde(default)]
    credentials: Vec<Credential>,
}

#[derive(Default, Deserialize)]
struct Plugins {
    #[serde(rename = "hmac-auth")]
    hmac: Option<Hmac>,
    #[serde(flatten)]
    others: BTreeMap<String, IgnoredAny>,
}

#[derive(Deserialize)]
struct Credential {
    #[serde(default)]
    plugins: Plugins,
    #[serde(rename = "type")]
    kind: Option<String>,
    config: Option<Hmac>,
}

#[derive(Deserialize)]
struct Hmac {
    #[serde(alias = "access_key")]
    key_id: Option<String>,
    secret_key: Option<Secret>,
    algorithm: Option<String>,
}

/// The keys of a configuration.
pub(super) fn keys(text: &str) -> anyhow::Result<Vec<Found>> {
    let document: Document = document::read(text)?;
    let mut found = Vec::new();
    let listed = document.list.into_iter().map(|listed| (listed.key, listed.value));
    let plain = document.consumers.into_iter().chain(document.value).map(|consumer| (None, consumer));
    for (path, consumer) in plain.chain(listed) {
        // A credential that stands apart names its consumer in its path.
        let path = path.or_else(|| consumer.id.clone());
        let apart = path.as_deref().and_then(|path| path.split_once("/credentials/")).map(|(before, _)| before);
        let apart = apart.and_then(|before| before.rsplit('/').next()).map(str::to_owned);
        let user = consumer.username.clone().or(apart);
        take(&consumer, user.as_deref(), &mut found);
    }
    Ok(found)
}

fn take(consumer: &Consumer, user: Option<&str>, found: &mut Vec<Found>) {
    let groups: Vec<String> = consumer.group_id.iter().cloned().collect();
    let own = consumer.plugins.hmac.iter();
    let within = consumer.credentials.iter().flat_map(|credential| {
        let typed = credential.config.iter().filter(|_| credential.kind.as_deref() == Some("hmac-auth"));
        credential.plugins.hmac.iter().chain(typed)
    });
    found.extend(own.chain(within).map(|hmac| key(hmac, user, &groups)));
    let mut others: Vec<&str> = consumer.plugins.others.keys().map(String::as_str).collect();
    others.extend(consumer.credentials.iter().flat_map(|credential| credential.plugins.others.keys().map(String::as_str)));
    others.extend(consumer.credentials.iter().filter_map(|credential| credential.kind.as_deref()).filter(|kind| *kind != "hmac-auth"));
    for kind in others.into_iter().filter(|kind| kind.ends_with("-auth")) {
        found.push(Found::left(user.unwrap_or_default(), format!("a credential of {kind}: it signs nothing")));
    }
}

fn key(hmac: &Hmac, user: Option<&str>, groups: &[String]) -> Found {
    let name = hmac.key_id.clone().unwrap_or_default();
    let Some(user) = user else { return Found::left(name, "its consumer has no username") };
    let algorithms: Vec<String> = hmac.algorithm.iter().cloned().collect();
    if algorithms.iter().any(|name| !ALGORITHMS.contains(&name.as_str())) {
        return Found::left(name, "its algorithm is not known");
    }
    let user = Some(user.to_owned());
    Found::shared(ApiKey { name, secret: hmac.secret_key.clone(), user, groups: groups.to_vec(), algorithms, ..ApiKey::default() })
}
