//! What operators are told of sources: each once, whoever asks it.

use std::collections::BTreeSet;

use crate::support::databases::{Database, Kind};
use crate::support::django;
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;

#[tokio::test]
async fn two_schemes_that_read_one_database_are_told_of_as_one_source() {
    let (upstream, database) = (Upstream::echo(), Database::fresh(Kind::Sqlite).await);
    django::users(&database).await;
    django::authtoken(&database).await;
    let scheme = |name: &str, preset: &str| {
        format!("[auth.{name}.token]\nsource = \"sql\"\n[auth.{name}.token.sql]\nurl = {:?}\npreset = \"{preset}\"", database.url)
    };
    let gate = Setup::new(&upstream.url())
        .section("cache", "max_age = \"0s\"\nnegative_max_age = \"0s\"")
        .rest(&scheme("keys", "drf-authtoken"))
        .rest(&scheme("tokens", "django-oauth-toolkit"))
        .route("/keys/**", &["keys"])
        .route("/tokens/**", &["tokens"])
        .start()
        .await;
    assert_eq!(gate.get("/keys/x").header("Authorization", "Token Key-of-Alice").send().await.status, 200);
    // The other's table is not there.
    assert_eq!(gate.get("/tokens/x").bearer("tok").send().await.status, 503);
    let told = gate.admin("/readyz?verbose").send().await.json();
    let tables: Vec<_> =
        told["sources"].as_array().unwrap().iter().filter(|source| source["name"].as_str().unwrap().starts_with("token table")).collect();
    assert_eq!((tables.len(), &tables[0]["state"]), (1, &"failing".into()), "{told}");
    let metrics = gate.admin("/metrics").send().await.text();
    let mut seen = BTreeSet::new();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let series = line.rsplit_once(' ').map_or(line, |(series, _)| series);
        assert!(seen.insert(series.to_owned()), "twice: {series}");
    }
    assert!(seen.iter().any(|series| series.starts_with("doorward_source_up{source=\"token table")), "{metrics}");
}
