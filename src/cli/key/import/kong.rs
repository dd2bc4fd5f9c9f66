//! Kong's declarative configuration: consumers with their credentials in them, or lists that refer to consumers.
//!
//! ```text
//! consumers:
//! - username: alex
//!   acls: [{group: dev}]
//!   hmacauth_credentials: [{username: alex-key, secret: …}]
//! hmacauth_credentials: [{consumer: alex, username: …, secret: …}]      acls: [{consumer: alex, group: …}]
//! ```

use std::collections::BTreeMap;

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
    hmacauth_credentials: Vec<Credential>,
    #[serde(default)]
    acls: Vec<Group>,
    #[serde(flatten)]
    others: Others,
}

#[derive(Deserialize)]
struct Consumer {
    id: Option<String>,
    username: Option<String>,
    custom_id: Option<String>,
    #[serde(default)]
    hmacauth_credentials: Vec<Credential>,
    #[serde(default)]
    acls: Vec<Group>,
    #[serde(flatten)]
    others: Others,
}

/// Credentials that sign nothing.
#[derive(Deserialize)]
struct Others {
    #[serde(default)]
    keyauth_credentials: Vec<IgnoredAny>,
    #[serde(default)]
    basicauth_credentials: Vec<IgnoredAny>,
    #[serde(default)]
    jwt_secrets: Vec<IgnoredAny>,
    #[serde(default)]
    oauth2_credentials: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
struct Credential {
    consumer: Option<Reference>,
    username: Option<String>,
    secret: Option<Secret>,
}

#[derive(Deserialize)]
struct Group {
    consumer: Option<Reference>,
    group: Option<String>,
}

/// A consumer by its id or its name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Reference {
    Text(String),
    Fields { id: Option<String>, username: Option<String> },
}

impl Reference {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Fields { id, username } => id.as_deref().or(username.as_deref()),
        }
    }
}

impl Consumer {
    fn name(&self) -> Option<&str> {
        self.username.as_deref().or(self.custom_id.as_deref())
    }

    /// By id or user name. A `custom_id` comes from another system, and names nobody here.
    fn is(&self, reference: &str) -> bool {
        [&self.id, &self.username].into_iter().any(|name| name.as_deref() == Some(reference))
    }
}

/// The keys of a configuration: each hmac-auth credential is one.
pub(super) fn keys(text: &str) -> anyhow::Result<Vec<Found>> {
    let document: Document = document::read(text)?;
    let mut found = Vec::new();
    let mut others = Vec::new();
    others.extend(left("a credential of the document", &document.others));
    for consumer in &document.consumers {
        let groups = groups(&document, consumer);
        let own = document.hmacauth_credentials.iter().filter(|credential| refers(credential.consumer.as_ref(), consumer));
        for credential in consumer.hmacauth_credentials.iter().chain(own) {
            found.push(key(credential, consumer.name(), &groups));
        }
        others.extend(left(consumer.name().unwrap_or("a consumer without a name"), &consumer.others));
    }
    for credential in &document.hmacauth_credentials {
        if !document.consumers.iter().any(|consumer| refers(credential.consumer.as_ref(), consumer)) {
            found.push(Found::left(credential.username.as_deref().unwrap_or_default(), "its consumer is not in the document"));
        }
    }
    found.extend(others);
    Ok(found)
}

fn refers(reference: Option<&Reference>, consumer: &Consumer) -> bool {
    reference.and_then(Reference::text).is_some_and(|reference| consumer.is(reference))
}

fn groups(document: &Document, consumer: &Consumer) -> Vec<String> {
    let own = document.acls.iter().filter(|group| refers(group.consumer.as_ref(), consumer));
    consumer.acls.iter().chain(own).filter_map(|group| group.group.clone()).collect()
}

fn key(credential: &Credential, user: Option<&str>, groups: &[String]) -> Found {
    // Kong makes a random secret where the document has none: nobody can know it here.
    let name = credential.username.clone().unwrap_or_default();
    let Some(user) = user else { return Found::left(name, "its consumer has neither a username nor a custom_id") };
    Found::shared(ApiKey { name, secret: credential.secret.clone(), user: Some(user.to_owned()), groups: groups.to_vec(), ..ApiKey::default() })
}

fn left(holder: &str, others: &Others) -> Vec<Found> {
    let kinds = [
        ("key-auth", others.keyauth_credentials.len(), "a plain API key signs nothing; issue a token, or give the holder a key to sign with"),
        ("basic-auth", others.basicauth_credentials.len(), "it is a password, hashed in Kong's own way; add a user"),
        ("jwt", others.jwt_secrets.len(), "tokens are verified by a scheme of the kind jwt"),
        ("oauth2", others.oauth2_credentials.len(), "tokens are verified by the schemes jwt and token"),
    ];
    let counted: BTreeMap<_, _> = kinds.iter().filter(|(_, count, _)| *count > 0).map(|(kind, count, why)| (kind, (count, why))).collect();
    counted.into_iter().map(|(kind, (count, why))| Found::left(holder, format!("{count} credential(s) of {kind}: {why}"))).collect()
}
