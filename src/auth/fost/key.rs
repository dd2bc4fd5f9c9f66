//! Keys that may sign, with their HMAC states made ready.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha1::Sha1;

use crate::auth::{Refusal, valid_user_name};
use crate::store::facts::Subject;
use crate::store::keys::ApiKey;
use crate::types::{PathPattern, Report, Secret, SecretSource};

/// The raw HMAC-SHA1 that a request bears.
pub(super) type Tag = [u8; 20];

/// Secrets shorter than this many bytes can be guessed.
const WEAK_SECRET: usize = 16;

/// The longest key name, in bytes.
const LONGEST_NAME: usize = 255;

/// `[auth.NAME.fost.keys.KEY]`.
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
    fn build(self, name: &str, report: &mut Report) -> Option<ApiKey> {
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
        let named = name_is_sound(name, self.user.as_deref(), report);
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

fn name_is_sound(name: &str, user: Option<&str>, report: &mut Report) -> bool {
    let sound = user.map_or_else(|| valid_user_name(name), |_| !name.is_empty() && name.len() <= LONGEST_NAME && !name.chars().any(char::is_control));
    if !sound {
        report.error("", "the key's name cannot be told to an application", "use letters, digits, '-', '_' and '.', or give the key a `user`");
    }
    if user.is_some_and(|user| !valid_user_name(user)) {
        report.error("user", "the user's name is empty, too long, or holds a character that does not show", "write a plain name");
        return false;
    }
    sound
}

/// Builds the keys of the configuration; reports each mistake under `keys`.
pub(super) fn build_all(settings: BTreeMap<String, KeySettings>, report: &mut Report) -> BTreeMap<String, PreparedKey> {
    let mut keys = BTreeMap::new();
    report.within("keys", |report| {
        for (name, settings) in settings {
            let key = report.within(&name, |report| settings.build(&name, report));
            if let Some(prepared) = key.and_then(|key| PreparedKey::new(Arc::new(key))) {
                keys.insert(name, prepared);
            }
        }
    });
    keys
}

/// One MAC, waiting for its document.
pub(super) type State = Hmac<Sha1>;

/// A key, with the MAC of each of its secrets ready to be fed.
#[derive(Debug, Clone)]
pub(super) struct PreparedKey {
    key: Arc<ApiKey>,
    states: Vec<State>,
    /// Who the key stands for when it names nobody else.
    own: Arc<Subject>,
}

impl PreparedKey {
    /// `None` for a key that nobody may use: one without a secret.
    pub(super) fn new(key: Arc<ApiKey>) -> Option<Self> {
        let secrets = std::iter::once(&key.secret).chain(&key.next_secret).filter(|secret| !secret.is_empty());
        let states: Vec<State> = secrets.filter_map(|secret| State::new_from_slice(secret.expose()).ok()).collect();
        let own = Arc::new(Subject { user: own_user(&key).to_owned(), ..Subject::default() });
        (!states.is_empty()).then_some(Self { key, states, own })
    }

    /// Its MACs, unfed.
    pub(super) fn states(&self) -> &[State] {
        &self.states
    }

    /// Whom a request with this key's good signature stands for. `named` is the user that the request names and signs.
    pub(super) fn identify(&self, named: Option<String>, rule_path: &str) -> Result<Arc<Subject>, Refusal> {
        if !self.key.paths.is_empty() && !self.key.paths.iter().any(|pattern| pattern.matches(rule_path)) {
            return Err(Refusal::Forbidden("the path is not among the key's paths"));
        }
        match named {
            Some(user) if user != self.own.user => {
                if !self.key.impersonate {
                    return Err(Refusal::Forbidden("the key may not act for another user"));
                }
                Ok(Arc::new(Subject { user, ..Subject::default() }))
            }
            Some(_) | None if valid_user_name(&self.own.user) => Ok(Arc::clone(&self.own)),
            Some(_) | None => Err(Refusal::Forbidden("the key's user has no name that an application can be told")),
        }
    }
}

fn own_user(key: &ApiKey) -> &str {
    key.user.as_deref().unwrap_or(&key.name)
}

/// What an unknown key is measured with, so that it costs what a known one costs. Nothing that it says is believed.
pub(super) fn dummy() -> Vec<State> {
    vec![State::new(&Default::default())]
}

/// MACs over one document (or over two readings of it), fed together.
#[derive(Debug)]
pub(super) struct Macs(Vec<State>);

impl Macs {
    /// One MAC for each secret and each reading of the document's beginning.
    pub(super) fn begin<'a>(states: &[State], readings: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        Self(states.iter().flat_map(|state| readings.clone().map(|reading| state.clone().chain_update(reading))).collect())
    }

    /// Feeds the next bytes of the document.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        for mac in &mut self.0 {
            mac.update(bytes);
        }
    }

    /// Whether `tag` is the MAC of any of them. Each is compared, in constant time.
    pub(super) fn match_any(self, tag: &Tag) -> bool {
        self.0.into_iter().fold(false, |good, mac| mac.verify_slice(tag).is_ok() | good)
    }
}

/// The name of a key as clients send it, percent-decoded. Decoded once, and strictly.
pub(super) fn name(sent: &str) -> Result<String, Refusal> {
    let name = super::request::unescape(sent.as_bytes()).and_then(|bytes| String::from_utf8(bytes).ok());
    match name {
        Some(name) if !name.is_empty() && name.len() <= LONGEST_NAME && !name.chars().any(char::is_control) => Ok(name),
        Some(_) | None => Err(Refusal::Malformed("the key's name")),
    }
}
