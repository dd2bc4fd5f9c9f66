//! What must outlive a reload: keys, tokens, users, learned facts, seen signatures, key sets of issuers.
//!
//! Nothing here sees a request. SQL stands in `sql.rs` alone.

use std::sync::Arc;

use tokio::runtime::Handle;

#[cfg(test)]
use crate::types::HumanDuration;
use crate::types::{Clock, Report};

pub use own::Settings;
pub use settings::{CacheSettings, OnStoreError};

pub mod attempts;
pub mod cache;
pub mod debugging;
pub mod django;
pub mod facts;
mod fleet;
mod follow;
pub mod health;
pub mod htpasswd;
pub mod introspection;
pub mod jwks;
pub mod keys;
pub mod mapping;
mod own;
pub mod passwords;
pub mod replay;
pub mod revocations;
mod revoke;
pub mod sealed;
mod settings;
pub mod shared;
pub mod sources;
pub mod sql;
pub mod token_tables;
pub mod tokens;
pub mod usage;
pub mod users;

/// The answer cannot be had at the moment: 503, never "let it pass" and never "ask the next".
#[derive(Debug, Clone, thiserror::Error)]
#[error("{source_name}: {cause}")]
pub struct Unavailable {
    /// What could not be asked, such as `store` or `jwks corp`.
    pub source_name: &'static str,
    /// For the operator; never shown to a client.
    pub cause: Arc<str>,
}

impl Unavailable {
    /// With the cause's text.
    pub fn new(source_name: &'static str, cause: impl std::fmt::Display) -> Self {
        Self { source_name, cause: cause.to_string().into() }
    }
}

/// All stores of the process. Reloads share them.
#[derive(Debug)]
pub struct Stores {
    /// The database of the three below; `None` without a `[store]` section.
    pub database: Option<sql::Db>,
    /// API keys; `None` without a `[store]` section. The same for tokens and users.
    pub keys: Option<keys::Keys>,
    /// Opaque tokens that Doorward gave out.
    pub tokens: Option<tokens::Tokens>,
    /// Users with a password, of Doorward's own.
    pub users: Option<users::Users>,
    /// Verified passwords by keyed hash, and the bounded pool that verifies the others.
    pub passwords: passwords::Passwords,
    /// Verified JWTs by the hash of the token.
    pub facts: facts::Facts,
    /// Signatures that may be used once.
    pub replay: replay::Replay,
    /// What replicas share; `None` without `cache.shared`.
    pub shared: Option<shared::Shared>,
    /// Facts that replicas share; `None` without `cache.shared_secret`.
    pub shared_facts: Option<sealed::SealedFacts>,
    /// What is not let in any longer.
    pub revocations: Arc<revocations::Revocations>,
    /// Failed attempts to log in.
    pub attempts: attempts::Attempts,
    /// Key sets of issuers.
    pub jwks: jwks::KeySets,
    /// Introspection servers.
    pub introspection: sources::Sources<introspection::Introspection>,
    /// Token tables of other programs.
    pub token_tables: sources::Sources<token_tables::TokenTable>,
    /// Users in htpasswd files.
    pub htpasswd: sources::Sources<htpasswd::Htpasswd>,
    /// Users of Django projects.
    pub django_users: sources::Sources<django::DjangoUsers>,
    /// How Kubernetes API servers that review tokens have fared.
    pub token_reviews: sources::Sources<sources::Watch>,
    /// Counters of the caches and sources.
    pub metrics: Arc<Metrics>,
    /// What time it is.
    pub clock: Clock,
    /// Whose wrong signatures are debugged.
    pub debugging: debugging::Debugging,
    /// Runs what may block or wait for another machine.
    pub aux: Handle,
    /// Ages and sizes.
    pub cache: CacheSettings,
}

/// What the stores count. `telemetry.rs` publishes it; nothing here decides by it.
#[derive(Debug, Default)]
pub struct Metrics {
    /// One pair (hits, misses) for each cache.
    pub jwt: CacheCounts,
    /// API keys.
    pub keys: CacheCounts,
    /// Opaque tokens.
    pub tokens: CacheCounts,
    /// Passwords.
    pub passwords: CacheCounts,
}

/// Hits and misses of one cache.
#[derive(Debug, Default)]
pub struct CacheCounts {
    /// Answered from what is known.
    pub hits: std::sync::atomic::AtomicU64,
    /// Had to ask the source.
    pub misses: std::sync::atomic::AtomicU64,
}

impl CacheCounts {
    /// Counts a hit.
    pub fn hit(&self) {
        self.hits.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
    /// Counts a miss.
    pub fn miss(&self) {
        self.misses.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Stores {
    /// Opens the store (created and migrated if need be), makes the caches, and begins to connect to what replicas share.
    /// `aux` runs all that waits. Reports under `store` and `cache` and returns `None` when the database cannot be opened
    /// or what `[cache]` says is wrong. A shared store that is down stops nothing.
    pub async fn open(store: Option<&Settings>, cache: &CacheSettings, aux: Handle, report: &mut Report) -> Option<Arc<Self>> {
        let metrics = Arc::new(Metrics::default());
        let db = match store {
            Some(settings) => Some(open_database(settings, &aux, report).await?),
            None => None,
        };
        let fleet = fleet::Fleet::open(cache, &aux, report).await?;
        let passwords = match passwords::Passwords::new(cache, &aux, &metrics) {
            Ok(passwords) => passwords.ended_by(&fleet.revocations),
            Err(error) => {
                report.error("store", &error.to_string(), "see that this machine gives random numbers");
                return None;
            }
        };
        // Replicas with a database of their own each have tokens of their own.
        let scope = store.map(|settings| settings.url.as_str()).filter(|url| !url.starts_with("sqlite:"));
        let tokens = |db| tokens::Tokens::new(db, cache, &aux, &metrics).in_fleet(&fleet.revocations, fleet.facts.as_ref(), scope);
        Some(Arc::new(Self {
            keys: db.clone().map(|db| keys::Keys::new(db, cache, &aux, &metrics)),
            tokens: db.clone().map(tokens),
            users: db.clone().map(users::Users::new),
            database: db,
            passwords,
            facts: facts::Facts::new(cache.capacity),
            replay: fleet.replay,
            shared: fleet.shared,
            shared_facts: fleet.facts,
            revocations: fleet.revocations,
            attempts: fleet.attempts,
            jwks: jwks::KeySets::new(aux.clone()),
            introspection: sources::Sources::default(),
            token_tables: sources::Sources::default(),
            htpasswd: sources::Sources::default(),
            django_users: sources::Sources::default(),
            token_reviews: sources::Sources::default(),
            metrics,
            clock: Clock::default(),
            debugging: debugging::Debugging::default(),
            aux,
            cache: cache.clone(),
        }))
    }
}

/// A file that cannot be opened stops the start; a server that does not answer does not: what needs it waits for it.
async fn open_database(settings: &Settings, aux: &Handle, report: &mut Report) -> Option<sql::Db> {
    let db = settings.database(aux, report)?;
    match db.prepare_if_there().await {
        Ok(()) => {
            settings.check(report);
            Some(db)
        }
        Err(error) => {
            report.error("store.url", &error.problem, &error.remedy);
            None
        }
    }
}

/// Names longer than this stand in no table and are not looked up.
const MAX_NAME_BYTES: usize = 255;

/// Whether anything in a table could be called so. No database but SQLite keeps a NUL, and PostgreSQL does not even ask for one.
fn can_be_a_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.contains('\0')
}

/// How many questions to the database are under way at a time.
const LOADS: usize = 1024;

/// The name under which a source's facts are remembered: a fact of one source is never found for another.
fn fact_scope(kind: &str, mark: &sources::Mark) -> String {
    use base64::Engine;
    format!("{kind} {}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(mark))
}

/// The key of a look-up: SHA-256 of what is looked up.
fn digest(text: &str) -> cache::CacheKey {
    use sha2::Digest;
    sha2::Sha256::digest(text.as_bytes()).into()
}

/// Random bytes as text: 32 bytes, base64url without padding.
fn random_text() -> Result<String, Unavailable> {
    use base64::Engine;
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice()).map_err(|_| Unavailable::new("random numbers", "the generator fails"))?;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes.as_slice()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn random_texts_are_43_letters_and_never_the_same() {
        let (one, two) = (random_text().unwrap(), random_text().unwrap());
        assert_eq!((one.len(), two.len()), (43, 43));
        assert_ne!(one, two);
        assert!(one.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_database_that_cannot_be_opened_is_reported_and_stops_the_start() {
        let mut report = Report::default();
        let settings = Settings::at("sqlite:/nonexistent/doorward.db");
        assert!(open_database(&settings, &Handle::current(), &mut report).await.is_none());
        let problem = report.problems().first().unwrap();
        assert_eq!(problem.key, "store.url");
        assert!(problem.problem.contains("/nonexistent"), "{problem:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_database_that_others_may_read_is_warned_of() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("d.db");
        let settings = Settings::at(format!("sqlite:{}", file.display()));
        let mut report = Report::default();
        assert!(open_database(&settings, &Handle::current(), &mut report).await.is_some());
        assert!(report.problems().is_empty());
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(open_database(&settings, &Handle::current(), &mut report).await.is_some());
        assert!(!report.has_errors() && report.problems().len() == 1);
    }
}
