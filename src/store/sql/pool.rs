//! One face for the three kinds of databases: statements with bound values go in, rows come out.
//!
//! A statement is written once, with `?` for each value, and is text of this program: nothing is ever put into it.

use sqlx::mysql::{MySqlPool, MySqlRow};
use sqlx::postgres::{PgPool, PgRow};
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Decode, MySql, Postgres, Row as _, Sqlite, Type};

use super::damaged;
use crate::store::Unavailable;

/// Connections to a database.
#[derive(Clone)]
pub(super) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
    Mysql(MySqlPool),
}

/// A value that is bound to a statement.
pub(super) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

/// A row of an answer.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
    Mysql(MySqlRow),
}

macro_rules! bound {
    ($statement:expr, $values:expr) => {{
        let mut query = sqlx::query($statement);
        for value in $values {
            query = match value {
                Value::Int(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
            };
        }
        query
    }};
}

impl Pool {
    /// The first row of the answer.
    pub(super) async fn first(&self, statement: &'static str, values: Vec<Value>) -> Result<Option<Row>, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(pool) => bound!(statement, values).fetch_optional(pool).await?.map(Row::Sqlite),
            Self::Postgres(pool) => bound!(numbered(statement), values).fetch_optional(pool).await?.map(Row::Postgres),
            Self::Mysql(pool) => bound!(statement, values).fetch_optional(pool).await?.map(Row::Mysql),
        })
    }

    /// All rows of the answer.
    pub(super) async fn all(&self, statement: &'static str, values: Vec<Value>) -> Result<Vec<Row>, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(pool) => bound!(statement, values).fetch_all(pool).await?.into_iter().map(Row::Sqlite).collect(),
            Self::Postgres(pool) => bound!(numbered(statement), values).fetch_all(pool).await?.into_iter().map(Row::Postgres).collect(),
            Self::Mysql(pool) => bound!(statement, values).fetch_all(pool).await?.into_iter().map(Row::Mysql).collect(),
        })
    }

    /// How many rows the statement changed, or found as it would have left them.
    pub(super) async fn change(&self, statement: &'static str, values: Vec<Value>) -> Result<u64, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(pool) => bound!(statement, values).execute(pool).await?.rows_affected(),
            Self::Postgres(pool) => bound!(numbered(statement), values).execute(pool).await?.rows_affected(),
            Self::Mysql(pool) => bound!(statement, values).execute(pool).await?.rows_affected(),
        })
    }

    /// Adds a row; `false` if it would be the second of its name.
    pub(super) async fn add(&self, statement: &'static str, values: Vec<Value>) -> Result<bool, sqlx::Error> {
        match self.change(statement, values).await {
            Ok(added) => Ok(added == 1),
            Err(error) if error.as_database_error().is_some_and(|error| error.is_unique_violation()) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
            Self::Mysql(pool) => pool.close().await,
        }
    }
}

/// The statement as PostgreSQL writes it: `$1`, `$2`, … for each `?`.
fn numbered(statement: &'static str) -> AssertSqlSafe<String> {
    let mut parts = statement.split('?');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for (at, part) in (1..).zip(parts) {
        text.push_str(&format!("${at}{part}"));
    }
    AssertSqlSafe(text)
}

impl Row {
    /// The value of a column; something else than Doorward wrote it where it cannot be read.
    pub(super) fn get<T>(&self, name: &str) -> Result<T, Unavailable>
    where
        T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres> + for<'r> Decode<'r, MySql> + Type<MySql>,
    {
        let value = match self {
            Self::Sqlite(row) => row.try_get(name),
            Self::Postgres(row) => row.try_get(name),
            Self::Mysql(row) => row.try_get(name),
        };
        value.map_err(|error| damaged(name, error))
    }

    /// A whole number or a truth, of whatever width another program made its column.
    pub(super) fn whole(&self, name: &str) -> Result<Option<i64>, Unavailable> {
        if let Self::Postgres(row) = self {
            if let Ok(value) = row.try_get::<Option<i32>, _>(name) {
                return Ok(value.map(i64::from));
            }
            if let Ok(value) = row.try_get::<Option<i16>, _>(name) {
                return Ok(value.map(i64::from));
            }
        }
        let truth = || self.get::<Option<bool>>(name).map(|value| value.map(i64::from));
        self.get(name).or_else(|error| truth().map_err(|_| error))
    }

    /// A list of texts, kept as JSON.
    pub(super) fn list(&self, name: &str) -> Result<Vec<String>, Unavailable> {
        serde_json::from_str(&self.get::<String>(name)?).map_err(|error| damaged(name, error))
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Int(Some(i64::from(value)))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Self {
        Self::Text(value)
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(Some(value))
    }
}

impl From<Option<Vec<u8>>> for Value {
    fn from(value: Option<Vec<u8>>) -> Self {
        Self::Bytes(value)
    }
}

#[cfg(test)]
mod tests {
    use sqlx::SqlSafeStr;

    use super::*;

    #[test]
    fn postgres_counts_its_values() {
        for (statement, expected) in [("SELECT 1", "SELECT 1"), ("? AND ?", "$1 AND $2"), ("a = ? AND b IN (?, ?)", "a = $1 AND b IN ($2, $3)")] {
            assert_eq!(numbered(statement).into_sql_str().as_str(), expected);
        }
    }
}
