//! Verifying, with keys of the configuration: Amazon's published examples, every bit of them, and what they leave out.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::types::{Secret, Severity};

const NOW: i64 = 1_175_024_202;
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const KEYS: &str = "[keys.AKIAIOSFODNN7EXAMPLE]\nsecret = \"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\"\n[keys.narrow]\n\
                    secret = \"narrow-secret-0123456789\"\nuser = \"webshop\"\nnext_secret = \"next-secret-0123456789\"\npaths = [\"/only/**\"]\n";

fn settings(toml: &str) -> Settings {
    toml::from_str(toml).unwrap()
}

fn rules(options: &str) -> Rules {
    let mut report = Report::default();
    let rules = Rules::build("s3", settings(&format!("{options}\n{KEYS}")), false, &mut report);
    rules.unwrap_or_else(|| panic!("{:?}", report.problems()))
}

/// A request as it reaches the scheme.
#[derive(Debug, Clone)]
struct Case {
    method: Method,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
}

impl Case {
    fn new(method: &str, target: &str, headers: &[(String, String)]) -> Self {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query.to_owned())));
        let mut case = Self { method: method.parse().unwrap(), path: path.to_owned(), query, headers: HeaderMap::new() };
        for (name, value) in headers {
            case = case.header(name, value);
        }
        case
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value).unwrap());
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    fn head(&self) -> Head<'_> {
        Head { method: &self.method, path: &self.path, query: self.query.as_deref(), headers: &self.headers }
    }

    fn read(&self, rules: &Rules) -> Result<Signed, Refusal> {
        match (request::is_mine(&self.headers), query::is_mine(self.query.as_deref())) {
            (true, false) => request::read_headers(&self.head(), rules.allow_unsigned_query),
            (false, true) => request::read_url(&self.head(), rules.allow_unsigned_query),
            (true, true) => Err(Refusal::Malformed("both")),
            (false, false) => Err(Refusal::Missing),
        }
    }

    /// What the scheme does with keys of the configuration, without replay memory and sockets.
    fn judge(&self, rules: &Rules, now: i64) -> Result<String, Refusal> {
        let signed = self.read(rules)?;
        rules.in_time(signed.time, now)?;
        rules.settle(&signed, rules.keys.get(&signed.key), &self.path, now).map(|subject| subject.user.clone())
    }
}

#[derive(Debug, Deserialize)]
struct Vector {
    name: String,
    key: String,
    now: i64,
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    signature: String,
    document_hex: String,
}

impl Vector {
    fn case(&self) -> Case {
        let target = if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) };
        let case = Case::new(&self.method, &target, &self.headers);
        if self.query.contains("Signature=") { case } else { case.header("Authorization", &format!("AWS {}:{}", self.key, self.signature)) }
    }
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("../../../tests/vectors/s3-v2.json")).unwrap()
}

fn unhex(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn amazons_published_examples_are_accepted_for_their_documents() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 10);
    for vector in vectors {
        let (case, strict, lax) = (vector.case(), rules(""), rules("allow_unsigned_query = true"));
        if vector.name.ends_with("-list") {
            assert!(matches!(case.judge(&strict, vector.now), Err(Refusal::Malformed(_))), "its query is not covered");
        } else {
            assert_eq!(case.judge(&strict, vector.now).as_deref(), Ok("AKIAIOSFODNN7EXAMPLE"), "{}", vector.name);
        }
        assert_eq!(case.judge(&lax, vector.now).as_deref(), Ok("AKIAIOSFODNN7EXAMPLE"), "{}", vector.name);
        assert_eq!(case.read(&lax).unwrap().document, unhex(&vector.document_hex), "{}", vector.name);
    }
}

#[test]
fn every_bit_of_an_examples_document_and_signature_counts() {
    let (rules, mut flips) = (rules(""), 0);
    for vector in vectors() {
        let (document, tag) = (unhex(&vector.document_hex), signing::tag::<20>(&vector.signature).unwrap());
        let states = rules.keys.states(rules.keys.get(&vector.key));
        let good = |document: &[u8], tag: &[u8]| Macs::begin(states, std::iter::once(document)).match_any(tag);
        assert!(good(&document, &tag), "{}", vector.name);
        for bit in 0..document.len() * 8 {
            let mut flipped = document.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!good(&flipped, &tag), "{} document bit {bit}", vector.name);
            flips += 1;
        }
        for bit in 0..160 {
            let mut flipped = tag;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!good(&document, &flipped), "{} signature bit {bit}", vector.name);
            flips += 1;
        }
    }
    assert!(flips > 6000, "{flips}");
}

#[test]
fn every_bit_of_every_header_that_takes_part_counts() {
    let rules = rules("");
    let upload = vectors().into_iter().find(|vector| vector.name.ends_with("upload")).unwrap();
    for name in ["authorization", "date", "content-md5", "content-type", "x-amz-acl", "x-amz-meta-filechecksum", "x-amz-meta-reviewedby"] {
        let value = upload.case().headers[name].as_bytes().to_vec();
        for bit in 0..value.len() * 8 {
            let mut flipped = value.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let word = name == "authorization" && bit < 24;
            let (Ok(flipped), false) = (HeaderValue::from_bytes(&flipped), word) else { continue };
            let mut case = upload.case();
            *case.headers.iter_mut().find(|(known, _)| *known == name).unwrap().1 = flipped;
            assert!(case.judge(&rules, upload.now).is_err(), "{name} bit {bit}");
        }
        let shorter = upload.case().without(name).judge(&rules, upload.now);
        assert!(shorter.is_err(), "without {name}");
        assert!(upload.case().header(name, "x").judge(&rules, upload.now).is_err(), "{name} twice");
    }
}

fn signed(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Case {
    let extra: Vec<_> = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let uri: Uri = target.parse().unwrap();
    let lines = sign::request("AKIAIOSFODNN7EXAMPLE", &Secret::new(SECRET), &method.parse().unwrap(), &uri, &extra, body, NOW).unwrap();
    Case::new(method, target, &lines)
}

#[test]
fn what_the_signature_does_not_cover_is_refused() {
    let rules = rules("");
    let good = || signed("POST", "/b/k?uploads", &[("x-amz-acl", "private"), ("Content-Type", "text/plain")], b"body");
    assert!(good().judge(&rules, NOW).is_ok());
    let signature = good().headers["authorization"].to_str().unwrap().rsplit_once(':').unwrap().1.to_owned();
    let as_key = |key: &str| good().without("authorization").header("authorization", &format!("AWS {key}:{signature}"));
    assert!(as_key("AKIAIOSFODNN7EXAMPLE").judge(&rules, NOW).is_ok());
    for (why, case) in [
        ("a further parameter", Case { query: Some("uploads&page=2".to_owned()), ..good() }),
        ("another sub-resource", Case { query: Some("acl".to_owned()), ..good() }),
        ("one sub-resource more", Case { query: Some("uploads&acl".to_owned()), ..good() }),
        ("no query", Case { query: None, ..good() }),
        ("another method", Case { method: Method::PUT, ..good() }),
        ("another path", Case { path: "/b/l".to_owned(), ..good() }),
        ("another spelling of the path", Case { path: "/b/%6B".to_owned(), ..good() }),
        ("a further header", good().header("x-amz-meta-a", "1")),
        ("a further value", good().header("x-amz-acl", "public-read")),
        ("a further, empty value", good().header("x-amz-acl", "")),
        ("a header that looks like a signed one", good().header("x_amz_acl", "public-read")),
        ("another that does", good().header("x.amz-acl", "public-read")),
        ("a date that takes the place of the signed one", good().header("x-amz-date", "Tue, 27 Mar 2007 19:36:42 GMT")),
        ("no Content-MD5", good().without("content-md5")),
        ("no Content-Type", good().without("content-type")),
        ("no date", good().without("date")),
        ("two dates", good().header("date", "Tue, 27 Mar 2007 19:36:42 GMT")),
        ("an unknown key", as_key("nobody")),
        ("no key", as_key("")),
        ("another key", as_key("narrow")),
        ("two colons", as_key("a:AKIAIOSFODNN7EXAMPLE")),
        ("a blank", as_key(" AKIAIOSFODNN7EXAMPLE")),
        ("both forms", Case { query: Some("AWSAccessKeyId=a&Signature=b".to_owned()), ..good() }),
    ] {
        assert!(case.judge(&rules, NOW).is_err(), "{why}");
    }
    let other = good().header("user-agent", "curl").header("content-encoding", "gzip").judge(&rules, NOW);
    assert!(other.is_ok(), "what S3 does not sign may change");
}

#[test]
fn headers_are_folded_as_amazon_says() {
    let rules = rules("");
    let good = signed("PUT", "/k", &[("X-Amz-Meta-B", "  two "), ("x-amz-meta-a", "1"), ("X-AMZ-Meta-a", "2")], b"");
    let document = String::from_utf8(good.read(&rules).unwrap().document).unwrap();
    assert_eq!(document, "PUT\n\n\nTue, 27 Mar 2007 19:36:42 GMT\nx-amz-meta-a:1,2\nx-amz-meta-b:two\n/k");
    assert!(good.judge(&rules, NOW).is_ok());
    let dated = signed("DELETE", "/k", &[("x-amz-date", "Tue, 27 Mar 2007 19:36:40 GMT")], b"");
    assert_eq!(dated.read(&rules).unwrap().time, Time::Signed(NOW - 2));
    assert!(dated.clone().without("date").judge(&rules, NOW).is_ok(), "Date says nothing beside it");
    assert!(dated.header("x-amz-date", "Tue, 27 Mar 2007 19:36:40 GMT").judge(&rules, NOW).is_err());
}

#[test]
fn the_clock_may_differ_by_a_quarter_of_an_hour() {
    let (rules, good) = (rules(""), signed("GET", "/k", &[], b""));
    for (away, is_good) in [(0, true), (900, true), (-900, true), (901, false), (-901, false), (i64::MAX - NOW, false), (i64::MIN, false)] {
        let judged = good.judge(&rules, NOW.saturating_add(away));
        assert_eq!(judged.is_ok(), is_good, "{away}");
        assert!(is_good || matches!(judged, Err(Refusal::Skewed(_))));
    }
    assert_eq!(rules.in_time(Time::Signed(NOW), NOW + 5), Ok(NOW + 900), "it is remembered to the end of its window");
}

#[test]
fn a_signed_url_is_good_until_its_expiry_which_is_near() {
    let rules = rules("");
    let link = |target: &str, method: &Method, expires| {
        let uri: Uri = format!("https://h{target}").parse().unwrap();
        let url = sign::url("AKIAIOSFODNN7EXAMPLE", &Secret::new(SECRET), method, &uri, expires).unwrap();
        Case::new(method.as_str(), url.strip_prefix("https://h").unwrap(), &[])
    };
    for method in [Method::GET, Method::HEAD, Method::PUT] {
        let good = link("/k?versionId=3", &method, NOW + 30);
        assert!(good.judge(&rules, NOW).is_ok() && good.judge(&rules, NOW + 30).is_ok());
        assert_eq!(good.judge(&rules, NOW + 31), Err(Refusal::Expired));
    }
    assert!(link("/k", &Method::GET, NOW + 7 * 86_400).judge(&rules, NOW).is_ok());
    assert!(link("/k", &Method::GET, NOW + 7 * 86_400 + 1).judge(&rules, NOW).is_err());
    let good = link("/k?versionId=3", &Method::GET, NOW + 30);
    let query = good.query.clone().unwrap();
    let expires = format!("Expires={}", NOW + 30);
    for changed in [
        query.replace("versionId=3", "versionId=4"),
        query.replace("versionId=3&", ""),
        query.replace(&expires, &format!("Expires={}", NOW + 31)),
        query.replace(&expires, &format!("Expires=0{}", NOW + 30)),
        query.replace(&expires, &format!("Expires=+{}", NOW + 30)),
        query.replace(&expires, "Expires=99999999999999999999"),
        query.replace(&expires, "Expires=nan"),
        query.replace(&expires, "Expires="),
        query.replace(&format!("{expires}&"), ""),
        format!("{query}&page=2"),
        format!("{query}&acl"),
        format!("{query}&Signature=x"),
        format!("{query}&%53ignature=x"),
        query.replace("AWSAccessKeyId=A", "AWSAccessKeyId=B"),
    ] {
        assert!(changed != query && Case { query: Some(changed.clone()), ..good.clone() }.judge(&rules, NOW).is_err(), "{changed}");
    }
    assert!(Case { method: Method::HEAD, ..good.clone() }.judge(&rules, NOW).is_err());
    assert!(good.header("x-amz-acl", "public-read").judge(&rules, NOW).is_err());
}

#[test]
fn a_key_opens_its_own_paths_alone_with_either_secret() {
    let rules = rules("");
    for (secret, path, good) in [
        ("narrow-secret-0123456789", "/only/x", true),
        ("next-secret-0123456789", "/only/x", true),
        ("other", "/only/x", false),
        ("narrow-secret-0123456789", "/x", false),
    ] {
        let lines = sign::request("narrow", &Secret::new(secret), &Method::GET, &path.parse().unwrap(), &[], b"", NOW).unwrap();
        let judged = Case::new("GET", path, &lines).judge(&rules, NOW);
        assert_eq!(judged.as_deref().ok(), good.then_some("webshop"), "{secret} {path}");
    }
}

#[test]
fn the_form_alone_decides_whose_credential_it_is() {
    for (value, mine) in
        [("AWS a:b", true), ("aws a:b", true), ("AWS", true), ("AWS4-HMAC-SHA256 Credential=a", false), ("AW", false), ("Basic AWS", false)]
    {
        assert_eq!(request::is_mine(&Case::new("GET", "/", &[]).header("authorization", value).headers), mine, "{value}");
    }
    for (query, mine) in
        [("AWSAccessKeyId=a&Signature=b", true), ("AWSAccessKeyId=a", false), ("Signature=a", false), ("awsaccesskeyid=a&signature=b", false)]
    {
        assert_eq!(query::is_mine(Some(query)), mine, "{query}");
    }
}

#[test]
fn every_mistake_in_the_settings_is_reported_and_weak_choices_are_warned_of() {
    let build = |toml: &str, store| {
        let mut report = Report::default();
        let built = Rules::build("p", settings(toml), store, &mut report).is_some();
        (built, report.problems().iter().map(|p| (p.severity == Severity::Error, p.key.clone())).collect::<Vec<_>>())
    };
    for (toml, key) in [
        ("", "keys"),
        ("max_skew = \"10ms\"\n[keys.a]\nsecret = \"sixteen bytes and\"", "max_skew"),
        ("max_expiry = \"0s\"\n[keys.a]\nsecret = \"sixteen bytes and\"", "max_expiry"),
        ("[keys.a]\nsecret = \"sixteen bytes and\"\nimpersonate = true", "keys.a.impersonate"),
    ] {
        let (built, problems) = build(toml, false);
        let errors: Vec<_> = problems.into_iter().filter(|(error, _)| *error).map(|(_, key)| key).collect();
        assert!(!built && errors == [key], "{toml}: {errors:?}");
    }
    assert_eq!(build("", true), (true, Vec::new()));
    for (toml, key) in [
        ("max_skew = \"16m\"", "max_skew"),
        ("allow_unsigned_body = true", "allow_unsigned_body"),
        ("allow_unsigned_query = true", "allow_unsigned_query"),
    ] {
        assert_eq!(build(toml, true), (true, vec![(false, key.to_owned())]), "{toml}");
    }
}

proptest! {
    #[test]
    fn what_the_signer_signs_is_accepted(
        path in "/[a-zA-Z0-9~_!,-]{0,20}",
        acl in "[!-~]([ -~]{0,20}[!-~])?",
        version in "[a-zA-Z0-9._-]{1,10}",
        body in proptest::collection::vec(any::<u8>(), 0..50),
    ) {
        let case = signed("PUT", &format!("{path}?versionId={version}"), &[("x-amz-acl", &acl)], &body);
        prop_assert!(case.judge(&rules(""), NOW).is_ok());
        prop_assert_eq!(case.read(&rules("")).unwrap().md5, (!body.is_empty()).then(|| Md5::digest(&body).into()));
    }

    #[test]
    fn no_request_head_makes_the_reader_panic(
        path in "\\PC{0,20}",
        query in proptest::option::of("(AWSAccessKeyId=|Signature=|Expires=|acl|&|\\PC){0,12}"),
        authorization in proptest::collection::vec(any::<u8>(), 0..60),
        date in "[ -~]{0,40}",
    ) {
        let mut case = Case::new("GET", "/", &[]).header("date", &date);
        (case.path, case.query) = (path, query);
        prop_assert!(case.judge(&rules("allow_unsigned_query = true"), NOW).is_err());
        if let Ok(value) = HeaderValue::from_bytes(&[b"AWS ", authorization.as_slice()].concat()) {
            case.headers.insert("authorization", value);
            prop_assert!(case.judge(&rules("allow_unsigned_query = true"), NOW).is_err());
        }
    }
}
