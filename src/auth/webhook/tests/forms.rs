//! Senders with forms of their own, several signatures, public keys.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;

const SECRET: &str = "sixteen bytes and more";

fn template(lines: &str, more: &str) -> Rules {
    rules(&format!("secret = \"{SECRET}\"\n{more}\n[template]\n{lines}"))
}

fn hmac(algorithm: crate::auth::signing::Algorithm, document: &str) -> Vec<u8> {
    algorithm.sign(&Secret::new(SECRET), document.as_bytes()).unwrap()
}

#[test]
fn a_template_says_where_everything_stands_and_what_is_signed() {
    use crate::auth::signing::Algorithm::{HmacSha1, HmacSha256, HmacSha384, HmacSha512};
    let paths = "paths = [\"/hooks\"]";
    let now = 1_795_327_200;
    for (lines, more, document, algorithm, encoding, headers) in [
        ("signature_header = \"X-S\"\nsigned = \"{body}\"", paths, "body", HmacSha256, Encoding::Hex, &[][..]),
        (
            "signature_header = \"X-S\"\nprefix = \"sha512=\"\nencoding = \"base64\"\nalgorithm = \"hmac-sha512\"\nsigned = \"{body}\"",
            paths,
            "body",
            HmacSha512,
            Encoding::Base64,
            &[],
        ),
        (
            "signature_header = \"X-S\"\nencoding = \"base64url\"\nalgorithm = \"hmac-sha384\"\nsigned = \"{method}\\n{host}\\n{target}\\n{body}\"",
            "",
            "POST\na.example\n/hooks?a=1\nbody",
            HmacSha384,
            Encoding::Base64url,
            &[],
        ),
        (
            "signature_header = \"X-S\"\nalgorithm = \"hmac-sha1\"\nsigned = \"{url}|{body}|{header:X-Event}\"",
            "",
            "https://a.example/hooks?a=1|body|push",
            HmacSha1,
            Encoding::Hex,
            &[("x-event", "push")],
        ),
        (
            "signature_header = \"X-S\"\nsigned = \"{id}{timestamp}{body}\"\nid_header = \"X-Id\"\ntimestamp_header = \"X-T\"\ntimestamp_format = \"rfc3339\"",
            paths,
            "i-12026-11-22T06:00:00.5Zbody",
            HmacSha256,
            Encoding::Hex,
            &[("x-id", "i-1"), ("x-t", "2026-11-22T06:00:00.5Z")],
        ),
        (
            "signature_header = \"X-S\"\nfield = \"sig\"\ntimestamp_field = \"ts\"\ntimestamp_format = \"unix-ms\"\nsigned = \"{timestamp}:{body}\"",
            paths,
            "1795327200123:body",
            HmacSha256,
            Encoding::Hex,
            &[],
        ),
    ] {
        let rules = template(lines, more);
        let tag = encoding.encode(&hmac(algorithm, document));
        let value = match &rules.form.layout {
            header::Layout::Prefix(prefix) => format!("{prefix}{tag}"),
            header::Layout::Fields { .. } => format!("ts=1795327200123, sig={tag}"),
            header::Layout::Versions => panic!("{lines}"),
        };
        let case = Case::new(&[headers, &[("x-s", value.as_str())]].concat(), b"body");
        let case = Case { query: rules.form.signed.covers_query().then(|| "a=1".to_owned()), ..case };
        assert!(case.judge(&rules, now).is_ok(), "{lines}");
        assert!(Case { body: b"bodz".to_vec(), ..case.clone() }.judge(&rules, now).is_err());
        let elsewhere = Case { path: "/other".to_owned(), ..case.clone() };
        assert!(elsewhere.judge(&rules, now).is_err(), "{lines}");
        for (name, _) in headers {
            assert!(
                case.clone().without(name).judge(&rules, now).is_err() && case.clone().header(name, "x").judge(&rules, now).is_err(),
                "{lines} {name}"
            );
        }
    }
}

#[test]
fn stripes_header_may_hold_several_signatures_and_others() {
    let rules = rules(&format!("preset = \"stripe\"\nsecret = \"{SECRET}\"\npaths = [\"/hooks\"]"));
    let tag = Encoding::Hex.encode(&hmac(crate::auth::signing::Algorithm::HmacSha256, "1000.body"));
    let zeros = "0".repeat(64);
    for (value, good) in [
        (format!("t=1000,v1={tag}"), true),
        (format!("v1={tag},t=1000"), true),
        (format!("t=1000,v1={zeros},v1={tag}"), true),
        (format!("t=1000,v1={tag},v0={zeros},v2=!"), true),
        (format!("t=1000,v0={tag}"), false),
        (format!("t=1000,t=1000,v1={tag}"), false),
        (format!("t=1001,v1={tag}"), false),
        (format!("t=1000.0,v1={tag}"), false),
        (format!("t=01000,v1={tag}"), false),
        (format!("v1={tag}"), false),
        (format!("t=1000,v1={}", &tag[..62]), false),
        (format!("t=1000,{}v1={tag}", format!("v1={zeros},").repeat(9)), true),
        (format!("t=1000,{}v1={tag}", format!("v1={zeros},").repeat(10)), false),
    ] {
        assert_eq!(Case::new(&[("stripe-signature", &value)], b"body").judge(&rules, 1000).is_ok(), good, "{value}");
    }
}

#[test]
fn standard_webhooks_take_secrets_and_public_keys_and_ids_without_a_full_stop() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let public = STANDARD.encode(pair.public_key().as_ref());
    let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let shared = "secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"";
    let asymmetric = format!("public_key = \"whpk_{public}\"");
    let v1a = format!("v1a,{}", STANDARD.encode(pair.sign(b"msg_1.1000.body")));
    for brand in ["webhook", "svix"] {
        let preset = if brand == "svix" { Preset::Svix } else { Preset::StandardWebhooks };
        let lines = sign::delivery(preset, &secret, "msg_1", b"body", 1000).unwrap();
        let v1 = lines[2].1.clone();
        assert_eq!(
            lines.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["id", "timestamp", "signature"].map(|part| format!("{brand}-{part}"))
        );
        let name = if brand == "svix" { "svix" } else { "standard-webhooks" };
        let build = |keys: &str| rules(&format!("preset = \"{name}\"\npaths = [\"/hooks\"]\n{keys}"));
        let case = |signature: &str| {
            lines.iter().take(2).fold(Case::new(&[], b"body"), |case, (name, value)| case.header(name, value)).header(&lines[2].0, signature)
        };
        let (one, other, both) = (build(shared), build(&asymmetric), build(&format!("{shared}\n{asymmetric}")));
        for (signature, [by_secret, by_key, by_both]) in [
            (v1.clone(), [true, false, true]),
            (v1a.clone(), [false, true, true]),
            (format!("{v1} {v1a}"), [true, true, true]),
            (format!("v1,AAAA {v1a}"), [false, true, true]),
            (format!("v2,x {v1}"), [true, false, true]),
            (v1.replace("v1,", "v1a,"), [false, false, false]),
            (v1a.replace("v1a,", "v1,"), [false, false, false]),
            (v1.replace("v1,", "v1, "), [false, false, false]),
        ] {
            for (rules, good) in [(&one, by_secret), (&other, by_key), (&both, by_both)] {
                assert_eq!(case(&signature).judge(rules, 1000).is_ok(), good, "{brand} {signature}");
            }
        }
        assert!(Case { body: b"bodz".to_vec(), ..case(&v1a) }.judge(&other, 1000).is_err());
        let moved = case(&v1).set(&lines[0].0, b"msg_1.1000").set(&lines[1].0, b"1000");
        assert!(moved.judge(&one, 1000).is_err(), "an id with a full stop");
        assert!(case(&v1).set(&lines[0].0, b"").judge(&one, 1000).is_err());
    }
    assert!(
        sign::delivery(Preset::Svix, &secret, "a.b", b"", 1000).is_err() && sign::delivery(Preset::Svix, &Secret::new("!"), "a", b"", 1000).is_err()
    );
}

#[test]
fn a_template_may_name_a_public_key_as_discord_does() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap();
    let public = Encoding::Hex.encode(pair.public_key().as_ref());
    let rules = rules(&format!(
        "public_key = \"{public}\"\npaths = [\"/hooks\"]\n[template]\nsignature_header = \"X-Signature-Ed25519\"\ntimestamp_header = \"X-Signature-Timestamp\"\n\
         signed = \"{{timestamp}}{{body}}\"\nalgorithm = \"ed25519\""
    ));
    let tag = Encoding::Hex.encode(pair.sign(b"1000body").as_ref());
    let case = |time: &str, tag: &str, body: &[u8]| Case::new(&[("x-signature-timestamp", time), ("x-signature-ed25519", tag)], body);
    assert!(case("1000", &tag, b"body").judge(&rules, 1000).is_ok());
    for bad in [
        case("100", &tag, b"0body"),
        case("1001", &tag, b"body"),
        case("1000", &tag, b"bodz"),
        case("1000", &"00".repeat(64), b"body"),
        case("1000", "00", b"body"),
    ] {
        assert!(bad.judge(&rules, 1000).is_err(), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn what_the_signer_signs_is_accepted(body in proptest::collection::vec(any::<u8>(), 0..100), id in "[a-zA-Z0-9_-]{1,20}", now in 0_i64..100_000_000_000) {
        for (preset, name) in [
            (Preset::Github, "github"),
            (Preset::Stripe, "stripe"),
            (Preset::Slack, "slack"),
            (Preset::StandardWebhooks, "standard-webhooks"),
            (Preset::Svix, "svix"),
        ] {
            let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
            let rules = rules(&format!("preset = \"{name}\"\nsecret = \"{secret}\"\npaths = [\"/hooks\"]"));
            let lines = sign::delivery(preset, &Secret::new(secret), &id, &body, now).unwrap();
            let case = lines.iter().fold(Case::new(&[], &body), |case, (name, value)| case.header(name, value));
            prop_assert!(case.judge(&rules, now).is_ok());
        }
    }

    #[test]
    fn no_delivery_makes_the_reader_panic(signature in "(t=|v1=|v1,|v0=|sha256=|,| |[0-9a-f]|[ -~]){0,60}", time in "[ -~]{0,20}", id in "[ -~]{0,20}") {
        for example in EXAMPLES {
            let case = example.headers.iter().fold(Case::new(&[], b"body"), |case, (name, _)| {
                case.header(name, if name.ends_with("id") { &id } else if name.ends_with("timestamp") { &time } else { &signature })
            });
            prop_assert!(case.judge(&of(&example), example.now).is_err());
        }
    }
}
