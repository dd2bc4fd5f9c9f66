//! The command line: each subcommand does what its help says, and secrets are shown once.

use serde_json::Value;

use crate::support::client::Call;
use crate::support::pki::trusting;
use crate::support::setup::{HOST, Setup, doorward};
use crate::support::upstream::Upstream;
use crate::support::world::World;

fn setup() -> Setup {
    Setup::new("http://127.0.0.1:1").rest("[auth.staff.basic]\nusers = \"store\"").route("/**", &["staff"])
}

fn run(arguments: &[&str], dir: &std::path::Path) -> std::process::Output {
    doorward(arguments, "", dir, &[])
}

#[test]
fn version_help_and_completions_are_printed() {
    let dir = tempfile::tempdir().unwrap();
    let version = run(&["version"], dir.path());
    assert_eq!(String::from_utf8_lossy(&version.stdout).trim(), format!("doorward {}", env!("CARGO_PKG_VERSION")));
    for subcommand in ["run", "check", "demo", "health", "certs", "key", "user", "token", "sign", "verify-identity"] {
        let help = run(&[subcommand, "--help"], dir.path());
        assert!(help.status.success() && help.stdout.len() > 80, "{subcommand}: {help:?}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(String::from_utf8_lossy(&run(&["completions", shell], dir.path()).stdout).contains("verify-identity"), "{shell}");
    }
    assert_eq!(run(&["unknown"], dir.path()).status.code(), Some(2));
}

#[test]
fn certificates_are_made_and_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let made = run(&["certs", "--out", "made", "--name", "localhost", "--name", HOST, "--name", "127.0.0.1"], dir.path());
    assert!(made.status.success(), "{made:?}");
    let files: Vec<String> =
        ["ca.crt", "server.crt", "server.key"].iter().map(|name| std::fs::read_to_string(dir.path().join("made").join(name)).unwrap()).collect();
    assert!(files[0].contains("BEGIN CERTIFICATE") && files[1].contains("BEGIN CERTIFICATE") && files[2].contains("PRIVATE KEY"));
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(dir.path().join("made/server.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
    assert!(!run(&["certs", "--out", "made", "--name", "localhost"], dir.path()).status.success());
    assert_eq!(std::fs::read_to_string(dir.path().join("made/server.key")).unwrap(), files[2]);
    assert!(run(&["certs", "--out", "made", "--name", "localhost", "--force"], dir.path()).status.success());
    assert_ne!(std::fs::read_to_string(dir.path().join("made/server.key")).unwrap(), files[2]);
}

#[tokio::test]
async fn made_certificates_serve() {
    let upstream = Upstream::echo();
    let setup = Setup::new(&upstream.url()).section("tls", "certificate = \"made/server.crt\"\nprivate_key = \"made/server.key\"").public("/**");
    assert!(run(&["certs", "--out", "made", "--name", HOST], setup.dir.path()).status.success());
    let ca = std::fs::read_to_string(setup.path("made/ca.crt")).unwrap();
    let gate = setup.start().await;
    assert_eq!(Call::new(gate.https, trusting(&ca), "GET", "/x").send().await.status, 200);
}

#[test]
fn a_key_is_shown_once_and_listed_without_its_secret() {
    let setup = setup();
    let made: Value =
        serde_json::from_str(&setup.cli_ok(&["key", "add", "shop", "--user", "webshop", "--impersonate", "--path", "/api/**", "--json"], ""))
            .unwrap();
    assert_eq!(made["name"], "shop");
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.len() >= 32, "{made}");
    let list = setup.cli_ok(&["key", "list"], "");
    assert!(list.contains("shop") && list.contains("webshop") && list.contains("/api/**") && !list.contains(secret), "{list}");
    assert!(!setup.cli(&["key", "add", "shop", "--json"], "").status.success(), "a key is not replaced by another of its name");
    let rotated: Value = serde_json::from_str(&setup.cli_ok(&["key", "rotate", "shop", "--json"], "")).unwrap();
    assert_ne!(rotated["secret"].as_str().unwrap(), secret);
    setup.cli_ok(&["key", "revoke", "shop"], "");
    assert!(!setup.cli(&["key", "revoke", "unknown"], "").status.success());
    for bad in ["", "a\nb", "a b:c"] {
        let output = setup.cli(&["key", "add", bad], "");
        assert!(!output.status.success(), "{bad:?}: {output:?}");
    }
    assert!(!setup.cli(&["key", "add", "other", "--path", "no-slash"], "").status.success());
}

#[test]
fn users_are_added_listed_and_disabled() {
    let setup = setup();
    setup.cli_ok(&["user", "add", "alice", "--group", "staff", "--group", "admins", "--password-stdin"], "a rather long password\n");
    assert!(!setup.cli(&["user", "add", "alice", "--password-stdin"], "another long password\n").status.success());
    let list = setup.cli_ok(&["user", "list"], "");
    assert!(list.contains("alice") && list.contains("staff") && list.contains("admins") && !list.contains("argon2"), "{list}");
    setup.cli_ok(&["user", "disable", "alice"], "");
    assert!(setup.cli_ok(&["user", "list"], "").contains("disabled"));
    for (arguments, input) in [
        (&["user", "add", "empty", "--password-stdin"][..], ""),
        (&["user", "add", "empty", "--password-stdin"], "\n"),
        (&["user", "add", "a\u{7}b", "--password-stdin"], "a rather long password\n"),
        (&["user", "add", "", "--password-stdin"], "a rather long password\n"),
        (&["user", "disable", "nobody"], ""),
        (&["user", "passwd", "nobody", "--password-stdin"], "a rather long password\n"),
    ] {
        assert!(!setup.cli(arguments, input).status.success(), "{arguments:?}");
    }
    assert!(!setup.cli_ok(&["user", "list"], "").contains("empty"));
}

#[test]
fn a_token_needs_a_user_and_a_reasonable_life() {
    let setup = setup();
    setup.cli_ok(&["user", "add", "alice", "--password-stdin"], "a rather long password\n");
    let issued: Value = serde_json::from_str(
        &setup.cli_ok(&["token", "issue", "--user", "alice", "--scope", "read", "--scope", "write", "--ttl", "1h", "--json"], ""),
    )
    .unwrap();
    let token = issued["token"].as_str().unwrap();
    assert!(token.len() >= 32 && !issued["expires_at"].is_null(), "{issued}");
    let list = setup.cli_ok(&["token", "list"], "");
    assert!(list.contains("alice") && list.contains("read") && !list.contains(token), "{list}");
    assert!(!setup.cli(&["token", "issue", "--user", "alice", "--ttl", "soon"], "").status.success());
    assert!(!setup.cli(&["token", "revoke", "nothing"], "").status.success());
}

#[tokio::test]
async fn what_sign_prints_opens_the_door() {
    let world = World::start().await;
    let config = world.setup.path("config.toml");
    let sign = |more: &[&str]| {
        let mut all = vec!["sign", "--scheme", "fost", "--key", "aspnet", "--secret-file", "secrets/aspnet.key"];
        all.extend(more);
        let output = doorward(&all, "", config.parent().unwrap(), &[]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let headers = |text: &str| -> Vec<(String, String)> {
        text.lines().filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let printed = headers(&sign(&["GET", &format!("https://{HOST}/fost/x?page=2")]));
    assert_eq!(world.get("/fost/x?page=2").headers(&printed).send().await.status, 200);
    let printed = headers(&sign(&["GET", &format!("https://{HOST}/fost/x"), "--as", "kirit"]));
    assert_eq!(world.get("/fost/x").headers(&printed).send().await.status, 200);
    assert_eq!(world.upstream.take().last().unwrap().user(), Some("kirit"));
    world.setup.write("body.json", "{\"a\": 1}");
    let printed = headers(&sign(&["POST", &format!("https://{HOST}/fost/x"), "--data", "@body.json"]));
    assert_eq!(world.call("POST", "/fost/x").headers(&printed).body("{\"a\": 1}").send().await.status, 200);
    let line = sign(&["GET", &format!("https://{HOST}/fost/x"), "--curl"]);
    assert!(line.starts_with("curl ") && line.contains("X-FOST-Timestamp") && !line.contains(crate::support::fost::SECRET), "{line}");
}

#[tokio::test]
async fn health_asks_the_running_gateway() {
    let upstream = Upstream::echo();
    // Port 0 is chosen at the start; whoever asks must be told the port that was chosen.
    let gate = Setup::new(&upstream.url()).public("/**").start().await;
    let asking = |admin: &str| {
        let text = gate.setup.config_text().replace("admin = \"127.0.0.1:0\"", &format!("admin = \"{admin}\""));
        gate.setup.write("ask.toml", &text);
        doorward(&["health", "--config", gate.setup.path("ask.toml").to_str().unwrap()], "", gate.setup.dir.path(), &[]).status.code()
    };
    assert_eq!(asking(&gate.admin.unwrap().to_string()), Some(0));
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(asking(&gone.to_string()), Some(1));
}

#[tokio::test]
async fn metrics_count_with_bounded_labels() {
    let world = World::start().await;
    for scheme in crate::support::world::SCHEMES {
        world.good_call(scheme).send().await;
        let target = format!("/{scheme}/page");
        world.get(&target).headers(&World::forged(scheme, "GET", &target)).send().await;
    }
    for at in 0..30 {
        world.get(&format!("/random-{at}")).send().await;
        world.call(&format!("M{at}"), "/basic/x").send().await;
    }
    let metrics = world.admin("/metrics").send().await.text();
    for name in [
        "doorward_requests_total",
        "doorward_auth_total",
        "doorward_request_duration_seconds",
        "doorward_upstream_duration_seconds",
        "doorward_build_info",
    ] {
        assert!(metrics.contains(name), "{name}\n{metrics}");
    }
    assert!(metrics.lines().any(|line| line.contains("doorward_auth_total") && line.contains("partners") && line.contains("refused")), "{metrics}");
    assert!(!metrics.contains("random-") && !metrics.contains("M29") && !metrics.contains("bob"));
    assert!(metrics.contains("certificate") && metrics.contains("connections"), "{metrics}");
}
