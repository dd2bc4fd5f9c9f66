//! What a signature does not cover is refused, unless the configuration says otherwise.

use proptest::prelude::*;

use super::*;

/// A Kong signature over these of the parts.
fn covering(target: bool, host: bool, date: bool, digest: bool) -> Case {
    let digest_value = "SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=";
    let parts = [
        (target, "request-line", "POST /x HTTP/1.1".to_owned()),
        (host, "host", "host: a.example".to_owned()),
        (date, "date", format!("date: {DATE}")),
        (digest, "digest", format!("digest: {digest_value}")),
    ];
    let chosen: Vec<_> = parts.iter().filter(|(chosen, ..)| *chosen).collect();
    let list = chosen.iter().map(|(_, name, _)| *name).collect::<Vec<_>>().join(" ");
    let document = chosen.iter().map(|(.., line)| line.as_str()).collect::<Vec<_>>().join("\n");
    let case = Case::new("POST", "/x").header("date", DATE).header("digest", digest_value);
    by_hand(case, "hmac", "username", "hmac-sha256", &list, &document)
}

#[test]
fn a_signature_covers_request_line_host_and_date_or_the_configuration_allows_less() {
    for (target, host, date) in
        [(true, true, true), (false, true, true), (true, false, true), (false, false, true), (true, true, false), (false, false, false)]
    {
        let case = covering(target, host, date, true);
        for (no_target, no_host) in [(false, false), (true, false), (false, true), (true, true)] {
            let rules = rules(&format!("dialect = \"kong\"\nallow_unsigned_target = {no_target}\nallow_unsigned_host = {no_host}"));
            let expected = date && (target || no_target) && (host || no_host);
            assert_eq!(case.judge(&rules, NOW).is_ok(), expected, "{target} {host} {date}: {no_target} {no_host}");
        }
    }
    let (with, without) = (covering(true, true, true, true), covering(true, true, true, false));
    let rules = strict("kong");
    assert!(with.read(&rules).unwrap().covers.body && !without.read(&rules).unwrap().covers.body);
}

#[test]
fn headers_of_the_configuration_are_signed_wherever_they_are_sent() {
    for (dialect, name) in DIALECTS {
        let rules = rules(&format!("dialect = \"{name}\"\nrequired = [\"X-Tenant\", \"content-type\"]"));
        let good = signed(dialect, "GET", "/x", &[("X-Tenant", "1"), ("Content-Type", "a/b")], b"");
        assert!(good.judge(&rules, NOW).is_ok() && good.without("x-tenant").judge(&rules, NOW).is_err(), "{name}");
        let none = signed(dialect, "GET", "/x", &[], b"");
        assert!(none.judge(&rules, NOW).is_ok() && none.header("x-tenant", "1").judge(&rules, NOW).is_err(), "{name}");
    }
}

#[test]
fn a_header_that_an_application_folds_into_a_signed_one_is_refused() {
    for (dialect, name) in DIALECTS {
        let rules = strict(name);
        let good = signed(dialect, "GET", "/x", &[("X-Tenant-Id", "1")], b"");
        assert!(good.judge(&rules, NOW).is_ok());
        for alias in ["x_tenant_id", "x-tenant_id", "x.tenant.id", "x!tenant~id"] {
            assert!(good.clone().header(alias, "2").judge(&rules, NOW).is_err(), "{name} {alias}");
        }
        assert!(good.header("x-tenant-idx", "2").judge(&rules, NOW).is_ok(), "{name}");
    }
}

#[test]
fn a_list_and_parameters_say_one_thing() {
    for (dialect, name) in DIALECTS.into_iter().take(3) {
        let rules = strict(name);
        let good = signed(dialect, "GET", "/x", &[], b"");
        let value = good.value("authorization").to_owned();
        let changed = |to: &str| good.clone().set("authorization", to).judge(&rules, NOW);
        assert!(changed(&value).is_ok() && changed(&value.replace(",", " ,\t ")).is_ok(), "{name}");
        for (from, to) in [
            ("headers=\"", "headers=\" "),
            ("headers=\"", "headers=\"host "),
            ("headers=\"", "headers=\"authorization "),
            ("headers=\"", "headers=\"x-none "),
            ("host date", "date host"),
            ("host date", "host  date"),
            ("host date", "host,date"),
            (" host date", ""),
            ("headers=", "Headers="),
            ("algorithm=\"hmac-sha256\",", "algorithm=\"hmac-sha256\",algorithm=\"hmac-sha256\","),
            ("hmac-sha256", "hmac-sha1"),
            ("hmac-sha256", "hmac-sha512"),
            ("hmac-sha256", "HMAC-SHA256"),
            ("hmac-sha256", "none"),
            ("hmac-sha256", ""),
            ("=\"alice\"", "=\"narrow\""),
            ("=\"alice\"", "=\"\""),
            ("=\"alice\"", "=\"alice \""),
            ("=\"alice\"", "=\"Alice\""),
            ("signature=\"", "signature=\"A"),
            ("signature=\"", "nonce=\"1\",signature=\""),
            ("=\",", "\","),
        ] {
            let to = value.replacen(from, to, 1);
            assert!(to == value || changed(&to).is_err(), "{name} {to}");
        }
        for (from, to) in [("signature=\"", "signature=\"\",x=\""), ("headers=\"", "headers=\"\",x=\"")] {
            assert!(changed(&value.replacen(from, to, 1)).is_err(), "{name} {to}");
        }
        assert!(changed(&format!("{value},")).is_err() && changed(&format!("{value} x")).is_err(), "{name}");
        assert!(good.header("x-more", "1").judge(&rules, NOW).is_ok(), "what nobody asked for may be added");
    }
}

#[test]
fn a_signature_of_one_dialect_is_none_of_another() {
    for (dialect, name) in DIALECTS {
        let case = signed(dialect, "GET", "/x", &[], b"");
        for (other, other_name) in DIALECTS.into_iter().filter(|(other, _)| *other != dialect) {
            assert!(case.judge(&strict(other_name), NOW).is_err(), "{name} as {other_name}");
            // Also not when somebody writes it in the other's form.
            let Some(value) = case.headers.get("authorization").and_then(|value| value.to_str().ok()) else { continue };
            let (from, to) = if other == Dialect::Kong { ("Signature keyId", "hmac username") } else { ("hmac username", "Signature keyId") };
            let value = value.replace(from, to).replace("(request-target)", "@request-target");
            let value = if other == Dialect::Draft { value.replace("@request-target", "(request-target)") } else { value };
            assert!(case.clone().set("authorization", &value).judge(&strict(other_name), NOW).is_err(), "{name} as {other_name}: {value}");
        }
    }
}

proptest! {
    #[test]
    fn what_the_signer_signs_is_accepted(
        path in "/[a-zA-Z0-9~_!,-]{0,20}",
        query in proptest::option::of("[a-z]{1,3}=[a-zA-Z0-9._-]{0,10}"),
        value in "[!-~]([ -~]{0,20}[!-~])?",
        body in proptest::collection::vec(any::<u8>(), 0..50),
        which in 0_usize..4,
    ) {
        let (dialect, name) = DIALECTS[which];
        let target = query.map_or(path.clone(), |query| format!("{path}?{query}"));
        let case = signed(dialect, "PUT", &target, &[("x-a", &value)], &body);
        prop_assert!(case.judge(&strict(name), NOW).is_ok());
        prop_assert_eq!(case.read(&strict(name)).unwrap().covers.body, !body.is_empty());
    }

    #[test]
    fn no_request_head_makes_the_reader_panic(
        target in "/\\PC{0,20}",
        authorization in proptest::collection::vec(any::<u8>(), 0..60),
        text in "(keyId=|username=|headers=|signature=|algorithm=|created=|\"|,|#| |[ -~]){0,40}",
        date in "[ -~]{0,40}",
        which in 0_usize..4,
    ) {
        let (dialect, name) = DIALECTS[which];
        let rules = rules(&format!("dialect = \"{name}\"\nallow_unsigned_target = true\nallow_unsigned_host = true"));
        let mut case = Case { target, ..Case::new("GET", "/") }.header("date", &date).header("digest", &date);
        let words: [&[u8]; 4] = [b"Signature ", b"hmac ", b"hmac-auth-v1#", b""];
        for word in words {
            for bytes in [authorization.as_slice(), text.as_bytes()] {
                if let Ok(value) = HeaderValue::from_bytes(&[word, bytes].concat()) {
                    case.headers.insert("authorization", value.clone());
                    case.headers.insert("signature", value.clone());
                    prop_assert!(case.judge(&rules, NOW).is_err());
                    case.headers.remove("signature");
                    prop_assert!(case.judge(&rules, NOW).is_err());
                    let _ = dialect;
                }
            }
        }
    }
}
