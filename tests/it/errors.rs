//! What a client is told when it is not let in: enough to go on, nothing of itself, nothing of us.

use crate::support::client::{Answer, BOTH};
use crate::support::setup::Setup;
use crate::support::upstream::{Act, Upstream};
use crate::support::world::{PASSWORD, SCHEMES, World, claims_and};

#[track_caller]
fn assert_error(answer: &Answer, status: u16) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let body = answer.json();
    let mut keys: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["error", "error_description", "request_id"]);
    assert!(body["error"].as_str().unwrap().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{body}");
    assert!(body["request_id"].as_str().unwrap().len() >= 16, "{body}");
}

#[tokio::test]
async fn every_error_has_one_form() {
    let world = World::with(|setup| setup.with("limits", "max_body = \"1KiB\"")).await;
    for proto in BOTH {
        assert_error(&world.get("/nowhere").proto(proto).send().await, 404);
        assert_error(&world.get("/public/a;b").proto(proto).send().await, 400);
        assert_error(&world.get("/basic/x").proto(proto).send().await, 401);
        assert_error(&world.call("POST", "/public/x").proto(proto).body(vec![b'x'; 2000]).send().await, 413);
        assert_error(&world.get("/public/x").proto(proto).sni("localhost").send().await, 421);
        world.upstream.script(|_| Act::Close(Vec::new()));
        assert_error(&world.get("/public/x").proto(proto).send().await, 502);
        world.upstream.script(|_| Act::Echo);
    }
}

#[tokio::test]
async fn the_request_id_of_an_error_leads_to_its_cause_in_the_log() {
    let world = World::start().await;
    for scheme in SCHEMES {
        let target = format!("/{scheme}/x");
        let answer = world.get(&target).headers(&World::forged(scheme, "GET", &target)).send().await;
        assert_error(&answer, 401);
        let id = answer.json()["request_id"].as_str().unwrap().to_owned();
        let line = world.access_line("the refusal", |line| line["request_id"] == id.as_str()).await;
        assert_eq!((line["status"].as_u64(), line["path"].as_str()), (Some(401), Some(target.as_str())));
        assert!(!line["cause"].as_str().unwrap_or_default().is_empty() && line["code"] != "ok", "{line}");
    }
}

#[tokio::test]
async fn a_challenge_says_how_to_come_in() {
    let world = World::start().await;
    for proto in BOTH {
        let all = world.get("/any/x").proto(proto).send().await;
        let challenges: Vec<String> = all.headers.get_all("www-authenticate").iter().map(|value| value.to_str().unwrap().to_owned()).collect();
        for scheme in ["FOST", "Bearer", "Basic realm="] {
            assert!(challenges.iter().any(|challenge| challenge.starts_with(scheme)), "{scheme}: {challenges:?}");
        }
        // RFC 6750 section 3.1: no error code when no credential was sent, invalid_token when one was.
        let without = world.get("/jwt/x").proto(proto).send().await;
        assert!(without.header("www-authenticate").starts_with("Bearer") && !without.header("www-authenticate").contains("error"));
        for header in ["Bearer nonsense", "Bearer a.b.c"] {
            let with = world.get("/jwt/x").proto(proto).header("Authorization", header).send().await;
            assert!(with.header("www-authenticate").contains("error=\"invalid_token\""), "{header}: {:?}", with.headers);
        }
        let expired = world.key.token(&claims_and("carol", serde_json::json!({"exp": 1_000_000_000})));
        let with = world.get("/jwt/x").proto(proto).bearer(&expired).send().await;
        assert!(with.header("www-authenticate").contains("invalid_token"));
    }
}

#[tokio::test]
async fn a_browser_that_asked_for_a_page_gets_one() {
    let world = World::start().await;
    for proto in BOTH {
        let call = world.get("/nowhere").proto(proto).header("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        let page = call.clone().header("Sec-Fetch-Mode", "navigate").header("Sec-Fetch-Dest", "document").send().await;
        assert_eq!(page.status, 404);
        assert!(page.header("content-type").starts_with("text/html"));
        assert!(page.header("content-security-policy").contains("default-src 'none'"));
        assert_eq!((page.header("x-content-type-options"), page.header("cache-control")), ("nosniff", "no-store"));
        assert!(!page.text().contains("<script"));
        let fetched = world.get("/nowhere").proto(proto).header("Accept", "application/json").header("Sec-Fetch-Mode", "cors").send().await;
        assert_error(&fetched, 404);
    }
}

#[tokio::test]
async fn nothing_that_was_sent_comes_back() {
    let world = World::start().await;
    let mark = "zq7marker";
    for proto in BOTH {
        for target in [format!("/{mark}"), format!("/basic/{mark}?{mark}=%3Cscript%3E"), format!("/public/{mark};{mark}"), format!("/jwt/{mark}")] {
            for html in [false, true] {
                let mut call =
                    world.get(&target).proto(proto).header("X-Mark", mark).header("User-Agent", mark).header("Referer", mark).header("Cookie", mark);
                call = call.header("Authorization", format!("Bearer {mark}"));
                if html {
                    call = call.header("Accept", "text/html").header("Sec-Fetch-Mode", "navigate");
                }
                let answer = call.send().await;
                assert!(answer.status.as_u16() >= 400);
                assert!(
                    !answer.text().contains(mark) && !format!("{:?}", answer.headers).contains(mark),
                    "{target}: {:?} {}",
                    answer.headers,
                    answer.text()
                );
            }
        }
        let answer = world.get("/public/x").proto(proto).host(&format!("{mark}.example.com")).send().await;
        assert!(!answer.text().contains(mark) && !format!("{:?}", answer.headers).contains(mark));
        let answer = world.get("/basic/x").proto(proto).basic(mark, mark).send().await;
        assert!(!answer.text().contains(mark) && !format!("{:?}", answer.headers).contains(mark));
    }
}

#[tokio::test]
async fn nothing_of_ours_is_told() {
    let down = Setup::new("http://127.0.0.1:1").public("/**").start().await;
    let answer = down.get("/x").send().await;
    assert_error(&answer, 502);
    for word in ["127.0.0.1", "refused", "os error", "hyper"] {
        assert!(!answer.text().to_lowercase().contains(word), "{}", answer.text());
    }
    assert!(answer.headers.get("server").is_none());
}

#[tokio::test]
async fn what_the_application_answers_is_passed_on_even_when_it_is_an_error() {
    let upstream = Upstream::scripted(|_| {
        let headers = ["Content-Type: text/plain", "WWW-Authenticate: Basic realm=\"app\"", "Server: app/1"];
        Act::Reply(crate::support::upstream::answer("401 Unauthorized", &headers, "the application's own words"))
    });
    let gate = Setup::new(&upstream.url()).public("/**").start().await;
    for proto in BOTH {
        let answer = gate.get("/x").proto(proto).send().await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (401, "the application's own words"));
        assert_eq!((answer.header("www-authenticate"), answer.header("server")), ("Basic realm=\"app\"", "app/1"));
    }
}

#[tokio::test]
async fn whatever_a_client_sends_a_log_line_stays_a_line() {
    let world = World::start().await;
    let token = world.key.token(&claims_and("dora\u{2028}\u{1b}[31m", serde_json::json!({})));
    world.get("/jwt/x").bearer(&token).send().await;
    let nasty = "/public/%E2%80%A8%C2%85\u{e9}";
    let mut raw = world.raw().await;
    raw.write(format!("GET {nasty} HTTP/1.1\r\nHost: app.example.com\r\nUser-Agent: \x1b[31m\"}}{{\r\n\r\n")).await;
    raw.answer().await;
    world.get("/basic/last").basic("bob", PASSWORD).send().await;
    world.access_line("the last line", |line| line["path"] == "/basic/last").await;
    for line in world.stdout.borrow().iter() {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok_and(|value| value["request_id"].is_string()), "{line:?}");
        assert!(!line.contains('\u{1b}') && !line.contains('\u{2028}') && !line.contains('\u{85}'), "{line:?}");
    }
}
