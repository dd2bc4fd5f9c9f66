//! Rows of three databases in one form.
//!
//! A type that is not listed here is an error that says so, never a guess.

use sqlx::mysql::{MySqlRow, MySqlValueRef};
use sqlx::postgres::{PgRow, PgValueRef};
use sqlx::sqlite::{SqliteRow, SqliteValueRef};
use sqlx::{Column, Decode, MySql, Postgres, Row as _, Sqlite, TypeInfo, ValueRef};
use time::PrimitiveDateTime;

use crate::types::LAST_SECOND;

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::store) enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    /// Unix seconds.
    Moment(i64),
}

/// A row: its values by the names of their columns.
#[derive(Debug, Default)]
pub(in crate::store) struct Row(Vec<(String, Cell)>);

impl Row {
    /// The value in the column `name`; `Null` where there is no such column.
    pub(in crate::store) fn get(&self, name: &str) -> &Cell {
        self.0.iter().find(|(column, _)| column == name).map_or(&Cell::Null, |(_, cell)| cell)
    }

    /// Whether there is a column `name`.
    pub(in crate::store) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(column, _)| column == name)
    }

    #[cfg(test)]
    pub(in crate::store) fn of(cells: &[(&str, Cell)]) -> Self {
        Self(cells.iter().map(|(name, cell)| ((*name).to_owned(), cell.clone())).collect())
    }
}

/// Why a row could not be read.
#[derive(Debug, thiserror::Error)]
pub(in crate::store) enum Trouble {
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    #[error("the column {0}: {1}")]
    Column(String, String),
}

macro_rules! reader {
    ($name:ident, $row:ty, $cell:path) => {
        pub(super) fn $name(row: &$row) -> Result<Row, Trouble> {
            let cells = row.columns().iter().map(|column| {
                let value = row.try_get_raw(column.ordinal())?;
                if value.is_null() {
                    return Ok((column.name().to_owned(), Cell::Null));
                }
                let kind = value.type_info().name().to_owned();
                let cell = $cell(&kind, value).map_err(|why| Trouble::Column(column.name().to_owned(), why.to_string()))?;
                Ok((column.name().to_owned(), cell))
            });
            cells.collect::<Result<Vec<_>, Trouble>>().map(Row)
        }
    };
}

reader!(of_sqlite, SqliteRow, sqlite);
reader!(of_postgres, PgRow, postgres);
reader!(of_mysql, MySqlRow, mysql);

type Read = Result<Cell, Box<dyn std::error::Error + Send + Sync>>;

/// SQLite's values have types, whatever their columns were declared as.
fn sqlite(kind: &str, value: SqliteValueRef<'_>) -> Read {
    match kind {
        "INTEGER" => Ok(Cell::Int(Decode::<Sqlite>::decode(value)?)),
        "REAL" => whole(Decode::<Sqlite>::decode(value)?),
        "TEXT" => Ok(Cell::Text(Decode::<Sqlite>::decode(value)?)),
        "BLOB" => text(Decode::<Sqlite>::decode(value)?),
        other => Err(unknown(other)),
    }
}

fn postgres(kind: &str, value: PgValueRef<'_>) -> Read {
    match kind {
        "BOOL" => Ok(Cell::Bool(Decode::<Postgres>::decode(value)?)),
        "INT2" => Ok(Cell::Int(<i16 as Decode<'_, Postgres>>::decode(value)?.into())),
        "INT4" => Ok(Cell::Int(<i32 as Decode<'_, Postgres>>::decode(value)?.into())),
        "INT8" => Ok(Cell::Int(Decode::<Postgres>::decode(value)?)),
        "FLOAT8" => whole(Decode::<Postgres>::decode(value)?),
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "JSON" | "citext" | "CITEXT" | "UNKNOWN" => Ok(Cell::Text(Decode::<Postgres>::decode(value)?)),
        // The text stands behind the number of the format, which is 1.
        "JSONB" => {
            let text: &str = Decode::<Postgres>::decode(value)?;
            Ok(Cell::Text(text.strip_prefix('\u{1}').ok_or("not the first version of jsonb")?.to_owned()))
        }
        "BYTEA" => text(Decode::<Postgres>::decode(value)?),
        // Read as the number that it is: infinity, which PostgreSQL allows, is none that the library knows.
        "TIMESTAMPTZ" | "TIMESTAMP" => Ok(Cell::Moment(since_2000(Decode::<Postgres>::decode(value)?))),
        other => Err(unknown(other)),
    }
}

/// From microseconds since the year 2000 to Unix seconds. Infinity stays beyond all times.
fn since_2000(micros: i64) -> i64 {
    match micros {
        i64::MAX | i64::MIN => micros,
        micros => micros.div_euclid(1_000_000).saturating_add(946_684_800),
    }
}

fn mysql(kind: &str, value: MySqlValueRef<'_>) -> Read {
    match kind {
        "BOOLEAN" | "TINYINT" | "SMALLINT" | "INT" | "MEDIUMINT" | "BIGINT" => Ok(Cell::Int(Decode::<MySql>::decode(value)?)),
        "TINYINT UNSIGNED" | "SMALLINT UNSIGNED" | "INT UNSIGNED" | "MEDIUMINT UNSIGNED" | "BIGINT UNSIGNED" => {
            Ok(Cell::Int(<u64 as Decode<'_, MySql>>::decode(value)?.try_into()?))
        }
        "DOUBLE" => whole(Decode::<MySql>::decode(value)?),
        "VARCHAR" | "CHAR" | "TINYTEXT" | "TEXT" | "MEDIUMTEXT" | "LONGTEXT" | "ENUM" | "JSON" => Ok(Cell::Text(Decode::<MySql>::decode(value)?)),
        "VARBINARY" | "BINARY" | "TINYBLOB" | "BLOB" | "MEDIUMBLOB" | "LONGBLOB" => text(Decode::<MySql>::decode(value)?),
        // Without a zone; the session's is UTC, so a TIMESTAMP comes in UTC too.
        "DATETIME" | "TIMESTAMP" => {
            let moment: PrimitiveDateTime = Decode::<MySql>::decode(value)?;
            Ok(Cell::Moment(moment.assume_utc().unix_timestamp()))
        }
        other => Err(unknown(other)),
    }
}

fn unknown(kind: &str) -> Box<dyn std::error::Error + Send + Sync> {
    format!("values of the type {kind} are not read; write CAST(… AS TEXT), or the like").into()
}

fn text(bytes: Vec<u8>) -> Read {
    Ok(Cell::Text(String::from_utf8(bytes)?))
}

/// A number of seconds, such as SQLite's `julianday` and PostgreSQL's `extract` make.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "within these bounds every whole f64 is an i64")]
fn whole(number: f64) -> Read {
    let seconds = number.floor();
    if !(0.0..=LAST_SECOND as f64).contains(&seconds) {
        return Err("a number that is no time".into());
    }
    Ok(Cell::Int(seconds as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_found_by_its_name_and_one_that_is_not_there_is_null() {
        let row = Row::of(&[("a", Cell::Int(1)), ("b", Cell::Null)]);
        assert_eq!((row.get("a"), row.get("b"), row.get("c")), (&Cell::Int(1), &Cell::Null, &Cell::Null));
        assert!(row.has("b") && !row.has("c") && !row.has("A"));
    }

    #[test]
    fn moments_of_postgresql_are_whole_unix_seconds() {
        for (micros, seconds) in
            [(0, 946_684_800), (999_999, 946_684_800), (-1, 946_684_799), (-946_684_800_000_000, 0), (i64::MAX, i64::MAX), (i64::MIN, i64::MIN)]
        {
            assert_eq!(since_2000(micros), seconds);
        }
    }

    #[test]
    fn a_number_is_rounded_down_and_must_be_a_time() {
        assert_eq!(whole(1.9).unwrap(), Cell::Int(1));
        for bad in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert!(whole(bad).is_err());
        }
    }
}
