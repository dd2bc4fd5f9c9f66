//! Signed URLs.

use super::*;

fn link(method: &Method, target: &str, seconds: u64, service: &str) -> Case {
    let uri: Uri = format!("https://example.amazonaws.com{target}").parse().unwrap();
    let secret = Secret::new(SECRET);
    let url = signer("AKIDEXAMPLE", &secret, service).url(method, &uri, NOW, seconds).unwrap();
    Case::new(method.as_str(), url.strip_prefix("https://example.amazonaws.com").unwrap(), &[])
}

/// The example of Amazon's page on query parameters, for S3.
#[test]
fn amazons_published_url_opens_its_page() {
    let text = "region = \"us-east-1\"\nservice = \"s3\"\n[keys.AKIAIOSFODNN7EXAMPLE]\nsecret = \"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\"";
    let rules = Rules::build("a", toml::from_str(text).unwrap(), false, &mut Report::default()).unwrap();
    let target = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
                  &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
                  &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    let case = Case { host: "examplebucket.s3.amazonaws.com".to_owned(), ..Case::new("GET", target, &[]) };
    assert_eq!(case.judge(&rules, 1_369_353_600).as_deref(), Ok("AKIAIOSFODNN7EXAMPLE"));
}

#[test]
fn a_signed_url_is_good_from_its_date_until_its_end_which_is_near() {
    for service in ["service", "s3"] {
        let rules = rules_of(service, "");
        for method in [Method::GET, Method::HEAD, Method::PUT] {
            let good = link(&method, "/k?versionId=3", 30, service);
            for (away, expected) in [(0, true), (30, true), (31, false), (-900, true), (-901, false), (i64::MAX - NOW, false), (i64::MIN, false)] {
                assert_eq!(good.judge(&rules, NOW.saturating_add(away)).is_ok(), expected, "{away}");
            }
            assert_eq!(good.judge(&rules, NOW + 31), Err(Refusal::Expired));
            assert_eq!(good.judge(&rules, NOW - 901), Err(Refusal::NotYetValid));
        }
        for (seconds, expected) in [(0, false), (1, true), (7 * 86_400, true), (7 * 86_400 + 1, false), (u64::MAX / 2, false), (u64::MAX, false)] {
            assert_eq!(link(&Method::GET, "/k", seconds, service).judge(&rules, NOW).is_ok(), expected, "{seconds}");
        }
        let with_body = Case { body: b"body".to_vec(), ..link(&Method::PUT, "/k", 30, service) };
        assert!(with_body.judge(&rules, NOW).is_err(), "its body is not signed, or was none");
        assert_eq!(with_body.judge(&rules_of(service, "allow_unsigned_payload = true"), NOW).is_ok(), service == "s3");
    }
}

#[test]
fn every_byte_of_a_signed_url_counts() {
    let rules = rules("");
    let good = link(&Method::GET, "/k?versionId=3", 30, "service");
    let query = good.query.clone().unwrap();
    for at in 0..query.len() {
        for bit in 0..7 {
            let mut bytes = query.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(good.clone().query(&changed).judge(&rules, NOW).is_err(), "{changed}");
        }
        assert!(good.clone().query(&format!("{}{}", &query[..at], &query[at + 1..])).judge(&rules, NOW).is_err(), "without byte {at}");
    }
}

#[test]
fn what_a_signed_url_does_not_cover_is_refused() {
    let rules = rules("");
    let good = link(&Method::GET, "/k?versionId=3", 30, "service");
    let query = good.query.clone().unwrap();
    for (why, changed) in [
        ("a further parameter", format!("{query}&page=2")),
        ("an empty parameter", format!("{query}&")),
        ("a second signature", format!("{query}&X-Amz-Signature=x")),
        ("an escaped second signature", format!("{query}&X-Amz%2DSignature=x")),
        ("a session token", format!("{query}&X-Amz-Security-Token=x")),
        ("a hash of the body", format!("{query}&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD")),
        ("a second date", format!("{query}&X-Amz-Date=20150830T123600Z")),
        ("another spelling of the expiry", query.replace("Expires=30", "Expires=030")),
        ("a sign before the expiry", query.replace("Expires=30", "Expires=%2B30")),
        ("no expiry", query.replace("&X-Amz-Expires=30", "")),
        ("an expiry that is no number", query.replace("Expires=30", "Expires=nan")),
        ("no date", query.replace("&X-Amz-Date=20150830T123600Z", "")),
        ("no algorithm", query.replace("X-Amz-Algorithm=AWS4-HMAC-SHA256&", "")),
        ("another algorithm", query.replace("=AWS4-HMAC-SHA256", "=AWS4-HMAC-SHA1")),
        ("no host among the signed headers", query.replace("SignedHeaders=host", "SignedHeaders=")),
        ("no parameter", query.replace("versionId=3&", "")),
    ] {
        assert!(changed != query && good.clone().query(&changed).judge(&rules, NOW).is_err(), "{why}");
    }
    assert!(Case { method: Method::HEAD, ..good.clone() }.judge(&rules, NOW).is_err());
    assert!(Case { host: "other".to_owned(), ..good.clone() }.judge(&rules, NOW).is_err());
    assert!(good.clone().header("x-amz-acl", "public-read").judge(&rules, NOW).is_err());
    assert!(good.clone().header("x-amz-content-sha256", "UNSIGNED-PAYLOAD").judge(&rules, NOW).is_err());
    assert!(good.header("content-type", "text/plain").judge(&rules, NOW).is_ok(), "a browser adds a type of its own");
}
