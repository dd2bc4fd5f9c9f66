//! Verifying, with keys of the configuration: Amazon's suite, every bit of what is covered, and what a signature leaves out.

mod chunks;
mod settings;
mod suite;
mod url;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use proptest::prelude::*;

use super::sign::Signer;
use super::*;
use crate::types::Secret;

/// 2015-08-30 12:36:00, as in Amazon's suite.
const NOW: i64 = 1_440_938_160;
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const KEYS: &str = "[keys.AKIDEXAMPLE]\nsecret = \"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY\"\n[keys.\"narrow/key\"]\nsecret = \"narrow-secret-0123456789\"\n\
                    user = \"webshop\"\nnext_secret = \"next-secret-0123456789\"\npaths = [\"/only/**\"]\nexpires = \"2015-09-01\"\n";

fn rules_of(service: &str, options: &str) -> Rules {
    let mut report = Report::default();
    let settings: Settings = toml::from_str(&format!("region = \"us-east-1\"\nservice = \"{service}\"\n{options}\n{KEYS}")).unwrap();
    let rules = Rules::build("aws", settings, false, &mut report);
    rules.unwrap_or_else(|| panic!("{:?}", report.problems()))
}

fn rules(options: &str) -> Rules {
    rules_of("service", options)
}

/// A request as it reaches the scheme.
#[derive(Debug, Clone)]
struct Case {
    method: Method,
    path: String,
    query: Option<String>,
    host: String,
    length: Option<u64>,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Case {
    fn new(method: &str, target: &str, headers: &[(String, String)]) -> Self {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query.to_owned())));
        let (method, path, host) = (method.parse().unwrap(), path.to_owned(), "example.amazonaws.com".to_owned());
        let mut case = Self { method, path, query, host, length: None, headers: HeaderMap::new(), body: Vec::new() };
        for (name, value) in headers {
            case = case.header(name, value);
        }
        case
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    fn query(mut self, query: &str) -> Self {
        self.query = Some(query.to_owned());
        self
    }

    fn read(&self, rules: &Rules) -> Result<Signed, Refusal> {
        let query = self.query.as_deref();
        let head = Head { method: &self.method, path: &self.path, query, host: self.host.as_bytes(), length: self.length, headers: &self.headers };
        match (request::is_mine(&self.headers), query::is_mine(query)) {
            (true, false) => request::read_headers(&head, rules),
            (false, true) => request::read_url(&head, rules),
            (true, true) => Err(Refusal::Malformed("both")),
            (false, false) => Err(Refusal::Missing),
        }
    }

    /// What the scheme does with keys of the configuration, without replay memory and sockets.
    fn judge(&self, rules: &Rules, now: i64) -> Result<String, Refusal> {
        let signed = self.read(rules)?;
        rules.in_time(&signed, now)?;
        let found: [u8; 32] = Sha256::digest(&self.body).into();
        let accepted = rules.settle(&signed, &found, rules.keys.get(&signed.key), &self.path, now)?;
        match signed.content {
            Content::Digest(hash) if hash != found => Err(Refusal::Wrong("the body")),
            Content::Unsigned if !rules.allow_unsigned_payload && !self.body.is_empty() => Err(Refusal::Malformed("the body")),
            Content::Digest(_) | Content::Unsigned | Content::Unsaid | Content::Chunks(_) => Ok(accepted.subject.user.clone()),
        }
    }
}

fn signer<'a>(key: &'a str, secret: &'a Secret, service: &'a str) -> Signer<'a> {
    Signer { key, secret, region: "us-east-1", service }
}

fn signed(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Case {
    let extra: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let uri: Uri = format!("https://example.amazonaws.com{target}").parse().unwrap();
    let secret = Secret::new(SECRET);
    let lines = signer("AKIDEXAMPLE", &secret, "service").request(&method.parse().unwrap(), &uri, &extra, body, NOW).unwrap();
    Case { body: body.to_vec(), ..Case::new(method, target, &lines) }
}

fn good() -> Case {
    signed("POST", "/b/k%20e?b=2&a=1", &[("Content-Type", "text/plain"), ("x-amz-meta-a", "one two"), ("Accept", "*/*")], b"body")
}

#[test]
fn a_signed_request_is_its_keys() {
    assert_eq!(good().judge(&rules(""), NOW).as_deref(), Ok("AKIDEXAMPLE"));
    let unsaid = good().without("x-amz-content-sha256");
    assert!(unsaid.judge(&rules(""), NOW).is_err(), "its name is among the signed headers");
}

/// Every bit of every header that takes part, of path, query, host and body. What may change unnoticed is none of them.
#[test]
fn every_bit_that_is_covered_counts() {
    let (rules, mut flips) = (rules(""), 0);
    let flip = |text: &[u8], bit: usize| {
        let mut flipped = text.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    };
    for name in ["authorization", "x-amz-date", "x-amz-content-sha256", "content-type", "x-amz-meta-a", "accept"] {
        let value = good().headers[name].as_bytes().to_vec();
        for bit in 0..value.len() * 8 {
            let Ok(flipped) = HeaderValue::from_bytes(&flip(&value, bit)) else { continue };
            let mut case = good();
            *case.headers.get_mut(name).unwrap() = flipped;
            // The word's case is not the client's to choose; whose credential it is does not depend on it.
            let word = name == "authorization" && bit / 8 < 16 && bit % 8 == 5;
            assert_eq!(case.judge(&rules, NOW).is_ok(), word && value[bit / 8].is_ascii_alphabetic(), "{name} bit {bit}");
            flips += 1;
        }
        assert!(good().without(name).judge(&rules, NOW).is_err(), "without {name}");
        assert!(good().header(name, "x").judge(&rules, NOW).is_err(), "{name} twice");
    }
    for bit in 0..good().path.len() * 8 {
        let Ok(path) = String::from_utf8(flip(good().path.as_bytes(), bit)) else { continue };
        assert!(Case { path, ..good() }.judge(&rules, NOW).is_err(), "path bit {bit}");
        flips += 1;
    }
    for bit in 0..7 * 8 {
        let Ok(query) = String::from_utf8(flip(b"b=2&a=1", bit)) else { continue };
        assert!(good().query(&query).judge(&rules, NOW).is_err(), "query bit {bit}: {query}");
        flips += 1;
    }
    for bit in 0..good().host.len() * 8 {
        let Ok(host) = String::from_utf8(flip(good().host.as_bytes(), bit)) else { continue };
        assert!(Case { host, ..good() }.judge(&rules, NOW).is_err(), "host bit {bit}");
        flips += 1;
    }
    for bit in 0..4 * 8 {
        assert!(Case { body: flip(b"body", bit), ..good() }.judge(&rules, NOW).is_err(), "body bit {bit}");
        flips += 1;
    }
    assert!(flips > 2500, "{flips}");
}

#[test]
fn what_the_signature_does_not_cover_is_refused() {
    let rules = rules("");
    let authorization = good().headers["authorization"].to_str().unwrap().to_owned();
    let with = |from: &str, to: &str| {
        let changed = authorization.replace(from, to);
        assert_ne!(changed, authorization, "{from}");
        good().without("authorization").header("authorization", &changed)
    };
    for (why, case) in [
        ("another method", Case { method: Method::PUT, ..good() }),
        ("another path", Case { path: "/b/l".to_owned(), ..good() }),
        ("another spelling of the path", Case { path: "/b/k%20%65".to_owned(), ..good() }),
        ("the decoded path", Case { path: "/b/k e".to_owned(), ..good() }),
        ("another host", Case { host: "other.amazonaws.com".to_owned(), ..good() }),
        ("a port", Case { host: "example.amazonaws.com:443".to_owned(), ..good() }),
        ("no query", Case { query: None, ..good() }),
        ("a further parameter", good().query("b=2&a=1&c")),
        ("an empty parameter", good().query("b=2&a=1&")),
        ("another value of a parameter", good().query("b=2&a=1&a=0")),
        ("another body", Case { body: b"bodz".to_vec(), ..good() }),
        ("no body", Case { body: Vec::new(), ..good() }),
        ("a further header of Amazon's", good().header("x-amz-acl", "public-read")),
        ("a header that looks like one", good().header("x_amz_acl", "public-read")),
        ("another that does", good().header("x.amz-acl", "public-read")),
        ("a session token", good().header("x-amz-security-token", "x")),
        ("a further value", good().header("x-amz-meta-a", "")),
        ("two dates", good().header("x-amz-date", "20150830T123600Z")),
        ("another date", good().without("x-amz-date").header("x-amz-date", "20150830T123601Z")),
        ("a date of another day", good().without("x-amz-date").header("x-amz-date", "20150829T123600Z")),
        ("two hashes", good().header("x-amz-content-sha256", "UNSIGNED-PAYLOAD")),
        ("an unsigned body", good().without("x-amz-content-sha256").header("x-amz-content-sha256", "UNSIGNED-PAYLOAD")),
        ("a list without the host", with("host;", "")),
        ("a list without the type", with("content-type;", "")),
        ("a list without a header of Amazon's", with(";x-amz-meta-a", "")),
        ("a list that names one twice", with("host;", "host;host;")),
        ("a list out of order", with("accept;content-type", "content-type;accept")),
        ("a list in upper case", with("host;", "Host;")),
        ("a list with a header that is not there", with("SignedHeaders=accept", "SignedHeaders=aaa;accept")),
        ("an empty name in the list", with("host;", "host;;")),
        ("another region", with("us-east-1", "us-east-2")),
        ("another service", with("/service/", "/s3/")),
        ("another day in the scope", with("20150830", "20150831")),
        ("another end of the scope", with("aws4_request", "aws4_requesu")),
        ("an unknown key", with("AKIDEXAMPLE", "nobody")),
        ("another key", with("AKIDEXAMPLE", "narrow/key")),
        ("no key", with("AKIDEXAMPLE/", "/")),
        ("a shorter credential", with("AKIDEXAMPLE/", "")),
        ("both forms", good().query("b=2&a=1&X-Amz-Signature=0&X-Amz-Credential=1")),
    ] {
        assert!(case.judge(&rules, NOW).is_err(), "{why}");
    }
    let unsigned = good().header("user-agent", "curl").header("range", "bytes=0-1");
    assert!(unsigned.judge(&rules, NOW).is_ok(), "what is not named may change");
}

/// The request with a good signature over these headers alone.
fn over(case: Case, names: &str) -> Case {
    let query = case.query.as_deref();
    let head = Head { method: &case.method, path: &case.path, query, host: case.host.as_bytes(), length: case.length, headers: &case.headers };
    let canonical = [head.canonical(names, true).unwrap(), request::hex(&Sha256::digest(&case.body)).into_bytes()].concat();
    let scope = Scope { date: "20150830", region: "us-east-1", service: "service" };
    let secret = <Prefixed as hmac::KeyInit>::new_from_slice(SECRET.as_bytes()).unwrap();
    let document = format!("AWS4-HMAC-SHA256\n20150830T123600Z\n{}\n{}", scope.text(), request::hex(&Sha256::digest(canonical)));
    let tag = request::hex(&Mac::chain_update(signing_key(&secret, &scope).unwrap(), document).finalize().into_bytes());
    let value = format!("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{}, SignedHeaders={names}, Signature={tag}", scope.text());
    case.without("authorization").header("authorization", &value)
}

#[test]
fn a_good_signature_over_too_little_is_refused() {
    let rules = rules("");
    let all = "accept;content-type;host;x-amz-content-sha256;x-amz-date;x-amz-meta-a";
    assert!(over(good(), all).judge(&rules, NOW).is_ok());
    assert!(over(good(), &all.replace("accept;", "")).judge(&rules, NOW).is_ok(), "what need not be signed need not");
    for names in [
        &all.replace("host;", ""),
        &all.replace("content-type;", ""),
        &all.replace(";x-amz-meta-a", ""),
        &all.replace("x-amz-content-sha256;", ""),
        &all.replace("x-amz-date;", ""),
        &all.replace("host;", "host;host;"),
        &all.replace("accept;content-type", "content-type;accept"),
        &all.replace("accept", "Accept"),
    ] {
        assert!(over(good(), names).judge(&rules, NOW).is_err(), "{names}");
    }
    let folded = || good().header("x_amz_acl", "public-read");
    assert!(over(folded(), all).judge(&rules, NOW).is_err());
    assert!(over(folded(), &format!("{all};x_amz_acl")).judge(&rules, NOW).is_ok(), "it is covered");
    let many = (0..20_000).map(|n| format!("n{n:05}")).collect::<Vec<_>>().join(";");
    let value = format!("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;{many}, Signature=0");
    assert!(good().without("authorization").header("authorization", &value).judge(&rules, NOW).is_err());
}

#[test]
fn what_amazon_reads_as_one_is_one() {
    let rules = rules("");
    let two = signed("GET", "/?q=a%20b", &[("x-amz-meta-a", "1,2   3")], b"");
    assert!(two.judge(&rules, NOW).is_ok());
    let lines = two.clone().without("x-amz-meta-a").header("x-amz-meta-a", "1").header("x-amz-meta-a", " 2 3  ");
    assert!(lines.judge(&rules, NOW).is_ok(), "two lines are one with a comma, and runs of blanks are one");
    assert!(two.clone().query("q=a+b").judge(&rules, NOW).is_ok(), "a plus sign is a blank");
    assert!(two.clone().query("q=a%2Bb").judge(&rules, NOW).is_err());
    assert!(two.query("q=a%20b&").judge(&rules, NOW).is_err());
    let long = signed("PUT", "/", &[("content-length", "4")], b"body");
    assert!(Case { length: Some(4), ..long.clone().without("content-length") }.judge(&rules, NOW).is_ok(), "the length is the body's own");
    for length in [None, Some(0), Some(5)] {
        assert!(Case { length, ..long.clone().without("content-length") }.judge(&rules, NOW).is_err());
    }
}

#[test]
fn the_clock_may_differ_by_a_quarter_of_an_hour() {
    let rules = rules("");
    for (away, is_good) in [(0, true), (900, true), (-900, true), (901, false), (-901, false), (i64::MAX - NOW, false), (i64::MIN, false)] {
        let judged = good().judge(&rules, NOW.saturating_add(away));
        assert_eq!(judged.is_ok(), is_good, "{away}");
        assert!(is_good || matches!(judged, Err(Refusal::Skewed(_))));
    }
    assert_eq!(rules.in_time(&good().read(&rules).unwrap(), NOW + 5), Ok(NOW + 900), "it is remembered to the end of its window");
    for date in ["20150230T000000Z", "20150830T123660Z", "2015-08-30T12:36:00Z", "1440938160", "nan", "", "99999999T999999Z"] {
        assert!(good().without("x-amz-date").header("x-amz-date", date).judge(&rules, NOW).is_err(), "{date}");
    }
}

#[test]
fn a_key_opens_its_own_paths_alone_with_either_secret_in_its_time() {
    let rules = rules("");
    for (secret, path, now, good) in [
        ("narrow-secret-0123456789", "/only/x", NOW, true),
        ("next-secret-0123456789", "/only/x", NOW, true),
        ("other", "/only/x", NOW, false),
        ("", "/only/x", NOW, false),
        ("narrow-secret-0123456789", "/x", NOW, false),
        ("narrow-secret-0123456789", "/only/x", NOW + 2 * 86_400, false),
    ] {
        let uri: Uri = format!("https://example.amazonaws.com{path}").parse().unwrap();
        let key = Secret::new(if secret.is_empty() { "\0" } else { secret });
        let lines = signer("narrow/key", &key, "service").request(&Method::GET, &uri, &[], b"", now).unwrap();
        assert_eq!(Case::new("GET", path, &lines).judge(&rules, now).as_deref().ok(), good.then_some("webshop"), "{secret} {path} {now}");
    }
}

#[test]
fn the_form_alone_decides_whose_credential_it_is() {
    for (value, mine) in [
        ("AWS4-HMAC-SHA256 a", true),
        ("aws4-hmac-sha256", true),
        ("AWS4-HMAC-SHA256X a", false),
        ("AWS4-ECDSA-P256-SHA256 a", false),
        ("AWS a:b", false),
        ("Bearer AWS4-HMAC-SHA256", false),
    ] {
        assert_eq!(request::is_mine(&Case::new("GET", "/", &[]).header("authorization", value).headers), mine, "{value}");
    }
}

proptest! {
    /// A header, path or query changed anywhere is refused, or says the same to whoever reads it.
    #[test]
    fn no_other_request_has_this_signature(at in 0usize..200, byte in 0x20u8..0x7f, place in 0u8..3) {
        let rules = rules("");
        let mut case = good();
        let changed = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            String::from_utf8(bytes).unwrap()
        };
        let before = case.clone();
        match place {
            0 => case.path = changed(&case.path),
            1 => case.query = case.query.as_deref().map(changed),
            _ => case.host = changed(&case.host),
        }
        let same = (&case.path, &case.query, &case.host) == (&before.path, &before.query, &before.host);
        prop_assert_eq!(case.judge(&rules, NOW).is_ok(), same, "{:?}", case);
    }

    #[test]
    fn nothing_makes_the_readers_panic(authorization in "(AWS4-HMAC-SHA256 )?[ -~]{0,80}", query in "[ -~é]{0,60}", path in "/[ -~]{0,20}", hash in "[ -~]{0,70}") {
        let case = Case { path, ..Case::new("GET", "/", &[]) }.header("authorization", &authorization);
        let case = case.header("x-amz-date", "20150830T123600Z").header("x-amz-content-sha256", &hash).query(&query);
        let in_query = ["X-Amz-Signature=0&X-Amz-Algorithm=AWS4-HMAC-SHA256&", &query].concat();
        prop_assert!(case.judge(&rules(""), NOW).is_err());
        prop_assert!(case.without("authorization").query(&in_query).judge(&rules(""), NOW).is_err());
    }
}
