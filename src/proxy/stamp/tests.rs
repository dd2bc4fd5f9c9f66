use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use http::HeaderMap;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::inbound::HeaderNames;
use crate::types::Severity;

const NOW: i64 = 1_790_000_000;
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A folder with a secret and one private key of each kind.
fn files() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("secret", SECRET);
    write("short", &SECRET[1..]);
    write("ec.pem", &rcgen::KeyPair::generate().unwrap().serialize_pem());
    write("ec2.pem", &rcgen::KeyPair::generate().unwrap().serialize_pem());
    write("p384.pem", &rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().serialize_pem());
    write("ed.pem", &rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem());
    dir
}

/// Slow to make, so only where it is asked for.
fn add_rsa_key(dir: &tempfile::TempDir) {
    let der = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = der.as_der().unwrap();
    let body = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
    std::fs::write(dir.path().join("rsa.pem"), format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")).unwrap();
}

/// Builds; `DIR` in the text is the folder of [`files`].
fn build(toml: &str, dir: &tempfile::TempDir) -> (Option<IdentityStamp>, Report) {
    let mut report = Report::default();
    let settings = toml::from_str(&toml.replace("DIR", dir.path().to_str().unwrap())).unwrap();
    (IdentityStamp::build(settings, &mut report), report)
}

fn stamp(toml: &str) -> IdentityStamp {
    let (stamp, report) = build(toml, &files());
    stamp.unwrap_or_else(|| panic!("{:?}", report.problems()))
}

const HMAC: &str = "[keys.\"2026-11\"]\nsecret_file = \"DIR/secret\"\n";
const JWT: &str = "[keys.k]\nprivate_key_file = \"DIR/ec.pem\"\n";

fn alice() -> Subject {
    Subject {
        user: "alice".to_owned(),
        email: Some("alice@example.com".to_owned()),
        groups: vec!["staff".to_owned(), "ops".to_owned()],
        scopes: vec!["read".to_owned()],
        claims: json!({"tenant": "acme", "org": {"id": 7}, "on": true, "tags": ["x", 1], "null": null, "obj": {}, "deep": [[1]], "empty": [], "blank": ""})
            .as_object()
            .cloned()
            .unwrap(),
        ..Subject::default()
    }
}

fn written(stamp: &IdentityStamp, subject: &Subject) -> Result<HeaderMap, Unstampable> {
    let mut headers = HeaderMap::new();
    headers.insert("accept", "a/b".parse().unwrap());
    headers.append("x-forwarded-user", "mallory".parse().unwrap());
    headers.append("x-forwarded-user", "root".parse().unwrap());
    headers.insert("x-forwarded-email", "root@example.com".parse().unwrap());
    headers.insert("x-forwarded-host", "App.example.com:443".parse().unwrap());
    let host = headers["x-forwarded-host"].clone();
    HeaderNames::new(stamp.reserved()).remove_from(&mut headers);
    let mut lines = Lines::default();
    stamp.write(subject, (&Method::GET, &host, "/r?a=1"), NOW, &mut lines)?;
    headers.extend(read(&lines));
    Ok(headers)
}

/// What lines say. Any that is there twice is there twice.
pub(super) fn read(lines: &Lines) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.as_bytes().split_inclusive(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\r\n").unwrap();
        let colon = line.windows(2).position(|pair| pair == b": ").unwrap();
        headers.append(HeaderName::from_bytes(&line[..colon]).unwrap(), HeaderValue::from_bytes(&line[colon + 2..]).unwrap());
    }
    headers
}

fn received(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
}

fn failures(stamp: &IdentityStamp, method: &str, target: &str, headers: &[(String, Vec<u8>)], now: i64) -> Vec<&'static str> {
    let (_, checks) = stamp.verify(&Received { method, target, headers }, now, 60);
    checks.into_iter().filter(|check| check.outcome.is_err()).map(|check| check.what).collect()
}

#[test]
fn the_user_is_written_once_with_a_signature_that_verifies_and_nothing_of_the_clients_is_left() {
    let stamp = stamp(HMAC);
    let headers = written(&stamp, &alice()).unwrap();
    assert_eq!(headers.get_all("x-forwarded-user").iter().collect::<Vec<_>>(), ["alice"]);
    assert_eq!((headers.get("x-forwarded-email"), headers.get("accept")), (None, Some(&"a/b".parse().unwrap())));
    let signature = headers["x-doorward-signature"].to_str().unwrap();
    let secret = crate::types::Secret::new(SECRET);
    assert_eq!(verify_hmac(&secret, signature, "GET", "/r?a=1", b"alice", NOW, 60), Ok(()));
    assert_eq!(parse(signature).unwrap().key, "2026-11");
    assert_eq!(failures(&stamp, "GET", "/r?a=1", &received(&headers), NOW + 60), Vec::<&str>::new());
}

#[test]
fn mapped_headers_tell_attributes_and_claims_and_an_absent_one_is_not_sent() {
    let mapping = |attribute: &str| stamp(&format!("headers = {{ X-Mapped = {attribute:?} }}\n{HMAC}"));
    for (attribute, want) in [
        ("user", Some("alice")),
        ("email", Some("alice@example.com")),
        ("groups", Some("staff,ops")),
        ("scopes", Some("read")),
        ("tenant", Some("acme")),
        ("org.id", Some("7")),
        ("on", Some("true")),
        ("tags", Some("x,1")),
        ("null", None),
        ("missing", None),
        ("org.missing", None),
        ("empty", None),
        ("blank", None),
    ] {
        let headers = written(&mapping(attribute), &alice()).unwrap();
        assert_eq!(headers.get("x-mapped").map(|value| value.to_str().unwrap()), want, "{attribute}");
    }
    for attribute in ["obj", "deep", "org"] {
        assert!(written(&mapping(attribute), &alice()).is_err(), "{attribute}");
    }
    let comma = Subject { groups: vec!["a,b".to_owned()], ..alice() };
    assert!(written(&mapping("groups"), &comma).is_err());
    assert!(written(&mapping("email"), &comma).is_ok());
}

#[test]
fn a_name_that_cannot_be_told_exactly_is_refused() {
    let stamp = stamp(HMAC);
    for user in ["", " alice", "alice ", "a\nb", "a\0b", "a\u{85}b", "a\u{202e}b", "a\u{feff}"] {
        assert!(written(&stamp, &Subject { user: user.to_owned(), ..alice() }).is_err(), "{user:?}");
    }
    let email = Subject { email: Some("a@b\r\nX: y".to_owned()), ..alice() };
    assert!(written(&self::stamp(&format!("headers = {{ X-E = \"email\" }}\n{HMAC}")), &email).is_err());
}

#[test]
fn the_signature_covers_the_user_header_as_it_is_encoded() {
    for (encoding, want) in [("utf-8", "Zoë"), ("percent", "Zo%C3%AB"), ("base64url", "Wm_Dqw"), ("rfc2047", "=?utf-8?B?Wm/Dqw==?=")] {
        let stamp = stamp(&format!("encoding = {encoding:?}\n{HMAC}"));
        let headers = written(&stamp, &Subject { user: "Zoë".to_owned(), ..alice() }).unwrap();
        assert_eq!(headers["x-forwarded-user"].as_bytes(), want.as_bytes());
        assert_eq!(failures(&stamp, "GET", "/r?a=1", &received(&headers), NOW), Vec::<&str>::new(), "{encoding}");
    }
}

#[test]
fn an_assertion_is_accepted_by_a_library_that_knows_the_published_keys_alone() {
    let dir = files();
    add_rsa_key(&dir);
    for (file, algorithm) in [("ec.pem", "ES256"), ("ed.pem", "EdDSA"), ("rsa.pem", "RS256")] {
        let (stamp, _) = build(
            &format!(
                "signature = [\"jwt\"]\naudience = \"app\"\nheaders = {{ X-T = \"tenant\", X-S = \"scopes\", X-U = \"sub\" }}\n[keys.\"a.1\"]\nprivate_key_file = \"DIR/{file}\""
            ),
            &dir,
        );
        let stamp = stamp.unwrap();
        let headers = written(&stamp, &alice()).unwrap();
        assert!(!headers.contains_key("x-doorward-signature"));
        let token = headers["x-doorward-assertion"].to_str().unwrap();
        let set: jsonwebtoken::jwk::JwkSet = serde_json::from_slice(stamp.jwks()).unwrap();
        let head = jsonwebtoken::decode_header(token).unwrap();
        assert_eq!((head.kid.as_deref(), head.typ.as_deref()), (Some("a.1"), Some("JWT")));
        let key = jsonwebtoken::DecodingKey::from_jwk(set.find("a.1").unwrap()).unwrap();
        let mut rules = jsonwebtoken::Validation::new(algorithm.parse().unwrap());
        rules.set_audience(&["app"]);
        rules.set_issuer(&["doorward"]);
        rules.validate_exp = false;
        let claims = jsonwebtoken::decode::<Value>(token, &key, &rules).unwrap().claims;
        assert_eq!((&claims["sub"], &claims["email"], &claims["groups"]), (&json!("alice"), &json!("alice@example.com"), &json!(["staff", "ops"])));
        assert_eq!((&claims["tenant"], &claims["scope"]), (&json!("acme"), &json!("read")));
        assert_eq!((&claims["iat"], &claims["exp"]), (&json!(NOW), &json!(NOW + 60)));
        assert_eq!(claims["jti"].as_str().unwrap().len(), 22);
        assert_eq!(failures(&stamp, "GET", "/r?a=1", &received(&headers), NOW + 59), Vec::<&str>::new());
        assert_eq!(failures(&stamp, "GET", "/r?a=1", &received(&headers), NOW + 60), ["assertion"]);
    }
}

#[test]
fn a_published_key_says_what_it_is_for() {
    let stamp = stamp(&format!("{HMAC}{JWT}[keys.b]\nprivate_key_file = \"DIR/ec2.pem\"\n"));
    let set: Value = serde_json::from_slice(stamp.jwks()).unwrap();
    let keys = set["keys"].as_array().unwrap();
    assert_eq!(keys.iter().map(|key| key["kid"].as_str().unwrap()).collect::<Vec<_>>(), ["k", "b"], "the secret is not published");
    for key in keys {
        assert_eq!((&key["use"], &key["alg"], &key["kty"], &key["crv"]), (&json!("sig"), &json!("ES256"), &json!("EC"), &json!("P-256")));
        assert_eq!((key["x"].as_str().unwrap().len(), key["y"].as_str().unwrap().len(), key.as_object().unwrap().len()), (43, 43, 7));
    }
}

#[test]
fn the_first_key_of_the_file_signs_and_the_others_are_still_accepted() {
    let dir = files();
    let old = "[keys.zz-old]\nsecret_file = \"DIR/secret\"\n[keys.yy-old]\nprivate_key_file = \"DIR/ec.pem\"\n";
    let new = "[keys.bb-new]\nsecret = \"another secret of at least 32 bytes\"\n[keys.aa-new]\nprivate_key_file = \"DIR/ec2.pem\"\n";
    let head = "signature = [\"hmac\", \"jwt\"]\naudience = \"app\"\n";
    let (before, _) = build(&format!("{head}{old}"), &dir);
    let (during, _) = build(&format!("{head}{old}{new}"), &dir);
    let (turned, _) = build(&format!("{head}{new}{old}"), &dir);
    let (after, _) = build(&format!("{head}{new}"), &dir);
    let (before, during, turned, after) = (before.unwrap(), during.unwrap(), turned.unwrap(), after.unwrap());
    let signed = |stamp: &IdentityStamp| {
        let headers = written(stamp, &alice()).unwrap();
        let kid = jsonwebtoken::decode_header(headers["x-doorward-assertion"].as_bytes()).unwrap().kid.unwrap();
        (parse(headers["x-doorward-signature"].to_str().unwrap()).unwrap().key.to_owned(), kid, received(&headers))
    };
    let (hmac, jwt, by_old) = signed(&during);
    assert_eq!((hmac.as_str(), jwt.as_str()), ("zz-old", "yy-old"));
    let (hmac, jwt, by_new) = signed(&turned);
    assert_eq!((hmac.as_str(), jwt.as_str()), ("bb-new", "aa-new"));
    for (stamp, headers, fails) in
        [(&before, &by_old, false), (&turned, &by_old, false), (&during, &by_new, false), (&after, &by_old, true), (&before, &by_new, true)]
    {
        let want: &[&str] = if fails { &["signature", "assertion"] } else { &[] };
        assert_eq!(failures(stamp, "GET", "/r?a=1", headers, NOW), want);
    }
}

#[test]
fn an_assertion_is_used_again_while_it_is_fresh_and_says_the_same() {
    let stamp = stamp(&format!("signature = [\"jwt\"]\naudience = \"app\"\n{JWT}"));
    let token = |subject: &Subject, now: i64| {
        let mut lines = Lines::default();
        stamp.write(subject, (&Method::GET, &HeaderValue::from_static("app"), "/"), now, &mut lines).unwrap();
        let token = read(&lines)["x-doorward-assertion"].clone();
        assert!(!format!("{lines:?}").contains(token.to_str().unwrap()));
        token
    };
    let first = token(&alice(), NOW);
    assert_eq!(first, token(&alice(), NOW + 30), "an equal identity, though not the same in memory");
    let second = token(&alice(), NOW + 31);
    assert_ne!(first, second);
    assert_ne!(second, token(&alice(), NOW), "one from the future is not fresh");
    let demoted = Subject { groups: vec!["staff".to_owned()], ..alice() };
    assert_ne!(token(&demoted, NOW), token(&alice(), NOW));
    // What the assertion does not say does not change it.
    let elsewhere = Subject { claims: Map::new(), ..alice() };
    assert_eq!(token(&elsewhere, NOW + 1), token(&alice(), NOW + 1));
}

#[test]
fn a_request_that_was_changed_on_its_way_fails_the_check_that_says_so() {
    let stamp = stamp(&format!(
        "signature = [\"hmac\", \"jwt\"]\naudience = \"app\"\nheaders = {{ X-T = \"tenant\" }}\nalso_strip = [\"Remote-User\"]\n{HMAC}{JWT}"
    ));
    let good = received(&written(&stamp, &alice()).unwrap());
    let failing = |headers: &[(String, Vec<u8>)]| failures(&stamp, "GET", "/r?a=1", headers, NOW);
    let with = |name: &str, value: &str| {
        let mut headers = good.clone();
        headers.push((name.to_owned(), value.as_bytes().to_vec()));
        headers
    };
    let replaced = |name: &str, value: &str| {
        let mut headers = good.clone();
        headers.iter_mut().find(|(have, _)| have == name).unwrap().1 = value.as_bytes().to_vec();
        headers
    };
    let without = |name: &str| good.iter().filter(|(have, _)| have != name).cloned().collect::<Vec<_>>();
    assert_eq!(failing(&good), Vec::<&str>::new());
    assert_eq!(failing(&with("Accept", "x/y")), Vec::<&str>::new());
    assert_eq!(failures(&stamp, "POST", "/r?a=1", &good, NOW), ["signature"]);
    assert_eq!(failures(&stamp, "GET", "/r?a=2", &good, NOW), ["signature"]);
    assert_eq!(failures(&stamp, "GET", "/r?a=1", &good, NOW + 61), ["signature", "assertion"]);
    assert_eq!(failures(&stamp, "GET", "/r?a=1", &good, NOW - 61), ["signature", "assertion"]);
    for alias in [
        "X-Forwarded-User",
        "x_forwarded_user",
        "X.Forwarded-User",
        "X-Doorward_Signature",
        "X-Doorward-Assertion",
        "x_t",
        "Remote-User",
        "REMOTE_USER",
        "X-Forwarded-Groups",
    ] {
        assert_eq!(failing(&with(alias, "alice")), ["identity headers"], "{alias}");
    }
    assert_eq!(failing(&replaced("x-forwarded-user", "root")), ["signature", "assertion"]);
    assert_eq!(failing(&without("x-forwarded-user")), ["user header", "signature", "assertion"]);
    assert_eq!(failing(&without("x-doorward-signature")), ["signature"]);
    assert_eq!(failing(&without("x-doorward-assertion")), ["assertion"]);
    assert_eq!(failing(&replaced("x-doorward-assertion", "a.b.c")), ["assertion"]);
    assert_eq!(failing(&replaced("x-doorward-signature", "v1;t=1790000000;k=nobody;s=9F4Eo80_b51kwwNFKop8WOx_3QbtsWcnMN8xIgBxHuw")), ["signature"]);
}

#[test]
fn an_assertion_for_somebody_else_is_refused_though_its_signature_is_good() {
    let dir = files();
    let at = |settings: &str| build(&format!("signature = [\"jwt\"]\n{settings}\n{JWT}"), &dir).0.unwrap();
    let headers = received(&written(&at("audience = \"app\""), &alice()).unwrap());
    assert_eq!(failures(&at("audience = \"app\""), "GET", "/", &headers, NOW), Vec::<&str>::new());
    for other in ["audience = \"other\"", "audience = \"app\"\nissuer = \"elsewhere\""] {
        assert_eq!(failures(&at(other), "GET", "/", &headers, NOW), ["assertion"], "{other}");
    }
}

#[test]
fn every_mistake_is_reported_with_its_key() {
    let dir = files();
    for (toml, key) in [
        ("", "keys"),
        ("signature = [\"hmac\"]\n[keys.a]\nprivate_key_file = \"DIR/ec.pem\"", "keys"),
        ("signature = [\"jwt\"]\naudience = \"x\"\n[keys.a]\nsecret_file = \"DIR/secret\"", "keys"),
        ("signature = [\"jwt\"]\n[keys.a]\nprivate_key_file = \"DIR/ec.pem\"", "audience"),
        ("signature = [\"jwt\"]\naudience = \"\"\n[keys.a]\nprivate_key_file = \"DIR/ec.pem\"", "audience"),
        ("signature = [\"jwt\"]\naudience = \"x\"\nissuer = \"\"\n[keys.a]\nprivate_key_file = \"DIR/ec.pem\"", "issuer"),
        ("signature = [\"fost\"]", "keys"),
        ("max_body = \"1MiB\"\n[keys.a]\nsecret_file = \"DIR/secret\"", "max_body"),
        ("signature = [\"http-message-signature\"]\n[keys.a]\nsecret_file = \"DIR/secret\"", "keys"),
        ("signature = [\"HMAC\"]\n[keys.a]\nsecret_file = \"DIR/secret\"", "signature"),
        ("encoding = \"latin1\"\n[keys.a]\nsecret_file = \"DIR/secret\"", "encoding"),
        ("[keys.a]\nsecret_file = \"DIR/short\"", "keys.a.secret"),
        ("[keys.a]\nsecret_file = \"DIR/none\"", "keys.a.secret_file"),
        ("[keys.\"a b\"]\nsecret_file = \"DIR/secret\"", "keys.a b"),
        ("[keys.\"a;s=b\"]\nsecret_file = \"DIR/secret\"", "keys.a;s=b"),
        ("[keys.a]", "keys.a.secret"),
        ("[keys.a]\nsecret_file = \"DIR/secret\"\nprivate_key_file = \"DIR/ec.pem\"", "keys.a.private_key_file"),
        ("[keys.a]\nprivate_key_file = \"DIR/secret\"", "keys.a.private_key_file"),
        ("[keys.a]\nprivate_key_file = \"DIR/p384.pem\"", "keys.a.private_key_file"),
        ("user_header = \"a b\"\n[keys.a]\nsecret_file = \"DIR/secret\"", "user_header"),
        ("user_header = \"Cookie\"\n[keys.a]\nsecret_file = \"DIR/secret\"", "user_header"),
        ("user_header = \"Sec-WebSocket-Key\"\n[keys.a]\nsecret_file = \"DIR/secret\"", "user_header"),
        ("user_header = \"Content_Length\"\n[keys.a]\nsecret_file = \"DIR/secret\"", "user_header"),
        ("user_header = \"x-doorward_signature\"\n[keys.a]\nsecret_file = \"DIR/secret\"", "user_header"),
        ("assertion_header = \"Authorization\"\n[keys.a]\nsecret_file = \"DIR/secret\"", "assertion_header"),
        ("also_strip = [\"Host\"]\n[keys.a]\nsecret_file = \"DIR/secret\"", "also_strip"),
        ("[keys.a]\nsecret_file = \"DIR/secret\"\n[headers]\nTransfer-Encoding = \"user\"", "headers.Transfer-Encoding"),
        ("[keys.a]\nsecret_file = \"DIR/secret\"\n[headers]\nX-A = \"user\"\nX_A = \"email\"", "headers.x_a"),
        ("[keys.a]\nsecret_file = \"DIR/secret\"\n[headers]\nX-A = \"\"", "headers.X-A"),
        ("signature = [\"fost\"]\nuser_header = \"X-FOST_User\"\n[keys.a]\nsecret_file = \"DIR/secret\"", "user_header"),
        (
            "signature = [\"http-message-signature\"]\n[keys.a]\nprivate_key_file = \"DIR/ec.pem\"\n[headers]\nSignature = \"user\"",
            "headers.signature",
        ),
    ] {
        let (stamp, report) = build(toml, &dir);
        assert!(stamp.is_none(), "{toml}");
        let errors: Vec<_> = report.problems().iter().filter(|p| p.severity == Severity::Error).map(|p| p.key.as_str()).collect();
        assert_eq!(errors, [key], "{toml}");
    }
    let unknown = toml::from_str::<Settings>("[keys.a]\nsecretfile = \"x\"").unwrap_err();
    assert!(unknown.to_string().contains("line 2"), "{unknown}");
}

#[test]
fn no_signature_at_all_is_possible_and_warned_of() {
    let (stamp, report) = build("signature = []", &files());
    assert_eq!(report.problems().iter().map(|p| (p.severity, p.key.as_str())).collect::<Vec<_>>(), [(Severity::Warning, "signature")]);
    let stamp = stamp.unwrap();
    let headers = written(&stamp, &alice()).unwrap();
    assert_eq!(headers.len(), 3);
    assert_eq!(failures(&stamp, "GET", "/", &received(&headers), NOW), ["signature"], "nothing can be verified then");
}

#[test]
fn no_client_may_send_what_the_stamp_may_write() {
    let stamp = stamp(&format!(
        "user_header = \"Remote-User\"\nassertion_header = \"X-Assert\"\nalso_strip = [\"X-Admin\"]\nheaders = {{ X-T = \"tenant\" }}\n{HMAC}"
    ));
    let reserved: Vec<_> = stamp.reserved().iter().map(ToString::to_string).collect();
    for name in [
        "remote-user",
        "x-assert",
        "x-admin",
        "x-t",
        "x-doorward-signature",
        "x-doorward-assertion",
        "x-forwarded-user",
        "x-forwarded-email",
        "x-forwarded-groups",
    ] {
        assert!(reserved.iter().any(|have| have == name), "{name}");
    }
}

#[test]
fn nothing_of_a_secret_or_private_key_is_printed() {
    let stamp = stamp(&format!("{HMAC}{JWT}"));
    let shown = format!("{stamp:?}");
    assert!(!shown.contains(SECRET) && !shown.contains("BEGIN") && shown.contains("***"));
    let settings: Settings = toml::from_str(&format!("[keys.a]\nsecret = {SECRET:?}")).unwrap();
    assert!(!format!("{settings:?}").contains(SECRET));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_the_identity_holds_is_written_exactly_or_refused(user in "\\PC{0,12}|[ -~]{1,12}", groups in proptest::collection::vec("[a-zé, ]{0,4}", 0..4)) {
        let stamp = stamp(&format!("headers = {{ X-Groups = \"groups\" }}\n{HMAC}"));
        let subject = Subject { user: user.clone(), groups: groups.clone(), ..alice() };
        if let Ok(headers) = written(&stamp, &subject) {
            prop_assert_eq!(headers["x-forwarded-user"].as_bytes(), user.as_bytes());
            let read = headers.get("x-groups").map(|value| String::from_utf8(value.as_bytes().to_vec()).unwrap());
            let read: Vec<String> = read.map(|read| read.split(',').map(str::to_owned).collect()).unwrap_or_default();
            prop_assert_eq!(read, groups);
        }
    }

    #[test]
    fn any_bit_of_an_assertion_counts(at: proptest::sample::Index, bit in 0..7u8) {
        let stamp = stamp(&format!("signature = [\"jwt\"]\naudience = \"app\"\n{JWT}"));
        let mut headers = received(&written(&stamp, &alice()).unwrap());
        let token = &mut headers.iter_mut().find(|(name, _)| name == "x-doorward-assertion").unwrap().1;
        let at = at.index(token.len());
        token[at] ^= 1 << bit;
        prop_assert_eq!(failures(&stamp, "GET", "/", &headers, NOW), ["assertion"]);
    }

    #[test]
    fn no_assertion_makes_the_reader_panic(token in "\\PC*|[A-Za-z0-9_-]*\\.[A-Za-z0-9_-]*\\.[A-Za-z0-9_-]*") {
        let stamp = stamp(&format!("signature = [\"jwt\"]\naudience = \"app\"\n{JWT}"));
        let headers = [("x-forwarded-user".to_owned(), b"a".to_vec()), ("x-doorward-assertion".to_owned(), token.into_bytes())];
        prop_assert_eq!(failures(&stamp, "GET", "/", &headers, NOW), ["assertion"]);
    }
}

#[test]
fn a_message_signature_covers_the_request_and_every_identity_header() {
    let dir = files();
    add_rsa_key(&dir);
    for (file, alg) in [("ec.pem", "ecdsa-p256-sha256"), ("ed.pem", "ed25519"), ("rsa.pem", "rsa-v1_5-sha256")] {
        let toml = "signature = [\"http-message-signature\"]\nheaders = { X-E = \"email\", X-N = \"null\", X-T = \"tenant\" }\n[keys.\"a.1\"]\nprivate_key_file = \"DIR/";
        let (stamp, report) = build(&format!("{toml}{file}\""), &dir);
        let stamp = stamp.unwrap_or_else(|| panic!("{:?}", report.problems()));
        assert_eq!(stamp.shared_names(), ["signature-input", "signature"]);
        let headers = written(&stamp, &Subject { user: "Zoë".to_owned(), ..alice() }).unwrap();
        let input = format!(
            "(\"@method\" \"@target-uri\" \"x-forwarded-user\";bs \"x-e\" \"x-t\");created={NOW};keyid=\"a.1\";alg=\"{alg}\";tag=\"doorward\""
        );
        assert_eq!(headers["signature-input"], format!("doorward={input}"));
        let base = format!(
            "\"@method\": GET\n\"@target-uri\": https://app.example.com/r?a=1\n\"x-forwarded-user\";bs: :Wm/Dqw==:\n\"x-e\": alice@example.com\n\"x-t\": acme\n\
             \"@signature-params\": {input}"
        );
        let signature = headers["signature"].to_str().unwrap().strip_prefix("doorward=:").unwrap().trim_end_matches(':');
        let signature = base64::engine::general_purpose::STANDARD.decode(signature).unwrap();
        assert!(stamp.keys.private[0].1.verify(base.as_bytes(), &signature), "{file}");
        let good = received(&headers);
        let failed = |method: &str, target: &str, headers: &[(String, Vec<u8>)], now| failures(&stamp, method, target, headers, now);
        for age in [-5, 0, 60] {
            assert_eq!(failed("GET", "/r?a=1", &good, NOW + age), Vec::<&str>::new(), "{age}");
        }
        assert!(stamp.uncovered(&Received { method: "GET", target: "/r?a=1", headers: &good }).is_empty());
        let wrong = ["message signature"];
        for (method, target, now) in
            [("POST", "/r?a=1", NOW), ("GET", "/r?a=2", NOW), ("GET", "/r", NOW), ("GET", "/r?a=1", NOW + 61), ("GET", "/r?a=1", NOW - 6)]
        {
            assert_eq!(failed(method, target, &good, now), wrong, "{method} {target} {now}");
        }
        for (name, value) in [
            ("x-forwarded-user", &b"root"[..]),
            ("x-e", b"b@example.com"),
            ("x-n", b"added"),
            ("x-t", b"other"),
            ("x-forwarded-host", b"other.example.com"),
            ("x-forwarded-host", b""),
            ("signature", b"doorward=:AQI=:"),
            ("signature", b"doorward=AQI="),
            ("signature-input", b"doorward=();created=1790000000;keyid=\"a.1\""),
            ("signature-input", b"doorward="),
            ("signature-input", b""),
        ] {
            let mut changed = good.clone();
            changed.retain(|(have, _)| have != name);
            changed.push((name.to_owned(), value.to_vec()));
            assert_eq!(failed("GET", "/r?a=1", &changed, NOW), wrong, "{name}");
            changed.pop();
            if name != "x-n" {
                assert!(failed("GET", "/r?a=1", &changed, NOW).contains(&"message signature"), "without {name}");
            }
        }
        for name in ["signature", "signature-input"] {
            let twice = [good.clone(), vec![(name.to_owned(), b"doorward=:AQI=:".to_vec())]].concat();
            assert_eq!(failed("GET", "/r?a=1", &twice, NOW), wrong, "{name} twice");
        }
    }
}
