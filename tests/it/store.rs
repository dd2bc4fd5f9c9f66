//! What Doorward keeps itself, the same on SQLite, PostgreSQL and MariaDB.

use crate::support::databases::{Database, Kind};

#[tokio::test]
async fn every_kind_of_database_is_at_hand_and_empty() {
    for kind in Kind::ALL {
        let (one, two) = (Database::fresh(kind).await, Database::fresh(kind).await);
        one.run("CREATE TABLE a (b INTEGER); INSERT INTO a VALUES (1); DROP TABLE a; CREATE TABLE a (b INTEGER)").await;
        two.run("CREATE TABLE a (b INTEGER)").await;
    }
}
