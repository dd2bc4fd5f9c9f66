//! `[cache]`: how long what was learned is believed, and what replicas share.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::shared::Target;
use crate::types::{HumanDuration, Report, Secret, SecretSource};

/// The longest that a call of the shared store may be allowed to take.
const LONGEST_CALL: Duration = Duration::from_secs(10);
/// What is put before every key of the shared store.
const DEFAULT_PREFIX: &str = "doorward";

/// `[cache]`: of facts learned from stores and identity providers, and the store that replicas share.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheSettings {
    /// How many facts of each kind are kept at most.
    pub capacity: u64,
    /// How long a fact is believed; never past its own expiry.
    pub max_age: HumanDuration,
    /// How long "there is no such thing" is believed.
    pub negative_max_age: HumanDuration,
    /// How long a fact may outlive `max_age` while its source is down.
    pub stale_if_error: HumanDuration,
    /// Redis or Valkey that replicas share: see [`Target::parse`]. A secret because it may hold a password.
    pub shared: Option<Secret>,
    /// The password of the shared store, in place.
    pub shared_password: Option<Secret>,
    /// The file that holds it.
    pub shared_password_file: Option<PathBuf>,
    /// The variable that holds it.
    pub shared_password_env: Option<String>,
    /// The password of the Sentinels, which is another than that of the servers that they watch.
    pub shared_sentinel_password_file: Option<PathBuf>,
    /// Authorities for `rediss://`, instead of the system's.
    pub shared_ca_file: Option<PathBuf>,
    /// The word before every key.
    pub shared_prefix: String,
    /// The longest that one call may take, waiting for a connection included.
    pub shared_timeout: HumanDuration,
    /// What shared facts are sealed with, in place. Without it no facts are shared.
    pub shared_secret: Option<Secret>,
    /// The file that holds it.
    pub shared_secret_file: Option<PathBuf>,
    /// The variable that holds it.
    pub shared_secret_env: Option<String>,
    /// What to do while the shared store does not answer.
    pub on_store_error: OnStoreError,
    /// How long a revocation is remembered: at least as long as the longest token lives.
    pub keep_revocations: HumanDuration,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            capacity: 100_000,
            max_age: HumanDuration::from_secs(60),
            negative_max_age: HumanDuration::from_secs(5),
            stale_if_error: HumanDuration::from_secs(0),
            shared: None,
            shared_password: None,
            shared_password_file: None,
            shared_password_env: None,
            shared_sentinel_password_file: None,
            shared_ca_file: None,
            shared_prefix: DEFAULT_PREFIX.to_owned(),
            shared_timeout: HumanDuration(Duration::from_millis(500)),
            shared_secret: None,
            shared_secret_file: None,
            shared_secret_env: None,
            on_store_error: OnStoreError::Deny,
            keep_revocations: HumanDuration::from_secs(7 * 86_400),
        }
    }
}

/// What to do with a question that only the shared store could answer while it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnStoreError {
    /// Nobody can say: 503.
    Deny,
    /// By what this process knows alone. What other replicas have seen meanwhile is not known here.
    Local,
}

/// What `[cache] shared` and the keys beside it say, read and checked.
#[derive(Debug)]
pub struct SharedSettings {
    pub(super) target: Target,
    /// What facts are sealed with; `None`: they are not shared.
    pub(super) secret: Option<Secret>,
}

impl CacheSettings {
    /// The same for one process alone: nothing is shared.
    #[must_use]
    pub fn alone(&self) -> Self {
        let (capacity, max_age, keep_revocations) = (self.capacity, self.max_age, self.max_age.max(self.keep_revocations));
        let (negative_max_age, stale_if_error) = (self.negative_max_age, self.stale_if_error);
        Self { capacity, max_age, negative_max_age, stale_if_error, keep_revocations, ..Self::default() }
    }

    /// Reports what is wrong with `[cache]`, connecting to nothing. `None` when something is; `Some(None)` without `shared`.
    pub fn read(&self, report: &mut Report) -> Option<Option<SharedSettings>> {
        report.within("cache", |report| {
            if self.keep_revocations < self.max_age {
                report.error("keep_revocations", "a revocation would be forgotten before what it revokes", "write \"7d\"");
            }
            let Some(url) = &self.shared else {
                self.without_shared(report);
                return (!report.has_errors()).then_some(None);
            };
            self.with_shared(url, report).map(Some)
        })
    }

    fn without_shared(&self, report: &mut Report) {
        let beside = [
            ("shared_password", self.shared_password.is_some()),
            ("shared_password_file", self.shared_password_file.is_some()),
            ("shared_password_env", self.shared_password_env.is_some()),
            ("shared_sentinel_password_file", self.shared_sentinel_password_file.is_some()),
            ("shared_ca_file", self.shared_ca_file.is_some()),
            ("shared_secret", self.shared_secret.is_some()),
            ("shared_secret_file", self.shared_secret_file.is_some()),
            ("shared_secret_env", self.shared_secret_env.is_some()),
        ];
        for (key, _) in beside.iter().filter(|(_, given)| *given) {
            report.error(key, "there is no shared store that it could belong to", "add shared = \"redis://HOST:6379/0\", or leave it out");
        }
    }

    fn with_shared(&self, url: &Secret, report: &mut Report) -> Option<SharedSettings> {
        if self.shared_timeout.0.is_zero() || self.shared_timeout.0 > LONGEST_CALL {
            report.error("shared_timeout", "it is not between 1ms and 10s", "write \"500ms\"");
        }
        let prefix_fits =
            (1..=64).contains(&self.shared_prefix.len()) && self.shared_prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !prefix_fits {
            report.error("shared_prefix", "it is not 1 to 64 letters, digits, '-', '_' and '.'", "write \"doorward\"");
        }
        if self.on_store_error == OnStoreError::Local {
            let problem =
                "while the shared store is down, a signature that another replica has seen is let in again here, and revocations may not be heard of";
            report.warn("on_store_error", problem, "leave it out for its default, \"deny\"");
        }
        let password = SecretSource {
            key: "shared_password",
            inline: self.shared_password.as_ref(),
            file: self.shared_password_file.as_ref(),
            env: self.shared_password_env.as_deref(),
        };
        let secret = SecretSource {
            key: "shared_secret",
            inline: self.shared_secret.as_ref(),
            file: self.shared_secret_file.as_ref(),
            env: self.shared_secret_env.as_deref(),
        };
        let sentinel = SecretSource { key: "shared_sentinel_password", inline: None, file: self.shared_sentinel_password_file.as_ref(), env: None };
        let load = |source: SecretSource<'_>, report: &mut Report| if source.is_absent() { None } else { source.load(report) };
        let (password, secret, sentinel) = (load(password, report), load(secret, report), load(sentinel, report));
        if secret.as_ref().is_some_and(|secret| secret.len() < 32) {
            report.error("shared_secret", "it is shorter than 32 bytes", "make one with: openssl rand -base64 32");
        }
        let target = Target::parse(url, password, sentinel, self.shared_ca_file.as_deref(), report)?;
        (!report.has_errors()).then_some(SharedSettings { target, secret })
    }
}
