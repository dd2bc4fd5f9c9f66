//! The request signed anew as Fost's clients sign: an application that verifies such requests needs no change.

use crate::support::aws::{self, Aws};
use crate::support::client::{BOTH, Proto};
use crate::support::fost::Fost;
use crate::support::from_base64;
use crate::support::upstream::Seen;
use crate::support::world::World;

const SECRET: &str = "identity-secret-of-thirty-two-bytes!!";

async fn world(more: &str) -> World {
    World::with(|setup| {
        setup
            .file("secrets/fost.key", SECRET)
            .file("secrets/aws.key", aws::SECRET)
            .with("identity", &format!("signature = [\"hmac\", \"fost\"]\n{more}"))
            .section("identity.keys.f1", "secret_file = \"secrets/fost.key\"")
            .section("identity.keys.k1", "secret_file = \"secrets/fost.key\"")
            .rest(&aws::schemes())
            .route("/s3/**", &["s3"])
            .rest("[[route]]\npath = \"/open/**\"\naccess = \"public\"\nforward_credentials = true")
            .rest("[[route]]\npath = \"/both/**\"\naccept = [\"partners\", \"staff\"]\nforward_credentials = true")
    })
    .await
}

/// As django-fost-authn's middleware does: whom the request stands for, and the key that signed it.
fn verified(seen: &Seen, path: &str) -> (String, String) {
    let (key, tag) = seen.one("authorization").strip_prefix("FOST ").unwrap().split_once(':').unwrap();
    let values: Vec<&str> = seen.one("x-fost-headers").split(' ').map(|name| seen.one(name)).collect();
    let payload = if seen.body.is_empty() { seen.target.split_once('?').map_or("", |(_, query)| query).as_bytes() } else { &seen.body };
    let head = format!("{} {path}\n{}\n{}\n", seen.method, seen.one("x-fost-timestamp"), values.join("\n"));
    let document = [head.as_bytes(), payload].concat();
    let key_of_mac = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SECRET.as_bytes());
    assert!(aws_lc_rs::hmac::verify(&key_of_mac, &document, &from_base64(tag)).is_ok(), "{}", String::from_utf8_lossy(&document));
    assert_eq!(values[0], "X-FOST-Headers X-FOST-User");
    (key.to_owned(), seen.one("x-fost-user").to_owned())
}

#[tokio::test]
async fn every_permitted_request_is_signed_with_its_body_or_its_query() {
    let world = world("").await;
    for proto in BOTH {
        for (method, target, path, body) in [
            ("GET", "/basic/x", "/basic/x", ""),
            ("GET", "/basic/x?a=1&b=%20", "/basic/x", ""),
            ("POST", "/basic/x", "/basic/x", "a body"),
            ("PUT", "/basic/caf%C3%A9/a%20b?q=1", "/basic/café/a b", "another"),
            ("DELETE", "/basic/x?a=1", "/basic/x", ""),
        ] {
            let answer = world.call(method, target).headers(&world.good("basic", method, target)).body(body).proto(proto).send().await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let seen = world.upstream.only();
            assert_eq!((verified(&seen, path), seen.body.as_slice()), (("f1".to_owned(), "bob".to_owned()), body.as_bytes()), "{proto:?} {target}");
            assert!(seen.has("x-doorward-signature") && seen.user() == Some("bob"));
            world.upstream.take();
        }
    }
}

#[tokio::test]
async fn a_signature_of_the_clients_is_verified_and_replaced_and_none_passes_on_any_route() {
    let world = world("").await;
    for proto in BOTH {
        for target in ["/fost/x", "/both/x"] {
            let headers = Fost::new().user("kirit").sign("POST", target, format!("{proto:?}").as_bytes());
            let answer = world.call("POST", target).headers(&headers).body(format!("{proto:?}")).proto(proto).send().await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let seen = world.upstream.only();
            assert_eq!(verified(&seen, target), ("f1".to_owned(), "kirit".to_owned()));
            assert_ne!(seen.one("authorization"), headers[0].1);
            world.upstream.take();
        }
        let forged = Fost::new().user("root").sign("GET", "/open/x", b"");
        let call = world.get("/open/x").headers(&forged).header("x_fost_user", "root").header("X-Fost.User", "root").proto(proto);
        assert_eq!(call.send().await.status, 200);
        let seen = world.upstream.only();
        for name in ["authorization", "x-fost-user", "x-fost-headers", "x-fost-timestamp"] {
            assert!(seen.folding_to(name).is_empty(), "{name}: {:?}", seen.lines);
        }
        world.upstream.take();
    }
}

#[tokio::test]
async fn a_long_body_is_held_up_to_the_limit_and_a_wrong_one_never_begins() {
    let world = world("max_body = \"2MiB\"").await;
    for proto in BOTH {
        for length in [0, 1, 70_000, 1 << 21, (1 << 21) + 1] {
            let body = vec![b'x'; length];
            let answer = world.call("POST", "/basic/x").headers(&world.good("basic", "POST", "/basic/x")).body(body).proto(proto).send().await;
            if length > 1 << 21 {
                assert_eq!(answer.status, 413);
                assert!(world.upstream.take().is_empty());
                continue;
            }
            assert_eq!(answer.status, 200, "{length}");
            let seen = world.upstream.only();
            assert_eq!((verified(&seen, "/basic/x").1.as_str(), seen.body.len()), ("bob", length));
            world.upstream.take();
        }
        // A body whose hash a scheme verifies on its way is read to its end before anything is sent.
        let body = vec![b'y'; 300_000];
        let target = format!("/s3/{proto:?}");
        let headers = Aws::s3().sign("PUT", &target, &body);
        let mut wrong = body.clone();
        wrong[299_999] = b'z';
        assert_eq!(world.call("PUT", &target).headers(&headers).body(wrong).proto(proto).send().await.status, 401);
        assert!(world.upstream.take().is_empty(), "nothing of it was sent");
        let other = format!("/s3/other/{proto:?}");
        let answer = world.call("PUT", &other).headers(&Aws::s3().sign("PUT", &other, &body)).body(body.clone()).proto(proto).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let seen = world.upstream.only();
        assert_eq!((verified(&seen, &other).1.as_str(), seen.body.len()), ("backup", 300_000));
        world.upstream.take();
    }
}

#[tokio::test]
async fn names_are_written_so_that_no_plus_sign_begins_another_name() {
    let world = world("").await;
    for (user, written) in [("zoë", "zo+AOs-"), ("a+b@example.com", "a+-b@example.com"), ("x+AGE-", "x+-AGE-")] {
        let target = format!("/fost/{}", written.len());
        // The client's own name is signed as it is: UTF-8.
        let headers = Fost::new().user(user).sign("GET", &target, b"");
        let answer = world.get(&target).headers(&headers).proto(Proto::H1).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(verified(&world.upstream.only(), &target).1, written);
        world.upstream.take();
    }
}

#[tokio::test]
async fn verify_identity_knows_the_signature() {
    let world = world("").await;
    for (method, target, body) in [("GET", "/basic/x?a=1", ""), ("POST", "/basic/x", "body")] {
        assert_eq!(world.call(method, target).headers(&world.good("basic", method, target)).body(body).send().await.status, 200);
        let seen = world.upstream.only();
        let head = format!("{} {} HTTP/1.1\r\n{}\r\n\r\n", seen.method, seen.target, seen.lines.join("\r\n"));
        let good = world.setup.cli(&["verify-identity"], &head);
        let said = String::from_utf8_lossy(&good.stdout).into_owned();
        assert_eq!(good.status.success(), body.is_empty(), "{said}");
        assert!(body.is_empty() || said.contains("the signature covers the body, which is not here"), "{said}");
        let changed = world.setup.cli(&["verify-identity"], &head.replace("x-fost-user: bob", "x-fost-user: eve"));
        assert!(!changed.status.success());
        world.upstream.take();
    }
}
