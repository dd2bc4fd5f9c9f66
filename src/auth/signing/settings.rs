//! What the configuration says of a key.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Manner, can_be_a_name};
use crate::auth::valid_user_name;
use crate::store::keys::ApiKey;
use crate::types::{PathPattern, Report, Secret, SecretSource};

/// Secrets shorter than this many bytes can be guessed.
const WEAK_SECRET: usize = 16;

/// `[auth.NAME.KIND.keys.KEY]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeySettings {
    /// The shared secret, in place.
    pub secret: Option<Secret>,
    /// The shared secret, in a file.
    pub secret_file: Option<PathBuf>,
    /// The shared secret, in the environment.
    pub secret_env: Option<String>,
    /// A second secret that is accepted while keys are being changed, in place.
    pub next_secret: Option<Secret>,
    /// The second secret, in a file.
    pub next_secret_file: Option<PathBuf>,
    /// The second secret, in the environment.
    pub next_secret_env: Option<String>,
    /// Whom the key stands for; the key's own name without it.
    pub user: Option<String>,
    /// Whether it may act for other users.
    pub impersonate: bool,
    /// Which paths it may call; all without it.
    pub paths: Option<Vec<PathPattern>>,
}

impl KeySettings {
    pub(super) fn build(self, name: &str, manner: Manner, report: &mut Report) -> Option<ApiKey> {
        let secret = SecretSource { key: "secret", inline: self.secret.as_ref(), file: self.secret_file.as_ref(), env: self.secret_env.as_deref() };
        let next = SecretSource {
            key: "next_secret",
            inline: self.next_secret.as_ref(),
            file: self.next_secret_file.as_ref(),
            env: self.next_secret_env.as_deref(),
        };
        let loaded = secret.load(report);
        let next = if next.is_absent() { Some(None) } else { next.load(report).map(Some) };
        for (key, secret) in [("secret", loaded.as_ref()), ("next_secret", next.as_ref().and_then(Option::as_ref))] {
            if secret.is_some_and(|secret| secret.len() < WEAK_SECRET) {
                report.warn(key, "the secret is shorter than 16 bytes", "use the output of: openssl rand -base64 32");
            }
        }
        let named = name_is_sound(name, self.user.as_deref(), manner, report);
        if self.impersonate && !manner.names_users {
            report.error("impersonate", "a request of this scheme cannot name another user", "leave it out");
            return None;
        }
        let paths = match self.paths {
            Some(paths) if paths.is_empty() => {
                report.error("paths", "the key may call no path at all", "list path patterns, or leave `paths` out to allow all");
                return None;
            }
            Some(paths) => paths,
            None => Vec::new(),
        };
        let (secret, next_secret) = (loaded?, next?);
        named.then(|| ApiKey { name: name.to_owned(), secret, next_secret, user: self.user, impersonate: self.impersonate, paths })
    }
}

fn name_is_sound(name: &str, user: Option<&str>, manner: Manner, report: &mut Report) -> bool {
    let can_be_sent = can_be_a_name(name);
    let sound = can_be_sent && (user.is_some() || valid_user_name(&format!("{}{name}", manner.prefix)));
    if !sound {
        report.error("", "the key's name cannot be told to an application", "use letters, digits, '-', '_' and '.', or give the key a `user`");
    }
    if user.is_some_and(|user| !valid_user_name(user)) {
        report.error("user", "the user's name is empty, too long, or holds a character that does not show", "write a plain name");
        return false;
    }
    sound
}
