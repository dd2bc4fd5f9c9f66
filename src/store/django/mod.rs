//! Users of a Django project, read in the table where they are.
//!
//! ```text
//! SELECT username, password, is_active[, email][, groups] FROM auth_user WHERE username = ?
//! ```
//!
//! It reads and never writes. A database may take `ALICE` for `alice`: what stands in the row is compared with what was
//! asked, byte by byte. A database that is down, slow or says something else than expected is no answer.

mod settings;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::Unavailable;
use super::health::SourceStatus;
use super::passwords::hash::Kind;
use super::sources::{Mark, Watch};
use super::token_tables::DEADLINE;
use super::token_tables::database::{self, Pool};
use super::token_tables::fact;
use super::token_tables::row::{Cell, Row};
use super::users::User;
use crate::types::{Secret, valid_user_name};

pub use settings::{Settings, Table};

/// What an [`Unavailable`] names as its source.
const NAME: &str = "django users";
/// How many wait for an answer at a time: a database that hangs keeps no user of another source waiting.
const ASKING: usize = 32;

/// The table of a project's users.
#[derive(Debug)]
pub struct DjangoUsers {
    name: String,
    mark: Mark,
    pool: Pool,
    sql: Arc<str>,
    asking: Semaphore,
    /// What kind of hash was seen last.
    usual: Mutex<Kind>,
    watch: Watch,
}

impl DjangoUsers {
    /// Opens nothing yet. `mark` is of everything that `table` is made of.
    #[must_use]
    pub fn new(mark: Mark, table: &Table, aux: &Handle) -> Self {
        let name = format!("{NAME} {}", table.place);
        Self {
            watch: Watch::new(&name),
            name,
            mark,
            pool: database::pool(&table.place, table.connections, aux),
            sql: Arc::clone(&table.sql),
            asking: Semaphore::new(ASKING),
            usual: Mutex::new(Kind::OF_DJANGO),
        }
    }

    /// The user of exactly this name, active or not. To be awaited on the aux runtime, which the connections belong to.
    pub(super) async fn find(&self, name: &str) -> Result<Option<User>, Unavailable> {
        let _permit = self.asking.try_acquire().map_err(|_| Unavailable::new(NAME, format_args!("{ASKING} users are being looked up already")))?;
        let answer = match tokio::time::timeout(DEADLINE, self.look_up(name)).await {
            Ok(Ok(user)) => Ok(user),
            Ok(Err(cause)) => Err(cause),
            Err(_) => Err(format!("no answer within {} s", DEADLINE.as_secs())),
        };
        // Databases like to repeat a value, and some people write their password in the place of their name.
        let hidden = |cause: String| Unavailable::new(NAME, format_args!("{}: {}", self.name, cause.replace(name, "***")));
        self.watch.heard(answer.map_err(hidden))
    }

    async fn look_up(&self, name: &str) -> Result<Option<User>, String> {
        let rows = self.pool.rows(Arc::clone(&self.sql), 1, name).await.map_err(|error| error.to_string())?;
        let mut exact = rows.iter().filter(|row| matches!(row.get("user_name"), Cell::Text(text) if text == name));
        match (exact.next(), exact.next()) {
            (None, _) => Ok(None),
            (Some(row), None) => user(row, name).map(Some),
            (Some(_), Some(_)) => Err("more than one row has this name".to_owned()),
        }
    }

    /// What tells it from other sources.
    pub(super) fn mark(&self) -> &Mark {
        &self.mark
    }

    /// For logs.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The kind of hash that was seen last; Django's own until one was.
    pub(super) fn usual(&self) -> Kind {
        *self.usual.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a hash that was found.
    pub(super) fn saw(&self, kind: Kind) {
        *self.usual.lock().unwrap_or_else(PoisonError::into_inner) = kind;
    }

    /// How the database is.
    #[must_use]
    pub fn status(&self) -> SourceStatus {
        self.watch.status()
    }
}

/// The user in a row. The error says which column cannot be read.
fn user(row: &Row, name: &str) -> Result<User, String> {
    let password = fact::text(row, "password")?.unwrap_or_default();
    let told = |text: &String| valid_user_name(text);
    let groups: Vec<String> = match fact::groups(row)? {
        Some(list) => serde_json::from_value(list).map_err(|_| "the groups are no texts")?,
        None => Vec::new(),
    };
    Ok(User {
        name: name.to_owned(),
        password_hash: Secret::new(password),
        email: fact::text(row, "email")?.filter(told),
        groups: groups.into_iter().filter(told).collect(),
        // Whatever is not a plain "yes" keeps the user out.
        disabled: !matches!(row.get("standing"), Cell::Int(1)),
    })
}
