//! The way to the database: open, or known to be closed, and tried again when somebody needs it.
//!
//! ```text
//! not ready -> ask: prepare (connect, bring the tables up to date) -> ready
//!                                     '-> failed: the same answer for a moment, then tried again
//! ready     -> a connection breaks (never for SQLite) -> not ready
//! ```
//!
//! So a database that is down when Doorward starts, or goes down later, is found again without a restart, and while it is down
//! no request waits longer than it takes to see it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Executor};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::migrate::{self, Failure};
use super::place::{Place, Target};
use super::pool::Pool;
use super::{DEADLINE, OpenError, open, unavailable};
use crate::store::Unavailable;
use crate::store::health::Health;
use crate::types::{Secret, unix_now};

/// Less than [`DEADLINE`], so that the cause that is reported is the lock and not the time.
const BUSY_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a question waits for one of the connections. SQLite's wait for its lock.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a connection to a server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// How long the tables may take to be brought up to date, with the wait for others who do the same.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a failure answers for the next who ask.
const COOL_DOWN: Duration = Duration::from_millis(500);
/// SQLite has one writer anyway; these are for readers.
const SQLITE_CONNECTIONS: u32 = 4;

/// The way to one database.
pub(super) struct Link {
    pub(super) place: Place,
    pub(super) pool: Pool,
    /// Read again before each attempt: whoever changes the password need not restart Doorward.
    password_file: Option<PathBuf>,
    ready: AtomicBool,
    /// Held by the one that prepares; when it last failed, and why.
    attempt: Arc<Mutex<Option<(Instant, Failed)>>>,
    pub(super) health: Health,
}

/// What came of an attempt to prepare.
#[derive(Debug, Clone)]
pub(super) enum Failed {
    /// It is not a database that could be used; the same tomorrow.
    Refused(OpenError),
    /// It does not answer now.
    Unreachable(Arc<str>),
}

impl Link {
    /// A way that nobody has gone yet: connects to nothing. Needs the runtime that will own the connections.
    pub(super) fn new(place: Place, password_file: Option<PathBuf>, connections: u32) -> Arc<Self> {
        let pool = match &place.target {
            Target::Sqlite(file) => {
                let options = SqliteConnectOptions::new()
                    .filename(file)
                    .create_if_missing(false)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Normal)
                    .foreign_keys(true)
                    .busy_timeout(BUSY_TIMEOUT)
                    .disable_statement_logging();
                Pool::Sqlite(SqlitePoolOptions::new().max_connections(SQLITE_CONNECTIONS).acquire_timeout(DEADLINE).connect_lazy_with(options))
            }
            Target::Postgres(options) => {
                let pool = PgPoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE_TIMEOUT);
                Pool::Postgres(pool.connect_lazy_with(PgConnectOptions::clone(options)))
            }
            Target::Mysql(options) => {
                let pool = MySqlPoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE_TIMEOUT);
                // What does not fit a column is an error, never cut off.
                let strict = "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')";
                let pool = pool.after_connect(move |connection, _| Box::pin(async move { connection.execute(strict).await.map(drop) }));
                Pool::Mysql(pool.connect_lazy_with(MySqlConnectOptions::clone(options)))
            }
        };
        Arc::new(Self { place, pool, password_file, ready: AtomicBool::new(false), attempt: Arc::default(), health: Health::new("store") })
    }

    /// Makes sure that the database can be asked. Of many callers one tries, the others wait for what comes of it.
    pub(super) async fn ready(self: &Arc<Self>) -> Result<(), Failed> {
        if self.ready.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut last = Arc::clone(&self.attempt).lock_owned().await;
        if self.ready.load(Ordering::Acquire) {
            return Ok(());
        }
        if let Some((when, failed)) = &*last
            && when.elapsed() < COOL_DOWN
        {
            return Err(failed.clone());
        }
        // It goes on when its caller goes away: half of a migration is nobody's wish.
        let link = Arc::clone(self);
        let attempt = tokio::spawn(async move {
            let outcome = link.attempt().await;
            *last = outcome.as_ref().err().map(|failed| (Instant::now(), failed.clone()));
            link.remember(outcome.as_ref().err().map(Failed::cause));
            outcome
        });
        attempt.await.unwrap_or_else(|broken| Err(Failed::Unreachable(broken.to_string().into())))
    }

    /// Learns from a question that was asked whether the way is still open.
    pub(super) fn learn(&self, error: Option<&sqlx::Error>) {
        let Some(error) = error else { return self.health.answered() };
        let lost = matches!(
            error,
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed
        );
        // Refused at the door, shutting down, or the tables are gone: by the codes of PostgreSQL and of MySQL.
        let code = error.as_database_error().and_then(|error| error.code());
        let refused = code.is_some_and(|code| {
            ["08", "28", "57P"].iter().any(|class| code.starts_with(class)) || ["3D000", "42P01", "42S02", "42000"].contains(&code.as_ref())
        });
        let broken = lost || refused;
        if broken && self.place.file().is_none() {
            self.remember(Some(error.to_string().into()));
        } else {
            self.health.failed(&error.to_string());
        }
    }

    /// Learns that a question was not answered in time.
    pub(super) fn too_slow(&self) -> Arc<str> {
        let cause: Arc<str> = format!("no answer within {} s", DEADLINE.as_secs()).into();
        if self.place.file().is_none() && self.ready.load(Ordering::Acquire) {
            self.remember(Some(Arc::clone(&cause)));
        }
        cause
    }

    /// Whether the way is open: it is said once when that changes.
    fn remember(&self, cause: Option<Arc<str>>) {
        let was_ready = self.ready.swap(cause.is_none(), Ordering::AcqRel);
        match cause {
            Some(cause) => {
                let fell = was_ready || self.health.status(unix_now()).ok.is_none();
                self.health.failed(&cause);
                if fell {
                    tracing::warn!(database = %self.place, %cause, "the store does not answer; what needs it is refused until it does");
                }
            }
            None => {
                let rose = self.health.status(unix_now()).ok == Some(false);
                self.health.answered();
                if rose {
                    tracing::info!(database = %self.place, "the store answers again");
                }
            }
        }
    }

    async fn attempt(&self) -> Result<(), Failed> {
        match timeout(PREPARE_TIMEOUT, self.prepare()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Failure::Refused(why))) => Err(Failed::Refused(why)),
            Ok(Err(Failure::Sql(error))) => Err(Failed::Unreachable(error.to_string().into())),
            Err(_) => Err(Failed::Unreachable("its tables are kept locked by another process".into())),
        }
    }

    /// Connects, and brings the tables up to date. A server is asked over a connection of its own: the pool would hide why it
    /// cannot be had.
    async fn prepare(&self) -> Result<(), Failure> {
        match (&self.place.target, &self.pool) {
            (Target::Sqlite(file), Pool::Sqlite(pool)) => {
                open::create(file).map_err(Failure::Refused)?;
                migrate::sqlite::run(pool).await
            }
            (Target::Postgres(options), Pool::Postgres(pool)) => {
                let options = self.password()?.map_or_else(|| PgConnectOptions::clone(options), |password| options.clone().password(&password));
                pool.set_connect_options(options.clone());
                let mut connection = timeout(CONNECT_TIMEOUT, options.connect()).await.map_err(|_| no_answer())??;
                let done = migrate::postgres::run(&mut connection).await;
                let _ = connection.close().await;
                done
            }
            (Target::Mysql(options), Pool::Mysql(pool)) => {
                let options = self.password()?.map_or_else(|| MySqlConnectOptions::clone(options), |password| options.clone().password(&password));
                pool.set_connect_options(options.clone());
                let mut connection = timeout(CONNECT_TIMEOUT, options.connect()).await.map_err(|_| no_answer())??;
                let done = migrate::mysql::run(&mut connection).await;
                let _ = connection.close().await;
                done
            }
            (Target::Sqlite(_) | Target::Postgres(_) | Target::Mysql(_), _) => Err(no_answer().into()),
        }
    }

    /// The password as its file has it now.
    fn password(&self) -> Result<Option<String>, sqlx::Error> {
        let Some(path) = &self.password_file else { return Ok(None) };
        let secret = Secret::from_file(path).map_err(sqlx::Error::Io)?;
        String::from_utf8(secret.expose().to_vec()).map(Some).map_err(|_| sqlx::Error::Protocol("the password is not UTF-8".to_owned()))
    }
}

fn no_answer() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "the server does not answer"))
}

impl Failed {
    fn cause(&self) -> Arc<str> {
        match self {
            Self::Refused(why) => why.to_string().into(),
            Self::Unreachable(cause) => Arc::clone(cause),
        }
    }
}

impl From<Failed> for Unavailable {
    fn from(failed: Failed) -> Self {
        unavailable(failed.cause())
    }
}
