//! Bringing the tables up to date, under a lock: however many processes start at once, each step is made once.
//!
//! A step that was released is never changed: a new one is added. What is up to date is only read, so that a user of the
//! database who may not create tables will do for serving.

pub(super) mod mysql;
pub(super) mod postgres;
pub(super) mod sqlite;

use super::OpenError;

/// The version that the last step of each dialect leaves.
#[cfg(test)]
pub(super) const NEWEST: i64 = 3;

/// Why the tables are not up to date.
#[derive(Debug)]
pub(super) enum Failure {
    /// The database is not ours, or not ours to change. Trying again would not help.
    Refused(OpenError),
    /// It did not answer, or not as hoped.
    Sql(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

/// Judges a database by what it holds. `version` is that of our tables, `None` where there are none of ours.
fn judge(version: Option<i64>, tables: i64, newest: i64) -> Result<i64, Failure> {
    match version {
        None if tables > 0 => {
            let problem = "the database belongs to another program: it holds tables, but none of Doorward's";
            Err(Failure::Refused(OpenError::new(problem, "name a file or a database of its own")))
        }
        Some(version) if version > newest => Err(Failure::Refused(OpenError::new(
            format!("the database is of a newer Doorward: its tables are of version {version}, this one knows {newest}"),
            "start that newer Doorward, or name another database",
        ))),
        version => Ok(version.unwrap_or(0)),
    }
}
