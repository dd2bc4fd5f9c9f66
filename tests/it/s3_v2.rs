//! Requests and URLs signed as Amazon S3 once asked for: what is not signed is not let in.

use crate::support::client::{BOTH, Proto};
use crate::support::now;
use crate::support::s3::{KEY, S3, SECRET};
use crate::support::world::World;

async fn world() -> World {
    World::with(|setup| {
        let key = format!("keys.{KEY}]\nsecret_file = \"secrets/s3.key\"\nuser = \"backup\"");
        setup
            .file("secrets/s3.key", SECRET)
            .rest(&format!("[auth.s3.s3-v2]\nmax_body = \"1MiB\"\n[auth.s3.s3-v2.{key}\npaths = [\"/s3/**\"]"))
            .rest(&format!("[auth.lax.s3-v2]\nallow_unsigned_body = true\nallow_unsigned_query = true\n[auth.lax.s3-v2.{key}"))
            .route("/s3/**", &["s3"])
            .route("/closed/**", &["s3"])
            .route("/lax/**", &["lax"])
    })
    .await
}

struct Try<'a> {
    method: &'a str,
    target: &'a str,
    headers: Vec<(String, String)>,
    body: &'static str,
}

async fn status(world: &World, proto: Proto, one: Try<'_>) -> u16 {
    world.call(one.method, one.target).headers(&one.headers).body(one.body).proto(proto).send().await.status.as_u16()
}

#[tokio::test]
async fn a_signed_request_is_let_in_as_the_user_of_its_key() {
    let world = world().await;
    for (proto, nonce) in BOTH.into_iter().zip(["1", "2"]) {
        for (method, target, body) in [
            ("GET", "/s3/k", ""),
            ("HEAD", "/s3/k", ""),
            ("GET", "/s3/fran%C3%A7ais?acl", ""),
            ("PUT", "/s3/k", "body"),
            ("POST", "/s3/k?uploads", "body"),
            ("DELETE", "/s3/k?versionId=7", ""),
        ] {
            let signed = (!body.is_empty()).then_some(body.as_bytes());
            let mut s3 = S3::new().amz("x-amz-meta-nonce", nonce);
            s3.content_type = if body.is_empty() { "" } else { "text/plain" };
            let one = Try { method, target, headers: s3.sign(method, target, signed), body };
            assert_eq!(status(&world, proto, one).await, 200, "{proto:?} {method} {target}");
            let seen = world.upstream.only();
            assert_eq!((seen.user(), seen.target.as_str(), seen.body.as_slice()), (Some("backup"), target, body.as_bytes()));
            assert!(!seen.has("authorization"));
        }
    }
}

#[tokio::test]
async fn whatever_is_changed_after_signing_is_refused() {
    let world = world().await;
    for proto in BOTH {
        let put = || S3::new().amz("x-amz-acl", "private").sign("PUT", "/s3/k?acl", Some(b"body"));
        let without = |name: &str| put().into_iter().filter(|(have, _)| have != name).collect::<Vec<_>>();
        let with = |name: &str, value: &str| [put(), vec![(name.to_owned(), value.to_owned())]].concat();
        for (why, method, target, headers, body) in [
            ("another body", "PUT", "/s3/k?acl", put(), "bodz"),
            ("no body", "PUT", "/s3/k?acl", put(), ""),
            ("a longer body", "PUT", "/s3/k?acl", put(), "body "),
            ("another method", "POST", "/s3/k?acl", put(), "body"),
            ("another path", "PUT", "/s3/l?acl", put(), "body"),
            ("another sub-resource", "PUT", "/s3/k?policy", put(), "body"),
            ("a further parameter", "PUT", "/s3/k?acl&a=1", put(), "body"),
            ("no query", "PUT", "/s3/k", put(), "body"),
            ("no Content-MD5", "PUT", "/s3/k?acl", without("Content-MD5"), "body"),
            ("no x-amz-acl", "PUT", "/s3/k?acl", without("x-amz-acl"), "body"),
            ("no Date", "PUT", "/s3/k?acl", without("Date"), "body"),
            ("another x-amz-acl", "PUT", "/s3/k?acl", with("x-amz-acl", "public-read"), "body"),
            ("a header like it", "PUT", "/s3/k?acl", with("x_amz_acl", "public-read"), "body"),
            ("a type", "PUT", "/s3/k?acl", with("Content-Type", "text/html"), "body"),
            ("an unsigned body", "PUT", "/s3/k", S3::new().sign("PUT", "/s3/k", None), "body"),
            ("an unsigned body of GET", "GET", "/s3/k", S3::new().sign("GET", "/s3/k", None), "body"),
            ("an unsigned query", "GET", "/s3/k?a=1", S3::new().sign("GET", "/s3/k", None), ""),
            ("another secret", "GET", "/s3/k", S3::new().key(KEY, "guess").sign("GET", "/s3/k", None), ""),
            ("an unknown key", "GET", "/s3/k", S3::new().key("nobody", SECRET).sign("GET", "/s3/k", None), ""),
            ("a path that is not the key's", "GET", "/closed/k", S3::new().sign("GET", "/closed/k", None), ""),
            ("a date long ago", "GET", "/s3/k", S3::new().skewed(-1000).sign("GET", "/s3/k", None), ""),
            ("a date to come", "GET", "/s3/k", S3::new().skewed(1000).sign("GET", "/s3/k", None), ""),
        ] {
            assert_eq!(status(&world, proto, Try { method, target, headers, body }).await, 401, "{proto:?} {why}");
        }
        let answer = world.get("/s3/k").proto(proto).send().await;
        assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (401, "AWS realm=\"doorward\""));
    }
    assert!(world.upstream.take().is_empty());
}

#[tokio::test]
async fn a_signature_that_changes_things_is_good_once() {
    let world = world().await;
    for (proto, nonce) in BOTH.into_iter().zip(["1", "2"]) {
        for (method, again) in [("GET", 200), ("HEAD", 200), ("PUT", 401), ("DELETE", 401)] {
            let headers = S3::new().amz("x-amz-meta-nonce", nonce).sign(method, "/s3/k", None);
            let one = || Try { method, target: "/s3/k", headers: headers.clone(), body: "" };
            assert_eq!(status(&world, proto, one()).await, 200, "{method}");
            assert_eq!(status(&world, proto, one()).await, again, "{method}");
        }
    }
    assert_eq!(world.upstream.count(), 12);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_too_large_and_none_of_it_is_forwarded() {
    let world = world().await;
    let long = vec![b'x'; (1 << 20) + 1];
    for proto in BOTH {
        let headers = S3::new().amz("x-amz-meta-nonce", &format!("{proto:?}")).sign("PUT", "/s3/k", Some(&long));
        let answer = world.call("PUT", "/s3/k").headers(&headers).body(long.clone()).proto(proto).send().await;
        assert_eq!(answer.status, 413);
    }
    assert!(world.upstream.take().is_empty());
}

#[tokio::test]
async fn a_signed_url_opens_its_page_until_it_expires() {
    let world = world().await;
    let soon = now() + 60;
    for proto in BOTH {
        for (target, sent) in [("/s3/k", "/s3/k"), ("/s3/k?versionId=7", "/s3/k?versionId=7")] {
            let answer = world.get(&S3::new().url("GET", target, soon)).proto(proto).send().await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let seen = world.upstream.only();
            assert_eq!((seen.user(), seen.target.as_str()), (Some("backup"), sent));
        }
        let url = S3::new().url("GET", "/s3/k", soon);
        for changed in [
            S3::new().url("GET", "/s3/k", now() - 1),
            S3::new().url("GET", "/s3/k", now() + 8 * 86_400),
            S3::new().url("HEAD", "/s3/k", soon),
            url.replace(&soon.to_string(), &(soon + 1).to_string()),
            url.replace("/s3/k", "/s3/l"),
            format!("{url}&a=1"),
            format!("{url}&acl"),
            format!("{url}&Signature=x"),
            url.replace("AWSAccessKeyId=A", "AWSAccessKeyId=%41x"),
        ] {
            assert_eq!(world.get(&changed).proto(proto).send().await.status, 401, "{changed}");
        }
        assert!(world.upstream.take().is_empty());
    }
}

#[tokio::test]
async fn an_unsigned_body_or_query_needs_leave() {
    let world = world().await;
    for (proto, nonce) in BOTH.into_iter().zip(["1", "2"]) {
        let headers = S3::new().amz("x-amz-meta-nonce", nonce).sign("PUT", "/lax/k?acl", None);
        assert_eq!(status(&world, proto, Try { method: "PUT", target: "/lax/k?page=2&acl", headers, body: "body" }).await, 200);
        let seen = world.upstream.only();
        assert_eq!((seen.target.as_str(), seen.body.as_slice()), ("/lax/k?page=2&acl", &b"body"[..]));
        let headers = S3::new().amz("x-amz-meta-nonce", nonce).sign("POST", "/lax/k", Some(b"body"));
        assert_eq!(status(&world, proto, Try { method: "POST", target: "/lax/k", headers, body: "bodz" }).await, 401, "said is said");
    }
    assert!(world.upstream.take().is_empty());
}
