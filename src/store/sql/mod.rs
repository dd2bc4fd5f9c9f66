//! All SQL of Doorward's own store. No statement stands anywhere else, and none is built from text: values are bound.
//!
//! SQLite, PostgreSQL, and MySQL with MariaDB hold the same tables and are asked the same questions; where they differ is in
//! `pool` (how a value is bound), `place` (what a URL says) and `migrate/` (how tables are made).
//!
//! Times are whole Unix seconds. Every call runs on the aux runtime under a deadline; whatever goes wrong is
//! [`Unavailable`], which means "nobody can say", never "there is none".

mod foreign;
mod keys;
mod link;
mod migrate;
mod open;
mod place;
mod pool;
mod tokens;
mod users;

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use self::link::Link;
use self::pool::{Pool, Row, Value};
use super::Unavailable;
use super::health::SourceStatus;
use crate::types::unix_now;

pub use foreign::{DjKey, DjUser};
pub use keys::{KeyListing, Rotation};
pub use open::{CONNECTIONS, OpenError};
pub use place::Place;
pub(super) use place::Target;
pub use tokens::{NewToken, TokenListing, TokenRow};
pub use users::{NewUser, UserListing};

/// The longest that one question to the database may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// The database. Cheap to clone. `Debug` shows where it is, without user or password.
#[derive(Clone)]
pub struct Db {
    link: Arc<Link>,
    aux: Handle,
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Db({})", self.link.place)
    }
}

impl Db {
    /// Runs `work` on the aux runtime: a pool's connections belong to the runtime that opened them.
    async fn ask<T, F>(&self, work: impl FnOnce(Pool) -> F + Send + 'static) -> Result<T, Unavailable>
    where
        F: Future<Output = Result<T, sqlx::Error>> + Send + 'static,
        T: Send + 'static,
    {
        let link = Arc::clone(&self.link);
        let question = async move {
            link.ready().await?;
            let answer = work(link.pool.clone()).await;
            link.learn(answer.as_ref().err());
            answer.map_err(unavailable)
        };
        match self.aux.spawn(async move { tokio::time::timeout(DEADLINE, question).await }).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(unavailable(self.link.too_slow())),
            Err(broken) => Err(unavailable(broken)),
        }
    }

    async fn first(&self, statement: &'static str, values: Vec<Value>) -> Result<Option<Row>, Unavailable> {
        self.ask(move |pool| async move { pool.first(statement, values).await }).await
    }

    async fn all(&self, statement: &'static str) -> Result<Vec<Row>, Unavailable> {
        self.ask(move |pool| async move { pool.all(statement, Vec::new()).await }).await
    }

    /// Whether the statement found one row to change.
    async fn change(&self, statement: &'static str, values: Vec<Value>) -> Result<bool, Unavailable> {
        self.ask(move |pool| async move { Ok(pool.change(statement, values).await? == 1) }).await
    }

    /// Adds a row; `false` if its name is taken.
    async fn add(&self, statement: &'static str, values: Vec<Value>) -> Result<bool, Unavailable> {
        self.ask(move |pool| async move { pool.add(statement, values).await }).await
    }

    /// Where it is, without user or password.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.link.place
    }

    /// How it has fared.
    #[must_use]
    pub fn status(&self) -> SourceStatus {
        self.link.health.status(unix_now())
    }

    /// Lets the connections go; what is under way is finished. Questions asked later fail.
    pub async fn close(&self) {
        let pool = self.link.pool.clone();
        let _ = self.aux.spawn(async move { pool.close().await }).await;
    }
}

fn unavailable(cause: impl fmt::Display) -> Unavailable {
    Unavailable::new("store", cause)
}

/// A value of the database that only something else than Doorward can have written.
fn damaged(column: &str, cause: impl fmt::Display) -> Unavailable {
    unavailable(format_args!("the column {column} cannot be read: {cause}"))
}

/// A list of texts, as it stands in a column.
fn to_list(texts: &[String]) -> String {
    serde_json::Value::from(texts).to_string()
}
