//! Users of an htpasswd file: every form that htpasswd makes, a file that changes under requests, one that is broken.

use crate::support::client::{BOTH, Proto};
use crate::support::gateway::Gateway;
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;
use crate::support::{breathe, within};

const PASSWORD: &str = "pässwörd 1";

/// `htpasswd -nb` (2.4.71) with -B, -m, -s, -2 and -5, `openssl passwd -1` and crypt(3), each of `PASSWORD`.
const FORMS: [(&str, &str); 7] = [
    ("bcrypt", "$2y$05$yLFmcvLrWxiZPkQY9BZyreFgFdP2a4xA0HFXiVgB9aosFNAqZQBW."),
    ("apr1", "$apr1$fL0/jjOs$TgZenEfpPIR1pbKZB92j4."),
    ("sha", "{SHA}/Hrn08gEogcgvDjo5YNQSGibZVE="),
    ("sha256", "$5$KJkXoRqrt9MSiqab$aS81HCU3e/6qFNe321hpTf.6RN/QWyQnAwbLBvDEWb."),
    ("sha512", "$6$Ecm67kJRdcwjNI/w$DRZ2s8d1bffcDwAFI9d0subJPpS1P6hHVBYVU96iXk1jeq28/YlJK7sldozV.4h2mfs1H6lwaeQpffJh2Ghcw."),
    ("md5", "$1$fL0jjOs$VVrlR4EVHmqu2m.0ByxCr/"),
    ("des", "9kdzPImzIS5s2"),
];
/// `htpasswd -nb -B -C 10` of `NEW`.
const NEW_HASH: &str = "$2y$10$tAN3cmwK/I3XBuWrSCqxZuNFiAMj9VDTIP4wwu1O9kfLfjxWIvmca";
const NEW: &str = "correct horse";

fn bcrypt() -> &'static str {
    FORMS[0].1
}

fn setup(upstream: &Upstream, file: &str) -> Setup {
    let setup = Setup::new(&upstream.url())
        .without("store")
        .file("users", file)
        .rest("[auth.staff.basic]\nusers = \"htpasswd:users\"")
        .public("/public/**")
        .route("/x/**", &["staff"]);
    chmod(&setup, 0o640);
    setup
}

fn chmod(setup: &Setup, mode: u32) {
    std::fs::set_permissions(setup.path("users"), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

async fn status(gate: &Gateway, proto: Proto, user: &str, password: &str) -> u16 {
    gate.get("/x/y").proto(proto).basic(user, password).send().await.status.as_u16()
}

/// Until the answer is `wanted`, over both protocols.
async fn until(gate: &Gateway, user: &str, password: &str, wanted: u16) {
    for proto in BOTH {
        within("the file being noticed", async {
            while status(gate, proto, user, password).await != wanted {
                breathe().await
            }
        })
        .await;
    }
}

#[tokio::test]
async fn every_form_that_htpasswd_makes_lets_in_with_the_right_password_alone() {
    let upstream = Upstream::echo();
    let file: String = FORMS.iter().map(|(name, hash)| format!("{name}:{hash}\r\n")).collect();
    let gate = setup(&upstream, &format!("# staff\n\n{file}")).start().await;
    for proto in BOTH {
        for (name, _) in FORMS {
            assert_eq!(status(&gate, proto, name, PASSWORD).await, 200, "{name} {proto:?}");
            assert_eq!(upstream.take().first().and_then(|seen| seen.user().map(str::to_owned)).as_deref(), Some(name));
            // Right is remembered by now: that helps nobody else.
            for wrong in [&PASSWORD[1..], "", &PASSWORD.to_uppercase()] {
                assert_eq!(status(&gate, proto, name, wrong).await, 401, "{name} {wrong}");
            }
        }
        for unknown in ["nobody", "Bcrypt", "# staff", "bcrypt "] {
            assert_eq!(status(&gate, proto, unknown, PASSWORD).await, 401, "{unknown}");
        }
    }
    assert_eq!(upstream.count(), FORMS.len() * BOTH.len());
    let metrics = gate.admin("/metrics").send().await.text();
    let name = gate.setup.path("users").display().to_string();
    assert!(metrics.contains(&format!("doorward_source_up{{source=\"htpasswd {name}\"}} 1")), "{metrics}");
}

#[tokio::test]
async fn a_user_who_is_unknown_and_one_whose_password_is_wrong_are_answered_alike() {
    let upstream = Upstream::echo();
    let gate = setup(&upstream, &format!("alice:{}\n", bcrypt())).start().await;
    for proto in BOTH {
        let unknown = gate.get("/x/y").proto(proto).basic("bob", PASSWORD).send().await;
        let wrong = gate.get("/x/y").proto(proto).basic("alice", "wrong").send().await;
        assert_eq!((unknown.status.as_u16(), unknown.code()), (401, wrong.code()));
        assert_eq!(unknown.header("www-authenticate"), wrong.header("www-authenticate"));
    }
}

#[tokio::test]
async fn a_changed_file_counts_at_once_although_everything_is_remembered() {
    let upstream = Upstream::echo();
    // What is known is believed for an hour; the file is not asked about it.
    let long = "max_age = \"1h\"\nnegative_max_age = \"1h\"";
    let gate = setup(&upstream, &format!("alice:{0}\nbob:{0}\n", bcrypt())).section("cache", long).start().await;
    for user in ["alice", "bob"] {
        assert_eq!(status(&gate, Proto::H1, user, PASSWORD).await, 200);
    }
    assert_eq!(status(&gate, Proto::H1, "alice", NEW).await, 401);
    assert_eq!(status(&gate, Proto::H1, "carol", PASSWORD).await, 401);
    // Another password for alice, bob is gone, carol is new: renamed into place, as editors do.
    gate.setup.write("users", &format!("alice:{NEW_HASH}\ncarol:{}\n", bcrypt()));
    until(&gate, "bob", PASSWORD, 401).await;
    for proto in BOTH {
        assert_eq!(status(&gate, proto, "alice", PASSWORD).await, 401, "the old password");
        assert_eq!(status(&gate, proto, "alice", NEW).await, 200, "the new one, which was wrong before");
        assert_eq!(status(&gate, proto, "carol", PASSWORD).await, 200, "who was unknown before");
    }
    // Written in place, as htpasswd does.
    std::fs::write(gate.setup.path("users"), format!("alice:{}\nbob:{}\n", bcrypt(), bcrypt())).unwrap();
    until(&gate, "alice", NEW, 401).await;
    assert_eq!(status(&gate, Proto::H2, "bob", PASSWORD).await, 200);
    gate.said_times("a new file of users is in service", 2).await;
}

#[tokio::test]
async fn no_request_is_lost_while_the_file_is_swapped() {
    let upstream = Upstream::echo();
    let gate = setup(&upstream, &format!("alice:{}\n", bcrypt())).start().await;
    let requests = async {
        for at in 0..200 {
            assert_eq!(status(&gate, BOTH[at % 2], "alice", PASSWORD).await, 200, "{at}");
        }
    };
    let swaps = async {
        for at in 0..100 {
            gate.setup.write("users", &format!("bob{at}:{NEW_HASH}\nalice:{}\n", bcrypt()));
            breathe().await;
        }
    };
    tokio::join!(requests, swaps);
    until(&gate, "bob99", NEW, 200).await;
}

#[tokio::test]
async fn a_broken_new_file_keeps_the_old_one_in_service_and_is_told_of_once() {
    let upstream = Upstream::echo();
    let gate = setup(&upstream, &format!("alice:{}\n", bcrypt())).start().await;
    assert_eq!(status(&gate, Proto::H1, "alice", PASSWORD).await, 200);
    gate.setup.write("users", &format!("alice:{NEW_HASH}\nbob:hunter2\n"));
    gate.said("the new file of users cannot be used; the old one stays in service").await;
    for proto in BOTH {
        assert_eq!(status(&gate, proto, "alice", PASSWORD).await, 200);
        assert_eq!(status(&gate, proto, "alice", NEW).await, 401);
        assert_eq!(status(&gate, proto, "bob", "hunter2").await, 401);
    }
    let name = format!("htpasswd {}", gate.setup.path("users").display());
    let metrics = gate.admin("/metrics").send().await.text();
    for line in [format!("doorward_source_up{{source=\"{name}\"}} 0"), format!("doorward_source_failures_total{{source=\"{name}\"}} 1")] {
        assert!(metrics.contains(&line), "{metrics}");
    }
    let ready = gate.admin("/readyz?verbose").send().await;
    assert!(ready.status == 200 && ready.text().contains(&name) && ready.text().contains(":2: "), "{}", ready.text());
    // A file that is gone is one more that cannot be used.
    std::fs::remove_file(gate.setup.path("users")).unwrap();
    gate.said_times("the new file of users cannot be used", 2).await;
    assert_eq!(status(&gate, Proto::H2, "alice", PASSWORD).await, 200);
    gate.setup.write("users", &format!("alice:{NEW_HASH}\n"));
    until(&gate, "alice", NEW, 200).await;
    assert_eq!(status(&gate, Proto::H2, "alice", PASSWORD).await, 401);
    assert!(gate.admin("/metrics").send().await.text().contains(&format!("doorward_source_up{{source=\"{name}\"}} 1")));
    assert!(!gate.output().contains("hunter2"));
}

#[tokio::test]
async fn a_reload_takes_a_new_file_and_refuses_a_broken_one() {
    let upstream = Upstream::echo();
    let gate = setup(&upstream, &format!("alice:{}\n", bcrypt())).start().await;
    gate.setup.write("users", "alice:plain\n");
    gate.signal("HUP");
    gate.said("the new configuration is refused").await;
    assert_eq!(status(&gate, Proto::H1, "alice", PASSWORD).await, 200);
    gate.setup.write("users", &format!("alice:{NEW_HASH}\n"));
    gate.signal("HUP");
    gate.said("the new configuration is in force").await;
    assert_eq!(status(&gate, Proto::H1, "alice", NEW).await, 200);
    assert_eq!(status(&gate, Proto::H1, "alice", PASSWORD).await, 401);
}

#[tokio::test]
async fn who_guesses_is_slowed_down_and_who_is_remembered_is_not() {
    let upstream = Upstream::echo();
    let gate = setup(&upstream, &format!("alice:{}\nbob:{}\n", bcrypt(), bcrypt())).start().await;
    assert_eq!(status(&gate, Proto::H1, "alice", PASSWORD).await, 200);
    for at in 0..12 {
        assert_eq!(status(&gate, BOTH[at % 2], "alice", &format!("guess{at}")).await, 401);
        assert_eq!(status(&gate, BOTH[at % 2], "bob", &format!("guess{at}")).await, 401);
    }
    assert_eq!(status(&gate, Proto::H2, "alice", PASSWORD).await, 200, "remembered");
    assert_eq!(status(&gate, Proto::H2, "bob", PASSWORD).await, 401, "not looked at");
}

#[test]
fn a_file_that_cannot_be_used_stops_the_start_and_names_every_line() {
    let upstream = "http://127.0.0.1:1";
    let good = format!("alice:{}\n", bcrypt());
    let file = format!("{good}bob:hunter2\ncarol:$2x$05$abc\n{good}nobody\n");
    let check = |file: Option<&str>| {
        let setup = Setup::new(upstream).rest("[auth.staff.basic]\nusers = \"htpasswd:users\"").route("/**", &["staff"]);
        if let Some(file) = file {
            setup.write("users", file);
            chmod(&setup, 0o640);
        }
        let out = setup.cli(&["check"], "");
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout))
    };
    let (code, text) = check(Some(&file));
    assert_eq!(code, Some(2), "{text}");
    for line in ["users:2: ", "users:3: ", "users:4: ", "users:5: ", "auth.staff.basic.users", "faulty bcrypt", "htpasswd -B"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("hunter2") && !text.contains("users:1: "), "{text}");
    let (code, text) = check(None);
    assert!(code == Some(2) && text.contains("cannot be read"), "{text}");
    let (code, text) = check(Some(&good));
    assert!(code == Some(0) && text.contains("no mistakes") && !text.contains("guessed"), "{text}");
    let (code, text) = check(Some(&format!("{good}bob:{}\n", FORMS[1].1)));
    assert!(code == Some(0) && text.contains("1 of 2 passwords") && text.contains("lines 2"), "{text}");
}
