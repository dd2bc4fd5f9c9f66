//! Opaque tokens that stand in somebody else's SQL table, read where they are.
//!
//! ```text
//! token ── as it stands, or SHA-256 ──> SELECT … WHERE token = ?     statement.rs
//!                                       SQLite, PostgreSQL, MySQL    database.rs
//!       row                             in one form                  row.rs, moment.rs
//!       exactly this token?             without trusting a collation fact.rs
//!       active user, expiry, scopes     a fact                       fact.rs
//! ```
//!
//! It reads and never writes. A database that is down, slow or says something else than expected is no answer, and the
//! next question finds it again by itself. The token appears in no statement and no error.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use zeroize::Zeroizing;

use super::cache::{Known, Limits};
use super::facts::{Facts, Origin, Subject};
use super::health::SourceStatus;
use super::mapping::Mapping;
use super::revocations::Revocations;
use super::sealed::SealedFacts;
use super::sources::{Mark, Watch};
use super::{CacheSettings, LOADS, Metrics, Unavailable};

pub(super) mod database;
pub(super) mod fact;
mod moment;
pub(super) mod row;
mod settings;
mod statement;
#[cfg(test)]
mod tests;

pub use settings::{Settings, Table};
pub(super) use settings::{connections, place};
pub(super) use statement::users as users_statement;

use database::Pool;
use row::{Cell, Row};
use statement::{Lookup, Reading, Statement};

/// The longest that one question may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);
/// How long it is believed that a table has no checksums: it may be migrated while Doorward runs.
const DETECT_AFTER: Duration = Duration::from_secs(60);
/// What an [`Unavailable`] names as its source.
const NAME: &str = "token table";

/// A token table, remembered for `cache.max_age`.
#[derive(Debug)]
pub struct TokenTable {
    scope: String,
    asker: Arc<Asker>,
    known: Known<Subject>,
}

#[derive(Debug)]
struct Asker {
    name: String,
    pool: Pool,
    lookup: Lookup,
    reading: Reading,
    mapping: Mapping,
    /// Whether the table has checksums, and when that was found out.
    detected: Mutex<Option<(bool, Instant)>>,
    watch: Watch,
}

impl TokenTable {
    /// Opens nothing yet. `mark` is of everything that `table` and `mapping` are made of.
    #[must_use]
    pub fn new(mark: &Mark, table: &Table, mapping: Mapping, cache: &CacheSettings, aux: &Handle, metrics: &Arc<Metrics>) -> Self {
        let known = Known::new(NAME, Limits::new(cache, LOADS), aux.clone(), Arc::clone(metrics), |metrics| &metrics.tokens);
        let asker = Asker {
            name: table.place.to_string(),
            pool: database::pool(&table.place, table.connections, aux),
            lookup: table.lookup.clone(),
            reading: table.reading,
            mapping,
            detected: Mutex::default(),
            watch: Watch::new(&format!("token table {}", table.place)),
        };
        Self { scope: super::fact_scope(NAME, mark), asker: Arc::new(asker), known }
    }

    /// In a fleet of replicas: users of whom something was revoked are asked for anew, and what replicas with the same
    /// source learn is shared, if they share facts.
    #[must_use]
    pub fn in_fleet(self, revocations: &Arc<Revocations>, facts: Option<&SealedFacts>) -> Self {
        let known = self.known.ended_by(revocations).shared_through(facts, &self.scope);
        Self { known, ..self }
    }

    /// What the table says of `token`; `None` if it is not there or its user is not active. The caller judges the expiry.
    pub async fn find(&self, token: &str) -> Result<Option<Arc<Subject>>, Unavailable> {
        let key = Facts::key(&self.scope, token.as_bytes());
        let load = || {
            let (asker, token) = (Arc::clone(&self.asker), Zeroizing::new(token.to_owned()));
            async move {
                let found = asker.watch.heard(asker.ask(&token).await)?;
                Ok(found.map(|subject| Subject { origin: Origin::of_known_token(&token, &subject.claims), ..subject }))
            }
        };
        self.known.get(key, Instant::now(), load).await
    }

    /// How the database is.
    #[must_use]
    pub fn status(&self) -> SourceStatus {
        self.asker.watch.status()
    }
}

impl Asker {
    async fn ask(&self, token: &str) -> Result<Option<Subject>, Unavailable> {
        match tokio::time::timeout(DEADLINE, self.look_up(token)).await {
            Ok(Ok(said)) => Ok(said),
            Ok(Err(error)) => {
                // The table may have been changed under the statement.
                *self.detected.lock().unwrap_or_else(PoisonError::into_inner) = None;
                Err(self.unavailable(&error, token))
            }
            Err(_) => Err(self.unavailable(&format!("no answer within {} s", DEADLINE.as_secs()), token)),
        }
    }

    async fn look_up(&self, token: &str) -> Result<Option<Subject>, String> {
        let statement = self.statement().await?;
        let bound = Zeroizing::new(statement.form.of(token));
        let mut rows = fact::exact(self.rows(statement, &bound).await?, &bound);
        let Some(row) = rows.pop() else { return Ok(None) };
        if !rows.is_empty() {
            return Err("more than one row has this token".to_owned());
        }
        if !row.has("token") {
            self.check_case(statement, &bound).await?;
        }
        fact::read(&row, self.reading, &self.mapping)
    }

    /// Without a column `token` it cannot be seen which row was found: a table that also finds a token in other case
    /// cannot be asked.
    async fn check_case(&self, statement: &Statement, bound: &str) -> Result<(), String> {
        // The case of a hash's digits is no part of the token.
        if statement.form == statement::TokenForm::Sha256Hex {
            return Ok(());
        }
        let Some(other) = fact::other_case(bound) else { return Ok(()) };
        if self.rows(statement, &other).await?.is_empty() {
            return Ok(());
        }
        Err("the table finds tokens whatever their case: let the query also return the column as token".to_owned())
    }

    async fn rows(&self, statement: &Statement, bound: &str) -> Result<Vec<Row>, String> {
        self.pool.rows(Arc::clone(&statement.sql), statement.binds, bound).await.map_err(|error| error.to_string())
    }

    async fn statement(&self) -> Result<&Statement, String> {
        match &self.lookup {
            Lookup::One(statement) => Ok(statement),
            Lookup::ByChecksum { has_checksum, checksum, token } => Ok(if self.has_checksum(has_checksum).await? { checksum } else { token }),
        }
    }

    async fn has_checksum(&self, sql: &'static str) -> Result<bool, String> {
        let detected = *self.detected.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((has, _)) = detected.filter(|(has, at)| *has || at.elapsed() < DETECT_AFTER) {
            return Ok(has);
        }
        let rows = self.pool.rows(sql.into(), 0, "").await.map_err(|error| error.to_string())?;
        let has = rows.iter().any(|row| matches!(row.get("n"), Cell::Int(count) if *count > 0));
        *self.detected.lock().unwrap_or_else(PoisonError::into_inner) = Some((has, Instant::now()));
        Ok(has)
    }

    /// Databases like to repeat a value that they cannot make sense of.
    fn unavailable(&self, error: &str, token: &str) -> Unavailable {
        let hash = Zeroizing::new(statement::TokenForm::Sha256Hex.of(token));
        let error = if token.is_empty() { error.to_owned() } else { error.replace(token, "***") };
        Unavailable::new(NAME, format_args!("{}: {}", self.name, error.replace(hash.as_str(), "***")))
    }
}
