//! Requests signed by the drafts before RFC 9421, as clients of Kong and APISIX sign them: what is not signed is not let in.

use crate::support::client::{BOTH, Call, Proto, fed};
use crate::support::gateways::{DIALECTS, KEY, SECRET, Signer};
use crate::support::message_signature::Key;
use crate::support::setup::HOST;
use crate::support::world::World;
use crate::support::{breathe, within};

async fn world() -> World {
    World::with(|mut setup| {
        setup = setup.file("secrets/john.key", SECRET);
        for dialect in DIALECTS {
            for (name, options) in [("strict", ""), ("lax", "allow_unsigned_target = true\nallow_unsigned_host = true\nallow_unsigned_body = true")] {
                let key = format!("keys.{KEY}]\nsecret_file = \"secrets/john.key\"\nuser = \"john\"\npaths = [\"/{name}/**\"]");
                let scheme = format!("{dialect}-{name}");
                setup = setup
                    .rest(&format!("[auth.{scheme}.http-signature]\ndialect = \"{dialect}\"\n{options}\n[auth.{scheme}.http-signature.{key}"))
                    .route(&format!("/{name}/{dialect}/**"), &[&scheme])
                    .route(&format!("/closed/{name}/{dialect}"), &[&scheme]);
            }
        }
        setup
    })
    .await
}

fn call(world: &World, proto: Proto, method: &str, target: &str, headers: &[(String, String)], body: impl AsRef<[u8]>) -> Call {
    world.call(method, target).headers(headers).body(body.as_ref().to_vec()).proto(proto)
}

#[tokio::test]
async fn a_signed_request_is_let_in_as_the_user_of_its_key() {
    let world = world().await;
    for dialect in DIALECTS {
        for (proto, nonce) in BOTH.into_iter().zip(["1", "2"]) {
            for (method, query, body) in
                [("GET", "", ""), ("HEAD", "?a=1&b=2", ""), ("POST", "?a=1", "body"), ("PUT", "", "body"), ("DELETE", "?a=1", "")]
            {
                let target = format!("/strict/{dialect}/x{query}");
                let headers = Signer::new(dialect).header("X-Nonce", nonce).sign(method, &target, body.as_bytes());
                let answer = call(&world, proto, method, &target, &headers, body).send().await;
                assert_eq!(answer.status, 200, "{dialect} {proto:?} {method} {target}: {}", answer.text());
                let seen = world.upstream.only();
                assert_eq!((seen.user(), seen.target.as_str(), seen.body.as_slice()), (Some("john"), target.as_str(), body.as_bytes()));
                for name in [
                    "authorization",
                    "signature",
                    "x-hmac-signature",
                    "x-hmac-access-key",
                    "x-hmac-algorithm",
                    "x-hmac-signed-headers",
                    "x-hmac-digest",
                ] {
                    assert!(!seen.has(name), "{dialect} {name}");
                }
            }
        }
    }
}

#[tokio::test]
async fn whatever_is_changed_after_signing_is_refused() {
    let world = world().await;
    for dialect in DIALECTS {
        let target = format!("/strict/{dialect}/x?a=1");
        let target = target.as_str();
        let signer = || Signer::new(dialect).header("X-Tenant", "acme");
        let post = || signer().sign("POST", target, b"body");
        let without = |name: &str| post().into_iter().filter(|(have, _)| have != name).collect::<Vec<_>>();
        let with = |name: &str, value: &str| [post(), vec![(name.to_owned(), value.to_owned())]].concat();
        let set = |name: &str, value: &str| [without(name), vec![(name.to_owned(), value.to_owned())]].concat();
        let digest = if dialect == "apisix-v1" { "X-HMAC-DIGEST" } else { "Digest" };
        for proto in BOTH {
            for (why, method, target, headers, body) in [
                ("another body", "POST", target, post(), "bodz"),
                ("no body", "POST", target, post(), ""),
                ("a longer body", "POST", target, post(), "body "),
                ("another method", "PUT", target, post(), "body"),
                ("another path", "POST", &target.replace("/x", "/y"), post(), "body"),
                ("another query", "POST", &target.replace("a=1", "a=2"), post(), "body"),
                ("a longer query", "POST", &format!("{target}&b=1"), post(), "body"),
                ("no query", "POST", &target.replace("?a=1", ""), post(), "body"),
                ("no digest", "POST", target, without(digest), "body"),
                ("two digests", "POST", target, with(digest, "SHA-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="), "body"),
                ("an unsigned digest", "POST", target, signer().without("digest").sign("POST", target, b"body"), "body"),
                ("no digest at all", "POST", target, signer().sign("POST", target, b""), "body"),
                ("a body on GET", "GET", target, signer().sign("GET", target, b""), "body"),
                ("no date", "POST", target, without("Date"), "body"),
                ("two dates", "POST", target, with("Date", "Sun, 22 Nov 2026 06:00:00 GMT"), "body"),
                ("another tenant", "POST", target, set("X-Tenant", "other"), "body"),
                ("two tenants", "POST", target, with("X-Tenant", "other"), "body"),
                ("no tenant", "POST", target, without("X-Tenant"), "body"),
                ("no host", "POST", target, signer().without("host").sign("POST", target, b"body"), "body"),
                ("another secret", "GET", target, signer().key(KEY, "guess").sign("GET", target, b""), ""),
                ("an unknown key", "GET", target, signer().key("nobody", SECRET).sign("GET", target, b""), ""),
                (
                    "a path that is not the key's",
                    "GET",
                    &format!("/closed/strict/{dialect}"),
                    signer().sign("GET", &format!("/closed/strict/{dialect}"), b""),
                    "",
                ),
                ("a date long ago", "GET", target, signer().skewed(-400).sign("GET", target, b""), ""),
                ("a date to come", "GET", target, signer().skewed(400).sign("GET", target, b""), ""),
            ] {
                let answer = call(&world, proto, method, target, &headers, body).send().await;
                assert_eq!(answer.status, 401, "{dialect} {proto:?} {why}");
                assert!(!answer.header("www-authenticate").is_empty());
            }
            let elsewhere =
                world.call("GET", target).headers(&signer().sign("GET", target, b"")).host("localhost").sni("localhost").proto(proto).send().await;
            assert_eq!(elsewhere.status, 401, "{dialect}: another host than {HOST}");
        }
        if dialect != "apisix-v1" {
            let open = signer().without("target").sign("GET", target, b"");
            assert_eq!(call(&world, Proto::H1, "GET", target, &open, "").send().await.status, 401, "{dialect}");
        }
    }
    assert!(world.upstream.take().is_empty());
}

#[tokio::test]
async fn a_signature_that_changes_things_is_good_once() {
    let world = world().await;
    for dialect in DIALECTS {
        for (proto, nonce) in BOTH.into_iter().zip(["1", "2"]) {
            let target = format!("/strict/{dialect}/x");
            for (method, again) in [("GET", 200), ("HEAD", 200), ("OPTIONS", 200), ("POST", 401), ("DELETE", 401)] {
                let headers = Signer::new(dialect).header("X-Nonce", nonce).sign(method, &target, b"");
                for expected in [200, again] {
                    assert_eq!(call(&world, proto, method, &target, &headers, "").send().await.status.as_u16(), expected, "{dialect} {method}");
                }
            }
        }
    }
}

#[tokio::test]
async fn less_may_be_signed_where_the_configuration_allows_it_and_a_signature_seen_under_get_is_not_good_for_another_method() {
    let world = world().await;
    for dialect in ["draft", "kong", "apisix"] {
        for (proto, nonce) in BOTH.into_iter().zip(["1", "2"]) {
            let target = format!("/lax/{dialect}/x");
            let headers =
                Signer::new(dialect).header("X-Nonce", nonce).without("target").without("host").without("digest").sign("GET", "/elsewhere", b"");
            for (method, expected) in [("GET", 200), ("GET", 200), ("HEAD", 200), ("POST", 401), ("DELETE", 401), ("GET", 200)] {
                assert_eq!(call(&world, proto, method, &target, &headers, "").send().await.status.as_u16(), expected, "{dialect} {method}");
            }
            // As PyPI's kong-hmac does: the date and the digest.
            let least = Signer::new(dialect).header("X-Nonce", &format!("{nonce}b")).without("target").without("host").sign("POST", "/", b"body");
            for (body, expected) in [("body", 200), ("body", 401)] {
                assert_eq!(call(&world, proto, "POST", &target, &least, body).send().await.status.as_u16(), expected, "{dialect}");
            }
            let said = Signer::new(dialect).header("X-Nonce", &format!("{nonce}c")).without("digest").sign("POST", &target, b"body");
            assert_eq!(call(&world, proto, "POST", &target, &said, "bodz").send().await.status, 401, "{dialect}: said is said");
            let unsaid = Signer::new(dialect).header("X-Nonce", &format!("{nonce}d")).sign("POST", &target, b"");
            assert_eq!(call(&world, proto, "POST", &target, &unsaid, "body").send().await.status, 200, "{dialect}: nothing is said of the body");
        }
    }
}

#[tokio::test]
async fn kongs_clients_may_name_any_version_and_either_header() {
    let world = world().await;
    let target = "/strict/kong/x?a=1";
    for proto in BOTH {
        for (version, expected) in [("HTTP/1.1", 200), ("HTTP/2.0", 200), ("HTTP/1.0", 200), ("HTTP/3.0", 401), ("http/1.1", 401)] {
            let headers = Signer::new("kong").version(version).sign("GET", target, b"");
            assert_eq!(call(&world, proto, "GET", target, &headers, "").send().await.status.as_u16(), expected, "{proto:?} {version}");
        }
        let good = Signer::new("kong").sign("GET", target, b"");
        let proxied: Vec<_> = good.iter().map(|(name, value)| (name.replace("Authorization", "Proxy-Authorization"), value.clone())).collect();
        world.upstream.take();
        assert_eq!(call(&world, proto, "GET", target, &proxied, "").send().await.status, 200, "{proto:?}");
        assert!(!world.upstream.only().has("proxy-authorization"));
        let both = [good, proxied.clone()].concat();
        assert_eq!(call(&world, proto, "GET", target, &both, "").send().await.status, 401, "{proto:?}: two signatures");
        let twice = [proxied.clone(), proxied].concat();
        assert_eq!(call(&world, proto, "GET", target, &twice, "").send().await.status, 401, "{proto:?}: twice");
    }
}

#[tokio::test]
async fn the_last_byte_of_a_wrong_body_does_not_reach_the_application() {
    let world = world().await;
    for dialect in DIALECTS {
        for (proto, nonce) in BOTH.into_iter().zip(["1", "2"]) {
            let target = format!("/strict/{dialect}/x");
            let long = vec![b'x'; 300_000];
            let headers = Signer::new(dialect).header("X-Nonce", nonce).sign("POST", &target, &long);
            assert_eq!(call(&world, proto, "POST", &target, &headers, &long).send().await.status, 200, "{dialect}");
            let headers = Signer::new(dialect).header("X-Nonce", &format!("{nonce}b")).sign("POST", &target, &long);
            let mut wrong = long.clone();
            wrong[299_999] = b'y';
            let one = call(&world, proto, "POST", &target, &headers, "");
            let (pieces, body) = fed();
            let (answer, ()) = tokio::join!(
                async {
                    let mut sender = one.connect().await;
                    sender.send(one.request(body)).await.map(|response| response.status().as_u16())
                },
                async {
                    for piece in wrong.chunks(50_000) {
                        let _ = pieces.send(Ok(hyper::body::Frame::data(bytes::Bytes::copy_from_slice(piece)))).await;
                    }
                    drop(pieces);
                }
            );
            assert_eq!(answer.unwrap(), 401, "{dialect} {proto:?}");
        }
    }
    let seen = world.upstream.take();
    let (whole, broken): (Vec<_>, Vec<_>) = seen.iter().partition(|seen| seen.body.len() == 300_000);
    assert!(whole.len() == 8 && whole.iter().all(|seen| seen.body.iter().all(|byte| *byte == b'x')), "{}", whole.len());
    assert!(broken.iter().all(|seen| seen.body.len() < 300_000));
}

#[tokio::test]
async fn the_command_line_signs_what_is_let_in() {
    let world = world().await;
    for dialect in DIALECTS {
        let target = format!("/strict/{dialect}/x?a=1");
        let url = format!("https://{HOST}{target}");
        let arguments = ["sign", "--scheme", "http-signature", "--dialect", dialect, "--key", KEY, "--secret-file", "secrets/john.key"];
        for (method, data) in [("GET", None), ("POST", Some("body")), ("DELETE", None)] {
            let mut all = arguments.to_vec();
            all.extend([method, &url]);
            all.extend(data.into_iter().flat_map(|data| ["--data", data]));
            let output = crate::support::setup::doorward(&all, "", world.gate.setup.dir.path(), &[]);
            assert!(output.status.success(), "{output:?}");
            let lines = String::from_utf8(output.stdout).unwrap();
            let headers: Vec<_> =
                lines.lines().map(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap()).collect();
            let answer = call(&world, Proto::H2, method, &target, &headers, data.unwrap_or_default()).send().await;
            assert_eq!(answer.status, 200, "{dialect} {method}: {lines}");
        }
    }
}

#[tokio::test]
async fn a_request_signed_with_an_rsa_key_is_let_in_whether_the_key_is_in_the_configuration_or_the_store() {
    let (one, two) = (Key::generate("rsa-v1_5-sha256"), Key::generate("rsa-v1_5-sha256"));
    let world = World::with(|setup| {
        setup
            .file("one.pem", &one.public())
            .file("one.key", &one.private())
            .file("two.pem", &two.public())
            .file("two.key", &two.private())
            .rest("[auth.draft.http-signature.keys.one]\npublic_key_file = \"one.pem\"\nuser = \"carol\"")
            .route("/draft/**", &["draft"])
    })
    .await;
    world.setup.cli_ok(&["key", "add", "two", "--public-key-file", "two.pem", "--user", "dave"], "");
    world.setup.cli_ok(&["key", "add", "one", "--user", "mallory"], "");
    let sign = |key: &str, file: &str, more: &[&str], method: &str, target: &str| {
        let url = format!("https://{HOST}{target}");
        let mut all = vec!["sign", "--scheme", "http-signature", "--key", key, "--secret-file", file];
        all.extend_from_slice(more);
        all.extend([method, &url]);
        all.extend(if method == "GET" { &[][..] } else { &["--data", "body"] });
        let output = crate::support::setup::doorward(&all, "", world.gate.setup.dir.path(), &[]);
        assert!(output.status.success(), "{output:?}");
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().map(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap()).collect::<Vec<_>>()
    };
    for proto in BOTH {
        for (key, file, user) in [("one", "one.key", "carol"), ("two", "two.key", "dave")] {
            for (method, body) in [("GET", ""), ("POST", "body")] {
                let target = format!("/draft/{key}/{proto:?}?a=1");
                let headers = sign(key, file, &[], method, &target);
                let answer = call(&world, proto, method, &target, &headers, body).send().await;
                assert_eq!(answer.status, 200, "{key} {method}: {}", answer.text());
                assert_eq!(world.upstream.only().user(), Some(user));
                world.upstream.take();
                for (target, body) in [(target.replace("a=1", "a=2"), body), (target.clone(), if body.is_empty() { "more" } else { "bodY" })] {
                    assert_eq!(call(&world, proto, method, &target, &headers, body).send().await.status, 401, "{key} {method} {target} {body}");
                }
                let again = call(&world, proto, method, &target, &headers, body).send().await.status;
                assert_eq!(again, if method == "GET" { 200 } else { 401 }, "{key} {method}");
                world.upstream.take();
            }
        }
    }
    for (key, file, more) in
        [("one", "two.key", &[][..]), ("two", "one.key", &[]), ("two", "two.key", &["--algorithm", "hs2019"]), ("nobody", "two.key", &[])]
    {
        let headers = sign(key, file, more, "GET", "/draft/x");
        assert_eq!(world.get("/draft/x").headers(&headers).send().await.status, 401, "{key} {file} {more:?}");
    }
    world.setup.cli_ok(&["key", "revoke", "two"], "");
    within("the revocation", async {
        while world.get("/draft/x").headers(&sign("two", "two.key", &[], "GET", "/draft/x")).send().await.status == 200 {
            breathe().await;
        }
    })
    .await;
}
