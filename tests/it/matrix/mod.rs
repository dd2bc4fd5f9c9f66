//! Every scheme against everything that can be wrong with a credential and its source, over both protocols: one table.

mod rows;
mod signed;
mod table;

use std::collections::BTreeSet;

use crate::support::client::{Answer, BOTH, Proto};
use crate::support::idp::{AUDIENCE, Key, Mood, Provider, claims_but};
use crate::support::setup::{HOST, Setup};
use crate::support::upstream::Upstream;
use crate::support::world::{SCHEMES, World};
use crate::support::{breathe, within};
use rows::{CREDENTIAL, ROWS, Row, SOURCE, Wrong};
use table::Table;

/// Whether the answer is what the table says.
#[track_caller]
fn assert_answer(answer: &Answer, row: &Row, wrong: Wrong, proto: Proto) {
    let (name, expected) = (row.name, wrong.expected(row.kind).unwrap());
    assert_eq!(answer.status.as_u16(), expected, "{name} {wrong:?} {proto:?}: {}", answer.text());
    assert_eq!(answer.headers.contains_key("www-authenticate"), expected == 401, "{name} {wrong:?} {proto:?}");
    assert_eq!(answer.headers.contains_key("retry-after"), expected == 503, "{name} {wrong:?} {proto:?}");
}

/// Fills in the cells of all lines, one after the other, and gives those that were.
async fn fill(table: &Table, states: &[Wrong]) -> BTreeSet<(&'static str, Wrong)> {
    let mut done = BTreeSet::new();
    for row in ROWS {
        for wrong in states.iter().filter(|wrong| !row.never.contains(wrong)) {
            for proto in BOTH {
                let before = table.upstream.count();
                let call = table.call(row, *wrong).proto(proto);
                if wrong.expected(row.kind).is_some() {
                    assert_answer(&call.send().await, row, *wrong, proto);
                } else {
                    assert_eq!(call.status().await, None, "{} {wrong:?} {proto:?}", row.name);
                }
                let forwarded = table.upstream.count() - before;
                assert_eq!(forwarded, usize::from(*wrong == Wrong::Nothing), "{} {wrong:?} {proto:?}", row.name);
                done.insert((row.name, *wrong));
            }
        }
    }
    done
}

#[test]
fn every_kind_that_there_is_stands_in_the_table() {
    let listed: BTreeSet<&str> = ROWS.iter().map(|row| row.kind).collect();
    assert_eq!(listed, doorward::auth::SchemeSettings::KINDS.iter().copied().collect());
    let names: BTreeSet<&str> = ROWS.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), ROWS.len());
    for row in ROWS {
        // Nobody can do without these.
        for wrong in [Wrong::Nothing, Wrong::Absent, Wrong::Malformed, Wrong::Forged] {
            assert!(!row.never.contains(&wrong), "{}", row.name);
        }
        // What has a source knows it down, slow and confused.
        let sourceless = SOURCE.iter().filter(|wrong| row.never.contains(wrong)).count();
        assert!(sourceless == 0 || sourceless == SOURCE.len(), "{}", row.name);
    }
}

#[tokio::test]
async fn every_scheme_answers_everything_that_can_be_wrong_as_the_table_says() {
    let table = Table::start(Wrong::Nothing).await;
    let done = fill(&table, &CREDENTIAL).await;
    let never: usize = ROWS.iter().map(|row| CREDENTIAL.iter().filter(|wrong| row.never.contains(wrong)).count()).sum();
    assert_eq!(done.len(), ROWS.len() * CREDENTIAL.len() - never, "{done:?}");
}

#[tokio::test]
async fn what_was_let_in_is_refused_by_every_scheme_once_it_is_revoked() {
    let table = Table::start(Wrong::Nothing).await;
    let good = fill(&table, &[Wrong::Nothing]).await;
    assert_eq!(good.len(), ROWS.len());
    table.revoke().await;
    let done = fill(&table, &[Wrong::Revoked]).await;
    assert_eq!(done.len(), ROWS.iter().filter(|row| !row.never.contains(&Wrong::Revoked)).count());
}

/// Nobody is let in whose scheme has to ask, who needs no source is; and all are once the sources are well.
async fn assert_outage(state: Wrong) {
    let table = Table::start(state).await;
    let cells = ROWS.iter().flat_map(|row| BOTH.map(|proto| (row, proto)));
    // All at once: each waits for its source as long as it may.
    let answers = cells.map(|(row, proto)| {
        let wrong = if row.never.contains(&state) { Wrong::Nothing } else { state };
        let call = table.call(row, wrong).proto(proto);
        async move { (row, wrong, proto, call.send().await) }
    });
    let answers = futures_util::future::join_all(answers).await;
    let mut let_in = 0;
    for (row, wrong, proto, answer) in &answers {
        assert_answer(answer, row, *wrong, *proto);
        let_in += usize::from(answer.status == 200);
    }
    assert_eq!(table.upstream.count(), let_in);
    table.recover();
    for row in ROWS {
        within(row.name, async {
            while table.call(row, Wrong::Nothing).send().await.status != 200 {
                breathe().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn no_scheme_lets_anyone_in_while_its_source_is_down() {
    assert_outage(Wrong::SourceDown).await;
}

#[tokio::test]
async fn no_scheme_lets_anyone_in_while_its_source_is_silent() {
    assert_outage(Wrong::SourceSlow).await;
}

#[tokio::test]
async fn no_scheme_lets_anyone_in_while_its_source_talks_nonsense() {
    assert_outage(Wrong::SourceGarbage).await;
}

#[tokio::test]
async fn operators_are_told_of_each_source_that_is_down_and_that_it_is_back() {
    let table = Table::start(Wrong::SourceDown).await;
    // A row of each source, and how that is named.
    let keys = format!("jwks {}/jwks", table.issuer());
    let asked = [
        ("fost", "store"),
        ("jwt", keys.as_str()),
        ("introspection", "introspection "),
        ("token-table", "token table "),
        ("kubernetes-token-review", "kubernetes https"),
        ("basic-django", "django users "),
    ];
    let told = async |name: &str| {
        let answer = table.gate.admin("/readyz?verbose").send().await;
        assert_eq!(answer.status, 200, "a source that is down makes nothing unready");
        let all = answer.json()["sources"].clone();
        let found = all.as_array().unwrap().iter().find(|source| source["name"].as_str().unwrap().starts_with(name));
        found.unwrap_or_else(|| panic!("no {name} in {all:#}")).clone()
    };
    let metric = async |name: &str, value: u8| {
        let text = table.gate.admin("/metrics").send().await.text();
        let line = |line: &str| line.starts_with(&format!("doorward_source_up{{source=\"{name}")) && line.ends_with(&format!(" {value}.0"));
        assert!(text.lines().any(line), "{name} {value}: {text}");
    };
    for (row, name) in asked {
        let row = ROWS.iter().find(|line| line.name == row).unwrap();
        assert_eq!(table.call(row, Wrong::SourceDown).send().await.status, 503, "{name}");
        let source = told(name).await;
        assert!(source["state"] == "failing" && source["age_seconds"].is_null(), "{source}");
        assert!(source["last_error"].is_string() && source["failures_total"].as_u64() > Some(0), "{source}");
        metric(name, 0).await;
    }
    table.recover();
    for (row, name) in asked {
        let row = ROWS.iter().find(|line| line.name == row).unwrap();
        within(name, async {
            while table.call(row, Wrong::Nothing).send().await.status != 200 {
                breathe().await;
            }
        })
        .await;
        let source = told(name).await;
        assert!(source["state"] == "ok" && source["age_seconds"].is_u64(), "{source}");
        metric(name, 1).await;
    }
}

#[tokio::test]
async fn nobody_is_let_in_by_a_store_whose_file_was_overwritten() {
    let world = World::with(|setup| setup.section("cache", "max_age = \"0s\"\nnegative_max_age = \"0s\"")).await;
    for scheme in ["token", "basic"] {
        assert_eq!(world.good_call(scheme).send().await.status, 200, "{scheme}");
    }
    let let_in = world.upstream.count();
    for name in ["doorward.db", "doorward.db-wal", "doorward.db-shm"] {
        let path = world.gate.setup.path(name);
        if path.exists() {
            // Cut short, so that also connections that are open read nonsense.
            std::fs::write(&path, b"not a database, and not long enough to be one").unwrap();
        }
    }
    for scheme in ["token", "basic"] {
        for proto in BOTH {
            let answer = world.good_call(scheme).proto(proto).send().await;
            assert_eq!(answer.status, 503, "{scheme} {proto:?}: {}", answer.text());
        }
    }
    assert_eq!(world.upstream.count(), let_in);
}

#[tokio::test]
async fn a_scheme_that_cannot_decide_is_not_passed_over_for_the_next() {
    let (upstream, key) = (Upstream::echo(), Key::generate("k", "ES256"));
    let provider = Provider::start(&[&key]);
    provider.mood(Mood::Down);
    let scheme = format!("[auth.corp.jwt]\nissuer = \"{0}\"\njwks_url = \"{0}/jwks\"\naudience = [\"{AUDIENCE}\"]", provider.issuer());
    let setup = Setup::new(&upstream.url()).rest(&scheme).rest("[auth.t.token]\nsource = \"store\"\n[auth.s.basic]\nusers = \"store\"");
    let gate = setup.route("/x/**", &["corp", "t", "s"]).start().await;
    let token = key.token(&claims_but("carol", "iss", provider.issuer().into()));
    for proto in [Proto::H1, Proto::H2] {
        assert_eq!(gate.get("/x/y").proto(proto).bearer(&token).host(HOST).send().await.status, 503);
    }
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn a_second_authorization_header_is_an_ambiguous_request() {
    let world = World::start().await;
    for proto in BOTH {
        for scheme in SCHEMES {
            let target = format!("/{scheme}/x");
            let good = world.good(scheme, "GET", &target);
            for second in ["Basic eDp5", "Bearer x", "", &good[0].1] {
                let answer = world.get(&target).proto(proto).headers(&good).header("Authorization", second).send().await;
                assert_eq!(answer.status, 400, "{scheme} {second:?}");
            }
        }
    }
    assert_eq!(world.upstream.count(), 0);
}
