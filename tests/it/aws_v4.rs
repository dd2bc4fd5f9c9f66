//! Requests and URLs signed as for Amazon's services, by Amazon's own signer: what is not signed is not let in.

use crate::support::aws::{self, Aws, KEY, REGION, SECRET};
use crate::support::client::{BOTH, Proto};
use crate::support::world::World;

async fn world() -> World {
    World::with(|setup| {
        setup
            .file("secrets/aws.key", SECRET)
            .rest(&aws::schemes())
            .rest(&format!("[auth.lax.aws-v4]\nregion = \"{REGION}\"\nservice = \"s3\"\nallow_unsigned_payload = true\nallow_session_token = true"))
            .rest(&format!("[auth.lax.aws-v4.keys.{KEY}]\nsecret_file = \"secrets/aws.key\"\npaths = [\"/lax/**\"]"))
            .route("/s3/**", &["s3"])
            .route("/api/**", &["api"])
            .route("/lax/**", &["lax"])
            .route("/other/**", &["lax"])
    })
    .await
}

struct Try<'a> {
    method: &'a str,
    target: &'a str,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

async fn status(world: &World, proto: Proto, one: Try<'_>) -> u16 {
    world.call(one.method, one.target).headers(&one.headers).body(one.body).proto(proto).send().await.status.as_u16()
}

fn long() -> Vec<u8> {
    (0..300_000_u32).map(|n| (n % 251) as u8).collect()
}

#[tokio::test]
async fn a_signed_request_is_let_in_as_the_user_of_its_key() {
    let world = world().await;
    let long = long();
    for (proto, nonce) in BOTH.into_iter().zip(["1", "2"]) {
        for (service, prefix) in [(Aws::s3(), "/s3"), (Aws::api(), "/api")] {
            for (method, rest, body) in [
                ("GET", "/k", &b""[..]),
                ("HEAD", "/k", b""),
                ("GET", "/fran%C3%A7ais/a%20b?b=2&a=1&empty=&list=1&list=2&q=x%20y%2Bz", b""),
                ("GET", "/k?acl", b""),
                ("PUT", "/k", b"body"),
                ("POST", "/k?uploads=", b"body"),
                ("PUT", "/long", &long),
                ("DELETE", "/k?versionId=7", b""),
                ("PUT", "/empty", b""),
            ] {
                let target = format!("{prefix}{rest}");
                let signer = service.clone().header("x-amz-meta-nonce", nonce).header("content-type", "text/plain");
                let one = Try { method, target: &target, headers: signer.sign(method, &target, body), body: body.to_vec() };
                assert_eq!(status(&world, proto, one).await, 200, "{proto:?} {method} {target}");
                let seen = world.upstream.only();
                assert_eq!((seen.user(), seen.target.as_str(), seen.body.as_slice()), (Some("backup"), target.as_str(), body));
                assert!(!seen.has("authorization"));
                assert!(body.is_empty() || seen.one("content-length") == body.len().to_string());
            }
        }
    }
    world.upstream.assert_canonical();
}

#[tokio::test]
async fn whatever_is_changed_after_signing_is_refused() {
    let world = world().await;
    for proto in BOTH {
        for (signer, prefix) in [(Aws::s3(), "/s3"), (Aws::api(), "/api")] {
            let target = format!("{prefix}/k?a=1");
            let put = || signer.clone().header("x-amz-acl", "private").header("content-type", "text/plain").sign("PUT", &target, b"body");
            let without = |name: &str| put().into_iter().filter(|(have, _)| have != name).collect::<Vec<_>>();
            let with = |name: &str, value: &str| [put(), vec![(name.to_owned(), value.to_owned())]].concat();
            let get = |signer: Aws<'_>| signer.sign("PUT", &target, b"body");
            let elsewhere = format!("{prefix}/l?a=1");
            for (why, method, target, headers, body) in [
                ("another body", "PUT", target.as_str(), put(), "bodz"),
                ("no body", "PUT", &target, put(), ""),
                ("a longer body", "PUT", &target, put(), "body "),
                ("another method", "POST", &target, put(), "body"),
                ("another path", "PUT", &elsewhere, put(), "body"),
                ("another parameter", "PUT", &target.replace("a=1", "a=2"), put(), "body"),
                ("a further parameter", "PUT", &format!("{target}&b=2"), put(), "body"),
                ("no query", "PUT", &target.replace("?a=1", ""), put(), "body"),
                ("no x-amz-acl", "PUT", &target, without("x-amz-acl"), "body"),
                ("no date", "PUT", &target, without("x-amz-date"), "body"),
                ("no type", "PUT", &target, without("content-type"), "body"),
                ("another x-amz-acl", "PUT", &target, with("x-amz-acl", "public-read"), "body"),
                ("a header like it", "PUT", &target, with("x_amz_acl", "public-read"), "body"),
                ("a session token", "PUT", &target, with("x-amz-security-token", "x"), "body"),
                ("a signed session token", "PUT", &target, get(signer.clone().header("x-amz-security-token", "x")), "body"),
                ("another secret", "PUT", &target, get(signer.clone().key(KEY, "guess")), "body"),
                ("an unknown key", "PUT", &target, get(signer.clone().key("nobody", SECRET)), "body"),
                ("another region", "PUT", &target, get(Aws { region: "us-east-1", ..signer.clone() }), "body"),
                ("another service", "PUT", &target, get(Aws { service: "sqs", ..signer.clone() }), "body"),
                ("a date long ago", "PUT", &target, get(signer.clone().skewed(-1000)), "body"),
                ("a date to come", "PUT", &target, get(signer.clone().skewed(1000)), "body"),
                ("an unsigned body", "PUT", &target, signer.sign_word("PUT", &target, "UNSIGNED-PAYLOAD"), "body"),
                ("an unknown word", "PUT", &target, Aws { hash_header: true, ..signer.clone() }.sign_word("PUT", &target, "STREAMING-X"), "body"),
            ] {
                let one = Try { method, target, headers, body: body.as_bytes().to_vec() };
                assert_eq!(status(&world, proto, one).await, 401, "{proto:?} {prefix} {why}");
            }
        }
        let answer = world.get("/s3/k").proto(proto).send().await;
        assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (401, "AWS4-HMAC-SHA256 realm=\"doorward\""));
    }
    assert!(world.upstream.take().is_empty(), "a short body is judged before anything is sent");
    assert_eq!(world.upstream.connections(), 0);
}

#[tokio::test]
async fn another_host_is_another_request() {
    let world = world().await;
    let headers = Aws::s3().sign("GET", "/s3/k", b"");
    for proto in BOTH {
        for (host, expected) in [("app.example.com", 200), ("app.example.com:443", 401), ("localhost", 401), ("APP.example.com", 401)] {
            assert_eq!(
                world.get("/s3/k").host(host).sni(host.split(':').next().unwrap()).headers(&headers).proto(proto).send().await.status,
                expected
            );
        }
    }
}

#[tokio::test]
async fn a_signature_that_changes_things_is_good_once() {
    let world = world().await;
    for (proto, nonce) in BOTH.into_iter().zip(["1", "2"]) {
        for (method, again) in [("GET", 200), ("HEAD", 200), ("PUT", 401), ("DELETE", 401), ("PATCH", 401)] {
            let headers = Aws::s3().header("x-amz-meta-nonce", nonce).sign(method, "/s3/k", b"");
            let one = || Try { method, target: "/s3/k", headers: headers.clone(), body: Vec::new() };
            assert_eq!(status(&world, proto, one()).await, 200, "{method}");
            assert_eq!(status(&world, proto, one()).await, again, "{method}");
        }
        let url = Aws::s3().header("x-amz-meta-nonce", nonce).url("PUT", &format!("/s3/k?n={nonce}"), 60);
        let put = || world.call("PUT", &url).header("x-amz-meta-nonce", nonce).proto(proto).send();
        assert_eq!((put().await.status.as_u16(), put().await.status.as_u16()), (200, 401));
    }
}

#[tokio::test]
async fn a_body_whose_hash_is_not_said_is_read_up_to_the_limit() {
    let world = world().await;
    let long = vec![b'x'; (1 << 20) + 1];
    for (proto, nonce) in BOTH.into_iter().zip(["1", "2"]) {
        let sign = |body: &[u8]| Aws::api().header("x-amz-meta-nonce", nonce).sign("PUT", "/api/k", body);
        assert!(sign(b"x").iter().all(|(name, _)| name != "x-amz-content-sha256"));
        let one = |body: &[u8], sent: &[u8]| Try { method: "PUT", target: "/api/k", headers: sign(body), body: sent.to_vec() };
        assert_eq!(status(&world, proto, one(&long[1..], &long[1..])).await, 200);
        assert_eq!(world.upstream.only().body, long[1..]);
        assert_eq!(status(&world, proto, one(&long, &long)).await, 413);
        assert_eq!(status(&world, proto, one(&long[2..], &long[1..])).await, 401);
    }
    assert!(world.upstream.take().is_empty());
}

#[tokio::test]
async fn chunks_are_verified_and_passed_on_decoded() {
    let long = long();
    let data: Vec<&[u8]> = long.chunks(65_536).collect();
    for (proto, nonce) in BOTH.into_iter().zip(["1", "2"]) {
        let world = world().await;
        for data in [&data[..], &[b"short"], &[]] {
            let whole = data.concat();
            let signer = Aws::s3().header("x-amz-meta-nonce", &format!("{nonce} {}", whole.len()));
            let (headers, body) = signer.chunks("PUT", "/s3/k", data);
            assert_eq!(status(&world, proto, Try { method: "PUT", target: "/s3/k", headers, body }).await, 200);
            let seen = world.upstream.only();
            assert_eq!((seen.body.len(), seen.body == whole), (whole.len(), true));
            assert_eq!(seen.one("content-length"), whole.len().to_string());
            for gone in ["content-encoding", "x-amz-decoded-content-length", "x-amz-content-sha256", "transfer-encoding"] {
                assert!(!seen.has(gone), "{gone}");
            }
        }
        let signer = Aws::s3().header("x-amz-meta-nonce", &format!("{nonce} refused"));
        for (turn, why) in ["the first chunk", "the second", "the end", "nothing"].into_iter().enumerate() {
            // Each has a signature of its own, which is used up.
            let (headers, mut body) = signer.clone().header("x-amz-meta-turn", why).chunks("PUT", "/s3/k", &[b"first", b"second"]);
            let at = |text: &[u8]| body.windows(text.len()).position(|window| window == text).unwrap();
            let change = [at(b"first"), at(b"second") + 5, body.len() - 10];
            if let Some(change) = change.get(turn) {
                body[*change] ^= 1;
            }
            let expected = if why == "nothing" { 200 } else { 401 };
            assert_eq!(status(&world, proto, Try { method: "PUT", target: "/s3/k", headers, body }).await, expected, "{why}");
        }
        assert_eq!(world.upstream.only().body, b"firstsecond");
        let (headers, body) = signer.clone().header("x-amz-meta-more", "1").chunks("PUT", "/s3/k", &[b"first", b"second"]);
        let cut = body[..body.len() - 88].to_vec();
        assert_eq!(status(&world, proto, Try { method: "PUT", target: "/s3/k", headers, body: cut }).await, 401, "without its last chunk");
        let (headers, mut body) = signer.header("x-amz-meta-more", "2").chunks("PUT", "/s3/k", &data);
        let last = body.len() - 200;
        body[last] ^= 1;
        assert_eq!(status(&world, proto, Try { method: "PUT", target: "/s3/k", headers, body }).await, 401, "a late chunk");
        // The connection is reset, which can overtake what was sent: the application has then seen nothing at all.
        for seen in world.upstream.take() {
            assert!(seen.body.len() < long.len() && long.starts_with(&seen.body), "what came was verified");
        }
    }
}

#[tokio::test]
async fn a_signed_url_opens_its_page_until_it_expires() {
    let world = world().await;
    for proto in BOTH {
        for (signer, prefix) in [(Aws::s3(), "/s3"), (Aws::api(), "/api")] {
            for rest in ["/k", "/a%20b?versionId=7&q=%2B"] {
                let target = format!("{prefix}{rest}");
                let answer = world.get(&signer.url("GET", &target, 60)).proto(proto).send().await;
                assert_eq!(answer.status, 200, "{}", answer.text());
                let seen = world.upstream.only();
                assert_eq!((seen.user(), seen.target.as_str()), (Some("backup"), target.as_str()));
            }
            let target = format!("{prefix}/k");
            let url = signer.url("GET", &target, 60);
            for changed in [
                signer.clone().skewed(-100).url("GET", &target, 60),
                signer.clone().skewed(1000).url("GET", &target, 60),
                signer.url("GET", &target, 8 * 86_400),
                signer.url("HEAD", &target, 60),
                url.replace("Expires=60", "Expires=61"),
                url.replace("/k?", "/l?"),
                format!("{url}&a=1"),
                format!("{url}&X-Amz-Signature=x"),
                url.replace(KEY, "nobody"),
                url.replace("SignedHeaders=host", "SignedHeaders="),
                url.replace(REGION, "us-east-1"),
            ] {
                assert_eq!(world.get(&changed).proto(proto).send().await.status, 401, "{changed}");
            }
            assert_eq!(world.call("GET", &url).body("body").proto(proto).send().await.status, 401, "a body that was not signed");
        }
    }
    assert!(world.upstream.take().is_empty());
}

#[tokio::test]
async fn an_unsigned_body_and_a_session_token_need_leave() {
    let world = world().await;
    let unsigned = b"4\r\nbody\r\n0\r\nx-amz-checksum-crc32:2LK6hg==\r\n\r\n";
    for (proto, nonce) in BOTH.into_iter().zip(["1", "2"]) {
        let signer = || Aws::s3().header("x-amz-meta-nonce", nonce);
        for (target, prefix, expected) in [("/lax/k", "lax", 200), ("/s3/k", "s3", 401)] {
            let headers = signer().sign_word("PUT", target, "UNSIGNED-PAYLOAD");
            assert_eq!(status(&world, proto, Try { method: "PUT", target, headers, body: b"body".to_vec() }).await, expected);
            let headers = signer()
                .header("x-amz-decoded-content-length", "4")
                .header("x-amz-trailer", "x-amz-checksum-crc32")
                .header("content-encoding", "gzip,aws-chunked")
                .sign_word("PUT", target, "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
            assert_eq!(status(&world, proto, Try { method: "PUT", target, headers, body: unsigned.to_vec() }).await, expected);
            let headers = signer().header("x-amz-security-token", "x").sign("PUT", target, b"body");
            assert_eq!(status(&world, proto, Try { method: "PUT", target, headers, body: b"body".to_vec() }).await, expected);
            let seen = world.upstream.take();
            assert_eq!(seen.len(), if prefix == "lax" { 3 } else { 0 });
            for seen in &seen {
                assert_eq!((seen.body.as_slice(), seen.one("content-length")), (&b"body"[..], "4"));
                assert!(!seen.has("x-amz-security-token") && !seen.has("x-amz-trailer"));
            }
            if let Some(chunked) = seen.get(1) {
                assert_eq!(chunked.one("content-encoding"), "gzip");
            }
            let headers = signer().sign_word("PUT", &format!("{target}?empty"), "UNSIGNED-PAYLOAD");
            let one = Try { method: "PUT", target: &format!("{target}?empty"), headers, body: Vec::new() };
            assert_eq!(status(&world, proto, one).await, 200, "nothing cannot be changed");
            world.upstream.only();
        }
        let headers = signer().sign("GET", "/other/k", b"");
        assert_eq!(status(&world, proto, Try { method: "GET", target: "/other/k", headers, body: Vec::new() }).await, 401, "not the key's path");
    }
}

#[tokio::test]
async fn check_warns_of_what_is_left_open_and_names_what_is_missing() {
    let world = world().await;
    let output = world.setup.cli(&["check"], "");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    for key in ["auth.lax.aws-v4.allow_unsigned_payload", "auth.lax.aws-v4.allow_session_token"] {
        assert!(text.contains(key), "{key}: {text}");
    }
    assert!(!text.contains("auth.s3.aws-v4.allow") && !text.contains(SECRET), "{text}");
}
