//! The first route that matches decides; where none does, nothing is there.

use crate::support::client::BOTH;
use crate::support::setup::{HOST, Setup};
use crate::support::upstream::Upstream;
use crate::support::world::{PASSWORD, SCHEMES, World};

#[tokio::test]
async fn without_a_route_there_is_nothing() {
    let world = World::start().await;
    for proto in BOTH {
        for path in ["/", "/nowhere", "/publicx", "/Public/x", "/basicx", "/pub"] {
            let call = world.get(path).proto(proto).basic("bob", PASSWORD);
            assert_eq!(call.send().await.status, 404, "{path}");
        }
    }
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn a_credential_opens_the_routes_of_its_scheme_alone() {
    let world = World::start().await;
    for have in SCHEMES {
        for want in SCHEMES {
            let target = format!("/{want}/x");
            let status = world.get(&target).headers(&world.good(have, "GET", &target)).send().await.status.as_u16();
            assert_eq!(status, if have == want { 200 } else { 401 }, "{have} at {want}");
        }
        let status = world.get("/any/x").headers(&world.good(have, "GET", "/any/x")).send().await.status;
        assert_eq!(status, 200, "{have}");
    }
    let users: Vec<String> = world.upstream.take().iter().map(|seen| seen.user().unwrap().to_owned()).collect();
    assert_eq!(users.len(), 8);
}

#[tokio::test]
async fn the_first_match_decides_by_path_method_and_host() {
    let (first, second, third) = (Upstream::echo(), Upstream::echo(), Upstream::echo());
    let setup = Setup::new(&first.url());
    let leaf = setup.ca.leaf(&[HOST, "api.example.com"]);
    let gate = setup
        .file("certs/server.crt", &leaf.certificate)
        .file("certs/server.key", &leaf.key)
        .rest(&format!(
            r#"
[auth.staff.basic]
users = "store"
[[route]]
path = "/exact"
access = "public"
[[route]]
path = "/items/{{id}}/edit"
accept = ["staff"]
[[route]]
path = "/items/**"
methods = ["GET", "HEAD"]
access = "public"
upstream = "{}"
[[route]]
path = "/**"
hosts = ["api.example.com"]
access = "public"
upstream = "{}"
"#,
            second.url(),
            third.url()
        ))
        .start()
        .await;
    for proto in BOTH {
        for (method, host, path, expected) in [
            ("GET", HOST, "/exact", 200),
            ("GET", HOST, "/exact/", 404),
            ("GET", HOST, "/exact/x", 404),
            ("GET", HOST, "/items/7", 200),
            ("HEAD", HOST, "/items/7", 200),
            ("POST", HOST, "/items/7", 404),
            ("GET", HOST, "/items/7/edit", 401),
            ("GET", HOST, "/items/7/edit/", 200),
            ("GET", HOST, "/items/caf%C3%A9/edit", 401),
            ("POST", "api.example.com", "/items/7", 200),
            ("GET", "api.example.com", "/other", 200),
            ("GET", HOST, "/other", 404),
        ] {
            let answer = gate.call(method, path).proto(proto).sni(host).host(host).send().await;
            let status = answer.status.as_u16();
            assert!(status == expected || (expected == 404 && status == 405), "{method} {host}{path}: {status}");
        }
    }
    assert_eq!((first.count(), second.count(), third.count()), (2, 6, 4));
}

#[tokio::test]
async fn a_route_that_forwards_credentials_does_so_and_no_other() {
    let world =
        World::with(|setup| setup.rest("[[route]]\npath = \"/passed/**\"\naccept = [\"staff\", \"partners\"]\nforward_credentials = true")).await;
    world.get("/passed/x").basic("bob", PASSWORD).send().await;
    let seen = world.upstream.only();
    assert!(seen.one("authorization").starts_with("Basic "));
    assert_eq!(seen.user(), Some("bob"));
    world.get("/basic/x").basic("bob", PASSWORD).send().await;
    assert!(!world.upstream.only().has("authorization"));
}

#[tokio::test]
async fn a_preflight_is_a_request_like_any_other() {
    let world = World::start().await;
    let call = world.call("OPTIONS", "/basic/x").header("Origin", "https://evil.example").header("Access-Control-Request-Method", "POST");
    assert_eq!(call.send().await.status, 401);
    for agent in ["GoogleHC/1.0", "kube-probe/1.30", "ELB-HealthChecker/2.0"] {
        assert_eq!(world.get("/basic/x").header("User-Agent", agent).send().await.status, 401);
    }
    assert_eq!(world.upstream.count(), 0);
}
