//! `doorward verify` on recorded requests.

use aws_lc_rs::hmac;
use serde_json::Value;

use super::forms::{BODY, FORMS, Form, SECRET, Signed, WRONG, hex, setup};
use crate::support::setup::Setup;
use crate::support::{base64, now};

/// Runs `doorward verify` on a recording; its exit code and what it printed.
fn verify(setup: &Setup, recording: &str, more: &[&str]) -> (i32, String) {
    let output = setup.cli(&[&["verify", "--request", "-"], more].concat(), recording);
    let text = format!("{}{}", String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(!text.contains(SECRET) && !text.contains(WRONG), "{text}");
    (output.status.code().unwrap(), text)
}

#[tokio::test]
async fn a_recorded_request_is_judged_as_it_would_have_been_when_it_was_signed() {
    let setup = setup("http://127.0.0.1:1", "");
    for form in FORMS {
        let at = if form.options.contains(&"--url") { now() } else { 1_790_000_000 };
        let good = form.sign(setup.dir.path(), "aspnet", "right.key", at);
        let key: &[&str] = if form.webhook() { &[] } else { &["--key", "aspnet"] };
        // A signature with a public moment has no other clock to be judged by.
        let (code, text) = verify(&setup, &form.recording(&good), key);
        assert!(code == 0 && text.contains("it verifies"), "{}: {text}", form.name);
        let (code, text) = verify(&setup, &form.recording(&good).replacen("\r\n", "\n", 40), key);
        assert!(code == 0 && text.contains("ended in LF"), "{}: {text}", form.name);
        let bad = form.sign(setup.dir.path(), "aspnet", "wrong.key", at);
        let (code, text) = verify(&setup, &form.recording(&bad), key);
        assert!(code == 1 && text.contains(&format!("SHA-256 {}", hex(&bad.canonical))), "{}: {text}", form.name);
        assert!(text.contains("none of the usual mistakes"), "{}: {text}", form.name);
        setup.write("theirs", std::str::from_utf8(&bad.canonical).unwrap());
        let theirs = setup.path("theirs").display().to_string();
        let (code, text) = verify(&setup, &form.recording(&bad), &["--theirs", &theirs]);
        assert!(code == 1 && text.contains("signs the right string: so it signs with another secret"), "{}: {text}", form.name);
        if !form.webhook() {
            let (code, text) = verify(&setup, &form.recording(&good), &["--key", "other"]);
            assert!(code == 1 && text.contains("names the key \"aspnet\", not \"other\""), "{}: {text}", form.name);
        }
    }
}

/// The MAC of `text` as this form writes it.
fn mac(form: &Form, text: &[u8]) -> String {
    let (algorithm, hex) = match (form.kind, form.name) {
        ("fost" | "s3-v2", _) => (hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, false),
        ("webhook", "standard") | ("query-hmac" | "http-message-signature" | "http-signature", _) => (hmac::HMAC_SHA256, false),
        ("webhook", _) => (hmac::HMAC_SHA256, true),
        other => panic!("{other:?}"),
    };
    let secret = if form.name == "standard" { crate::support::from_base64(&SECRET[6..]) } else { SECRET.as_bytes().to_vec() };
    let tag = hmac::sign(&hmac::Key::new(algorithm, &secret), text);
    if hex { tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect() } else { base64(tag) }
}

/// The same request, by a client that signs `wrong` in the place of `right`.
fn mistaken(form: &Form, good: &Signed, right: &str, wrong: &str) -> (String, String) {
    let canonical = String::from_utf8(good.canonical.clone()).unwrap();
    assert!(canonical.contains(right), "{}: {right} in {canonical}", form.name);
    let theirs = canonical.replace(right, wrong);
    let escaped = |mac: String| mac.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let recording = form.recording(good);
    let (old, new) = (mac(form, canonical.as_bytes()), mac(form, theirs.as_bytes()));
    let in_url = good.headers.is_empty();
    let (old, new) = if in_url { (escaped(old), escaped(new)) } else { (old, new) };
    assert!(recording.contains(&old), "{}: {old} in {recording}", form.name);
    (recording.replace(&old, &new), theirs)
}

#[tokio::test]
async fn the_usual_mistakes_are_found_from_the_signature_alone_and_by_what_the_client_signed() {
    let setup = setup("http://127.0.0.1:1", "");
    let at = now();
    for (name, right, wrong, said) in [
        ("fost", "POST /", "post /", "signed the method in lower case"),
        ("fost", BODY, "", "signed an empty body"),
        ("fosturl", "app.example.com/", "app.example.com:8443/", "signed a Host with the port 8443"),
        ("query", "?q=", "/?q=", "signed the path with a slash at its end"),
        ("s3", "/s3/x?versionId=query-value-5d1c", "/s3/x", "signed the path without its query"),
        ("message", "\"@method\": POST", "\"@method\": post", "signed the method in lower case"),
        ("draft", "\n", "\r\n", "ended lines in CRLF instead of LF"),
        ("kong", "host: app.example.com", "host: app.example.com:443", "signed a Host with the port 443"),
        ("apisix", "POST /", "post /", "signed the method in lower case"),
        ("apisix-v1", "POST\n", "post\n", "signed the method in lower case"),
        ("github", BODY, "", "signed an empty body"),
        ("stripe", BODY, "", "signed an empty body"),
        ("slack", "11cc\"}", "11cc\"}\n", "signed a trailing newline"),
        ("standard", BODY, "", "signed an empty body"),
    ] {
        let form = FORMS.iter().find(|form| form.name == name).unwrap();
        let (recording, theirs) = mistaken(form, &form.sign(setup.dir.path(), "aspnet", "right.key", at), right, wrong);
        let (code, text) = verify(&setup, &recording, &[]);
        assert!(code == 1 && text.contains(said) && text.contains("it verifies once the client"), "{name}: {text}");
        setup.write("theirs", &theirs);
        let file = setup.path("theirs").display().to_string();
        let (code, text) = verify(&setup, &recording, &["--theirs", &file]);
        assert!(code == 1 && text.contains("first difference: ") && text.contains(said), "{name}: {text}");
        assert!(!text.contains("the secret may differ too"), "{name}: {text}");
    }
}

#[tokio::test]
async fn two_mistakes_at_once_are_found_and_what_is_none_is_shown_where_it_begins() {
    let setup = setup("http://127.0.0.1:1", "");
    let form = &FORMS[0];
    let good = form.sign(setup.dir.path(), "aspnet", "right.key", now());
    let (recording, _) = mistaken(form, &good, "POST /fost/x", "post /fost/x/");
    let (code, text) = verify(&setup, &recording, &[]);
    assert!(code == 1 && text.contains("2 mistakes at once") && text.contains("lower case") && text.contains("a slash at its end"), "{text}");
    let (recording, theirs) = mistaken(form, &good, "POST /fost/x", "PATCH /fost/x");
    setup.write("theirs", &theirs);
    let file = setup.path("theirs").display().to_string();
    let (_, text) = verify(&setup, &recording, &["--theirs", &file]);
    assert!(text.contains("differs at byte 2, line 1 (in: method): the server has \"OST /fost/x\\n\", the client has \"ATCH /fost/x\\n\""), "{text}");
    assert!(verify(&setup, &recording, &[]).1.contains("none of the usual mistakes"));
}

#[tokio::test]
async fn a_recording_is_judged_by_the_key_scheme_and_moment_that_are_asked_for() {
    let setup = Setup::new("http://127.0.0.1:1")
        .rest("[auth.one.fost]\n[auth.two.fost]\nmax_skew = \"60s\"\n[auth.staff.basic]\nusers = \"store\"")
        .route("/fost/**", &["one"])
        .route("/staff/**", &["staff"]);
    let added: Value = serde_json::from_str(&setup.cli_ok(&["key", "add", "stored", "--json"], "")).unwrap();
    setup.write("stored.key", added["secret"].as_str().unwrap());
    let form = &FORMS[0];
    let at = 1_790_000_000;
    let recording = form.recording(&form.sign(setup.dir.path(), "stored", "stored.key", at));
    let (code, text) = verify(&setup, &recording, &["--key", "stored"]);
    assert!(code == 0 && text.contains("stands for stored") && text.contains("judged at 2026-09-21T14:13:20Z"), "{text}");
    for (more, code, said) in [
        (&["--at", "1790000015"][..], 0, "the moment that was asked for"),
        (&["--at", "2026-09-21T14:13:36Z"], 1, "the timestamp is 16 s away"),
        (&["--at", "1790000060", "--scheme", "two"], 0, "judged by two (fost)"),
        (&["--scheme", "three"], 2, "no scheme \"three\""),
        (&["--scheme", "staff"], 2, "no scheme \"staff\" whose clients sign; there are: one, two"),
        (&["--at", "yesterday"], 2, "--at"),
        (&["--theirs", "/does/not/exist"], 2, "cannot read"),
    ] {
        let (found, text) = verify(&setup, &recording, more);
        assert!(found == code && text.contains(said), "{more:?}: {found} {text}");
    }
    for (recording, said) in [
        ("", "is empty"),
        ("nonsense", "cannot be read"),
        ("GET /fost/x HTTP/1.1\r\n\r\n", "before any scheme sees it"),
        ("GET /elsewhere HTTP/1.1\r\nHost: h\r\n\r\n", "no route"),
        ("GET /staff/x HTTP/1.1\r\nHost: h\r\n\r\n", "accepts no scheme whose clients sign"),
        ("GET /fost/a//b HTTP/1.1\r\nHost: h\r\n\r\n", "before any scheme sees it"),
    ] {
        let (code, text) = verify(&setup, recording, &[]);
        assert!(code == 2 && text.contains(said), "{recording:?}: {code} {text}");
    }
    let (code, text) = verify(&setup, "GET /fost/x HTTP/1.1\r\nHost: h\r\n\r\n", &[]);
    assert!(code == 1 && text.contains("no credential was presented"), "{text}");
    let listed: Value = serde_json::from_str(&setup.cli_ok(&["key", "list", "--json"], "")).unwrap();
    assert!(listed[0]["last_used"].is_null(), "a recording is no use of a key: {listed}");
    assert_eq!(setup.cli(&["verify", "--request", "-", "--key", "none"], &recording.replace("FOST stored", "FOST none")).status.code(), Some(1));
}
