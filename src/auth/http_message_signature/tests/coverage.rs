//! Every way to cover less than the configuration asks for, or to say something else than the key.

use super::*;

const GOOD: &str = r#"("@method" "@authority" "@target-uri");created=1790000000;keyid="shared""#;

fn get() -> Case {
    Case::new("GET", "app.example.com", "/orders?page=2").header("X-Extra", "1")
}

fn over(input: &str) -> Case {
    get().signed_over("sig1", input, "shared")
}

#[test]
fn each_algorithm_is_accepted_with_its_own_key_and_with_no_other() {
    let gate = Gate::with("");
    for (alg, key) in ALL {
        let case = signed(key, "POST", "/orders", &[], b"{}");
        assert!(case.text("signature-input").contains(&format!("alg=\"{alg}\"")), "{}", case.text("signature-input"));
        let user = if key == "shared" { "webshop".to_owned() } else { format!("{key}-user") };
        assert_eq!(gate.user(&case), Ok(user), "{alg}");
        for (other, other_key) in ALL {
            let input = |alg: &str, keyid: &str| format!("(\"@method\" \"@authority\" \"@target-uri\");created={NOW};keyid=\"{keyid}\"{alg}");
            let named = get().signed_over("sig1", &input(&format!(";alg=\"{other}\""), key), key);
            assert_eq!(gate.user(&named).is_ok(), other == alg, "{key} says {other}");
            let by_another = get().signed_over("sig1", &input(&format!(";alg=\"{alg}\""), key), other_key);
            assert_eq!(gate.user(&by_another).is_ok(), other_key == key, "{key} by {other_key}");
            let unnamed = get().signed_over("sig1", &input("", key), other_key);
            assert_eq!(gate.user(&unnamed).is_ok(), other_key == key, "{key} by {other_key}, unnamed");
        }
    }
}

#[test]
fn a_key_with_two_algorithms_is_told_which_one_it_was() {
    let gate = Gate::with("");
    let input = |alg: &str| format!("(\"@method\" \"@authority\" \"@target-uri\");created={NOW};keyid=\"rsa-both\"{alg}");
    for (key, alg, good) in [
        ("rsa", ";alg=\"rsa-pss-sha512\"", true),
        ("rsa-old", ";alg=\"rsa-v1_5-sha256\"", true),
        ("rsa", ";alg=\"rsa-v1_5-sha256\"", false),
        ("rsa-old", ";alg=\"rsa-pss-sha512\"", false),
        ("rsa", "", false),
        ("rsa-old", "", false),
    ] {
        assert_eq!(gate.user(&get().signed_over("a", &input(alg), key)).is_ok(), good, "{key} {alg}");
    }
}

#[test]
fn a_request_cannot_choose_another_algorithm_of_its_key() {
    let gate = Gate::with("");
    let input = |key: &str, alg: &str| format!("(\"@method\" \"@authority\" \"@target-uri\");created={NOW};keyid=\"{key}\";alg=\"{alg}\"");
    for (keyid, alg, good) in [
        ("rsa", "rsa-pss-sha512", true),
        ("rsa", "rsa-v1_5-sha256", false),
        ("rsa-old", "rsa-v1_5-sha256", true),
        ("rsa-old", "rsa-pss-sha512", false),
        ("rsa-both", "rsa-v1_5-sha256", true),
    ] {
        // The signature itself is right, by the same private key and the algorithm that is named.
        let signer = if alg == "rsa-pss-sha512" { "rsa" } else { "rsa-old" };
        assert_eq!(gate.user(&get().signed_over("a", &input(keyid, alg), signer)).is_ok(), good, "{keyid} {alg}");
    }
}

#[test]
fn an_unknown_key_is_measured_with_one_of_the_algorithm_that_is_claimed() {
    use super::keys::Algorithm;
    let gate = Gate::with("");
    for (name, length) in [("hmac-sha256", 32), ("ed25519", 64), ("ecdsa-p384-sha384", 96), ("rsa-pss-sha512", 256)] {
        assert_eq!(Algorithm::of_length(length).name(), name);
    }
    for (name, _) in ALL {
        let algorithm = Algorithm::named(name).unwrap();
        assert_eq!((algorithm.name(), gate.keys.dummies_for(algorithm)), (name, 1), "one each");
    }
    assert!(["", "none", "HS256", "Ed25519", "rsa-sha256", "hmac-sha256 "].iter().all(|name| Algorithm::named(name).is_none()));
    for case in [over(&GOOD.replace("shared", "nobody")), over(&GOOD.replace("\"shared\"", "\"nobody\";alg=\"ed25519\""))] {
        assert_eq!(gate.user(&case), Err(Refusal::Wrong("no such key")));
    }
}

#[test]
fn a_signature_that_covers_less_than_is_required_is_refused() {
    let gate = Gate::with("");
    assert_eq!(gate.user(&over(GOOD)).as_deref(), Ok("webshop"));
    for (why, input) in [
        ("nothing covered", r#"();created=1790000000;keyid="shared""#),
        ("no method", r#"("@authority" "@target-uri");created=1790000000;keyid="shared""#),
        ("no authority", r#"("@method" "@target-uri");created=1790000000;keyid="shared""#),
        ("no target", r#"("@method" "@authority");created=1790000000;keyid="shared""#),
        ("the path is not the target", r#"("@method" "@authority" "@path" "@query");created=1790000000;keyid="shared""#),
        ("no created", r#"("@method" "@authority" "@target-uri");keyid="shared""#),
        ("no keyid", r#"("@method" "@authority" "@target-uri");created=1790000000"#),
        ("an unknown key", r#"("@method" "@authority" "@target-uri");created=1790000000;keyid="nobody""#),
        ("an empty keyid", r#"("@method" "@authority" "@target-uri");created=1790000000;keyid="""#),
        ("an unknown algorithm", r#"("@method" "@authority" "@target-uri");created=1790000000;keyid="shared";alg="none""#),
        ("an empty algorithm", r#"("@method" "@authority" "@target-uri");created=1790000000;keyid="shared";alg="""#),
        ("an algorithm in capitals", r#"("@method" "@authority" "@target-uri");created=1790000000;keyid="shared";alg="HMAC-SHA256""#),
        ("an empty nonce", r#"("@method" "@authority" "@target-uri");created=1790000000;keyid="shared";nonce="""#),
        ("a component twice", r#"("@method" "@authority" "@target-uri" "@method");created=1790000000;keyid="shared""#),
        ("a header twice", r#"("@method" "@authority" "@target-uri" "x-extra" "x-extra");created=1790000000;keyid="shared""#),
        ("a header that is not there", r#"("@method" "@authority" "@target-uri" "x-none");created=1790000000;keyid="shared""#),
        ("a digest that is not there", r#"("@method" "@authority" "@target-uri" "content-digest");created=1790000000;keyid="shared""#),
        ("a name in capitals", r#"("@method" "@authority" "@target-uri" "X-Extra");created=1790000000;keyid="shared""#),
        ("a status", r#"("@method" "@authority" "@target-uri" "@status");created=1790000000;keyid="shared""#),
        ("a component that nobody knows", r#"("@method" "@authority" "@target-uri" "@body");created=1790000000;keyid="shared""#),
        ("the parameters themselves", r#"("@method" "@authority" "@target-uri" "@signature-params");created=1790000000;keyid="shared""#),
        ("the signature itself", r#"("@method" "@authority" "@target-uri" "signature");created=1790000000;keyid="shared""#),
        ("the input itself", r#"("@method" "@authority" "@target-uri" "signature-input");created=1790000000;keyid="shared""#),
        ("a token", r#"("@method" "@authority" "@target-uri" x-extra);created=1790000000;keyid="shared""#),
        ("an empty name", r#"("@method" "@authority" "@target-uri" "");created=1790000000;keyid="shared""#),
        ("a blank name", r#"("@method" "@authority" "@target-uri" "x extra");created=1790000000;keyid="shared""#),
        ("created as text", r#"("@method" "@authority" "@target-uri");created="1790000000";keyid="shared""#),
        ("created as a fraction", r#"("@method" "@authority" "@target-uri");created=1790000000.0;keyid="shared""#),
        ("created as a flag", r#"("@method" "@authority" "@target-uri");created;keyid="shared""#),
        ("expires as a token", r#"("@method" "@authority" "@target-uri");created=1790000000;expires=never;keyid="shared""#),
        ("keyid as a token", r#"("@method" "@authority" "@target-uri");created=1790000000;keyid=shared"#),
        ("nonce as a number", r#"("@method" "@authority" "@target-uri");created=1790000000;keyid="shared";nonce=1"#),
        ("alg as a token", r#"("@method" "@authority" "@target-uri");created=1790000000;keyid="shared";alg=hmac-sha256"#),
        ("tag as bytes", r#"("@method" "@authority" "@target-uri");created=1790000000;keyid="shared";tag=:AQI=:"#),
    ] {
        assert!(gate.user(&over(input)).is_err(), "{why}");
    }
}

#[test]
fn components_with_parameters_are_refused() {
    let gate = Gate::with("");
    for param in ["sf", "bs", "tr", "req", "key=\"a\"", "x", "name=\"a\"", "sf=?0", "req=?0"] {
        for component in ["@method", "@authority", "@target-uri"] {
            let with = GOOD.replace(&format!("\"{component}\""), &format!("\"{component}\";{param}"));
            assert!(gate.user(&over(&with)).is_err(), "{component};{param}");
        }
        let more = GOOD.replace("\"@target-uri\"", &format!("\"@target-uri\" \"x-extra\";{param}"));
        assert!(gate.user(&over(&more)).is_err(), "x-extra;{param}");
    }
    for parameter in ["\"@query-param\"", "\"@query-param\";name=page", "\"@query-param\";name=\"page\";sf", "\"@query-param\";req;name=\"page\""] {
        assert!(gate.user(&over(&GOOD.replace("\"@target-uri\"", &format!("\"@target-uri\" {parameter}")))).is_err(), "{parameter}");
    }
    assert!(gate.user(&over(&GOOD.replace("\"@target-uri\"", "\"@target-uri\" \"@query-param\";name=\"page\""))).is_ok());
}

#[test]
fn both_fields_name_the_same_signatures_and_are_well_formed() {
    let gate = Gate::with("");
    let good = || over(GOOD);
    let (input, signature) = (good().text("signature-input"), good().text("signature"));
    for (why, case) in [
        ("another label", good().with("signature", &signature.replace("sig1", "sig2"))),
        ("no signature", good().without("signature")),
        ("an empty signature field", good().with("signature", "")),
        ("an empty input", good().with("signature-input", "")),
        ("a second input", good().header("signature-input", &input.replace("sig1", "sig2"))),
        ("a second signature", good().header("signature", &signature.replace("sig1", "sig2"))),
        ("the same input twice", good().header("signature-input", &input)),
        ("the same signature twice", good().header("signature", &signature)),
        ("a second input of the same label that covers nothing", good().header("signature-input", "sig1=();created=1790000000;keyid=\"shared\"")),
        ("a created twice", good().with("signature-input", &format!("{input};created=1790000000"))),
        ("a signature that is text", good().with("signature", &signature.replace(':', "\""))),
        ("a signature that is a list", good().with("signature", &format!("sig1=({})", signature.strip_prefix("sig1=").unwrap()))),
        ("a signature without its end", good().with("signature", signature.trim_end_matches(':'))),
        ("an empty signature", good().with("signature", "sig1=::")),
        ("a shorter signature", good().with("signature", "sig1=:AQI=:")),
        ("an input that is no list", good().with("signature-input", "sig1=\"x\"")),
        ("an input that is a flag", good().with("signature-input", "sig1")),
        ("a list that does not end", good().with("signature-input", &input.replace(')', ""))),
        ("a comma at the end", good().with("signature-input", &format!("{input},"))),
        ("something after it", good().with("signature-input", &format!("{input} x"))),
    ] {
        assert!(gate.user(&case).is_err(), "{why}");
    }
    // What the grammar leaves open is not part of what is signed.
    let spaced = good().with("signature-input", &input.replace("\" \"", "\"   \"").replace(";", "; ").replace("(", "(  "));
    assert!(gate.user(&spaced).is_ok());
    assert_eq!(gate.judge(&good().without("signature-input"), NOW), Ok(None), "Signature alone is another scheme's");
}

#[test]
fn of_several_signatures_those_that_count_must_all_be_right() {
    let gate = Gate::with("");
    let second = |case: Case, label: &str, input: &str, key: &str| case.signed_over(label, input, key);
    let as_key = |key: &str| GOOD.replace("shared", key);
    for (why, case, good) in [
        ("one by a key that nobody knows", second(over(GOOD), "p", &as_key("nobody"), "shared"), true),
        ("the unknown one first", second(get().signed_over("p", &as_key("nobody"), "shared"), "sig1", GOOD, "shared"), true),
        ("one that covers nothing", second(over(GOOD), "p", "();created=1790000000;keyid=\"shared\"", "shared"), true),
        ("one that covers a signature, as a proxy does", second(over(GOOD), "p", "(\"signature\";key=\"sig1\");keyid=\"ed25519\"", "ed25519"), true),
        ("one that has expired", second(over(GOOD), "p", &GOOD.replace("1790000000", "1780000000"), "shared"), true),
        ("a second one by the same key", second(over(GOOD), "p", &format!("{GOOD};tag=\"x\""), "shared"), true),
        ("a wrong one by a known key", second(over(GOOD), "p", &as_key("ed25519"), "p256"), false),
        ("a wrong one by the same key", second(over(GOOD), "p", &format!("{GOOD};tag=\"x\""), "ed25519"), false),
        ("a right one by another user's key", second(over(GOOD), "p", &as_key("ed25519"), "ed25519"), false),
        ("only one that covers nothing", get().signed_over("p", "();created=1790000000;keyid=\"shared\"", "shared"), false),
        (
            "one wrong, and one that covers nothing",
            over(GOOD).with("signature", "sig1=:AQI=:").signed_over("p", "();created=1790000000;keyid=\"shared\"", "shared"),
            false,
        ),
    ] {
        assert_eq!(gate.user(&case).is_ok(), good, "{why}");
    }
    let many = |count: usize| (0..count).fold(get(), |case, at| case.signed_over(&format!("s{at}"), &format!("{GOOD};tag=\"{at}\""), "shared"));
    assert!(gate.user(&many(MAX_SIGNATURES)).is_ok() && gate.user(&many(MAX_SIGNATURES + 1)).is_err());
}

#[test]
fn a_label_or_a_tag_chooses_among_signatures() {
    let case = over(&format!("{GOOD};tag=\"one\"")).signed_over("sig2", &GOOD.replace("shared", "ed25519"), "ed25519");
    for (options, user) in [
        ("label = \"sig1\"", Some("webshop")),
        ("label = \"sig2\"", Some("ed25519-user")),
        ("tag = \"one\"", Some("webshop")),
        ("tag = \"two\"", None),
        ("label = \"sig2\"\ntag = \"one\"", None),
        ("label = \"sig3\"", None),
    ] {
        assert_eq!(Gate::with(options).judge(&case, NOW).unwrap().as_deref(), user, "{options}");
    }
    assert!(Gate::with("label = \"sig1\"").judge(&case.with("signature", "sig1=:AQI=:, sig2=:AQI=:"), NOW).is_err());
}

#[test]
fn a_body_is_covered_by_its_digest() {
    let gate = Gate::with("");
    let good = || signed("shared", "POST", "/orders", &[], b"body");
    let digest = good().text("content-digest");
    assert!(gate.user(&good()).is_ok());
    let unsigned = || Case::new("POST", "app.example.com", "/orders").body(b"body").signed_over("sig1", GOOD, "shared");
    for (why, case) in [
        ("another body", good().body(b"bodz")),
        ("no body", good().body(b"")),
        ("a longer body", good().body(b"body ")),
        ("no digest", good().without("content-digest")),
        ("another digest", good().with("content-digest", &digest.replace("sha-256", "sha-512"))),
        ("a second digest", good().header("content-digest", &digest)),
        ("a digest of another body beside it", good().header("content-digest", "sha-512=:AQI=:")),
        ("a header that is folded into it", good().header("content_digest", &digest)),
        ("a body that is not covered", unsigned()),
        ("a digest that is not covered", unsigned().header("content-digest", &digest)),
    ] {
        assert!(gate.user(&case).is_err(), "{why}");
    }
    let lax = Gate::with("allow_unsigned_body = true");
    assert!(lax.user(&unsigned()).is_ok() && lax.user(&unsigned().header("content-digest", &digest)).is_ok());
    assert!(lax.user(&unsigned().header("content-digest", &digest).body(b"bodz")).is_err(), "what is said is checked");
    let get = signed("shared", "GET", "/", &[("Content-Digest", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:")], b"");
    assert!(gate.user(&get).is_ok(), "the digest of nothing");
    assert!(gate.user(&get.body(b"x")).is_err());
}

#[test]
fn what_the_configuration_asks_for_must_be_covered() {
    let gate = Gate::with(
        "components = [\"@method\", \"@path\", \"x-extra\"]\ncomponents_if_present = [\"content-type\"]\nrequire_nonce = true\nrequire_expires = true",
    );
    let good = r#"("@path" "x-extra" "@method");created=1790000000;expires=1790000030;nonce="n";keyid="shared""#;
    assert!(gate.user(&over(good)).is_ok());
    assert!(gate.user(&get().header("content-type", "a/b").signed_over("a", &good.replace("(", "(\"content-type\" "), "shared")).is_ok());
    for (why, case) in [
        ("no x-extra", over(&good.replace(" \"x-extra\"", ""))),
        ("no nonce", over(&good.replace(";nonce=\"n\"", ""))),
        ("no expires", over(&good.replace(";expires=1790000030", ""))),
        ("an uncovered type", over(good).header("content-type", "a/b")),
        ("no x-extra to cover", get().without("x-extra").signed_over("a", good, "shared")),
    ] {
        assert!(gate.user(&case).is_err(), "{why}");
    }
}

#[test]
fn a_header_that_an_application_folds_into_a_covered_one_is_refused() {
    let gate = Gate::with("");
    let case = || over(&GOOD.replace("\"@target-uri\"", "\"@target-uri\" \"x-extra\""));
    assert!(gate.user(&case()).is_ok());
    for name in ["x_extra", "x.extra", "x!extra"] {
        assert!(gate.user(&case().header(name, "2")).is_err(), "{name}");
    }
    assert!(gate.user(&case().header("x-extra", "2")).is_err());
    assert!(gate.user(&case().header("x-extr", "2")).is_ok());
    assert!(gate.user(&over(GOOD).header("x_extra", "2")).is_ok(), "it is not covered");
    for value in ["caf\u{e9}", "\u{80}"] {
        assert!(gate.user(&over(GOOD).header("x-other", value)).is_ok());
        let over_it = GOOD.replace("\"@target-uri\"", "\"@target-uri\" \"x-other\"");
        assert!(gate.user(&get().header("x-other", value).signed_over("a", &over_it, "shared")).is_err(), "{value}");
    }
}

#[test]
fn a_key_opens_its_own_paths_alone_with_either_secret() {
    let gate = Gate::with("");
    let next = Signer::secret(Secret::new("another secret of some length")).unwrap();
    for (signer, path, good) in [(signer("narrow"), "/only/x", true), (signer("narrow"), "/x", false), (next, "/only/x", true)] {
        let case = signed_with(&signer, &Terms { keyid: "narrow", ..TERMS }, "GET", path, &[], b"");
        assert_eq!(gate.user(&case).as_deref().ok(), good.then_some("narrow"), "{path}");
    }
}

#[test]
fn a_signature_is_good_from_its_creation_for_max_age_or_until_it_expires() {
    let gate = Gate::with("max_age = \"60s\"\nmax_skew = \"5s\"");
    let at = |params: &str| get().signed_over("a", &format!("(\"@method\" \"@authority\" \"@target-uri\");keyid=\"shared\"{params}"), "shared");
    for (params, now, good) in [
        (";created=1790000000", NOW, true),
        (";created=1790000000", NOW - 5, true),
        (";created=1790000000", NOW - 6, false),
        (";created=1790000000", NOW + 60, true),
        (";created=1790000000", NOW + 61, false),
        (";created=1790000000", i64::MAX, false),
        (";created=1790000000", i64::MIN, false),
        (";created=1790000000;expires=1790000010", NOW + 10, true),
        (";created=1790000000;expires=1790000010", NOW + 11, false),
        (";created=1790000000;expires=1789999999", NOW - 1, false),
        (";created=1790000000;expires=999999999999999", NOW + 61, false),
        (";created=999999999999999", NOW, false),
        (";created=-999999999999999", NOW, false),
        (";created=0", NOW, false),
        (";created=-0", NOW, false),
        (";created=nan", NOW, false),
        (";created=inf", NOW, false),
        (";created=1790000000.5", NOW, false),
        (";created=\"1790000000\"", NOW, false),
        (";created=1790000000;expires=-999999999999999", NOW, false),
        (";created=1790000000;expires=0", NOW, false),
    ] {
        assert_eq!(gate.judge(&at(params), now).is_ok(), good, "{params} {}", now.wrapping_sub(NOW));
    }
    let free = Gate::with("max_age = \"60s\"\nrequire_created = false");
    for (params, good) in
        [(";expires=1790000060", true), (";expires=1790000061", false), (";expires=1789999999", false), ("", false), (";created=1790000000", true)]
    {
        assert_eq!(free.judge(&at(params), NOW).is_ok(), good, "{params}");
    }
    let until = |case: Case| gate.rules.documents(&case.message(), NOW).unwrap().unwrap()[0].until;
    assert_eq!(
        (until(at(";created=1790000000")), until(at(";created=1790000000;expires=1790000010"))),
        (NOW + 60, NOW + 10),
        "remembered to the end of its window"
    );
}
