//! Being known is not being allowed: every line of `require` must hold, judged anew on every request.

use serde_json::json;

use crate::support::client::BOTH;
use crate::support::world::{PASSWORD, World, claims_and};

async fn world() -> World {
    World::with(|setup| {
        let route =
            |path: &str, accept: &str, require: &str| format!("[[route]]\npath = \"{path}\"\naccept = [{accept}]\n[route.require]\n{require}\n");
        setup
            .rest(&route("/users/**", "\"staff\", \"corp\"", "users = [\"bob\", \"alice\"]"))
            .rest(&route("/groups/**", "\"staff\", \"corp\"", "groups = [\"staff\", \"admins\"]"))
            .rest(&route("/scopes/**", "\"tokens\", \"corp\"", "scopes = [\"write\", \"read\"]"))
            .rest(&route("/write/**", "\"tokens\", \"corp\"", "scopes = [\"write\"]"))
            .rest(&route("/claims/**", "\"corp\"", "claims = { tenant = [\"acme\"], \"realm.level\" = [3, 4] }"))
            .rest(&route("/query/**", "\"staff\"", "query = { collection = [\"orders\", \"customers\"] }"))
            .rest(&route("/all/**", "\"corp\"", "users = [\"carol\"]\ngroups = [\"staff\"]\nscopes = [\"read\"]"))
    })
    .await
}

#[tokio::test]
async fn users_groups_and_claims_are_compared_exactly() {
    let world = world().await;
    let cases: Vec<(&str, &str, serde_json::Value, u16)> = vec![
        ("/users/x", "alice", json!({}), 200),
        ("/users/x", "Alice", json!({}), 403),
        ("/users/x", "alice2", json!({}), 403),
        ("/groups/x", "u", json!({"groups": ["x", "admins"]}), 200),
        ("/groups/x", "u", json!({"groups": ["Admins"]}), 403),
        ("/groups/x", "u", json!({"groups": []}), 403),
        ("/groups/x", "u", json!({}), 403),
        ("/claims/x", "u", json!({"tenant": "acme", "realm": {"level": 3}}), 200),
        ("/claims/x", "u", json!({"tenant": ["x", "acme"], "realm": {"level": 4}}), 200),
        ("/claims/x", "u", json!({"tenant": "acme"}), 403),
        ("/claims/x", "u", json!({"tenant": "evil", "realm": {"level": 3}}), 403),
        ("/claims/x", "u", json!({"tenant": "acme", "realm": {"level": "3"}}), 403),
        ("/claims/x", "u", json!({"tenant": {"acme": true}, "realm": {"level": 3}}), 403),
        ("/claims/x", "u", json!({"tenant": "acme", "realm.level": "none"}), 403),
        ("/all/x", "carol", json!({"groups": ["staff"], "scope": "read"}), 200),
        ("/all/x", "carol", json!({"groups": ["staff"], "scope": "write"}), 403),
        ("/all/x", "dora", json!({"groups": ["staff"], "scope": "read"}), 403),
        ("/all/x", "carol", json!({"scope": "read"}), 403),
    ];
    for (path, user, more, expected) in cases {
        let token = world.key.token(&claims_and(user, more.clone()));
        for proto in BOTH {
            let before = world.upstream.count();
            let answer = world.get(path).proto(proto).bearer(&token).send().await;
            assert_eq!(answer.status.as_u16(), expected, "{path} {user} {more}: {}", answer.text());
            assert_eq!(world.upstream.count() - before, usize::from(expected == 200));
        }
    }
    for (path, expected) in [("/users/x", 200), ("/groups/x", 200)] {
        assert_eq!(world.get(path).basic("bob", PASSWORD).send().await.status.as_u16(), expected, "{path}");
    }
}

#[tokio::test]
async fn a_missing_scope_is_named_as_rfc_6750_asks() {
    let world = world().await;
    for (scope, path, expected) in [
        (json!("read"), "/scopes/x", 200),
        (json!("other write"), "/scopes/x", 200),
        (json!(["read"]), "/scopes/x", 200),
        (json!("reading"), "/scopes/x", 403),
        (json!(""), "/scopes/x", 403),
        (json!(1), "/scopes/x", 403),
        (json!("read"), "/write/x", 403),
    ] {
        let answer = world.get(path).bearer(&world.key.token(&claims_and("u", json!({"scope": scope})))).send().await;
        // A scope of the wrong kind may also make the whole token bad.
        assert!(answer.status.as_u16() == expected || (scope == json!(1) && answer.status == 401), "{scope} {path}: {}", answer.status);
        if answer.status == 403 {
            let challenge = answer.header("www-authenticate");
            assert!(challenge.contains("insufficient_scope") && challenge.contains("write"), "{challenge}");
        }
    }
    assert_eq!(world.get("/scopes/x").bearer(&world.token).send().await.status, 200);
    assert_eq!(world.get("/write/x").bearer(&world.token).send().await.status, 403);
}

#[tokio::test]
async fn a_guarded_query_parameter_has_an_allowed_value_and_only_once() {
    let world = world().await;
    for (query, expected) in [
        ("collection=orders", 200),
        ("collection=customers&x=1", 200),
        ("collection=%6frders", 200),
        ("", 403),
        ("collection=users", 403),
        ("collection=orders&collection=users", 403),
        ("collection=orders&collection=orders", 403),
        ("collection=orders&%63ollection=users", 403),
        ("collection=orders;collection=users", 403),
        ("collection", 403),
        ("collection=", 403),
        ("Collection=orders", 403),
        ("collection=orders%00", 403),
        ("collection=orders+", 403),
    ] {
        let target = format!("/query/x?{query}");
        let answer = world.get(&target).basic("bob", PASSWORD).send().await;
        let status = answer.status.as_u16();
        assert!(status == expected || (expected == 403 && status == 400), "{query}: {status}");
    }
    assert_eq!(world.upstream.count(), 3);
}

#[tokio::test]
async fn a_refused_person_is_not_told_which_line_failed() {
    let world = world().await;
    let answer = world.get("/all/x").bearer(&world.key.token(&claims_and("dora", json!({})))).send().await;
    assert_eq!(answer.status, 403);
    for word in ["carol", "users", "groups"] {
        assert!(!answer.text().contains(word), "{}", answer.text());
    }
    let line = world.access_line("the refusal", |line| line["status"] == 403).await;
    assert_eq!(line["user"], "dora");
    assert!(line["cause"].as_str().unwrap().contains("require"), "{line}");
}
