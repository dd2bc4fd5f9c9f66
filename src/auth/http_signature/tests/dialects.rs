//! Byte by byte what clients of the draft, of Kong and of APISIX sign.

use super::*;

#[test]
fn the_draft_signs_lower_case_names_and_its_own_words() {
    let rules = strict("draft");
    let case = signed(Dialect::Draft, "POST", "/foo?param=value&pet=dog", &[("Content-Type", "application/json")], b"{\"hello\": \"world\"}");
    let document = "(request-target): post /foo?param=value&pet=dog\nhost: a.example\ndate: Sun, 22 Nov 2026 06:00:00 GMT\n\
                    content-type: application/json\ndigest: SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=";
    assert_eq!(case.document(&rules), document);
    // A list may spell names in any case; they are signed in lower case.
    let by = |case: Case, algorithm: &str, list: &str, document: &str| by_hand(case, "Signature", "keyId", algorithm, list, document);
    let get = || Case::new("GET", "/x").header("date", DATE);
    let plain = format!("date: {DATE}\n(request-target): get /x\nhost: a.example");
    for list in ["date (request-target) host", "Date (request-target) HOST"] {
        assert_eq!(by(get(), "hmac-sha256", list, &plain).judge(&rules, NOW).as_deref(), Ok("alice"), "{list}");
    }
    // A header without a value, and the length of the body.
    let more = Case { length: Some(0), ..get().header("x-a", "") };
    let document = format!("{plain}\nx-a: \ncontent-length: 0");
    assert!(by(more.clone(), "hmac-sha256", "date (request-target) host x-a content-length", &document).judge(&rules, NOW).is_ok());
    let other = Case { length: Some(1), ..by(more.clone(), "hmac-sha256", "date (request-target) host x-a content-length", &document) };
    assert!(other.judge(&rules, NOW).is_err());
    let unknown = Case { length: None, ..by(more, "hmac-sha256", "date (request-target) host x-a content-length", &document) };
    assert!(unknown.judge(&rules, NOW).is_err());
}

#[test]
fn created_and_expires_are_signed_with_hs2019() {
    let rules = strict("draft");
    let list = "(request-target) host (created) (expires)";
    let make = |algorithm: &str, created: i64, expires: i64| {
        let document = format!("(request-target): get /x\nhost: a.example\n(created): {created}\n(expires): {expires}");
        let case = by_hand(Case::new("GET", "/x"), "Signature", "keyId", algorithm, list, &document);
        let value = format!("{},created={created},expires={expires}", case.value("authorization"));
        case.set("authorization", &value)
    };
    let good = make("hs2019", NOW - 10, NOW + 10);
    assert_eq!(good.judge(&rules, NOW).as_deref(), Ok("alice"));
    assert_eq!(
        good.read(&rules).unwrap().times,
        request::Times { signed: vec![NOW - 10], expires: Some(NOW + 10), unsigned: request::Unsigned::default() }
    );
    assert_eq!(good.judge(&rules, NOW + 11), Err(Refusal::Expired));
    assert!(matches!(good.judge(&rules, NOW - 311), Err(Refusal::Skewed(_))), "made in the future");
    assert!(make("hs2019", NOW - 301, NOW + 10).judge(&rules, NOW).is_err());
    assert!(make("hmac-sha512", NOW, NOW + 10).judge(&rules, NOW).is_err(), "section 2.3: hs2019 alone");
    let value = good.value("authorization").to_owned();
    for (from, to) in [
        (format!("created={}", NOW - 10), format!("created={}", NOW - 9)),
        (format!("expires={}", NOW + 10), format!("expires={}", NOW + 300)),
        (format!(",expires={}", NOW + 10), String::new()),
        (format!(",created={}", NOW - 10), String::new()),
        ("hs2019".to_owned(), "hmac-sha512".to_owned()),
        ("hs2019".to_owned(), "rsa-sha256".to_owned()),
        (" (expires)".to_owned(), String::new()),
    ] {
        let changed = value.replacen(&from, &to, 1);
        assert!(changed != value && good.clone().set("authorization", &changed).judge(&rules, NOW).is_err(), "{from} {to}");
    }
    let none = value.replace("algorithm=\"hs2019\",", "");
    assert!(good.clone().set("authorization", &none).judge(&rules, NOW).is_ok(), "no algorithm is the key's algorithm");
    // A time that is not signed makes the window smaller, never larger.
    let dated = by_hand(
        Case::new("GET", "/x").header("date", DATE),
        "Signature",
        "keyId",
        "hmac-sha256",
        "(request-target) host date",
        &format!("(request-target): get /x\nhost: a.example\ndate: {DATE}"),
    );
    for (more, is_good) in [("", true), (",created=1", false), (&format!(",created={NOW}"), true), (",expires=1", false)] {
        let value = format!("{}{more}", dated.value("authorization"));
        assert_eq!(dated.clone().set("authorization", &value).judge(&rules, NOW).is_ok(), is_good, "{more}");
    }
    // And it does not make a used signature forgotten sooner: who holds the request could write it anew, and use it again.
    for more in ["", &format!(",created={}", NOW - 299), &format!(",expires={}", NOW + 1)] {
        let value = format!("{}{more}", dated.value("authorization"));
        let until = rules.in_time(&dated.clone().set("authorization", &value).read(&rules).unwrap().times, NOW);
        assert_eq!(until, Ok(NOW + 300), "{more}");
    }
}

#[test]
fn the_draft_is_read_from_either_header_and_not_beside_signature_input() {
    let rules = strict("draft");
    let case = signed(Dialect::Draft, "GET", "/x", &[], b"");
    let parameters = case.value("authorization").strip_prefix("Signature ").unwrap().to_owned();
    let own = case.clone().without("authorization").header("signature", &parameters);
    assert!(own.judge(&rules, NOW).is_ok());
    assert!(own.clone().header("authorization", "Bearer x").judge(&rules, NOW).is_ok(), "another scheme's credential");
    assert!(case.clone().header("signature", &parameters).judge(&rules, NOW).is_err(), "two signatures");
    assert!(own.clone().header("signature", &parameters).judge(&rules, NOW).is_err(), "two lines");
    assert_eq!(own.header("signature-input", "sig1=()").judge(&rules, NOW), Err(Refusal::Missing));
}

#[test]
fn kong_signs_names_as_the_list_spells_them_and_a_request_line_without_a_name() {
    let rules = strict("kong");
    let by = |case: Case, list: &str, document: &str| by_hand(case, "hmac", "username", "hmac-sha256", list, document);
    let get = || Case::new("GET", "/requests?a=1").header("date", DATE);
    // The example of Kong's documentation, with the host.
    for (list, document) in [
        ("date host request-line", format!("date: {DATE}\nhost: a.example\nGET /requests?a=1 HTTP/1.1")),
        ("Date Host request-line", format!("Date: {DATE}\nHost: a.example\nGET /requests?a=1 HTTP/1.1")),
        ("date host request-line", format!("date: {DATE}\nhost: a.example\nGET /requests?a=1 HTTP/2.0")),
        ("date host request-line", format!("date: {DATE}\nhost: a.example\nGET /requests?a=1 HTTP/1.0")),
        ("@request-target date host", format!("@request-target: get /requests?a=1\ndate: {DATE}\nhost: a.example")),
    ] {
        assert_eq!(by(get(), list, &document).judge(&rules, NOW).as_deref(), Ok("alice"), "{list} {document}");
    }
    for (list, document) in [
        ("date host request-line", format!("date: {DATE}\nhost: a.example\nGET /requests?a=1 HTTP/3")),
        ("date host request-line", format!("date: {DATE}\nhost: a.example\nrequest-line: GET /requests?a=1 HTTP/1.1")),
        ("date host request-line", format!("Date: {DATE}\nhost: a.example\nGET /requests?a=1 HTTP/1.1")),
        ("@request-target date host", format!("@request-target: GET /requests?a=1\ndate: {DATE}\nhost: a.example")),
        // What Kong would sign for a header that is not there, and for the draft's word.
        ("date host request-line x-a", format!("date: {DATE}\nhost: a.example\nGET /requests?a=1 HTTP/1.1\nx-a:")),
        ("date host (request-target)", format!("date: {DATE}\nhost: a.example\n(request-target):")),
    ] {
        assert!(by(get(), list, &document).judge(&rules, NOW).is_err(), "{list} {document}");
    }
    let line = format!("date: {DATE}\nhost: a.example\nrequest-line: x");
    let named = by(get().header("request-line", "x"), "date host request-line", &line);
    assert!(named.judge(&rules, NOW).is_err(), "a header of that name is not the request line");
}

#[test]
fn kong_takes_the_date_that_is_signed_and_either_header() {
    let rules = strict("kong");
    let by = |case: Case, list: &str, document: &str| by_hand(case, "hmac", "username", "hmac-sha256", list, document);
    let x_date = by(
        Case::new("GET", "/x").header("x-date", DATE),
        "x-date host @request-target",
        &format!("x-date: {DATE}\nhost: a.example\n@request-target: get /x"),
    );
    assert!(x_date.judge(&rules, NOW).is_ok());
    assert!(x_date.clone().header("date", "wrong date").judge(&rules, NOW).is_ok(), "what is not signed does not count");
    assert!(x_date.judge(&rules, NOW + 301).is_err());
    assert!(x_date.header("date", "Sun, 22 Nov 2026 06:10:00 GMT").judge(&rules, NOW + 600).is_err(), "nor does it help");
    let wrong = by(
        Case::new("GET", "/x").header("x-date", "wrong date").header("date", DATE),
        "x-date host @request-target",
        "x-date: wrong date\nhost: a.example\n@request-target: get /x",
    );
    assert!(wrong.judge(&rules, NOW).is_err(), "Kong lets this in by the date that is not signed");
    let good = signed(Dialect::Kong, "GET", "/x", &[], b"");
    let proxied = Case { proxy: Some(good.headers["authorization"].clone()), ..good.clone().without("authorization") };
    assert!(proxied.judge(&rules, NOW).is_ok());
    assert!(proxied.header("authorization", "hello").judge(&rules, NOW).is_ok());
    assert!(Case { proxy: Some(good.headers["authorization"].clone()), ..good }.judge(&rules, NOW).is_err(), "two signatures");
}

#[test]
fn apisix_begins_with_the_key_and_ends_with_a_line_feed() {
    let rules = strict("apisix");
    let by =
        |list: &str, document: &str| by_hand(Case::new("GET", "/x?a=1").header("date", DATE), "Signature", "keyId", "hmac-sha256", list, document);
    let good = format!("alice\nGET /x?a=1\ndate: {DATE}\nHost: a.example\n");
    assert_eq!(by("@request-target date Host", &good).judge(&rules, NOW).as_deref(), Ok("alice"));
    for (list, document) in [
        ("@request-target date Host", format!("GET /x?a=1\ndate: {DATE}\nHost: a.example\n")),
        ("@request-target date Host", format!("alice\nGET /x?a=1\ndate: {DATE}\nHost: a.example")),
        ("@request-target date Host", format!("alice\nget /x?a=1\ndate: {DATE}\nHost: a.example\n")),
        ("@request-target date Host", format!("alice\n@request-target: GET /x?a=1\ndate: {DATE}\nHost: a.example\n")),
        // APISIX leaves out what is not there.
        ("@request-target date Host x-a", good.clone()),
        ("request-line @request-target date Host", good.clone()),
    ] {
        assert!(by(list, &document).judge(&rules, NOW).is_err(), "{list} {document}");
    }
}

#[test]
fn apisix_before_3_11_signs_a_sorted_query_and_the_key() {
    let rules = strict("apisix-v1");
    let case = signed(Dialect::ApisixV1, "GET", "/x%20y/?b=%2F&a=2&c&b=z", &[("X-Custom", "1")], b"");
    // The path of these tests is not decoded; that of the command line and of a request is.
    let document = "GET\n/x y/\na=2&b=%2F&b=z&c=\nalice\nSun, 22 Nov 2026 06:00:00 GMT\nhost:a.example\nx-custom:1\n";
    let head = Head { path: "/x y/", ..case.head() };
    let read = request::read(&head, Dialect::ApisixV1, b"").unwrap();
    assert_eq!(String::from_utf8(read.readings[0].clone()).unwrap(), document);
    assert!(rules.settle(&read, rules.keys.get("alice"), "/x y/", NOW).is_ok());
    let plain = signed(Dialect::ApisixV1, "GET", "/x", &[], b"");
    let field = |name: &str| plain.value(name).to_owned();
    let line = format!("hmac-auth-v1#alice#{}#hmac-sha256#{DATE}#host", field("x-hmac-signature"));
    let one_line = Case::new("GET", "/x").header("authorization", &line);
    assert!(one_line.judge(&rules, NOW).is_ok());
    for (from, to) in [
        ("alice", "alicf"),
        ("sha256", "sha512"),
        ("06:00:00", "06:00:01"),
        ("#host", ""),
        ("#host", "#"),
        ("#host", "#host#"),
        ("#host", "#host;x-a"),
    ] {
        let changed = line.replace(from, to);
        assert!(changed != line && Case::new("GET", "/x").header("authorization", &changed).judge(&rules, NOW).is_err(), "{changed}");
    }
    assert!(plain.clone().header("authorization", &line).judge(&rules, NOW).is_err(), "two signatures");
    for name in ["x-hmac-signature", "x-hmac-algorithm", "x-hmac-signed-headers", "date", "x-hmac-access-key"] {
        assert!(plain.clone().without(name).judge(&rules, NOW).is_err(), "without {name}");
    }
}

#[test]
fn a_sorted_query_has_one_meaning() {
    for (target, expected) in [
        ("/x", vec![""]),
        ("/x?", vec![""]),
        ("/x?b=2&a=1", vec!["a=1&b=2"]),
        ("/x?a", vec!["a="]),
        ("/x?a=b+c", vec!["a=b%20c", "a=b c"]),
        ("/x?a=%C3%A9", vec!["a=%C3%A9", "a=é"]),
        ("/x?a=(!'*)~", vec!["a=(!'*)~"]),
        ("/x?a=/%2b", vec!["a=%2F%2B", "a=/+"]),
        ("/x?a=%26b%3D1", vec!["a=%26b%3D1"]),
        ("/x?a=%2526", vec!["a=%2526"]),
        ("/x?a=1&a=2&b", vec!["a=1&a=2&b="]),
    ] {
        assert_eq!(legacy::queries(target).as_deref(), Ok(expected.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>().as_slice()), "{target}");
    }
    for target in ["/x?a=2&a=1", "/x?=1", "/x?a&&b", "/x?&", "/x?a=%", "/x?a=%zz", "/x?a=1;b=2", "/x?a=%00", "/x?a=%0a"] {
        assert!(legacy::queries(target).is_err(), "{target}");
    }
}

#[test]
fn the_form_alone_decides_whose_credential_it_is() {
    for (value, mine) in [
        ("Signature keyId=\"a\"", [true, false, true, false]),
        ("signature", [true, false, true, false]),
        ("Signature headers=\"@request-target\"", [false, false, true, false]),
        ("Signature headers=\"(request-target)\"", [true, false, false, false]),
        ("hmac username=\"a\"", [false, true, false, false]),
        ("HMAC\tx", [false, true, false, false]),
        ("Hmac", [false, true, false, false]),
        ("hmac-auth-v1#a", [false, false, false, true]),
        ("hmacusername", [false; 4]),
        ("Signatures x", [false; 4]),
        ("Bearer hmac", [false; 4]),
        ("", [false; 4]),
    ] {
        let case = Case::new("GET", "/").header("authorization", value);
        for ((dialect, name), mine) in DIALECTS.into_iter().zip(mine) {
            assert_eq!(request::claimed(&case.head(), dialect).unwrap().is_some(), mine, "{name} {value}");
        }
    }
}
