//! What each subcommand does to the store, and what it prints.

use clap::Parser;

use super::*;

/// The clock of these tests: 2026-09-21.
const NOW: i64 = 1_790_000_000;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

async fn store() -> (Db, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/d.db", dir.path().display());
    (Db::open(&url, &tokio::runtime::Handle::current()).await.unwrap(), dir)
}

async fn key(db: &Db, line: &str) -> anyhow::Result<String> {
    let words = std::iter::once("key").chain(line.split(' '));
    match Line::try_parse_from(words)?.args.command {
        Command::Add(args) => add::add(db, &args, NOW).await,
        Command::List(args) => list::list(db, args.json, NOW).await,
        Command::Revoke(args) => revoke(db, &args.name).await,
        Command::Disable(args) => set_disabled(db, &args.name, true).await,
        Command::Enable(args) => set_disabled(db, &args.name, false).await,
        Command::Debug(args) => debug::debug(db, &args, NOW).await,
        Command::Rotate(args) => rotate::rotate(db, &args).await,
        Command::Import(args) => import::import(db, &args, &import::read(&args)?).await,
    }
}

fn secret(answer: &str) -> String {
    let answer: serde_json::Value = serde_json::from_str(answer).unwrap();
    answer["secret"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_added_keys_secret_is_what_the_store_verifies_with() {
    let (db, _dir) = store().await;
    let answer = key(&db, "add aspnet --user webshop --impersonate --path /api/** --path /x --json").await.unwrap();
    let stored = db.key("aspnet").await.unwrap().unwrap();
    assert_eq!((secret(&answer).as_bytes(), secret(&answer).len()), (stored.secret.unwrap().expose(), 43));
    assert_eq!((stored.user.as_deref(), stored.impersonate, stored.paths.len()), (Some("webshop"), true, 2));
    let plain = key(&db, "add other").await.unwrap();
    let stored = db.key("other").await.unwrap().unwrap();
    assert_eq!(plain.lines().last().unwrap().as_bytes(), stored.secret.unwrap().expose());
    let listed = key(&db, "list --json").await.unwrap() + &key(&db, "list").await.unwrap();
    assert!(listed.contains("aspnet") && !listed.contains(&secret(&answer)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_is_two_steps_and_each_only_once() {
    let (db, _dir) = store().await;
    let old = secret(&key(&db, "add a --json").await.unwrap());
    assert!(key(&db, "rotate a --finish").await.unwrap_err().to_string().contains("begin with"));
    let new = secret(&key(&db, "rotate a --json").await.unwrap());
    assert!(key(&db, "rotate a").await.unwrap_err().to_string().contains("--finish"));
    let both = db.key("a").await.unwrap().unwrap();
    assert_eq!((both.secret.unwrap().expose(), both.next_secret.unwrap().expose()), (old.as_bytes(), new.as_bytes()));
    key(&db, "rotate a --finish").await.unwrap();
    assert_eq!(db.key("a").await.unwrap().unwrap().secret.unwrap().expose(), new.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_added_key_has_all_that_was_said_of_it_and_is_listed_with_it() {
    let (db, dir) = store().await;
    let pem = dir.path().join("partner.pem");
    std::fs::write(&pem, ED25519).unwrap();
    let line = format!(
        "add partner --public-key-file {} --algorithm ed25519 --group a --group b --scope read --not-before 2026-09-22 --ttl 2d",
        pem.display()
    );
    assert!(key(&db, &line).await.unwrap().contains("public key"));
    let stored = db.key("partner").await.unwrap().unwrap();
    assert!(stored.secret.is_none() && stored.public_key.as_deref() == Some(ED25519));
    assert_eq!((stored.groups.len(), stored.scopes.len(), stored.algorithms.len()), (2, 1, 1));
    assert_eq!((stored.not_before, stored.expires), (Some(1_790_035_200), Some(1_790_035_200 + 2 * 86_400)));
    key(&db, "add timed --expires 2026-10-01T00:00:00+02:00").await.unwrap();
    key(&db, "add brief --ttl 90s").await.unwrap();
    assert_eq!(db.key("timed").await.unwrap().unwrap().expires, Some(1_790_805_600));
    assert_eq!(db.key("brief").await.unwrap().unwrap().expires, Some(NOW + 90));
    key(&db, "disable timed").await.unwrap();
    db.note_uses(&[("brief".to_owned(), NOW)]).await.unwrap();
    let listed: serde_json::Value = serde_json::from_str(&key(&db, "list --json").await.unwrap()).unwrap();
    let states: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|key| (key["name"].as_str().unwrap(), key["kind"].as_str().unwrap(), key["state"].as_str().unwrap()))
        .collect();
    assert_eq!(states, [("brief", "secret", "good"), ("partner", "public", "not yet"), ("timed", "secret", "disabled")]);
    assert_eq!((listed[0]["last_used"].as_str(), listed[1]["expires"].as_str()), (Some("2026-09-21T14:13:20Z"), Some("2026-09-24T00:00:00Z")));
    let table = list::list(&db, false, NOW + 100).await.unwrap();
    let brief = table.lines().find(|line| line.starts_with("brief")).unwrap();
    assert!(brief.contains("2026-09-21T14:13:20Z") && brief.ends_with("expired"), "{table}");
    key(&db, "enable timed").await.unwrap();
    assert!(db.key("timed").await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_key_is_changed_in_two_steps_too() {
    let (db, dir) = store().await;
    let pem = dir.path().join("partner.pem");
    std::fs::write(&pem, ED25519).unwrap();
    key(&db, &format!("add p --public-key-file {}", pem.display())).await.unwrap();
    assert!(key(&db, "rotate p").await.unwrap_err().to_string().contains("--public-key-file"));
    key(&db, &format!("rotate p --public-key-file {}", pem.display())).await.unwrap();
    assert!(db.key("p").await.unwrap().unwrap().next_public_key.is_some());
    key(&db, "rotate p --finish").await.unwrap();
    assert!(db.key("p").await.unwrap().unwrap().next_public_key.is_none());
}

const ED25519: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n-----END PUBLIC KEY-----\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_import_says_what_it_did_and_overwrites_nothing_unasked() {
    let (db, dir) = store().await;
    let file = dir.path().join("kong.yaml");
    let yaml = "consumers: [{username: alex, hmacauth_credentials: [{username: one, secret: 0123456789abcdef}, {username: two, secret: short}, \
                {username: one, secret: 0123456789abcdef}, {username: bad}]}]";
    std::fs::write(&file, yaml).unwrap();
    key(&db, "add one").await.unwrap();
    let before = db.key("one").await.unwrap().unwrap().secret.unwrap();
    let line = format!("import --from kong {}", file.display());
    let dry = key(&db, &format!("{line} --dry-run")).await.unwrap();
    assert!(dry.ends_with("1 taken, 3 left; nothing was changed (--dry-run)\n"), "{dry}");
    assert_eq!(db.list_keys().await.unwrap().len(), 1);
    let done = key(&db, &line).await.unwrap();
    assert!(done.contains("--replace") && done.contains("shorter than 16") && done.ends_with("1 taken, 3 left\n"), "{done}");
    assert_eq!(db.key("one").await.unwrap().unwrap().secret.unwrap().expose(), before.expose());
    assert_eq!(db.key("two").await.unwrap().unwrap().user.as_deref(), Some("alex"));
    key(&db, "revoke one").await.unwrap();
    assert!(key(&db, &line).await.unwrap().ends_with("0 taken, 4 left\n"));
    let replaced: serde_json::Value = serde_json::from_str(&key(&db, &format!("{line} --replace --json")).await.unwrap()).unwrap();
    assert_eq!(replaced.as_array().unwrap().iter().filter(|key| key["taken"] == true).count(), 2);
    assert_eq!(db.key("one").await.unwrap().unwrap().secret.unwrap().expose(), b"0123456789abcdef");
    assert!(![dry, done, replaced.to_string()].iter().any(|said| said.contains("0123456789abcdef")));
    std::fs::write(&file, "consumers: []").unwrap();
    for (line, expected) in [
        (line.as_str(), "no key in it"),
        ("import --from kong /no/such/file", "cannot read"),
        ("import --from kong /no/such/file --password-file x", "dj-api-auth"),
        ("import --from dj-api-auth oracle://u@h/d", "not supported"),
    ] {
        let error = key(&db, line).await.unwrap_err();
        assert!(format!("{error:#}").contains(expected), "{line}: {error:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_said_and_changes_nothing() {
    let (db, _dir) = store().await;
    key(&db, "add taken").await.unwrap();
    key(&db, "add gone").await.unwrap();
    key(&db, "revoke gone").await.unwrap();
    let long = format!("add {}", "a".repeat(101));
    for (line, expected) in [
        ("add taken", "already"),
        ("add gone", "already"),
        ("add a:b", "visible ASCII"),
        ("add a%b", "visible ASCII"),
        ("add é", "visible ASCII"),
        (long.as_str(), "visible ASCII"),
        ("add b --path api", "starts with '/'"),
        ("add b --path /a --path /**/x", "stand"),
        ("add b --user \u{200b}x", "invisible"),
        ("add b --group \u{200b}x", "invisible"),
        ("add b --scope é", "not one scope"),
        ("add b --algorithm hmac-md5", "no algorithm"),
        ("add b --algorithm ed25519", "goes with --public-key-file"),
        ("add b --public-key-file /no/such/file", "cannot read"),
        ("add b --public-key-file Cargo.toml", "is not the public key"),
        ("add b --public-key-file Cargo.toml --algorithm hmac-sha1", "a secret"),
        ("add b --expires tomorrow", "--expires"),
        ("add b --expires 2020-01-01", "never be good"),
        ("add b --not-before 2027-01-01 --expires 2026-12-01", "never be good"),
        ("add b --ttl 0s", "never be good"),
        ("add b --ttl x", "--ttl"),
        ("disable none", "no key"),
        ("enable gone", "no key"),
        ("rotate taken --public-key-file Cargo.toml", "is not the public key"),
        ("revoke gone", "no key"),
        ("revoke none", "no key"),
        ("rotate none", "no key"),
        ("rotate gone --finish", "no key"),
    ] {
        let error = key(&db, line).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{line}: {error}");
    }
    assert_eq!(db.list_keys().await.unwrap().len(), 2);
    assert!(key(&db, "rotate taken --finish --json").await.is_err());
}
