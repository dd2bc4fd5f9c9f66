//! All SQL of Doorward's own store. No statement stands anywhere else, and none is built from text: values are bound.
//!
//! Times are whole Unix seconds. Every call runs on the aux runtime under a deadline; whatever goes wrong is
//! [`Unavailable`], which means "nobody can say", never "there is none".

mod keys;
mod open;
mod tokens;
mod users;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{Sqlite, SqlitePool, SqliteRow};
use sqlx::{Decode, Row, Type};
use tokio::runtime::Handle;

use super::Unavailable;
use super::health::Health;

pub use keys::{KeyListing, Rotation};
pub use open::OpenError;
pub use tokens::{NewToken, TokenListing, TokenRow};
pub use users::{NewUser, UserListing};

/// The longest that one question to the database may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// The database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Db {
    pool: SqlitePool,
    aux: Handle,
    health: Arc<Health>,
}

impl Db {
    /// Runs `work` on the aux runtime: a pool's connections belong to the runtime that opened them.
    async fn ask<T, F>(&self, work: impl FnOnce(SqlitePool) -> F) -> Result<T, Unavailable>
    where
        F: Future<Output = Result<T, sqlx::Error>> + Send + 'static,
        T: Send + 'static,
    {
        let work = work(self.pool.clone());
        let answer = match self.aux.spawn(async move { tokio::time::timeout(DEADLINE, work).await }).await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(error))) => Err(unavailable(error)),
            Ok(Err(_)) => Err(unavailable(format_args!("no answer within {} s", DEADLINE.as_secs()))),
            Err(broken) => Err(unavailable(broken)),
        };
        match &answer {
            Ok(_) => self.health.answered(),
            Err(error) => self.health.failed(&error.cause),
        }
        answer
    }

    /// How it has fared.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Lets the connections go; what is under way is finished. Questions asked later fail.
    pub async fn close(&self) {
        let pool = self.pool.clone();
        let _ = self.aux.spawn(async move { pool.close().await }).await;
    }
}

fn unavailable(cause: impl std::fmt::Display) -> Unavailable {
    Unavailable::new("store", cause)
}

/// A value of the database that only something else than Doorward can have written.
fn damaged(column: &str, cause: impl std::fmt::Display) -> Unavailable {
    unavailable(format_args!("the column {column} cannot be read: {cause}"))
}

fn column<'r, T: Decode<'r, Sqlite> + Type<Sqlite>>(row: &'r SqliteRow, name: &str) -> Result<T, Unavailable> {
    row.try_get(name).map_err(|error| damaged(name, error))
}

/// A list of texts, as it stands in a column.
fn to_list(texts: &[String]) -> String {
    serde_json::Value::from(texts).to_string()
}

fn list(row: &SqliteRow, name: &str) -> Result<Vec<String>, Unavailable> {
    serde_json::from_str(column(row, name)?).map_err(|error| damaged(name, error))
}
