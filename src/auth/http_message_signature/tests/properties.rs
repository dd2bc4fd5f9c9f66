//! Properties: what is signed is accepted, any changed bit of what is covered is refused, nothing panics.

use proptest::prelude::*;

use super::*;

/// A request with something of everything that can be covered.
fn example(key: &str, path: &str, query: &str, value: &str, body: &[u8]) -> Case {
    signed(key, "PUT", &format!("{path}?{query}"), &[("X-Amount", value), ("Date", "Sun, 22 Nov 2026 06:00:00 GMT")], body)
}

#[test]
fn every_bit_of_a_signed_request_counts() {
    let gate = Gate::with("");
    for key in ["shared", "ed25519", "p256"] {
        let case = example(key, "/orders/7", "page=2", "100", b"{}");
        assert!(gate.user(&case).is_ok());
        let mut flips = 0;
        for (name, value) in &case.headers {
            for bit in 0..value.len() * 8 {
                let mut bytes = value.as_bytes().to_vec();
                bytes[bit / 8] ^= 1 << (bit % 8);
                let Ok(flipped) = HeaderValue::from_bytes(&bytes) else { continue };
                let mut changed = case.clone();
                changed.headers.insert(name, flipped);
                let spelling = means_the_same(&case, &changed, name);
                assert!(spelling || gate.user(&changed).is_err(), "{key} {name} bit {bit}: {:?}", changed.headers[name]);
                flips += 1;
            }
        }
        for (at, _) in case.path.char_indices().chain(case.query.as_deref().unwrap().char_indices()) {
            for bit in 0..7 {
                let flip = |text: &str| {
                    let mut bytes = text.as_bytes().to_vec();
                    bytes.get_mut(at).map(|byte| *byte ^= 1 << bit)?;
                    String::from_utf8(bytes).ok()
                };
                let path = flip(&case.path).map(|path| Case { path, ..case.clone() });
                let query = flip(case.query.as_deref().unwrap()).map(|query| Case { query: Some(query), ..case.clone() });
                for changed in path.into_iter().chain(query) {
                    assert!(gate.user(&changed).is_err(), "{key} {changed:?}");
                    flips += 1;
                }
            }
        }
        assert!(flips > 2000, "{flips}");
    }
}

/// Whether a changed field has another spelling alone: optional blanks, or a letter of base64 that only holds bits beyond the end.
fn means_the_same(case: &Case, changed: &Case, name: &HeaderName) -> bool {
    if name != SIGNATURE && name != SIGNATURE_INPUT {
        return false;
    }
    let read = |case: &Case| -> Option<Vec<_>> {
        let raw = fields::read(&case.headers).ok()?;
        raw.into_iter().map(|raw| raw.read().ok().map(|signed| (signed.input, signed.signature))).collect()
    };
    read(changed).is_some() && read(changed) == read(case)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_the_signer_signs_is_accepted_and_any_change_is_refused(
        key in proptest::sample::select(ALL.map(|(_, key)| key).to_vec()),
        path in "/[a-zA-Z0-9~_!,-]{0,20}",
        query in "[a-zA-Z0-9=&%._~+-]{0,20}",
        value in "([!-~]([ -~]{0,20}[!-~])?)?",
        body in proptest::collection::vec(any::<u8>(), 1..50),
        at: proptest::sample::Index,
        bit in 0..8u8,
    ) {
        let gate = Gate::with("");
        let case = example(key, &path, &query, &value, &body);
        prop_assert!(gate.user(&case).is_ok(), "{:?}", gate.user(&case));
        let mut changed = body.clone();
        changed[at.index(body.len())] ^= 1 << bit;
        prop_assert!(gate.user(&case.clone().body(&changed)).is_err());
        for changed in [
            Case { method: Method::POST, ..case.clone() },
            Case { authority: "app.example.com:8443".to_owned(), ..case.clone() },
            Case { path: format!("{path}x"), ..case.clone() },
            Case { query: Some(format!("{query}&")), ..case.clone() },
            Case { query: None, ..case.clone() },
            case.clone().with("x-amount", &format!("{value}0")),
            case.clone().header("x-amount", &value),
            case.clone().without("x-amount"),
        ] {
            prop_assert!(gate.user(&changed).is_err(), "{changed:?}");
        }
    }

    #[test]
    fn no_fields_make_the_reader_panic(
        input in "(sig1=|\\(|\\)|\"@method\"|\"@query-param\";name=\"a\"|;created=1790000000|;keyid=\"shared\"|;|,| |[ -~]){0,14}",
        signature in "(sig1=|:|AQI=|,|[ -~]){0,8}",
        digest in "(sha-256=|:|AQI=|,|[ -~]){0,8}",
        query in proptest::option::of("\\PC{0,20}"),
    ) {
        let gate = Gate::with("components = [\"@method\"]\nallow_unsigned_body = true");
        let mut case = Case::new("GET", "a", "/").header("signature-input", &input).header("signature", &signature).header("content-digest", &digest);
        case.query = query;
        prop_assert!(!matches!(gate.judge(&case, NOW), Ok(Some(_))));
    }
}
