//! Verifying, with keys of the configuration: the vectors, every bit of them, and what they leave out.

use http::Uri;
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::types::{Secret, Severity};

const NOW: i64 = 1_426_118_401_000_000;
const KEYS: &str = "[keys.483a570a]\nsecret = \"d7228d70cd7f456d9bfdc35ed8fee375\"\n[keys.narrow]\nsecret = \"narrow-secret-0123456789\"\nuser = \"webshop\"\n\
                    next_secret = \"next-secret-0123456789\"\npaths = [\"/only/**\"]\n";

fn settings(toml: &str) -> Settings {
    toml::from_str(toml).unwrap()
}

fn rules(toml: &str) -> Rules {
    let mut report = Report::default();
    let rules = Rules::build("partners", settings(toml), false, &mut report);
    rules.unwrap_or_else(|| panic!("{:?}", report.problems()))
}

/// What the scheme does with keys of the configuration, without replay memory and sockets: the user, or what a client is told.
fn judge(rules: &Rules, path: &str, query: &str, body: &[u8], now: i64) -> Result<String, String> {
    let judged = || {
        let signed = request::read(path, query).ok_or_else(missing)?;
        rules.in_time(signed.time, now)?;
        let key = rules.keys.get(&signed.key);
        let mut macs = signed.begin(rules.keys.states(key));
        body.chunks(7).for_each(|chunk| macs.update(chunk));
        rules.settle(&signed, key, macs, path, now.div_euclid(timestamp::SECOND))
    };
    judged().map(|subject| subject.user.clone()).map_err(|error| match error {
        AuthError::RefusedAs(_, ErrorForm::Forbidden(text)) => text.into_owned(),
        other @ (AuthError::Refused(_) | AuthError::RefusedAs(..) | AuthError::Unavailable(_) | AuthError::Payload(_)) => panic!("{other:?}"),
    })
}

#[derive(Debug, Deserialize)]
struct Vector {
    name: String,
    now: f64,
    path: String,
    query: String,
    body_hex: String,
    message_hex: String,
    verdict: String,
    #[serde(default)]
    error: Option<String>,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("../../../tests/vectors/query-hmac.json")).unwrap()
}

fn unhex(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn every_vector_gets_its_verdict_and_its_words() {
    let (rules, vectors) = (rules(KEYS), vectors());
    assert_eq!(vectors.len(), 8);
    for vector in vectors {
        let body = unhex(&vector.body_hex);
        let judged = judge(&rules, &vector.path, &vector.query, &body, (vector.now * 1e6) as i64);
        match (vector.verdict.as_str(), vector.error) {
            ("accept", _) => assert_eq!(judged.as_deref(), Ok("apikey:483a570a"), "{}", vector.name),
            ("refuse", Some(text)) => assert_eq!(judged, Err(text), "{}", vector.name),
            ("refuse", None) => assert!(judged.is_err(), "{}", vector.name),
            other => panic!("{other:?}"),
        }
        if let Some(signed) = request::read(&vector.path, &vector.query) {
            assert_eq!([signed.message, body].concat(), unhex(&vector.message_hex), "{}", vector.name);
        }
    }
}

#[test]
fn every_bit_of_an_accepted_vectors_message_and_signature_counts() {
    let (rules, mut flips) = (rules(KEYS), 0);
    for vector in vectors().into_iter().filter(|vector| vector.verdict == "accept") {
        let tag = request::read(&vector.path, &vector.query).unwrap().tag.unwrap();
        let message = unhex(&vector.message_hex);
        let states = rules.keys.states(rules.keys.get("483a570a"));
        let good = |message: &[u8], tag: &[u8]| Macs::begin(states, std::iter::once(message)).match_any(tag);
        assert!(good(&message, &tag), "{}", vector.name);
        for bit in 0..message.len() * 8 {
            let mut flipped = message.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!good(&flipped, &tag), "{} message bit {bit}", vector.name);
            flips += 1;
        }
        for bit in 0..256 {
            let mut flipped = tag;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!good(&message, &flipped), "{} signature bit {bit}", vector.name);
            flips += 1;
        }
    }
    assert!(flips > 3000, "{flips}");
}

#[test]
fn a_changed_byte_of_the_query_is_refused_or_means_the_same() {
    let rules = rules(KEYS);
    for vector in vectors().into_iter().filter(|vector| vector.verdict == "accept") {
        let body = unhex(&vector.body_hex);
        let meaning = |query: &str| {
            let pairs = url::form_urlencoded::parse(query.as_bytes()).into_owned();
            let spelt = pairs.map(|(name, value)| if name == "signature" { (name, value.replace(' ', "+")) } else { (name, value) });
            spelt.collect::<Vec<_>>()
        };
        for at in 0..vector.query.len() {
            for new in b"&=+%;#aA0 ~".iter().filter(|new| **new != vector.query.as_bytes()[at]) {
                let mut changed = vector.query.clone().into_bytes();
                changed[at] = *new;
                let changed = String::from_utf8(changed).unwrap();
                let judged = judge(&rules, &vector.path, &changed, &body, NOW);
                let same = meaning(&changed) == meaning(&vector.query);
                assert!(judged.is_err() || same, "{changed}");
            }
        }
    }
}

fn signed(key: &str, secret: &str, target: &str, body: &[u8]) -> (String, String) {
    let uri: Uri = format!("https://h{target}").parse().unwrap();
    let url = sign::url(key, &Secret::new(secret), &uri, body, NOW).unwrap();
    let (path, query) = url.strip_prefix("https://h").unwrap().split_once('?').unwrap();
    (path.to_owned(), query.to_owned())
}

#[test]
fn the_checks_come_in_the_order_that_clients_know() {
    let rules = rules(KEYS);
    let far = NOW + 1_000_000_000;
    let (path, query) = signed("narrow", "narrow-secret-0123456789", "/only/x?a=1", b"");
    assert_eq!(judge(&rules, &path, &query, b"", NOW).as_deref(), Ok("webshop"));
    let next = signed("narrow", "next-secret-0123456789", "/only/x", b"").1;
    assert_eq!(judge(&rules, &path, &next, b"", NOW).as_deref(), Ok("webshop"));
    for (why, path, query, now, text) in [
        ("nothing is right, and one is missing", "/other", "timestamp=nan&apikey=nobody&x=".to_owned(), far, MISSING),
        ("an empty signature", "/only/x", "timestamp=1426118401&apikey=narrow&signature=".to_owned(), NOW, MISSING),
        ("an empty key", "/only/x", "timestamp=1426118401&apikey=&signature=x".to_owned(), NOW, MISSING),
        ("an empty timestamp", "/only/x", "timestamp=&apikey=narrow&signature=x".to_owned(), NOW, MISSING),
        ("too late, by an unknown key", "/other", query.replace("narrow", "nobody"), far, "time drift > 300 sec"),
        ("no number, by an unknown key", "/other", "timestamp=nan&apikey=nobody&signature=x".to_owned(), NOW, "time drift > 300 sec"),
        ("an unknown key with a flaw", "/only/x", query.replace("narrow", "nobody") + "&x=", NOW, NOT_ALLOWED),
        ("a path that is not the key's", "/other", query.clone() + "&x=", NOW, NOT_ALLOWED),
        ("another path of the key's", "/only/y", query.clone(), NOW, WRONG),
        ("a flaw", "/only/x", query.clone() + "&x=", NOW, WRONG),
    ] {
        assert_eq!(judge(&rules, path, &query, b"", now).unwrap_err(), text, "{why}");
    }
}

#[test]
fn the_clock_may_differ_as_far_as_configured_and_the_number_is_told() {
    let rules = rules(&format!("max_skew = \"60s\"\n{KEYS}"));
    let (path, query) = signed("483a570a", "d7228d70cd7f456d9bfdc35ed8fee375", "/a", b"");
    for (away, good) in [(0, true), (60_000_000, true), (-60_000_000, true), (60_000_001, false), (-60_000_001, false), (i64::MAX - NOW, false)] {
        let judged = judge(&rules, &path, &query, b"", NOW + away);
        assert_eq!(judged.is_ok(), good, "{away}");
        assert!(good || judged == Err("time drift > 60 sec".to_owned()));
    }
}

#[test]
fn what_the_signature_leaves_out_or_could_cover_in_two_spellings_is_refused() {
    let rules = rules(KEYS);
    let secret = "d7228d70cd7f456d9bfdc35ed8fee375";
    let (path, query) = signed("483a570a", secret, "/p/?a=x%3By&b=1", b"body");
    assert!(judge(&rules, &path, &query, b"body", NOW).is_ok());
    for changed in [
        format!("{query}&admin="),
        format!("{query}&admin"),
        format!("&{query}"),
        format!("{query}&"),
        format!("{query}&apikey=483a570a"),
        format!("{query}&signature=x"),
        format!("{query}&%73ignature=x"),
        format!("{query}&%73ignature=%78"),
        query.replace("apikey", "%61pikey"),
        query.replace("signature=", "signatur%65="),
        query.replace("a=x%3By", "a=x;y"),
        query.replace("b=1", "b=2"),
        query.replace("b=1", "b=%zz"),
        query.replace("b=1", "b=%ff"),
        query.replace("a=x%3By&b=1", "b=1&a=x%3By"),
        query.replace("b=1&", ""),
    ] {
        assert!(changed != query && judge(&rules, &path, &changed, b"body", NOW).is_err(), "{changed}");
    }
    for body in [&b""[..], b"bodz", b"body ", b"bod"] {
        assert_eq!(judge(&rules, &path, &query, body, NOW).unwrap_err(), WRONG);
    }
    assert_eq!(judge(&rules, "/q/", &query, b"body", NOW).unwrap_err(), WRONG);
    for spelling in [query.replace("b=1", "%62=%31"), query.replace("%3B", "%3b")] {
        assert!(judge(&rules, &path, &spelling, b"body", NOW).is_ok(), "the same pairs: {spelling}");
    }
}

#[test]
fn the_names_of_parameters_decide_whose_credential_it_is() {
    for (query, claim) in [
        ("", Claim::None),
        ("a=apikey", Claim::None),
        ("timestamp=1", Claim::None),
        ("xapikey=1&signatures=2", Claim::None),
        ("Apikey=1", Claim::None),
        ("apikey=1", Claim::Part),
        ("signature", Claim::Part),
        ("apikey=1&signature=2", Claim::Part),
        ("timestamp=1&apikey=", Claim::Part),
        ("%61pikey=1", Claim::Part),
        ("apikey=&timestamp&signature=", Claim::Whole),
        ("apikey=1&timestamp=2&%73ignature=3", Claim::Whole),
    ] {
        assert_eq!(request::claim(Some(query)), claim, "{query}");
    }
    assert_eq!(request::claim(None), Claim::None);
}

#[test]
fn every_mistake_in_the_settings_is_reported_with_its_key() {
    let long = "x".repeat(250);
    for (toml, key) in [
        ("".to_owned(), "keys"),
        ("max_skew = \"10ms\"\n[keys.a]\nsecret = \"sixteen bytes and\"".to_owned(), "max_skew"),
        ("max_skew = \"366d\"\n[keys.a]\nsecret = \"sixteen bytes and\"".to_owned(), "max_skew"),
        ("[keys.a]".to_owned(), "keys.a.secret"),
        ("[keys.a]\nsecret = \"x\"\nimpersonate = true".to_owned(), "keys.a.impersonate"),
        ("[keys.a]\nsecret = \"x\"\npaths = []".to_owned(), "keys.a.paths"),
        (format!("[keys.{long}]\nsecret = \"x\""), &format!("keys.{long}")),
    ] {
        let mut report = Report::default();
        assert!(Rules::build("p", settings(&toml), false, &mut report).is_none(), "{toml}");
        let errors: Vec<_> = report.problems().iter().filter(|p| p.severity == Severity::Error).map(|p| p.key.as_str()).collect();
        assert_eq!(errors, [key], "{toml}");
    }
    let mut report = Report::default();
    assert!(Rules::build("p", settings("max_skew = \"301s\""), true, &mut report).is_some());
    assert_eq!(report.problems().iter().map(|p| p.key.as_str()).collect::<Vec<_>>(), ["max_skew"]);
}

#[test]
fn what_could_not_be_verified_is_not_signed() {
    let sign = |key: &str, secret: &str, url: &str| sign::url(key, &Secret::new(secret), &url.parse().unwrap(), b"", NOW);
    assert!(sign("k", "s", "https://h/?a=1").is_ok());
    for (key, secret, url) in [
        ("k", "s", "/p"),
        ("k", "", "https://h/"),
        ("", "s", "https://h/"),
        ("k", "s", "https://h/?a="),
        ("k", "s", "https://h/?a;b=1"),
        ("k", "s", "https://h/?apikey=x"),
        ("k", "s", "https://h/?%73ignature=x"),
        ("k", "s", "https://h/?timestamp=1"),
    ] {
        assert!(sign(key, secret, url).is_err(), "{url}");
    }
}

proptest! {
    #[test]
    fn what_the_signer_signs_is_accepted_and_any_changed_bit_of_the_body_is_refused(
        pairs in proptest::collection::vec(("[a-z]{1,5}", "\\PC{1,8}"), 0..4),
        body in proptest::collection::vec(any::<u8>(), 1..100),
        at: proptest::sample::Index,
        bit in 0..8u8,
    ) {
        let rules = rules(KEYS);
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        let (path, query) = signed("483a570a", "d7228d70cd7f456d9bfdc35ed8fee375", &format!("/p?{query}"), &body);
        prop_assert!(judge(&rules, &path, &query, &body, NOW).is_ok());
        let mut changed = body.clone();
        changed[at.index(body.len())] ^= 1 << bit;
        prop_assert!(judge(&rules, &path, &query, &changed, NOW).is_err());
    }

    #[test]
    fn no_query_makes_the_reader_panic_and_none_is_let_in(
        parts in proptest::collection::vec("(apikey=483a570a|timestamp=1426118401|signature=|%5F|a=|\\PC){1,3}[A-Za-z0-9%+/=]{0,44}", 0..6),
    ) {
        prop_assert!(judge(&rules(KEYS), "/p", &parts.join("&"), b"", NOW).is_err());
    }
}
