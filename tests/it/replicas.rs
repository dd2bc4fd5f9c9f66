//! Replicas that start at the same moment, and how many connections they make.

use crate::support::databases::{Database, Kind};
use crate::support::django;
use crate::support::fost::Fost;
use crate::support::relay::{Relay, Way};
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;

#[tokio::test]
async fn ten_replicas_that_start_at_once_on_an_empty_database_all_serve() {
    for kind in [Kind::Postgres, Kind::Mysql] {
        let (upstream, database) = (Upstream::echo(), Database::fresh(kind).await);
        let setup = || {
            Setup::new(&upstream.url())
                .section("store", &format!("url = {:?}", database.url))
                .section("cache", "negative_max_age = \"0s\"")
                .rest("[auth.keys.fost]\n[auth.tokens.token]\nsource = \"store\"")
                .route("/fost/**", &["keys"])
                .route("/**", &["tokens"])
        };
        let gates = futures_util::future::join_all((0..10).map(|_| setup().start())).await;
        let key = |gate: &crate::support::gateway::Gateway, secret: &str| {
            gate.get("/fost/x").headers(&Fost::new().key("late", secret).sign("GET", "/fost/x", b"")).send()
        };
        for gate in &gates {
            assert_eq!(gate.get("/x").bearer("nobody").send().await.status, 401, "{kind:?}: the tables are there");
            assert_eq!(key(gate, "guess").await.status, 401);
        }
        let alone = Database::fresh(kind).await;
        setup().section("store", &format!("url = {:?}", alone.url)).cli_ok(&["key", "list"], "");
        let steps = "SELECT count(*) FROM doorward_schema";
        assert_eq!(database.number(steps).await, alone.number(steps).await, "{kind:?}: as if one had made them");
        let added: serde_json::Value = serde_json::from_str(&gates[0].setup.cli_ok(&["key", "add", "late", "--json"], "")).unwrap();
        for gate in &gates {
            assert_eq!(key(gate, added["secret"].as_str().unwrap()).await.status, 200);
        }
    }
}

#[tokio::test]
async fn however_many_ask_at_once_a_table_of_tokens_gets_as_many_connections_as_it_may() {
    for kind in [Kind::Postgres, Kind::Mysql] {
        let (upstream, database) = (Upstream::echo(), Database::fresh(kind).await);
        django::users(&database).await;
        django::toolkit(&database, true).await;
        django::toolkit_token(&database, true, "good", "2099-01-01 00:00:00", "1").await;
        let relay = Relay::to(database.address(), Way::Open);
        let url = database.url_through(&relay);
        let gate = Setup::new(&upstream.url())
            .section("cache", "max_age = \"0s\"\nnegative_max_age = \"0s\"")
            .rest(&format!(
                "[auth.table.token]\nsource = \"sql\"\n[auth.table.token.sql]\nurl = {url:?}\npreset = \"django-oauth-toolkit\"\nmax_connections = 3"
            ))
            .route("/**", &["table"])
            .start()
            .await;
        for _ in 0..3 {
            let asked = (0..60).map(|at| gate.get("/x").bearer(if at % 2 == 0 { "good" } else { "bad" }).send());
            for (at, answer) in futures_util::future::join_all(asked).await.into_iter().enumerate() {
                assert_eq!(answer.status, if at % 2 == 0 { 200 } else { 401 }, "{kind:?}: {}", answer.text());
            }
        }
        assert!((1..=3).contains(&relay.accepted()), "{kind:?}: {} connections", relay.accepted());
    }
}
