//! Requests signed as RFC 9421 says: what is not signed is not let in, what is signed is forwarded as it was signed.

use bytes::Bytes;
use hyper::body::Frame;

use crate::support::client::{BOTH, Proto, fed, read};
use crate::support::message_signature::{Key, Signature, content_digest, twin};
use crate::support::setup::{HOST, Setup, doorward};
use crate::support::world::World;
use crate::support::{base64, from_base64};

const SECRET: &str = "a shared secret of some length!!";

const ALGORITHMS: [&str; 6] = ["hmac-sha256", "rsa-pss-sha512", "rsa-v1_5-sha256", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "ed25519"];

/// The key `shared`, and what `more` adds, under the scheme `m` for `/m/**`.
async fn world(options: &str, more: impl FnOnce(Setup) -> Setup) -> World {
    World::with(|setup| {
        let scheme = format!("[auth.m.http-message-signature]\n{options}");
        let key = "[auth.m.http-message-signature.keys.shared]\nsecret_file = \"secrets/m.key\"\nuser = \"partner\"\npaths = [\"/m/**\"]";
        more(setup.file("secrets/m.key", SECRET).rest(&format!("{scheme}\n{key}")).route("/m/**", &["m"]).route("/closed/**", &["m"]))
    })
    .await
}

fn with_public(setup: Setup, name: &str, key: &Key, more: &str) -> Setup {
    let file = format!("secrets/{name}.pem");
    setup
        .file(&file, &key.public())
        .rest(&format!("[auth.m.http-message-signature.keys.{name}]\npublic_key_file = \"{file}\"\nuser = \"{name}-user\"\n{more}"))
}

fn shared() -> Key {
    Key::secret(SECRET)
}

#[derive(Clone)]
struct Try<'a> {
    method: &'a str,
    target: &'a str,
    headers: Vec<(String, String)>,
    body: &'a str,
}

async fn status(world: &World, proto: Proto, one: &Try<'_>) -> u16 {
    world.call(one.method, one.target).headers(&one.headers).body(one.body.to_owned()).proto(proto).send().await.status.as_u16()
}

#[tokio::test]
async fn a_request_signed_with_any_algorithm_is_let_in_as_the_user_of_its_key() {
    let keys: Vec<_> = ALGORITHMS.iter().map(|name| (*name, if *name == "hmac-sha256" { shared() } else { Key::generate(name) })).collect();
    let world =
        world("", |setup| keys.iter().skip(1).fold(setup, |setup, (name, key)| with_public(setup, name, key, &format!("algorithms = [\"{name}\"]"))))
            .await;
    for (algorithm, key) in &keys {
        let keyid = if *algorithm == "hmac-sha256" { "shared" } else { algorithm };
        for (proto, nonce) in BOTH.into_iter().zip(["1", "2"]) {
            for (method, target, body) in
                [("GET", "/m/x?a=1&b=%20", ""), ("HEAD", "/m/fran%C3%A7ais", ""), ("POST", "/m/x?", "body"), ("DELETE", "/m/x", "")]
            {
                let signature = Signature::new(keyid, key).more(&format!(";alg=\"{algorithm}\";nonce=\"{method}{nonce}\""));
                let signature = if body.is_empty() { signature } else { signature.body(body.as_bytes()).header("content-type", "text/plain") };
                let one = Try { method, target, headers: signature.sign(method, target, body.len()), body };
                assert_eq!(status(&world, proto, &one).await, 200, "{proto:?} {algorithm} {method} {target}");
                let seen = world.upstream.only();
                let user = if keyid == "shared" { "partner".to_owned() } else { format!("{keyid}-user") };
                assert_eq!((seen.user(), seen.target.as_str(), seen.body.as_slice()), (Some(user.as_str()), target, body.as_bytes()));
                assert!(!seen.has("signature") && !seen.has("signature-input"), "{:?}", seen.lines);
            }
        }
    }
}

#[tokio::test]
async fn whatever_is_changed_after_signing_is_refused() {
    let key = shared();
    let world = world("", |setup| setup).await;
    for proto in BOTH {
        let base = || Signature::new("shared", &key).body(b"body").header("x-amount", "100");
        let put = || base().sign("PUT", "/m/k?a=1", 4);
        let without = |name: &str| put().into_iter().filter(|(have, _)| have != name).collect::<Vec<_>>();
        let with = |name: &str, value: &str| [put(), vec![(name.to_owned(), value.to_owned())]].concat();
        let but = |name: &str, value: &str| [without(name), vec![(name.to_owned(), value.to_owned())]].concat();
        let get = |signature: Signature<'_>| signature.sign("GET", "/m/k", 0);
        let other = Key::secret("another secret of some length");
        for (why, method, target, headers, body) in [
            ("another body", "PUT", "/m/k?a=1", put(), "bodz"),
            ("no body", "PUT", "/m/k?a=1", put(), ""),
            ("a longer body", "PUT", "/m/k?a=1", put(), "body "),
            ("another method", "POST", "/m/k?a=1", put(), "body"),
            ("another path", "PUT", "/m/l?a=1", put(), "body"),
            ("another spelling of the path", "PUT", "/m/k%7E?a=1", put(), "body"),
            ("another query", "PUT", "/m/k?a=2", put(), "body"),
            ("a further parameter", "PUT", "/m/k?a=1&b=2", put(), "body"),
            ("no query", "PUT", "/m/k", put(), "body"),
            ("another amount", "PUT", "/m/k?a=1", but("x-amount", "1000"), "body"),
            ("no amount", "PUT", "/m/k?a=1", without("x-amount"), "body"),
            ("a second amount", "PUT", "/m/k?a=1", with("x-amount", "1000"), "body"),
            ("an amount that is folded into it", "PUT", "/m/k?a=1", with("x_amount", "1000"), "body"),
            ("no digest", "PUT", "/m/k?a=1", without("content-digest"), "body"),
            ("the digest of another body", "PUT", "/m/k?a=1", but("content-digest", &content_digest(b"bodz")), "bodz"),
            ("a second digest", "PUT", "/m/k?a=1", with("content-digest", &content_digest(b"bodz")), "bodz"),
            ("no signature", "PUT", "/m/k?a=1", without("Signature"), "body"),
            ("an unsigned body", "POST", "/m/k", Signature::new("shared", &key).sign("POST", "/m/k", 4), "body"),
            ("an unsigned body of GET", "GET", "/m/k", get(Signature::new("shared", &key)), "body"),
            ("nothing covered", "GET", "/m/k", get(Signature::new("shared", &key).covering(&[])), ""),
            ("no method covered", "GET", "/m/k", get(Signature::new("shared", &key).covering(&["@authority", "@target-uri"])), ""),
            ("no target covered", "GET", "/m/k", get(Signature::new("shared", &key).covering(&["@method", "@authority"])), ""),
            ("an algorithm that is not the key's", "GET", "/m/k", get(Signature::new("shared", &key).more(";alg=\"ed25519\"")), ""),
            ("an algorithm that nobody knows", "GET", "/m/k", get(Signature::new("shared", &key).more(";alg=\"none\"")), ""),
            ("another secret", "GET", "/m/k", get(Signature::new("shared", &other)), ""),
            ("an unknown key", "GET", "/m/k", get(Signature::new("nobody", &key)), ""),
            ("a path that is not the key's", "GET", "/closed/k", Signature::new("shared", &key).sign("GET", "/closed/k", 0), ""),
            ("made long ago", "GET", "/m/k", get(Signature::new("shared", &key).skewed(-1000)), ""),
            ("made in time to come", "GET", "/m/k", get(Signature::new("shared", &key).skewed(1000)), ""),
            ("expired", "GET", "/m/k", get(Signature::new("shared", &key).more(";expires=1000000000")), ""),
            ("a name that only the gate may set", "GET", "/m/k", get(Signature::new("shared", &key).header("x-forwarded-user", "admin")), ""),
            ("a header of this hop", "GET", "/m/k", get(Signature::new("shared", &key).header("te", "trailers")), ""),
        ] {
            assert_eq!(status(&world, proto, &Try { method, target, headers, body }).await, 401, "{proto:?} {why}");
        }
        let other_host = world.get("/m/k").headers(&get(Signature::new("shared", &key))).host("localhost").sni("localhost").proto(proto).send().await;
        assert_eq!(other_host.status, 401, "{proto:?} another host");
    }
    assert!(world.upstream.take().is_empty());
}

#[tokio::test]
async fn a_refusal_says_what_to_sign() {
    let world = world("tag = \"orders\"\nrequire_expires = true", |setup| setup).await;
    for proto in BOTH {
        let answer = world.get("/m/x").proto(proto).send().await;
        assert_eq!(answer.status, 401);
        assert_eq!(answer.header("www-authenticate"), "HTTP-Message-Signature realm=\"doorward\"");
        let wanted = r#"sig1=("@method" "@authority" "@target-uri" "content-digest");created;expires;tag="orders""#;
        assert_eq!(answer.header("accept-signature"), wanted);
        let other = world.get("/basic/x").proto(proto).send().await;
        assert_eq!((other.status.as_u16(), other.header("accept-signature")), (401, ""));
    }
}

#[tokio::test]
async fn a_signature_with_a_nonce_or_that_changes_things_is_good_once() {
    let key = shared();
    let world = world("", |setup| setup).await;
    for (proto, name) in BOTH.into_iter().zip(["1", "2"]) {
        let nonce = format!(";nonce=\"{name}\"");
        let tagged = format!(";tag=\"{name}\"");
        for (method, more, again) in [
            ("GET", &tagged, 200),
            ("HEAD", &tagged, 200),
            ("OPTIONS", &tagged, 200),
            ("POST", &tagged, 401),
            ("DELETE", &tagged, 401),
            ("GET", &nonce, 401),
        ] {
            let headers = Signature::new("shared", &key).more(more).sign(method, "/m/k", 0);
            let one = Try { method, target: "/m/k", headers, body: "" };
            assert_eq!(status(&world, proto, &one).await, 200, "{method} {more}");
            assert_eq!(status(&world, proto, &one).await, again, "{method} {more}");
        }
        let other = Signature::new("shared", &key).more(&nonce).skewed(-1).sign("GET", "/m/other", 0);
        assert_eq!(status(&world, proto, &Try { method: "GET", target: "/m/other", headers: other, body: "" }).await, 401, "the nonce is used");
    }
}

#[tokio::test]
async fn another_signature_over_the_same_request_does_not_let_it_in_again() {
    let (p256, rsa) = (Key::generate("ecdsa-p256-sha256"), Key::generate("rsa-pss-sha512"));
    let world = world("", |setup| with_public(with_public(setup, "p256", &p256, ""), "rsa", &rsa, "")).await;
    for (proto, name) in BOTH.into_iter().zip(["1", "2"]) {
        let tagged = format!(";tag=\"{name}\"");
        let headers = Signature::new("p256", &p256).more(&tagged).sign("POST", "/m/k", 0);
        let one = Try { method: "POST", target: "/m/k", headers: headers.clone(), body: "" };
        assert_eq!(status(&world, proto, &one).await, 200);
        // Whoever overhears an ECDSA signature can make another one of it.
        let signature = from_base64(headers[1].1.trim_start_matches("sig1=:").trim_end_matches(':'));
        let other = vec![headers[0].clone(), ("Signature".to_owned(), format!("sig1=:{}:", base64(twin(&signature))))];
        assert_eq!(status(&world, proto, &Try { headers: other, ..one.clone() }).await, 401, "the twin");
        let relabelled = headers.iter().map(|(name, value)| (name.clone(), value.replacen("sig1", "sig2", 1))).collect();
        assert_eq!(status(&world, proto, &Try { headers: relabelled, ..one }).await, 401, "another label");
        // The salt differs, what is signed does not.
        let once = Signature::new("rsa", &rsa).more(&tagged);
        for expected in [200, 401] {
            let one = Try { method: "POST", target: "/m/k", headers: once.sign("POST", "/m/k", 0), body: "" };
            assert_eq!(status(&world, proto, &one).await, expected);
        }
    }
    // The twin is a good signature: on its own it is let in.
    let headers = Signature::new("p256", &p256).more(";tag=\"twin\"").sign("POST", "/m/k", 0);
    let signature = from_base64(headers[1].1.trim_start_matches("sig1=:").trim_end_matches(':'));
    let other = vec![headers[0].clone(), ("Signature".to_owned(), format!("sig1=:{}:", base64(twin(&signature))))];
    assert_eq!(status(&world, Proto::H1, &Try { method: "POST", target: "/m/k", headers: other, body: "" }).await, 200);
}

#[tokio::test]
async fn several_signatures_stand_in_one_request() {
    let (key, ed25519) = (shared(), Key::generate("ed25519"));
    let world = world("", |setup| with_public(setup, "ed25519", &ed25519, "")).await;
    let merged = |one: Vec<(String, String)>, other: Vec<(String, String)>| -> Vec<(String, String)> {
        one.into_iter().zip(other).map(|((name, one), (_, other))| (name, format!("{one}, {other}"))).collect()
    };
    for proto in BOTH {
        let ours = || Signature::new("shared", &key).sign("GET", "/m/k", 0);
        let proxys = |keyid: &'static str| Signature::new(keyid, &ed25519).label("proxy").sign("GET", "/m/k", 0);
        for (why, headers, expected) in [
            ("a proxy that is not known, in lines of its own", [ours(), proxys("proxy")].concat(), 200),
            ("a proxy that is not known, in the same line", merged(proxys("proxy"), ours()), 200),
            ("another user", merged(ours(), proxys("ed25519")), 401),
            ("a wrong signature of a known key", merged(ours(), Signature::new("ed25519", &key).label("p").sign("GET", "/m/k", 0)), 401),
            ("the same label", merged(ours(), ours()), 401),
        ] {
            assert_eq!(status(&world, proto, &Try { method: "GET", target: "/m/k", headers, body: "" }).await, expected, "{proto:?} {why}");
        }
    }
    assert_eq!(world.upstream.take().iter().map(|seen| seen.user().unwrap().to_owned()).collect::<Vec<_>>(), vec!["partner"; 4]);
}

#[tokio::test]
async fn a_body_is_verified_before_its_last_byte_is_forwarded() {
    let key = shared();
    let world = world("", |setup| setup).await;
    for (proto, name) in BOTH.into_iter().zip(["1", "2"]) {
        for (sent, signed, expected) in [
            (&[&b"one "[..], b"two"][..], &b"one two"[..], 200),
            (&[b"one ", b"twO"], b"one two", 401),
            (&[b"one "], b"one two", 401),
            (&[b"one ", b"two", b"!"], b"one two", 401),
            (&[], b"", 200),
        ] {
            let headers = Signature::new("shared", &key).more(&format!(";tag=\"{name}{sent:?}\"")).body(signed).sign("POST", "/m/k", 0);
            let call = world.call("POST", "/m/k").headers(&headers).proto(proto);
            let (feeder, body) = fed();
            let mut sender = call.connect().await;
            let request = call.request(body);
            let (answer, ()) = tokio::join!(sender.send(request), async {
                for piece in sent {
                    let _ = feeder.send(Ok(Frame::data(Bytes::from_static(piece)))).await;
                }
                drop(feeder);
            });
            assert_eq!(read(answer.unwrap()).await.unwrap().status, expected, "{proto:?} {sent:?}");
            let whole = world.upstream.take().into_iter().map(|seen| seen.body).collect::<Vec<_>>();
            assert_eq!(whole, if expected == 200 { vec![signed.to_vec()] } else { vec![] });
        }
        // A body that is announced and then empty needs no digest.
        let headers = Signature::new("shared", &key).more(&format!(";tag=\"{name}\"")).sign("PUT", "/m/k", 0);
        let call = world.call("PUT", "/m/k").headers(&headers).proto(proto);
        let mut sender = call.connect().await;
        let (feeder, body) = fed();
        drop(feeder);
        assert_eq!(sender.send(call.request(body)).await.unwrap().status(), 200);
        let (feeder, body) = fed();
        let headers = Signature::new("shared", &key).more(&format!(";tag=\"{name}2\"")).sign("PUT", "/m/k", 0);
        let call = world.call("PUT", "/m/k").headers(&headers).proto(proto);
        let mut sender = call.connect().await;
        let (answer, ()) = tokio::join!(sender.send(call.request(body)), async {
            let _ = feeder.send(Ok(Frame::data(Bytes::from_static(b"x")))).await;
            drop(feeder);
        });
        assert_eq!(answer.unwrap().status(), 401, "{proto:?} a chunked body without a digest");
        world.upstream.take();
    }
}

#[tokio::test]
async fn a_long_body_streams_and_a_wrong_one_never_ends() {
    let key = shared();
    let world = world("", |setup| setup).await;
    let long = vec![b'x'; 1 << 20];
    for (proto, cut) in BOTH.into_iter().zip([1, 2]) {
        let call = |name: &str, signed: &[u8]| {
            let headers = Signature::new("shared", &key).more(&format!(";tag=\"{proto:?} {name}\"")).body(signed).sign("PUT", "/m/k", long.len());
            world.call("PUT", "/m/k").headers(&headers).body(long.clone()).proto(proto)
        };
        assert_eq!(call("good", &long).send().await.status, 200);
        assert_eq!(world.upstream.only().body.len(), long.len());
        assert_eq!(call("wrong", b"another").send().await.status, 401);
        world.upstream.until("a request that breaks off", |all| all.cut == cut).await;
        assert!(world.upstream.only().body.len() < long.len());
    }
}

#[tokio::test]
async fn headers_that_the_gate_writes_anew_can_be_covered_and_others_are_joined() {
    let key = shared();
    let world = world("", |setup| setup).await;
    for (proto, name) in BOTH.into_iter().zip(["1", "2"]) {
        let tagged = format!(";tag=\"{name}\"");
        let signature = Signature::new("shared", &key).more(&tagged).body(b"body").sent("content-length").sent("host");
        let headers = signature.sign("POST", "/m/k", 4);
        assert_eq!(status(&world, proto, &Try { method: "POST", target: "/m/k", headers, body: "body" }).await, 200, "{proto:?}");
        let seen = world.upstream.only();
        assert_eq!((seen.one("content-length"), seen.one("host")), ("4", HOST));
        let mut two = Signature::new("shared", &key).header("x-list", "  a ");
        two.headers.push(("x-list", "b,c\t".to_owned()));
        let one = |headers| Try { method: "GET", target: "/m/k", headers, body: "" };
        assert_eq!(status(&world, proto, &one(two.sign("GET", "/m/k", 0))).await, 200, "{proto:?}");
        let mut joined = two.sign("GET", "/m/k", 0);
        joined.retain(|(name, _)| name != "x-list");
        joined.push(("x-list".to_owned(), "a, b,c".to_owned()));
        assert_eq!(status(&world, proto, &one(joined.clone())).await, 200, "the lines of a field may be joined on the way");
        joined.last_mut().unwrap().1 = "b,c, a".to_owned();
        assert_eq!(status(&world, proto, &one(joined)).await, 401, "and not change places");
        world.upstream.take();
    }
    let folded = format!("GET /m/k HTTP/1.1\r\nHost: {HOST}\r\nX-Folded: a\r\n  b\r\n\r\n");
    assert_eq!(world.raw().await.statuses(folded).await, [400], "obsolete folding is no header of one meaning");
}

#[tokio::test]
async fn keys_of_the_store_sign_too_and_a_revoked_one_no_longer() {
    let upstream = crate::support::upstream::Upstream::echo();
    let setup = Setup::new(&upstream.url()).section("cache", "max_age = \"0s\"\nnegative_max_age = \"0s\"");
    let setup = setup.rest("[auth.m.http-message-signature]").route("/m/**", &["m"]);
    let add = setup.cli_ok(&["key", "add", "partner", "--user", "webshop", "--path", "/m/**", "--json"], "");
    let secret = serde_json::from_str::<serde_json::Value>(&add).unwrap()["secret"].as_str().unwrap().to_owned();
    let gate = setup.start().await;
    let key = Key::secret(&secret);
    let headers = || Signature::new("partner", &key).sign("GET", "/m/k", 0);
    assert_eq!(gate.get("/m/k").headers(&headers()).send().await.status, 200);
    assert_eq!(upstream.only().user(), Some("webshop"));
    gate.setup.cli_ok(&["key", "revoke", "partner"], "");
    assert_eq!(gate.get("/m/k").headers(&headers()).send().await.status, 401);
}

#[tokio::test]
async fn what_sign_prints_is_let_in() {
    let pairs: Vec<_> = ALGORITHMS[1..].iter().map(|name| (*name, Key::generate(name))).collect();
    let world = world("", |setup| {
        pairs.iter().fold(setup, |setup, (name, key)| {
            with_public(setup, name, key, &format!("algorithms = [\"{name}\"]")).file(&format!("secrets/{name}.key"), &key.private())
        })
    })
    .await;
    let keys = ALGORITHMS
        .map(|name| if name == "hmac-sha256" { ("shared", "secrets/m.key".to_owned(), name) } else { (name, format!("secrets/{name}.key"), name) });
    for (keyid, file, algorithm) in keys {
        let url = format!("https://{HOST}/m/x?a=1");
        let sign = ["sign", "--scheme", "http-message-signature", "--key", keyid, "--secret-file", &file, "--alg", algorithm, "POST", &url];
        let output = doorward(&[&sign[..], &["--data", "body", "--header", "X-Amount: 7", "--nonce"]].concat(), "", world.setup.dir.path(), &[]);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let headers: Vec<_> =
            text.lines().map(|line| line.split_once(": ").unwrap()).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert_eq!(headers.len(), 4);
        let one = Try { method: "POST", target: "/m/x?a=1", headers, body: "body" };
        assert_eq!(status(&world, Proto::H1, &one).await, 200, "{algorithm}");
        assert_eq!(status(&world, Proto::H2, &one).await, 401, "{algorithm}: it bears a nonce");
    }
}
