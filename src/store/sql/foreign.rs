//! Keys that another program keeps in tables of its own: read once, to be taken over. Nothing is written there.
//!
//! ```text
//! djapiauth_apikeys        id  apikey  seckey  user_id
//! djapiauth_apientrypoint  id  name                       the regular expressions of Django's URLs, with a blank between levels
//! djapiauth_apikeys_apis   apikeys_id  apientrypoint_id
//! auth_user                id  username  is_active
//! ```

use std::collections::HashMap;

use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tokio::time::timeout;

use super::place::{Place, Target};
use super::pool::{Pool, Row};
use super::{DEADLINE, OpenError};
use crate::store::Unavailable;
use crate::types::Secret;

/// A key as dj-api-auth keeps it.
#[derive(Debug)]
pub struct DjKey {
    /// `apikey`.
    pub name: String,
    /// `seckey`.
    pub secret: Secret,
    /// Who is bound to it.
    pub user: DjUser,
    /// The names of its entry points.
    pub entry_points: Vec<String>,
}

/// Whom a key of dj-api-auth stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DjUser {
    /// Nobody is bound to it.
    Nobody,
    /// A user who may log in.
    Active(String),
    /// A user who may not.
    Inactive(String),
    /// Somebody who does not stand in `auth_user`.
    Unknown,
}

impl DjKey {
    /// All keys of the database at `place`, by name.
    pub async fn read_all(place: &Place) -> Result<Vec<Self>, OpenError> {
        let failed = |cause: &dyn std::fmt::Display| {
            OpenError::new(
                format!("the tables of dj-api-auth cannot be read from {place}: {cause}"),
                "see that it is the database of the Django project, and that this user may read djapiauth_apikeys, \
                 djapiauth_apikeys_apis, djapiauth_apientrypoint and auth_user",
            )
        };
        let pool = reader(place).await.map_err(|error| failed(&error))?;
        let read = timeout(DEADLINE * 6, read(&pool)).await;
        pool.close().await;
        match read {
            Ok(Ok(keys)) => Ok(keys),
            Ok(Err(Trouble::Sql(error))) => Err(failed(&error)),
            Ok(Err(Trouble::Value(error))) => Err(failed(&error.cause)),
            Err(_) => Err(failed(&"it does not answer in time")),
        }
    }
}

/// A way to a database that is not ours: its tables and its modes stay as they are.
async fn reader(place: &Place) -> Result<Pool, sqlx::Error> {
    Ok(match &place.target {
        Target::Sqlite(file) => {
            let options = SqliteConnectOptions::new().filename(file).read_only(true).disable_statement_logging();
            Pool::Sqlite(SqlitePoolOptions::new().max_connections(1).acquire_timeout(DEADLINE).connect_with(options).await?)
        }
        Target::Postgres(options) => {
            let pool = sqlx::postgres::PgPoolOptions::new().max_connections(1).acquire_timeout(DEADLINE);
            Pool::Postgres(pool.connect_with((**options).clone()).await?)
        }
        Target::Mysql(options) => {
            let pool = sqlx::mysql::MySqlPoolOptions::new().max_connections(1).acquire_timeout(DEADLINE);
            Pool::Mysql(pool.connect_with((**options).clone()).await?)
        }
    })
}

enum Trouble {
    Sql(sqlx::Error),
    Value(Unavailable),
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Unavailable> for Trouble {
    fn from(error: Unavailable) -> Self {
        Self::Value(error)
    }
}

async fn read(pool: &Pool) -> Result<Vec<DjKey>, Trouble> {
    let keys = pool.all("SELECT id, apikey, seckey, user_id FROM djapiauth_apikeys ORDER BY apikey", Vec::new()).await?;
    let points =
        "SELECT a.apikeys_id, e.name FROM djapiauth_apikeys_apis a JOIN djapiauth_apientrypoint e ON e.id = a.apientrypoint_id ORDER BY e.name";
    let mut entry_points: HashMap<i64, Vec<String>> = HashMap::new();
    for row in pool.all(points, Vec::new()).await? {
        if let Some(key) = row.whole("apikeys_id")? {
            entry_points.entry(key).or_default().push(row.get("name")?);
        }
    }
    // A project may have users of its own making, in another table.
    let users = match pool.all("SELECT id, username, is_active FROM auth_user WHERE id IN (SELECT user_id FROM djapiauth_apikeys)", Vec::new()).await
    {
        Ok(rows) => rows,
        Err(sqlx::Error::Database(_)) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let users = users.iter().map(user).collect::<Result<HashMap<_, _>, _>>()?;
    let mut key = |row: &Row| -> Result<DjKey, Unavailable> {
        let user = match row.whole("user_id")? {
            None => DjUser::Nobody,
            Some(id) => users.get(&Some(id)).cloned().unwrap_or(DjUser::Unknown),
        };
        let entry_points = row.whole("id")?.and_then(|id| entry_points.remove(&id)).unwrap_or_default();
        Ok(DjKey { name: row.get("apikey")?, secret: Secret::new(row.get::<String>("seckey")?), user, entry_points })
    };
    Ok(keys.iter().map(&mut key).collect::<Result<Vec<_>, _>>()?)
}

fn user(row: &Row) -> Result<(Option<i64>, DjUser), Unavailable> {
    let name: String = row.get("username")?;
    // Whatever is not a plain "yes" keeps the user out.
    let user = if row.whole("is_active")? == Some(1) { DjUser::Active(name) } else { DjUser::Inactive(name) };
    Ok((row.whole("id")?, user))
}
