//! Properties: what is signed is accepted, what is changed is refused, nothing panics.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn what_the_signer_signs_is_accepted_and_any_changed_byte_of_the_body_is_refused(
        path in "/[a-zA-Z0-9~_!,-]{0,20}",
        body in proptest::collection::vec(any::<u8>(), 1..200),
        at: proptest::sample::Index,
        bit in 0..8u8,
    ) {
        let (rules, case) = (with_options(""), signed("PUT", &path, &[("X-FOST-User", "alice")], &body));
        prop_assert!(case.judge(&rules, NOW).is_ok());
        let mut changed = case.clone();
        changed.body[at.index(body.len())] ^= 1 << bit;
        prop_assert!(changed.judge(&rules, NOW).is_err());
        let shorter = Case { body: body[1..].to_vec(), ..case };
        prop_assert!(shorter.judge(&rules, NOW).is_err());
    }

    #[test]
    fn no_request_head_makes_the_parser_panic(
        path in "\\PC{0,20}",
        query in proptest::option::of("\\PC{0,40}"),
        authorization in proptest::collection::vec(any::<u8>(), 0..60),
        list in proptest::collection::vec(any::<u8>(), 0..60),
        timestamp in "[0-9T: .Z-]{0,30}",
    ) {
        let mut case = link("h/").header("x-fost-timestamp", &timestamp);
        (case.path, case.query) = (path, query);
        for (name, value) in [("authorization", [b"FOST ", authorization.as_slice()].concat()), ("x-fost-headers", list)] {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                case.headers.insert(name, value);
            }
        }
        let rules = with_options("");
        if request::is_mine(&case.headers) {
            prop_assert!(case.judge(&rules, NOW).is_err());
        }
        let _ = url::read(&case.head());
    }

    #[test]
    fn no_query_makes_the_url_parser_panic_and_none_is_let_in(parts in proptest::collection::vec("(_k=|_s=|_e=|%5F|a=|\\PC){1,3}[A-Za-z0-9%+/=]{0,32}", 0..6)) {
        let mut case = link("h/");
        case.query = Some(parts.join("&"));
        if url::is_mine(case.query.as_deref()) {
            prop_assert!(case.judge(&with_options("require_expiry = false"), NOW).is_err());
        }
    }

    #[test]
    fn any_bit_of_a_link_but_the_case_of_its_escapes_counts(at: proptest::sample::Index, bit in 0..7u8) {
        let uri: Uri = "https://h.example/p/?b=2&a=1".parse().unwrap();
        let good = sign::url("aspnet", &Secret::new("s3cret"), &uri, NOW + 30).unwrap();
        let good = good.strip_prefix("https://").unwrap();
        let mut bytes = good.as_bytes().to_vec();
        bytes[at.index(good.len())] ^= 1 << bit;
        let changed = String::from_utf8(bytes).unwrap();
        prop_assume!(changed.contains('/') && HeaderValue::from_str(changed.split('/').next().unwrap()).is_ok());
        let case = link(&changed);
        if url::is_mine(case.query.as_deref()) {
            let same = |a: &str| unescape(a.as_bytes());
            prop_assert!(case.judge(&with_options("require_expiry = false"), NOW).is_err() || same(&changed) == same(good), "{changed}");
        }
    }
}
