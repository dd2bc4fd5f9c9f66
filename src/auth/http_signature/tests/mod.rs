//! Verifying, with keys of the configuration: what each dialect signs, every bit of it, and what it leaves out.

mod coverage;
mod dialects;
mod public;
mod settings;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use super::document::Head;
use super::request::Signed;
use super::rules::Rules;
use super::*;
use crate::types::{Report, Secret, unix_now};

/// Sun, 22 Nov 2026 06:00:00 GMT.
const NOW: i64 = 1_795_327_200;
const DATE: &str = "Sun, 22 Nov 2026 06:00:00 GMT";
const SECRET: &str = "a secret that is long enough";
const KEYS: &str = "[keys.alice]\nsecret = \"a secret that is long enough\"\n[keys.narrow]\nsecret = \"narrow-secret-0123456789\"\n\
                    user = \"webshop\"\nnext_secret = \"next-secret-0123456789\"\npaths = [\"/only/**\"]\nalgorithms = [\"hmac-sha512\"]\n";

const DIALECTS: [(Dialect, &str); 4] =
    [(Dialect::Draft, "draft"), (Dialect::Kong, "kong"), (Dialect::Apisix, "apisix"), (Dialect::ApisixV1, "apisix-v1")];

fn settings(toml: &str) -> Settings {
    toml::from_str(toml).unwrap()
}

fn rules(options: &str) -> Rules {
    let mut report = Report::default();
    let rules = Rules::build("s", settings(&format!("{options}\n{KEYS}")), false, &mut report);
    rules.unwrap_or_else(|| panic!("{:?}", report.problems()))
}

fn strict(dialect: &str) -> Rules {
    rules(&format!("dialect = \"{dialect}\""))
}

/// A request as it reaches the scheme.
#[derive(Debug, Clone)]
struct Case {
    method: Method,
    target: String,
    host: String,
    headers: HeaderMap,
    length: Option<u64>,
    proxy: Option<HeaderValue>,
}

impl Case {
    fn new(method: &str, target: &str) -> Self {
        let (method, target) = (method.parse().unwrap(), target.to_owned());
        Self { method, target, host: "a.example".to_owned(), headers: HeaderMap::new(), length: None, proxy: None }
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value).unwrap());
        self
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value).unwrap());
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    fn value(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn head(&self) -> Head<'_> {
        Head {
            method: &self.method,
            target: &self.target,
            path: self.target.split('?').next().unwrap(),
            host: self.host.as_bytes(),
            headers: &self.headers,
            length: self.length,
            proxy_authorization: self.proxy.as_ref(),
        }
    }

    fn read(&self, rules: &Rules) -> Result<Signed, Refusal> {
        let head = self.head();
        let claimed = request::claimed(&head, rules.dialect)?.ok_or(Refusal::Missing)?;
        request::read(&head, rules.dialect, claimed)
    }

    /// What the scheme does with keys of the configuration, without replay memory, body and sockets.
    fn judge(&self, rules: &Rules, now: i64) -> Result<String, Refusal> {
        let signed = self.read(rules)?;
        rules.covered(&signed.covers, &self.headers)?;
        rules.in_time(&signed.times, now)?;
        let path = self.target.split('?').next().unwrap();
        let subject = match signed.rsa {
            Some(_) => rules.settle_public(&signed, rules.public.get(&signed.key).map(|key| &**key), path, now),
            None => rules.settle(&signed, rules.keys.get(&signed.key), path, now),
        };
        subject.map(|subject| subject.user.clone())
    }

    /// All that is signed, as text; the first reading.
    fn document(&self, rules: &Rules) -> String {
        String::from_utf8(self.read(rules).unwrap().readings.swap_remove(0)).unwrap()
    }
}

/// A request that the signer signed, with everything that there is to sign.
fn signed(dialect: Dialect, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Case {
    signed_by(dialect, Algorithm::HmacSha256, ("alice", SECRET), Case::new(method, target), headers, body)
}

fn signed_by(dialect: Dialect, algorithm: Algorithm, key: (&str, &str), case: Case, headers: &[(&str, &str)], body: &[u8]) -> Case {
    let extra: Vec<_> = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let uri: Uri = format!("https://{}{}", case.host, case.target).parse().unwrap();
    let key = (key.0, &Secret::new(key.1));
    let lines = sign::request(sign::Manner { dialect, algorithm }, key, &case.method, &uri, &extra, body, NOW).unwrap();
    lines.iter().fold(case, |case, (name, value)| case.header(name, value))
}

/// Signs `document` as a client would, and puts it into `Authorization` with this list.
fn by_hand(case: Case, word: &str, key: &str, algorithm: &str, list: &str, document: &str) -> Case {
    let made = Algorithm::named(algorithm).unwrap_or(Algorithm::HmacSha512);
    use base64::Engine as _;
    let tag = base64::engine::general_purpose::STANDARD.encode(made.sign(&Secret::new(SECRET), document.as_bytes()).unwrap());
    case.set("authorization", &format!("{word} {key}=\"alice\",algorithm=\"{algorithm}\",headers=\"{list}\",signature=\"{tag}\""))
}

#[test]
fn what_the_signer_signs_is_accepted_in_every_dialect_with_every_algorithm() {
    for (dialect, name) in DIALECTS {
        let all = rules(&format!("dialect = \"{name}\"\nalgorithms = [\"hmac-sha1\", \"hmac-sha256\", \"hmac-sha384\", \"hmac-sha512\"]"));
        for algorithm in Algorithm::ALL {
            for (method, target, body) in [("GET", "/x", ""), ("POST", "/x/y?b=2&a=1%20", "body"), ("DELETE", "/", "")] {
                let case = signed_by(dialect, algorithm, ("alice", SECRET), Case::new(method, target), &[("Content-Type", "a/b")], body.as_bytes());
                assert_eq!(case.judge(&all, NOW).as_deref(), Ok("alice"), "{name} {algorithm:?} {method} {target}");
                let allowed = case.judge(&strict(name), NOW);
                assert_eq!(allowed.is_ok(), algorithm != Algorithm::HmacSha1, "{name} {algorithm:?}: SHA-1 only by choice");
                assert_eq!(matches!(case.read(&all).unwrap().body, Said::Nothing), body.is_empty());
            }
        }
    }
}

#[test]
fn every_bit_of_every_header_that_takes_part_counts() {
    let mut flips = 0;
    for (dialect, name) in DIALECTS {
        let rules = strict(name);
        let good = signed(dialect, "POST", "/x?a=1", &[("X-A", "some value")], b"body");
        assert!(good.judge(&rules, NOW).is_ok());
        for header in good.headers.keys() {
            let value = good.headers[header].as_bytes().to_vec();
            for bit in 0..value.len() * 8 {
                let mut flipped = value.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let Ok(flipped) = HeaderValue::from_bytes(&flipped) else { continue };
                // Another case of the first word says the same; so does another case of a letter in the draft's list.
                let text = String::from_utf8_lossy(&value).into_owned();
                let list = text
                    .split_once("(request-target) ")
                    .map_or(0..0, |(before, list)| before.len() + 17..before.len() + 17 + list.find('"').unwrap());
                let word = 0..text.find(' ').unwrap_or(0);
                let letter = value[bit / 8].is_ascii_alphabetic() && bit % 8 == 5;
                let same =
                    header == "authorization" && letter && (word.contains(&(bit / 8)) || dialect == Dialect::Draft && list.contains(&(bit / 8)));
                let mut case = good.clone();
                case.headers.insert(header, flipped);
                assert_eq!(case.judge(&rules, NOW).is_ok(), same, "{name} {header} bit {bit}");
                flips += 1;
            }
            assert!(good.clone().without(header.as_str()).judge(&rules, NOW).is_err(), "{name} without {header}");
            assert!(good.clone().header(header.as_str(), "x").judge(&rules, NOW).is_err() || header == "authorization", "{name} {header} twice");
        }
        for changed in [
            Case { method: Method::PUT, ..good.clone() },
            Case { host: "b.example".to_owned(), ..good.clone() },
            Case { host: "a.example:443".to_owned(), ..good.clone() },
        ] {
            assert!(changed.judge(&rules, NOW).is_err(), "{name} {changed:?}");
        }
        for bit in 0..good.target.len() * 8 {
            let mut flipped = good.target.clone().into_bytes();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let Ok(target) = String::from_utf8(flipped) else { continue };
            assert!(Case { target: target.clone(), ..good.clone() }.judge(&rules, NOW).is_err(), "{name} {target}");
        }
    }
    assert!(flips > 5000, "{flips}");
}

#[test]
fn the_clock_may_differ_by_five_minutes() {
    for (dialect, name) in DIALECTS {
        let (rules, good) = (strict(name), signed(dialect, "GET", "/x", &[], b""));
        for (away, is_good) in [(0, true), (300, true), (-300, true), (301, false), (-301, false), (i64::MAX - NOW, false), (i64::MIN, false)] {
            let judged = good.judge(&rules, NOW.saturating_add(away));
            assert_eq!(judged.is_ok(), is_good, "{name} {away}");
            assert!(is_good || matches!(judged, Err(Refusal::Skewed(_))));
        }
        assert_eq!(rules.in_time(&good.read(&rules).unwrap().times, NOW + 5), Ok(NOW + 300), "it is remembered to the end of its window");
    }
}

#[test]
fn the_earliest_end_ends_the_window() {
    let rules = strict("draft");
    let times = |signed: &[i64], expires| request::Times { signed: signed.to_vec(), expires, unsigned: request::Unsigned::default() };
    for (signed, expires, expected) in [
        (vec![NOW, NOW - 100], None, Some(NOW + 200)),
        (vec![NOW], Some(NOW + 10), Some(NOW + 10)),
        (vec![NOW], Some(NOW), Some(NOW)),
        (vec![NOW], Some(i64::MAX), Some(NOW + 300)),
        (vec![NOW], Some(NOW - 1), None),
        (vec![NOW], Some(i64::MIN), None),
        (vec![NOW, NOW - 301], None, None),
        (vec![NOW, NOW + 301], None, None),
        (vec![i64::MIN, i64::MAX], None, None),
        (vec![], Some(NOW + 10), None),
    ] {
        assert_eq!(rules.in_time(&times(&signed, expires), NOW).ok(), expected, "{signed:?} {expires:?}");
    }
    assert!(rules.in_time(&times(&[i64::MAX], None), i64::MAX).is_ok() && rules.in_time(&times(&[0], None), unix_now()).is_err());
}

#[test]
fn a_key_signs_with_its_own_algorithms_for_its_own_paths_with_either_secret() {
    let mut told = std::collections::BTreeSet::new();
    for (dialect, name) in DIALECTS {
        let rules = strict(name);
        for (secret, algorithm, path, good) in [
            ("narrow-secret-0123456789", Algorithm::HmacSha512, "/only/x", true),
            ("next-secret-0123456789", Algorithm::HmacSha512, "/only/x", true),
            ("other", Algorithm::HmacSha512, "/only/x", false),
            ("narrow-secret-0123456789", Algorithm::HmacSha256, "/only/x", false),
            ("narrow-secret-0123456789", Algorithm::HmacSha512, "/x", false),
        ] {
            let case = signed_by(dialect, algorithm, ("narrow", secret), Case::new("GET", path), &[], b"");
            let judged = case.judge(&rules, NOW);
            assert_eq!(judged.as_deref().ok(), good.then_some("webshop"), "{name} {secret} {algorithm:?} {path}");
            told.extend(judged.err().map(|refusal| refusal.code()));
        }
        let unknown = signed_by(dialect, Algorithm::HmacSha256, ("nobody", SECRET), Case::new("GET", "/x"), &[], b"");
        assert_eq!(unknown.judge(&rules, NOW).unwrap_err().code(), "credentials_wrong", "no different from a wrong secret");
    }
    assert_eq!(told.into_iter().collect::<Vec<_>>(), ["credentials_wrong", "key_not_allowed"]);
}
