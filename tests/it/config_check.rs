//! A configuration is right, or it does not load; and whoever wrote it is told everything at once.

use std::process::Output;

use crate::support::setup::{Setup, doorward};

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn good() -> Setup {
    Setup::new("http://127.0.0.1:1").rest("[auth.staff.basic]\nusers = \"store\"").route("/**", &["staff"])
}

#[test]
fn a_right_configuration_passes() {
    let output = good().cli(&["check"], "");
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn every_mistake_is_reported_at_once_with_its_line() {
    let setup = good().rest(
        r#"
[limits]
header_timeout = "ten seconds"
max_header_byte = "1KiB"
[auth.corp.jwt]
issuer = "https://id.example.com/"
jwks_file = "secrets/none.json"
[[route]]
path = "no-slash"
accept = ["nobody"]
[[route]]
path = "/open/**"
"#,
    );
    let output = setup.cli(&["check"], "");
    let text = said(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    let config = setup.config_text();
    for (line, key) in [("header_timeout = \"ten", "header_timeout"), ("max_header_byte = ", "max_header_byte"), ("path = \"no-slash", "path")] {
        let number = config.lines().position(|have| have.starts_with(line)).unwrap() + 1;
        assert!(text.lines().any(|said| said.contains(&format!("config.toml:{number}")) && said.contains(key)), "line {number}, {key}:\n{text}");
    }
    assert!(text.contains("max_header_bytes"), "the nearest known key is named:\n{text}");

    // What can only be judged once the form is right is reported together as well.
    let setup = good().rest(
        r#"
[auth.corp.jwt]
issuer = "https://id.example.com/"
jwks_file = "secrets/none.json"
[[route]]
path = "/a/**"
accept = ["nobody"]
[[route]]
path = "/open/**"
[[route]]
path = "/both/**"
access = "public"
accept = ["staff"]
"#,
    );
    let output = setup.cli(&["check"], "");
    let text = said(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for word in ["nobody", "audience", "none.json", "accept"] {
        assert!(text.contains(word), "{word}:\n{text}");
    }
}

/// Each of these must not start; `word` is in what is said.
const BROKEN: &[(&str, &str, &str)] = &[
    ("unknown section", "[nonsense]\nx = 1", "nonsense"),
    ("unknown key", "[cache]\nmax_aeg = \"1s\"", "max_age"),
    ("a kind that does not exist", "[auth.x.oauth9]\n", "oauth9"),
    ("two kinds under one name", "[auth.x.basic]\nusers = \"store\"\n[auth.x.token]\nsource = \"store\"", "auth.x"),
    ("no kind", "[auth.x]", "auth.x"),
    ("a route of nobody", "[[route]]\npath = \"/r\"\naccept = []", "accept"),
    ("a route without a decision", "[[route]]\npath = \"/r\"", "accept"),
    ("an unknown access", "[[route]]\npath = \"/r\"\naccess = \"open\"", "access"),
    ("an unknown scheme", "[[route]]\npath = \"/r\"\naccept = [\"nobody\"]", "nobody"),
    ("a path with dots", "[[route]]\npath = \"/../r\"\naccess = \"public\"", "path"),
    ("a path with a query", "[[route]]\npath = \"/r?x\"\naccess = \"public\"", "path"),
    ("a bad method", "[[route]]\npath = \"/r\"\naccess = \"public\"\nmethods = [\"G T\"]", "methods"),
    ("a rule for nobody in particular", "[[route]]\npath = \"/r\"\naccess = \"public\"\n[route.require]\nusers = [\"a\"]", "require"),
    ("an unknown rule", "[[route]]\npath = \"/r\"\naccept = [\"staff\"]\n[route.require]\nuser = [\"a\"]", "users"),
    ("a missing secret", "[auth.x.fost]\n[auth.x.fost.keys.k]\n", "secret"),
    ("a secret file that is not there", "[auth.x.fost]\n[auth.x.fost.keys.k]\nsecret_file = \"gone.key\"", "gone.key"),
    ("an environment that is not there", "[auth.x.fost]\n[auth.x.fost.keys.k]\nsecret_env = \"DOORWARD_TEST_GONE\"", "DOORWARD_TEST_GONE"),
    ("no audience", "[auth.x.jwt]\nissuer = \"https://x.example/\"", "audience"),
    ("an empty audience", "[auth.x.jwt]\nissuer = \"https://x.example/\"\naudience = []", "audience"),
    ("a plain issuer", "[auth.x.jwt]\nissuer = \"http://x.example/\"\naudience = [\"a\"]", "https"),
    (
        "two sources of keys",
        "[auth.x.jwt]\nissuer = \"https://x.example/\"\naudience = [\"a\"]\njwks_file = \"a\"\njwks_url = \"https://x.example/j\"",
        "jwks",
    ),
    ("alg none", "[auth.x.jwt]\nissuer = \"https://x.example/\"\naudience = [\"a\"]\nalgorithms = [\"none\"]", "none"),
    ("HS with public keys", "[auth.x.jwt]\nissuer = \"https://x.example/\"\naudience = [\"a\"]\nalgorithms = [\"RS256\", \"HS256\"]", "HS256"),
    ("a short secret", "[auth.x.jwt]\nissuer = \"https://x.example/\"\naudience = [\"a\"]\nsecret = \"short\"\nalgorithms = [\"HS256\"]", "32"),
    ("an unknown user source", "[auth.x.basic]\nusers = \"everyone\"", "users"),
    ("an unknown token source", "[auth.x.token]\nsource = \"thin air\"", "source"),
];

#[test]
fn a_configuration_with_a_mistake_never_starts() {
    for (what, text, word) in BROKEN {
        let setup = good().rest(text);
        let checked = setup.cli(&["check"], "");
        assert_eq!(checked.status.code(), Some(2), "{what}: {}", said(&checked));
        assert!(said(&checked).contains(word), "{what} ({word}):\n{}", said(&checked));
        assert!(said(&checked).contains("config.toml:"), "{what}:\n{}", said(&checked));
        let run = setup.cli(&["run"], "");
        assert_eq!(run.status.code(), Some(2), "{what}: {}", said(&run));
    }
}

#[test]
fn broken_sections_never_start() {
    for (section, lines, word) in [
        ("listen", "https = []", "https"),
        ("listen", "https = [\"nowhere\"]", "nowhere"),
        ("listen", "https = [\"127.0.0.1:0\"]\nhosts = [\"a b\"]", "hosts"),
        ("listen", "https = [\"127.0.0.1:0\"]\npublic_url = \"app.example.com\"", "public_url"),
        ("tls", "certificate = \"gone.crt\"\nprivate_key = \"certs/server.key\"", "gone.crt"),
        ("tls", "certificate = \"certs/server.crt\"\nprivate_key = \"certs/server.crt\"", "private_key"),
        ("tls", "certificate = \"certs/server.crt\"\nprivate_key = \"certs/server.key\"\nmin_version = \"1.1\"", "min_version"),
        ("upstream", "url = \"ftp://127.0.0.1\"", "url"),
        ("upstream", "url = \"http://user:pw@127.0.0.1:1\"", "url"),
        ("upstream", "url = \"http://127.0.0.1:1/path\"", "url"),
        ("upstream", "url = \"https://127.0.0.1:1\"\nca_file = \"gone.pem\"", "gone.pem"),
        ("identity", "user_header = \"X User\"", "user_header"),
        ("identity", "user_header = \"Host\"", "user_header"),
        ("identity", "user_header = \"Content-Length\"", "user_header"),
        ("identity", "signature = [\"rot13\"]", "rot13"),
        ("identity", "signature = [\"jwt\"]", "audience"),
        ("identity", "signature = [\"jwt\"]\naudience = \"app\"", "private_key_file"),
        ("identity", "encoding = \"ebcdic\"", "encoding"),
        ("identity.keys.k1", "", "k1"),
        ("identity.keys.k1", "secret_file = \"gone.key\"", "gone.key"),
        ("identity.headers", "\"Transfer-Encoding\" = \"email\"", "Transfer-Encoding"),
        ("identity.headers", "\"X_Forwarded_User\" = \"email\"", "x_forwarded_user"),
        ("store", "url = \"mongodb://x\"", "url"),
        ("store", "url = \"sqlite:/nonexistent/folder/x.db\"", "url"),
        ("limits", "max_connections = 0", "max_connections"),
        ("log", "level = \"loud\"", "level"),
    ] {
        let setup = good().section(section, lines);
        let output = setup.cli(&["check"], "");
        assert_eq!(output.status.code(), Some(2), "[{section}] {lines}: {}", said(&output));
        assert!(said(&output).contains(word), "[{section}] {lines} ({word}):\n{}", said(&output));
    }
}

#[test]
fn what_is_no_toml_or_no_file_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [("a.toml", Some("[listen\nhttps")), ("b.toml", Some("x = 1\nx = 2")), ("empty.toml", Some("")), ("gone.toml", None)] {
        if let Some(text) = text {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let path = dir.path().join(name);
        for command in ["check", "run"] {
            let output = doorward(&[command, "--config", path.to_str().unwrap()], "", dir.path(), &[]);
            assert_eq!(output.status.code(), Some(2), "{command} {name}: {}", said(&output));
            assert!(said(&output).contains(name), "{command} {name}: {}", said(&output));
        }
    }
}

#[test]
fn weak_choices_are_warned_of_and_load() {
    let setup = good().rest("[auth.x.fost]\n[auth.x.fost.keys.k]\nsecret = \"in-the-open-but-long-enough-0123456789\"");
    let output = setup.cli(&["check"], "");
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).to_lowercase().contains("warning") && said(&output).contains("secret_file"), "{}", said(&output));
}

#[test]
fn the_environment_is_read_where_the_text_asks_for_it() {
    let setup = good().section("upstream", "url = \"http://127.0.0.1:${APP_PORT}\"");
    assert_eq!(setup.cli(&["check"], "").status.code(), Some(2));
    let setup = setup.env("APP_PORT", "8123");
    assert!(setup.cli(&["check"], "").status.success(), "{}", said(&setup.cli(&["check"], "")));
}

#[test]
fn what_would_quietly_let_in_more_than_it_says_does_not_load() {
    let route = |lines: &str| good().rest(&format!("[[route]]\npath = \"/x\"\naccess = \"public\"\n{lines}"));
    for (setup, key) in [
        (route("methods = []"), "route[1].methods"),
        (route("hosts = []"), "route[1].hosts"),
        (good().with("listen", "hosts = []"), "listen.hosts"),
        (good().with("upstream", "ca_file = \"certs/ca.crt\""), "upstream.url"),
        (route("ca_file = \"certs/ca.crt\""), "route[1].ca_file"),
    ] {
        let output = setup.cli(&["check"], "");
        assert!(output.status.code() == Some(2) && said(&output).contains(&format!("error: {key}: ")), "{key}: {}", said(&output));
    }
}

#[test]
fn the_shipped_example_has_the_right_form() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = root.join("config.example.toml");
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("config.toml");
    std::fs::copy(&example, &copy).unwrap_or_else(|error| panic!("{}: {error}", example.display()));
    let output = doorward(&["check", "--config", copy.to_str().unwrap()], "", dir.path(), &[]);
    let text = said(&output);
    // Its files are not there, and that is all that may be wrong with it.
    let wrong: Vec<&str> =
        text.lines().filter(|line| line.contains("config.toml:")).filter(|line| !line.to_lowercase().contains("warning")).collect();
    assert!(!wrong.is_empty(), "{text}");
    for line in wrong {
        assert!(line.contains("_file") || line.contains("certificate") || line.contains("private_key") || line.contains("store"), "{line}\n{text}");
    }
}

#[test]
fn the_configuration_of_the_guide_starts_as_it_stands() {
    let readme = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let blocks: Vec<&str> =
        readme.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).filter(|text| text.contains("[listen]")).collect();
    assert_eq!(blocks.len(), 1);
    let dir = tempfile::tempdir().unwrap();
    assert!(doorward(&["certs", "--out", "certs", "--name", "localhost"], "", dir.path(), &[]).status.success());
    std::fs::create_dir(dir.path().join("secrets")).unwrap();
    std::fs::write(dir.path().join("secrets/identity.key"), "0123456789abcdef0123456789abcdef0123456789abcdef\n").unwrap();
    std::fs::write(dir.path().join("config.toml"), blocks[0]).unwrap();
    let output = doorward(&["check", "--config", "config.toml"], "", dir.path(), &[]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn what_is_wrong_with_what_replicas_share_is_reported_before_anything_is_asked() {
    let long = "0123456789abcdef0123456789abcdef";
    for (cache, key) in [
        ("shared = \"http://cache\"", "cache.shared"),
        ("shared = \"redis://a,b\"", "cache.shared"),
        ("shared_secret_file = \"secrets/identity.key\"", "cache.shared_secret_file"),
        ("shared = \"redis://127.0.0.1\"\nshared_secret = \"short\"", "cache.shared_secret"),
        ("shared = \"redis://127.0.0.1\"\nshared_password_file = \"none\"", "cache.shared_password_file"),
        ("shared = \"redis://127.0.0.1\"\nshared_ca_file = \"certs/server.crt\"", "cache.shared_ca_file"),
        ("shared = \"redis://127.0.0.1\"\nshared_timeout = \"0s\"", "cache.shared_timeout"),
        ("shared = \"redis://127.0.0.1\"\nshared_prefix = \"a b\"", "cache.shared_prefix"),
        ("on_store_error = \"ignore\"", "cache.on_store_error"),
        ("keep_revocations = \"1s\"", "cache.keep_revocations"),
    ] {
        let output = good().section("cache", cache).cli(&["check"], "");
        assert_eq!(output.status.code(), Some(2), "{cache}: {}", said(&output));
        assert!(said(&output).contains(&format!("{key}: ")), "{cache}: {}", said(&output));
    }
    for (cache, key) in [
        ("shared = \"redis://:hunter2@127.0.0.1\"", "cache.shared: "),
        ("shared = \"redis://cache.example.com\"", "cache.shared: "),
        (&format!("shared = \"redis://127.0.0.1\"\nshared_secret = \"{long}\""), "cache.shared_secret: "),
    ] {
        let output = good().section("cache", cache).cli(&["check"], "");
        assert!(output.status.success() && said(&output).contains(key) && !said(&output).contains("hunter2"), "{cache}: {}", said(&output));
    }
    for (admin, listen, good_one) in [
        (format!("key = \"{long}\""), "admin = \"127.0.0.1:0\"", true),
        (format!("key = \"{long}\""), "", false),
        ("key = \"short\"".to_owned(), "admin = \"127.0.0.1:0\"", false),
        ("key_file = \"none\"".to_owned(), "admin = \"127.0.0.1:0\"", false),
    ] {
        let setup = good().section("listen", &format!("https = [\"127.0.0.1:0\"]\n{listen}")).section("admin", &admin);
        assert_eq!(setup.cli(&["check"], "").status.success(), good_one, "{admin} {listen}");
    }
}
