//! No client writes a header that only Doorward may write: in no spelling, over no protocol, on no route.

use bytes::Bytes;
use hyper::body::Frame;

use crate::support::client::{BOTH, Call, Proto, fed};
use crate::support::folded;
use crate::support::upstream::Seen;
use crate::support::world::{SCHEMES, World};

/// Names that an application would read as one that Doorward sets, or that it was told to strip.
const TRUSTED: [&str; 4] = ["X-Forwarded-User", "X-Doorward-Signature", "X-Doorward-Assertion", "Remote-User"];

/// Names that tell of the client or of the request, and that other servers obey.
const TOLD: [&str; 11] = [
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "Forwarded",
    "X-Real-IP",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-HTTP-Method-Override",
    "X-Forwarded-Client-Cert",
    "Client-Cert",
];

const LIE: &str = "forged-7f3a";

fn spellings(name: &str) -> Vec<String> {
    let mut all: Vec<String> =
        ["-", "_", ".", "!", "#", "$", "%", "&", "'", "*", "+", "^", "`", "|", "~"].iter().map(|separator| name.replace('-', separator)).collect();
    all.push(name.replacen('-', "_", 1));
    all.dedup();
    all
}

async fn world() -> World {
    World::with(|setup| setup.with("identity", "also_strip = [\"Remote-User\"]")).await
}

/// Nothing in the head or the trailers holds the lie under a name that folds to one of `names`.
#[track_caller]
fn assert_clean(seen: &Seen, names: &[&str], sent: &str) {
    for (name, value) in seen.pairs() {
        if names.iter().any(|trusted| folded(trusted) == folded(name)) {
            assert!(!value.contains(LIE), "{sent}: {name}: {value} reached the application");
        }
    }
    for name in names {
        assert!(seen.folding_to(name).len() <= 1, "{sent}: {:#?}", seen.lines);
    }
    assert!(seen.trailers.is_empty(), "{sent}: trailers {:?}", seen.trailers);
}

/// Sends `call` with each spelling of each name, all on one connection, and looks at what arrives.
async fn try_all(world: &World, call: &Call, names: &[&str], user: Option<&str>) {
    let mut sender = call.connect().await;
    for name in names {
        for spelling in spellings(name) {
            let answer = match call.clone().header(&spelling, LIE).send_on(&mut sender).await {
                Ok(answer) => answer,
                Err(_) => {
                    sender = call.connect().await;
                    call.clone().header(&spelling, LIE).send_on(&mut sender).await.unwrap()
                }
            };
            for seen in world.upstream.take() {
                assert_clean(&seen, names, &spelling);
                assert_eq!(seen.user(), user, "{spelling}");
            }
            assert!(matches!(answer.status.as_u16(), 200 | 400), "{spelling}: {} {}", answer.status, answer.text());
        }
    }
    world.upstream.assert_canonical();
}

#[tokio::test]
async fn a_spelling_of_a_trusted_name_never_arrives_beside_the_verified_user() {
    let world = world().await;
    for proto in BOTH {
        for scheme in SCHEMES {
            try_all(&world, &world.good_call(scheme).proto(proto), &TRUSTED, Some(World::user_of(scheme))).await;
        }
    }
    assert!(world.upstream.count() > 0);
}

#[tokio::test]
async fn a_spelling_of_a_trusted_name_never_arrives_on_a_public_route() {
    let world = world().await;
    for proto in BOTH {
        try_all(&world, &world.get("/public/page").proto(proto), &TRUSTED, None).await;
    }
}

#[tokio::test]
async fn what_the_client_says_of_itself_is_replaced_in_every_spelling() {
    let world = world().await;
    for proto in BOTH {
        try_all(&world, &world.get("/public/page").proto(proto), &TOLD, None).await;
    }
    world.get("/public/page").send().await;
    let seen = world.upstream.only();
    assert_eq!(seen.one("X-Forwarded-For"), "127.0.0.1");
    assert_eq!(seen.one("X-Forwarded-Proto"), "https");
    assert_eq!(seen.one("X-Forwarded-Host"), "app.example.com");
}

#[tokio::test]
async fn a_trusted_name_instead_of_a_credential_is_refused_and_never_forwarded() {
    let world = world().await;
    for proto in BOTH {
        for scheme in SCHEMES {
            let target = format!("/{scheme}/page");
            for spelling in TRUSTED.iter().flat_map(|name| spellings(name)) {
                let bare = world.get(&target).proto(proto).header(&spelling, "alice").send().await;
                assert!(matches!(bare.status.as_u16(), 400 | 401), "{spelling}: {}", bare.status);
            }
            let forged = World::forged(scheme, "GET", &target);
            let answer = world.get(&target).proto(proto).headers(&forged).header("X-Forwarded-User", "alice").send().await;
            assert!(matches!(answer.status.as_u16(), 400 | 401), "{scheme}: {}", answer.status);
        }
    }
    assert_eq!(world.upstream.count(), 0);
}

#[tokio::test]
async fn two_copies_and_an_alias_become_the_one_verified_name() {
    let world = world().await;
    for proto in BOTH {
        let call = world.good_call("basic").proto(proto).header("x-forwarded-user", LIE).header("x-forwarded-user", "admin");
        let answer = call.header("x_forwarded_user", "root").header("x.forwarded.user", "root").send().await;
        for seen in world.upstream.take() {
            assert_eq!(seen.user(), Some("bob"));
        }
        assert!(matches!(answer.status.as_u16(), 200 | 400), "{}", answer.status);
    }
}

#[tokio::test]
async fn the_case_of_a_name_makes_no_difference_on_the_wire() {
    let world = world().await;
    for name in ["X-Forwarded-User", "X-FORWARDED-USER", "x-fOrWaRdEd-uSeR", "X_FORWARDED_USER", "x_Forwarded-USER"] {
        let (_, authorization) = &world.good("basic", "GET", "/basic/x")[0];
        let mut raw = world.raw().await;
        let head = format!("GET /basic/x HTTP/1.1\r\nHost: app.example.com\r\nAuthorization: {authorization}\r\n{name}: {LIE}\r\n\r\n");
        raw.write(head).await;
        let answer = raw.answer().await.unwrap();
        assert!(matches!(answer.status, 200 | 400), "{name}: {}", answer.head);
        for seen in world.upstream.take() {
            assert_eq!(seen.user(), Some("bob"), "{name}");
        }
    }
}

#[tokio::test]
async fn naming_a_stamped_header_in_connection_does_not_take_it_away() {
    let world = world().await;
    let (_, authorization) = &world.good("basic", "GET", "/basic/x")[0];
    for line in [
        "Connection: X-Forwarded-User",
        "Connection: close, x-forwarded-user",
        "connection: keep-alive,\tX-FORWARDED-USER\t, x_forwarded_user",
        "Connection: X-Doorward-Signature\r\nConnection: X-Forwarded-User, X-Request-Id, X-Forwarded-For",
    ] {
        let mut raw = world.raw().await;
        let head = format!("GET /basic/x HTTP/1.1\r\nHost: app.example.com\r\nAuthorization: {authorization}\r\n{line}\r\n\r\n");
        raw.write(head).await;
        let answer = raw.answer().await.unwrap();
        assert!(matches!(answer.status, 200 | 400), "{line}: {}", answer.head);
        for seen in world.upstream.take() {
            assert_eq!(seen.user(), Some("bob"), "{line}");
            assert_eq!(seen.one("X-Forwarded-For"), "127.0.0.1", "{line}");
            assert!(seen.has("X-Doorward-Signature"), "{line}");
        }
    }
}

#[tokio::test]
async fn trailers_of_a_request_reach_no_application() {
    let world = world().await;
    for (path, user) in [("/public/x", None), ("/basic/x", Some("bob"))] {
        let credential = if user.is_some() { world.good("basic", "POST", path) } else { Vec::new() };
        let lines: String = credential.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let mut raw = world.raw().await;
        raw.write(format!(
            "POST {path} HTTP/1.1\r\nHost: app.example.com\r\n{lines}Transfer-Encoding: chunked\r\nTrailer: X-Forwarded-User, X-Sum\r\n\r\n\
             4\r\nbody\r\n0\r\nX-Forwarded-User: {LIE}\r\nx_forwarded_user: {LIE}\r\nX-Sum: 1\r\nAuthorization: Basic x\r\n\r\n"
        ))
        .await;
        let answer = raw.answer().await.unwrap();
        assert!(matches!(answer.status, 200 | 400), "{}", answer.head);

        let call = world.call("POST", path).proto(Proto::H2).headers(&credential).header("trailer", "x-forwarded-user");
        let (source, body) = fed();
        let mut sender = call.connect().await;
        let feeding = tokio::spawn(async move {
            let _ = source.send(Ok(Frame::data(Bytes::from_static(b"body")))).await;
            let mut trailers = http::HeaderMap::new();
            trailers.insert("x-forwarded-user", LIE.parse().unwrap());
            trailers.insert("x_forwarded_user", LIE.parse().unwrap());
            let _ = source.send(Ok(Frame::trailers(trailers))).await;
        });
        let response = sender.send(call.request(body)).await.unwrap();
        assert!(matches!(response.status().as_u16(), 200 | 400), "{}", response.status());
        feeding.await.unwrap();
        for seen in world.upstream.take() {
            assert!(seen.trailers.is_empty() && !seen.has("trailer"), "{:?} {:?}", seen.lines, seen.trailers);
            assert_eq!((seen.user(), seen.body.as_slice()), (user, b"body".as_slice()));
        }
    }
    assert!(world.upstream.count() > 0);
    world.upstream.assert_canonical();
}

#[tokio::test]
async fn an_application_cannot_tell_a_browser_who_is_logged_in_by_a_trusted_name() {
    let world = world().await;
    world.upstream.script(|_| {
        use crate::support::upstream::{Act, answer};
        Act::Reply(answer("200 OK", &["X-Forwarded-User: admin", "X-Doorward-Signature: v1;x", "X-Harmless: yes"], "ok"))
    });
    for proto in BOTH {
        let answer = world.get("/public/x").proto(proto).send().await;
        assert_eq!(answer.header("x-harmless"), "yes");
        assert!(!answer.headers.contains_key("x-forwarded-user") && !answer.headers.contains_key("x-doorward-signature"), "{:?}", answer.headers);
    }
}
