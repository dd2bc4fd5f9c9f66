//! Why does a signature not match? What the log says, to whom it shows the text, and what `doorward verify` finds out.

mod forms;
mod verify;

use doorward::inbound::{Conn, Open, Peer};
use doorward::reload::{Gate, build_gate};
use doorward::server::read_recorded;
use doorward::store::{CacheSettings, Stores};
use doorward::telemetry::Telemetry;
use doorward::types::Report;
use serde_json::Value;
use tokio::runtime::Handle;

use self::forms::{BODY, FORMS, Form, SECRET, Signed, WRONG, hex, setup};
use crate::support::aws::{self, Aws};
use crate::support::gateway::Gateway;
use crate::support::now;
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;

/// Sends it, and gives the cause that the log has for its refusal.
async fn refused(gate: &Gateway, form: &Form, signed: &Signed) -> String {
    // Lines of requests that were let in may be late.
    let refusals = || gate.access().into_iter().filter(|line| !line["cause"].is_null()).collect::<Vec<Value>>();
    let before = refusals().len();
    let call = gate.call(form.method, &signed.target).headers(&signed.headers);
    let call = if form.body.is_empty() { call } else { call.body(form.body) };
    let status = call.send().await.status.as_u16();
    assert!([401, 403].contains(&status), "{}: {status}", form.name);
    let mut lines = gate.stdout.subscribe();
    crate::support::within("the access log", lines.wait_for(|lines| lines.iter().filter(|line| line.contains("\"cause\":\"")).count() > before))
        .await
        .unwrap();
    let line = refusals().pop().unwrap();
    assert_eq!(line["path"], form.path(), "{line}");
    line["cause"].as_str().unwrap().to_owned()
}

/// What neither log nor terminal may show of a request, unless its key is debugged.
const TEXTS: [&str; 3] = ["query-value-5d1c", "header-value-77aa", "body-text-11cc"];

#[tokio::test]
async fn a_mismatch_is_logged_by_the_digest_and_the_lengths_of_what_should_have_been_signed() {
    let upstream = Upstream::echo();
    let gate = setup(&upstream.url(), "").start().await;
    for form in FORMS {
        let dir = gate.setup.dir.path();
        let good = form.sign(dir, "aspnet", "right.key", now());
        let call = gate.call(form.method, &good.target).headers(&good.headers);
        let call = if form.body.is_empty() { call } else { call.body(form.body) };
        assert_eq!(call.send().await.status, 200, "{}", form.name);
        let mut wrong = vec![form.sign(dir, "aspnet", "wrong.key", now())];
        if !form.webhook() {
            wrong.push(form.sign(dir, "nobody", "right.key", now()));
        }
        for (signed, why) in wrong.iter().zip(["the signature does not match", "no such key"]) {
            let cause = refused(&gate, form, signed).await;
            let digest = format!("sha256={} bytes={}", hex(&signed.canonical), signed.canonical.len());
            assert!(cause.contains(&digest) && cause.contains(why), "{}: {cause}\n{}", form.name, String::from_utf8_lossy(&signed.canonical));
            for part in form.parts {
                assert!(cause.contains(part), "{}: {part:?} in {cause}", form.name);
            }
        }
    }
    let output = gate.output();
    for text in TEXTS.into_iter().chain([SECRET, WRONG, " reads "]) {
        assert!(!output.contains(text), "{text}");
    }
}

#[tokio::test]
async fn a_key_that_is_debugged_has_its_text_logged_without_body_secret_and_signature() {
    let upstream = Upstream::echo();
    let gate = setup(&upstream.url(), "debug_signatures = true").start().await;
    for form in FORMS {
        let dir = gate.setup.dir.path();
        let signed = form.sign(dir, "aspnet", "wrong.key", now());
        let cause = refused(&gate, form, &signed).await;
        let text = String::from_utf8(signed.canonical.clone()).unwrap();
        let head = text.strip_suffix(form.body).unwrap_or(&text);
        let shown = head.replace('\\', "\\\\").replace('\n', "\\n");
        assert!(cause.contains(&format!("; reads \"{shown}")), "{}: {shown} in {cause}", form.name);
        if head != text && !form.body.is_empty() {
            assert!(cause.contains(&format!("<28 bytes of body, sha256={}>", hex(BODY.as_bytes()))), "{cause}");
        }
        let unknown = form.sign(dir, "nobody", "right.key", now());
        if !form.webhook() {
            assert!(!refused(&gate, form, &unknown).await.contains(" reads "), "{}", form.name);
        }
        for (name, value) in &signed.headers {
            if ["authorization", "signature"].iter().any(|word| name.to_ascii_lowercase().ends_with(word)) {
                let signature = value.rsplit(['=', ':', '"', ',']).find(|part| part.len() > 20).unwrap_or(value);
                assert!(!gate.output().contains(signature), "{name}: {signature}");
            }
        }
    }
    let output = gate.output();
    for text in ["body-text-11cc", SECRET, WRONG, &SECRET[6..]] {
        assert!(!output.contains(text), "{text}");
    }
    assert!(output.contains("query-value-5d1c") && output.contains("header-value-77aa"));
}

#[tokio::test]
async fn a_key_of_the_store_is_debugged_until_the_moment_that_is_written_there() {
    let upstream = Upstream::echo();
    let setup = Setup::new(&upstream.url())
        .section("cache", "max_age = \"0s\"\nnegative_max_age = \"0s\"")
        .rest("[auth.fost.fost]")
        .route("/fost/**", &["fost"])
        .file("wrong.key", WRONG);
    setup.cli_ok(&["key", "add", "stored"], "");
    let gate = setup.start().await;
    let form = &FORMS[0];
    let cause = async || {
        let signed = form.sign(gate.setup.dir.path(), "stored", "wrong.key", now());
        refused(&gate, form, &signed).await
    };
    assert!(!cause().await.contains(" reads "));
    let said = gate.setup.cli_ok(&["key", "debug", "stored"], "");
    assert!(said.contains("until ") && gate.setup.cli_ok(&["key", "list"], "").contains("good, debugged"), "{said}");
    assert!(cause().await.contains("; reads \"POST /fost/x"));
    gate.setup.cli_ok(&["key", "debug", "stored", "--off"], "");
    assert!(!cause().await.contains(" reads ") && !gate.setup.cli_ok(&["key", "list"], "").contains("debugged"));
    gate.setup.cli_ok(&["key", "debug", "stored", "--for", "2s"], "");
    crate::support::within("the end of debugging", async {
        while cause().await.contains(" reads ") {
            crate::support::breathe().await;
        }
    })
    .await;
    for wrong in [&["key", "debug", "nobody"][..], &["key", "debug", "stored", "--for", "25h"], &["key", "debug", "stored", "--for", "0s"]] {
        assert_eq!(gate.setup.cli(wrong, "").status.code(), Some(1), "{wrong:?}");
    }
}

#[tokio::test]
async fn check_warns_of_keys_that_are_debugged() {
    let output = setup("http://127.0.0.1:1", "debug_signatures = true").cli(&["check"], "");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    let warned = text.lines().filter(|line| line.contains("warning") && line.contains("debug_signatures")).count();
    assert_eq!(warned, FORMS.len(), "{text}");
}

/// What the log would say of a request with a wrong signature at this moment.
async fn cause_at(gate: &Gate, stores: &Stores, recording: &str, moment: i64) -> String {
    stores.clock.stop_at(moment);
    let limits = toml::from_str("").unwrap();
    let judged = read_recorded(recording.as_bytes(), &limits, |request, head| async move {
        let conn = Conn::new(Peer::Unix, None, None, 0, Open::default());
        gate.proxy.recorded(&conn, request, head, None).unwrap().judge(&conn).await.unwrap_err().to_string()
    });
    judged.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_the_configuration_is_debugged_for_an_hour_however_often_that_is_read() {
    const BEGIN: i64 = 1_790_000_000;
    let setup = setup("http://127.0.0.1:1", "debug_signatures = true").without("store");
    let path = setup.save();
    let stores = Stores::open(None, &CacheSettings::default(), Handle::current(), &mut Report::default()).await.unwrap();
    let read = |moment| {
        stores.clock.stop_at(moment);
        let config = doorward::config::load(&path).unwrap().config;
        build_gate(config, &stores, &Telemetry::without_output(), 1, &mut Report::default()).unwrap()
    };
    let (first, again) = (read(BEGIN), read(BEGIN + 1800));
    for form in FORMS.iter().filter(|form| !form.options.contains(&"--url")) {
        for (moment, shown) in [(BEGIN, true), (BEGIN + 3599, true), (BEGIN + 3600, false), (BEGIN + 5000, false)] {
            let signed = form.sign(setup.dir.path(), "aspnet", "wrong.key", moment);
            for gate in [&first, &again] {
                let cause = cause_at(gate, &stores, &form.recording(&signed), moment).await;
                assert!(cause.contains(&hex(&signed.canonical)) && cause.contains("; reads ") == shown, "{} at {moment}: {cause}", form.name);
            }
        }
    }
}

#[tokio::test]
async fn a_chunk_that_does_not_match_is_logged_like_a_request_and_without_the_signature_before_it() {
    let upstream = Upstream::echo();
    for debugged in [false, true] {
        let setup = Setup::new(&upstream.url()).file("secrets/aws.key", aws::SECRET).rest(&aws::schemes()).route("/s3/**", &["s3"]);
        let key = format!("keys.{}]", aws::KEY);
        let debug = if debugged { format!("{key}\ndebug_signatures = true") } else { key.clone() };
        let gate = setup.replace(&key, &debug).start().await;
        let (headers, body) = Aws::s3().chunks("PUT", "/s3/x", &[b"first chunk 0123", b"second chunk 456"]);
        let body = String::from_utf8(body).unwrap().replace("second chunk 456", "another text 456");
        assert_eq!(gate.call("PUT", "/s3/x").headers(&headers).body(body.clone()).send().await.status, 401);
        let line = gate.access_line("the refusal", |line| line["path"] == "/s3/x").await;
        let cause = line["cause"].as_str().unwrap();
        let parts = "algorithm 24, time 16, scope 37, signature before 64, hash 64, payload hash 64";
        assert!(cause.contains("what should have been signed: sha256=") && cause.contains(parts), "{cause}");
        let hash = hex(b"another text 456");
        assert_eq!(
            cause.contains(&format!("<64 bytes>\\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\\n{hash}")),
            debugged,
            "{cause}"
        );
        for signature in body.split("chunk-signature=").skip(1).map(|rest| &rest[..64]) {
            assert!(!gate.output().contains(signature));
        }
    }
}
