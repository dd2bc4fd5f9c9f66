//! The plain listener sends people to https and does nothing else.

use crate::support::client::{Answer, Call, Raw};
use crate::support::world::World;

async fn world() -> World {
    World::with(|setup| setup.with("listen", "public_url = \"https://app.example.com\"\nhosts = [\"app.example.com\"]")).await
}

async fn plain(world: &World, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    let mut call = Call::plain(world.http.unwrap(), method, target);
    for (name, value) in headers {
        call = call.header(name, value);
    }
    call.send().await
}

#[tokio::test]
async fn a_visitor_is_sent_to_the_same_page_over_https() {
    let world = world().await;
    for method in ["GET", "HEAD"] {
        let answer = plain(&world, method, "/a/b?c=d&e=%20", &[]).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (308, "https://app.example.com/a/b?c=d&e=%20"));
    }
    assert_eq!(world.upstream.connections(), 0);
}

#[tokio::test]
async fn what_was_sent_in_the_clear_is_refused_and_not_redirected() {
    let world = world().await;
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let answer = plain(&world, method, "/basic/x", &[]).await;
        assert_eq!(answer.status, 403, "{method}");
        assert!(answer.header("location").is_empty() && !answer.body.is_empty(), "{method}");
    }
    for (name, value) in [("Authorization", "Basic eDp5"), ("Authorization", "Bearer abc"), ("Proxy-Authorization", "Basic eDp5")] {
        let answer = plain(&world, "GET", "/basic/x", &[(name, value)]).await;
        assert_eq!(answer.status, 403, "{name}: {value}");
        assert!(!answer.text().contains(value));
    }
    assert_eq!(world.upstream.connections(), 0);
}

#[tokio::test]
async fn a_signed_url_in_the_clear_is_refused() {
    let world = world().await;
    let target = crate::support::fost::Fost::new().url("app.example.com", "/fost/x", "", &(crate::support::now() + 30).to_string());
    let answer = plain(&world, "GET", &target, &[]).await;
    assert_eq!(answer.status, 403, "{:?}", answer.headers);
}

#[tokio::test]
async fn a_cookie_or_header_that_a_scheme_reads_is_a_credential_and_any_other_is_not() {
    let world = World::with(|setup| {
        let jar = "[auth.jar.jwt]\nissuer = \"https://id.example.com/\"\nsecret_file = \"jar.key\"\naudience = [\"a\"]\ncookie = \"session\"\nheader = \"X-Token\"";
        setup.file("jar.key", "a secret of more than thirty-two bytes").rest(jar).route("/jar/**", &["jar"])
    })
    .await;
    for (name, value, status) in [
        ("Cookie", "a=b; session=x", 403),
        ("X-Token", "x", 403),
        ("X-FOST-User", "x", 403),
        ("Cookie", "a=b; sessions=x", 308),
        ("X-Other", "x", 308),
    ] {
        let answer = plain(&world, "GET", "/jar/x", &[(name, value)]).await;
        assert_eq!(answer.status, status, "{name}: {value}");
    }
    assert_eq!(world.upstream.connections(), 0);
}

#[tokio::test]
async fn nobody_is_sent_to_a_foreign_host() {
    let world = world().await;
    for (host, target) in [
        ("evil.example", "/"),
        ("app.example.com@evil.example", "/"),
        ("app.example.com", "//evil.example/%2f.."),
        ("app.example.com", "/\\evil.example"),
        ("app.example.com", "https://evil.example/"),
        ("app.example.com", "/%09/evil.example"),
        ("app.example.com", "/%0d%0aSet-Cookie:x=y"),
    ] {
        let mut raw = Raw::tcp(world.http.unwrap()).await;
        raw.write(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        let Some(answer) = raw.answer().await else { continue };
        match answer.header("location") {
            None => assert!((400..500).contains(&answer.status), "{host} {target}: {}", answer.head),
            Some(location) => assert!(location.starts_with("https://app.example.com/"), "{location}"),
        }
        assert!(answer.header("set-cookie").is_none());
    }
    assert_eq!(world.upstream.connections(), 0);
}

#[tokio::test]
async fn a_forged_scheme_header_does_not_open_the_plain_listener() {
    let world = world().await;
    for (name, value) in [("X-Forwarded-Proto", "https"), ("Forwarded", "proto=https"), ("X-Forwarded-Ssl", "on"), ("Front-End-Https", "on")] {
        assert_eq!(plain(&world, "GET", "/public/x", &[(name, value)]).await.status, 308, "{name}");
    }
    assert_eq!(world.upstream.connections(), 0);
}

#[tokio::test]
async fn the_admin_pages_are_on_no_other_listener() {
    let world = world().await;
    for target in ["/livez", "/readyz", "/metrics", "/status"] {
        assert_eq!(world.get(target).send().await.status, 404, "{target}");
        assert_eq!(plain(&world, "GET", target, &[]).await.status, 308, "{target}");
    }
    for target in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(world.admin(target).send().await.status, 200, "{target}");
    }
    assert_eq!(world.upstream.connections(), 0);
}

#[tokio::test]
async fn browsers_are_told_to_stay_on_https() {
    let world = world().await;
    for target in ["/public/x", "/basic/x", "/nowhere"] {
        assert_eq!(world.get(target).send().await.header("strict-transport-security"), "max-age=31536000", "{target}");
    }
}
