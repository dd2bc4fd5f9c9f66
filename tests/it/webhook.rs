//! Webhooks: what a sender did not sign is not let in, and what it signed is let in once.

use crate::support::client::{BOTH, Call, Proto};
use crate::support::senders::{PRESETS, SECRET, Sender};
use crate::support::setup::HOST;
use crate::support::world::World;

async fn world() -> World {
    World::with(|mut setup| {
        setup = setup.file("secrets/hook.key", SECRET).file("secrets/next.key", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
        for preset in PRESETS {
            let scheme = |name: &str, more: &str| {
                format!("[auth.{preset}{name}.webhook]\npreset = \"{preset}\"\nsecret_file = \"secrets/hook.key\"\npaths = [\"/hooks/{preset}{name}\"]\n{more}")
            };
            setup = setup
                .rest(&scheme("", "user = \"sender\"\nmax_body = \"1MiB\"\nnext_secret_file = \"secrets/next.key\""))
                .rest(&scheme("-open", "allow_unsigned_query = true\nmethods = [\"POST\", \"PUT\"]\nonce_within = \"0s\""))
                .rest(&scheme("-once", "once_within = \"1h\""))
                .route(&format!("/hooks/{preset}"), &[preset])
                .route(&format!("/hooks/{preset}-open"), &[&format!("{preset}-open")])
                .route(&format!("/hooks/{preset}-once"), &[&format!("{preset}-once")])
                .route(&format!("/other/{preset}"), &[preset]);
        }
        setup
    })
    .await
}

fn call(world: &World, proto: Proto, target: &str, headers: &[(String, String)], body: impl AsRef<[u8]>) -> Call {
    world.call("POST", target).headers(headers).body(body.as_ref().to_vec()).proto(proto)
}

#[tokio::test]
async fn a_delivery_is_let_in_as_its_sender() {
    let world = world().await;
    for preset in PRESETS {
        for proto in BOTH {
            for (name, body) in [("json", &b"{\"a\": 1}"[..]), ("nothing", b""), ("bytes", b"\x00\xff\r\n")] {
                for secret in [SECRET, "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"] {
                    let body = [body, format!("{proto:?}{secret}").as_bytes()].concat();
                    let body = if name == "nothing" && preset == "github" && secret == SECRET { Vec::new() } else { body };
                    let target = format!("/hooks/{preset}");
                    let headers = Sender::new(preset).secret(secret).sign(&body);
                    let answer = call(&world, proto, &target, &headers, &body).send().await;
                    assert_eq!(answer.status, 200, "{preset} {proto:?} {name}: {}", answer.text());
                    let seen = world.upstream.only();
                    assert_eq!((seen.user(), seen.body.as_slice()), (Some("sender"), body.as_slice()));
                    let signature = headers.iter().find(|(name, _)| name.to_ascii_lowercase().contains("signature")).unwrap();
                    assert!(!seen.has(&signature.0.to_ascii_lowercase()) && !seen.has("x-hub-signature"), "{preset}");
                }
            }
        }
    }
}

#[tokio::test]
async fn whatever_is_changed_after_signing_is_refused() {
    let world = world().await;
    for preset in PRESETS {
        let target = format!("/hooks/{preset}");
        let target = target.as_str();
        let good = || Sender::new(preset).sign(b"body");
        for proto in BOTH {
            for (why, target, headers, body) in [
                ("another body", target, good(), "bodz"),
                ("no body", target, good(), ""),
                ("a longer body", target, good(), "body "),
                ("a query", &format!("{target}?a=1"), good(), "body"),
                ("another route that takes the sender", &format!("/other/{preset}"), good(), "body"),
                ("another secret", target, Sender::new(preset).secret("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").sign(b"body"), "body"),
                ("its signature twice", target, [good(), good()].concat(), "body"),
                ("nothing", target, Vec::new(), "body"),
                ("long ago", target, Sender::new(preset).skewed(-400).sign(b"body"), if preset == "github" { "bodz" } else { "body" }),
                ("to come", target, Sender::new(preset).skewed(400).sign(b"body"), if preset == "github" { "bodz" } else { "body" }),
            ] {
                let answer = call(&world, proto, target, &headers, body).send().await;
                assert_eq!(
                    (answer.status.as_u16(), answer.header("www-authenticate")),
                    (401, "Webhook realm=\"doorward\""),
                    "{preset} {proto:?} {why}"
                );
            }
            for method in ["GET", "PUT", "DELETE"] {
                let answer = world.call(method, target).headers(&Sender::new(preset).sign(b"")).proto(proto).send().await;
                assert_eq!(answer.status, 401, "{preset} {method}");
            }
            for name in good().iter().map(|(name, _)| name) {
                let less: Vec<_> = good().into_iter().filter(|(have, _)| have != name).collect();
                assert_eq!(call(&world, proto, target, &less, "body").send().await.status, 401, "{preset} without {name}");
            }
        }
    }
    assert!(world.upstream.take().is_empty());
}

#[tokio::test]
async fn a_delivery_is_let_in_once_while_its_timestamp_is_good_or_as_long_as_is_asked() {
    let world = world().await;
    for preset in PRESETS {
        for proto in BOTH {
            let body = format!("{proto:?}");
            let headers = Sender::new(preset).sign(body.as_bytes());
            // GitHub's has no timestamp: it comes again, as often as somebody likes, unless it is to be remembered.
            let again = if preset == "github" { 200 } else { 401 };
            for (name, second) in [("", again), ("-open", 200), ("-once", 401)] {
                let target = format!("/hooks/{preset}{name}");
                for expected in [200, second] {
                    assert_eq!(call(&world, proto, &target, &headers, &body).send().await.status.as_u16(), expected, "{preset}{name} {proto:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn more_may_come_where_the_configuration_allows_it() {
    let world = world().await;
    for preset in PRESETS {
        for proto in BOTH {
            let headers = Sender::new(preset).sign(b"body");
            let answer = world.call("PUT", &format!("/hooks/{preset}-open?token=1")).headers(&headers).body("body").proto(proto).send().await;
            assert_eq!((answer.status.as_u16(), world.upstream.only().user()), (200, Some(format!("{preset}-open").as_str())));
        }
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_too_large_and_none_of_it_is_forwarded() {
    let world = world().await;
    let long = vec![b'x'; (1 << 20) + 1];
    for preset in PRESETS {
        for proto in BOTH {
            let answer = call(&world, proto, &format!("/hooks/{preset}"), &Sender::new(preset).sign(&long), &long).send().await;
            assert_eq!(answer.status, 413, "{preset}");
        }
    }
    assert!(world.upstream.take().is_empty());
}

#[tokio::test]
async fn a_template_covers_what_it_names() {
    use aws_lc_rs::hmac;
    let world = World::with(|setup| {
        setup
            .file("secrets/hook.key", SECRET)
            .rest(
                "[auth.acme.webhook]\nsecret_file = \"secrets/hook.key\"\n[auth.acme.webhook.template]\nsignature_header = \"X-Acme-Signature\"\nprefix = \"v1:\"\n\
                 encoding = \"base64\"\nalgorithm = \"hmac-sha512\"\ntimestamp_header = \"X-Acme-Time\"\ntimestamp_format = \"rfc3339\"\nid_header = \"X-Acme-Id\"\n\
                 signed = \"{method}\\n{url}\\n{timestamp}\\n{id}\\n{header:X-Acme-Event}\\n{body}\"",
            )
            .route("/acme/**", &["acme"])
    })
    .await;
    let time = time::OffsetDateTime::now_utc().format(&time::format_description::well_known::Rfc3339).unwrap();
    for (proto, id) in BOTH.into_iter().zip(["1", "2"]) {
        let document = format!("POST\nhttps://{HOST}/acme/x?a=1\n{time}\n{id}\npaid\nbody");
        let tag = crate::support::base64(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA512, SECRET.as_bytes()), document.as_bytes()));
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let good =
            [header("X-Acme-Time", &time), header("X-Acme-Id", id), header("X-Acme-Event", "paid"), header("X-Acme-Signature", &format!("v1:{tag}"))];
        let with = |at: usize, value: &str| {
            let mut changed = good.clone();
            changed[at].1 = value.to_owned();
            changed
        };
        for (target, headers, body) in [
            ("/acme/y?a=1", good.clone(), "body"),
            ("/acme/x?a=2", good.clone(), "body"),
            ("/acme/x", good.clone(), "body"),
            ("/acme/x?a=1", good.clone(), "bodz"),
            ("/acme/x?a=1", with(0, "2026-01-01T00:00:00Z"), "body"),
            ("/acme/x?a=1", with(1, "3"), "body"),
            ("/acme/x?a=1", with(2, "refunded"), "body"),
            ("/acme/x?a=1", with(3, &tag), "body"),
        ] {
            assert_eq!(call(&world, proto, target, &headers, body).send().await.status, 401, "{target} {headers:?} {body}");
        }
        assert_eq!(call(&world, proto, "/acme/x?a=1", &good, "body").send().await.status, 200);
        assert_eq!(world.upstream.only().user(), Some("acme"));
        assert_eq!(call(&world, proto, "/acme/x?a=1", &good, "body").send().await.status, 401, "once");
    }
}

#[tokio::test]
async fn the_command_line_signs_what_is_let_in() {
    let world = world().await;
    for preset in PRESETS {
        let target = format!("/hooks/{preset}");
        let url = format!("https://{HOST}{target}");
        let arguments = ["sign", "--scheme", "webhook", "--preset", preset, "--secret-file", "secrets/hook.key", "POST", &url, "--data", "body"];
        let output = crate::support::setup::doorward(&arguments, "", world.gate.setup.dir.path(), &[]);
        assert!(output.status.success(), "{output:?}");
        let lines = String::from_utf8(output.stdout).unwrap();
        let headers: Vec<_> =
            lines.lines().map(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap()).collect();
        assert_eq!(call(&world, Proto::H2, &target, &headers, "body").send().await.status, 200, "{preset}: {lines}");
    }
}
