//! The path that a rule saw is the path that is forwarded; a path with two readings is refused.

use crate::support::client::BOTH;
use crate::support::world::World;

const REFUSED: &[&str] = &[
    "/public/../basic/x",
    "/public/..",
    "/public/./x",
    "/public/.",
    "/./public/x",
    "//public/x",
    "/public//x",
    "/public/x//",
    "///",
    "/public\\x",
    "/public/..\\basic",
    "/public/%2e%2e/basic/x",
    "/public/%2E%2e/basic/x",
    "/public/.%2e/basic/x",
    "/public/%2e/x",
    "/public/a%2eb",
    "/public/%2fx",
    "/public/%2Fbasic",
    "/public/%5cx",
    "/public/%5Cx",
    "/public/%00x",
    "/public/%0ax",
    "/public/%0d%0aX:y",
    "/public/%1fx",
    "/public/%7fx",
    "/public/%252e%252e/basic",
    "/public/%252fx",
    "/public/%2541",
    "/public/..;/basic/x",
    "/public/;x=y",
    "/public/x;jsessionid=1",
    "/public/x%3by",
    "/public/%61",
    "/%70ublic/x",
    "/basic%2fx",
    "/public/%30",
    "/public/%c0%ae%c0%ae/basic",
    "/public/%ff",
    "/public/%e0%80%af",
    "/public/%ed%a0%80",
    "/public/x.",
    "/public/x./y",
    "/public/x%20",
    "/public/x%20/y",
    "/public/%",
    "/public/%2",
    "/public/%zz",
    "/public/%u002e",
    "/public/x\x01",
    "/public/..%00/",
    "/public/%2e%2e%2fbasic",
];

const FORWARDED: &[&str] = &[
    "/public",
    "/public/",
    "/public/a/",
    "/public/a%20b",
    "/public/caf%C3%A9",
    "/public/caf%c3%a9",
    "/public/~user/$a&b'(c)*+,=:@!",
    "/public/%5Bx%5D",
    "/public/.hidden/a.b..c",
    "/public/x?y=1&z=%2e%2e/../..//;a=b\\%00%61",
    "/public/x?",
    "/public/x??",
    "/public/%F0%9F%9A%AA",
];

#[tokio::test]
async fn a_path_with_two_readings_is_refused() {
    let world = World::with(|setup| setup.with("limits", "header_timeout = \"1s\"")).await;
    for path in REFUSED {
        let mut raw = world.raw().await;
        raw.write(format!("GET {path} HTTP/1.1\r\nHost: app.example.com\r\n\r\n")).await;
        let answer = raw.answer().await.unwrap();
        assert_eq!(answer.status, 400, "{path}: {}", answer.head);
        assert_eq!(world.upstream.count(), 0, "{path}");
    }
}

#[tokio::test]
async fn a_path_with_two_readings_is_refused_over_http2_too() {
    let world = World::start().await;
    for path in REFUSED.iter().filter(|path| path.parse::<http::uri::PathAndQuery>().is_ok()) {
        let answer = world.get(path).proto(crate::support::client::Proto::H2).try_send().await;
        assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 400), "{path}");
        assert_eq!(world.upstream.count(), 0, "{path}");
    }
}

#[tokio::test]
async fn a_path_with_one_reading_arrives_byte_for_byte() {
    let world = World::start().await;
    for proto in BOTH {
        for path in FORWARDED {
            let answer = world.get(path).proto(proto).send().await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert_eq!(world.upstream.only().target, *path);
        }
    }
}

#[tokio::test]
async fn a_fragment_never_hides_a_part_of_the_path() {
    let world = World::start().await;
    for target in ["/public/x#/../basic", "/basic/x#/public", "/public/%23/x", "/basic/%23/../public"] {
        let mut raw = world.raw().await;
        raw.write(format!("GET {target} HTTP/1.1\r\nHost: app.example.com\r\n\r\n")).await;
        let answer = raw.answer().await.unwrap();
        for seen in world.upstream.take() {
            assert!(seen.target.starts_with("/public/") && !seen.target.contains("basic") && !seen.target.contains('#'), "{target}: {}", seen.target);
        }
        assert!(!target.starts_with("/basic") || matches!(answer.status, 400 | 401), "{target}: {}", answer.status);
    }
}

#[tokio::test]
async fn no_spelling_of_a_protected_path_is_public() {
    // The public route stands first and is the wider one; the protected folder must be reached by its own name alone.
    let upstream = crate::support::upstream::Upstream::echo();
    let setup =
        crate::support::setup::Setup::new(&upstream.url()).route("/admin/**", &["staff"]).rest("[auth.staff.basic]\nusers = \"store\"").public("/**");
    let gate = setup.start().await;
    for path in [
        "/admin",
        "/admin/",
        "/admin/x",
        "/%61dmin/x",
        "/x/../admin/x",
        "//admin/x",
        "/./admin",
        "/admin%2fx",
        "/admin;/x",
        "/admin%20/x",
        "/admin./x",
    ] {
        let answer = gate.get(path).send().await;
        assert!(matches!(answer.status.as_u16(), 400 | 401), "{path}: {}", answer.status);
    }
    assert_eq!(upstream.count(), 0);
    // Letters differ by case: an application that folds them is told apart by its own route, not by ours.
    gate.get("/ADMIN/x").send().await;
    assert_eq!(upstream.only().target, "/ADMIN/x");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 6, failure_persistence: None, ..Default::default() })]
    #[test]
    fn whatever_is_forwarded_is_what_was_sent(paths in proptest::collection::vec("/public/([a-z%./;\\\\ 0-9A-F?#]|%2[ef]|%5c){0,12}", 40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::with(|setup| setup.with("limits", "header_timeout = \"5s\"")).await;
            for path in paths {
                let mut raw = world.raw().await;
                raw.write(format!("GET {path} HTTP/1.1\r\nHost: app.example.com\r\n\r\n")).await;
                let answer = raw.answer().await;
                let seen = world.upstream.take();
                if answer.is_some_and(|answer| answer.status == 200) {
                    assert_eq!(seen.len(), 1);
                    let sent = path.split('#').next().unwrap();
                    assert_eq!(seen[0].target, sent);
                    let bare = sent.split('?').next().unwrap();
                    assert!(!bare.contains("..") || bare.split('/').all(|part| part != ".."), "{path}");
                    assert!(!bare.contains(['\\', ';', ' ']) && !bare[1..].contains("//"), "{path}");
                } else {
                    assert!(seen.is_empty(), "{path}: {seen:#?}");
                }
            }
        });
    }
}
