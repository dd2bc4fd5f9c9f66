//! Verifying, with keys of the configuration; requests are made by our own signer.

mod properties;
mod settings;
mod vectors;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use super::*;
use crate::auth::signing::unescape;
use crate::types::Secret;

const NOW: i64 = 1_232_789_760;

fn settings(toml: &str) -> Settings {
    toml::from_str(toml).unwrap()
}

fn rules(toml: &str) -> Rules {
    let mut report = Report::default();
    let rules = Rules::build("partners", settings(toml), false, &mut report);
    rules.unwrap_or_else(|| panic!("{:?}", report.problems()))
}

const KEYS: &str = "[keys.aspnet]\nsecret = \"s3cret\"\nimpersonate = true\n";

fn with_options(options: &str) -> Rules {
    rules(&format!("{options}\n{KEYS}"))
}

/// A request as it reaches the scheme.
#[derive(Debug, Clone)]
struct Case {
    method: Method,
    path: String,
    query: Option<String>,
    host: HeaderValue,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Case {
    fn head(&self) -> Head<'_> {
        Head { method: &self.method, path: &self.path, query: self.query.as_deref(), host: &self.host, headers: &self.headers }
    }

    /// What the scheme does with keys of the configuration, without replay memory and sockets.
    fn judge(&self, rules: &Rules, now: i64) -> Result<Arc<Subject>, Refusal> {
        let path = unescape(self.path.as_bytes()).map(|path| String::from_utf8_lossy(&path).into_owned()).unwrap_or_default();
        if request::is_mine(&self.headers) {
            let mut signed = request::read(&self.head())?;
            rules.in_time(signed.seconds, now)?;
            let key = rules.keys.get(&signed.key);
            let mut macs = signed.begin(rules.states(key));
            if !once_only(&self.method) && !self.body.is_empty() {
                return Err(Refusal::Malformed("a body that the signature does not cover"));
            }
            self.body.chunks(7).for_each(|chunk| macs.update(chunk));
            return rules.settle(&mut signed, key, macs, self.body.len() as u64, (self.query.as_deref(), &path), now);
        }
        assert!(url::is_mine(self.query.as_deref()), "not claimed");
        let signed = url::read(&self.head())?;
        rules.not_expired(signed.expires, now)?;
        let key = rules.keys.get(&signed.key);
        verified(key, signed.macs(rules.states(key)), &signed.tag)?.identify(None, &path, now)
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value).unwrap());
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }
}

/// A request, signed by our own signer with the key `aspnet`.
fn signed(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Case {
    let (method, uri) = (Method::from_bytes(method.as_bytes()).unwrap(), target.parse::<Uri>().unwrap());
    let extra: Vec<_> = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let lines = sign::request("aspnet", &Secret::new("s3cret"), &method, &uri, &extra, body, NOW).unwrap();
    let case = Case {
        method,
        path: uri.path().to_owned(),
        query: uri.query().map(str::to_owned),
        host: HeaderValue::from_static("app.example.com"),
        headers: HeaderMap::new(),
        body: body.to_vec(),
    };
    lines.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")).fold(case, |case, (name, value)| case.header(name, value))
}

fn link(target: &str) -> Case {
    let (host, rest) = target.split_at(target.find('/').unwrap());
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query.to_owned())));
    Case {
        method: Method::GET,
        path: path.to_owned(),
        query,
        host: HeaderValue::from_str(host).unwrap(),
        headers: HeaderMap::new(),
        body: Vec::new(),
    }
}

#[test]
fn every_bit_of_every_header_value_that_takes_part_counts() {
    let case = signed("POST", "/api/x", &[("X-FOST-User", "kirit"), ("Accept", "text/plain")], b"a=1");
    case.judge(&with_options(""), NOW).unwrap();
    let rules = with_options("");
    for name in ["authorization", "x-fost-timestamp", "x-fost-headers", "x-fost-user", "accept"] {
        let value = case.headers[name].as_bytes().to_vec();
        for bit in 0..value.len() * 8 {
            let mut flipped = value.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let (Ok(flipped), false) = (HeaderValue::from_bytes(&flipped), name == "authorization" && bit < 40) else { continue };
            let mut case = case.clone();
            case.headers.insert(name, flipped);
            assert!(case.judge(&rules, NOW).is_err(), "{name} bit {bit}: {:?}", case.headers[name]);
        }
    }
}

#[test]
fn a_request_that_is_not_of_the_form_is_refused() {
    let rules = with_options("");
    let good = || signed("GET", "/r?a=1", &[("X-FOST-User", "kirit"), ("Accept", "text/plain")], b"");
    good().judge(&rules, NOW).unwrap();
    let authorization = good().headers["authorization"].to_str().unwrap().to_owned();
    let signature = authorization.rsplit_once(':').unwrap().1.to_owned();
    let with_authorization = |value: &str| good().without("authorization").header("authorization", value);
    for (why, case) in [
        ("no timestamp", good().without("x-fost-timestamp")),
        ("two timestamps", good().header("x-fost-timestamp", "2009-01-24 09:36:00")),
        ("no list", good().without("x-fost-headers")),
        ("two lists", good().header("x-fost-headers", "X-FOST-Headers")),
        ("two users", good().header("x-fost-user", "kirit")),
        ("a listed header is missing", good().without("accept")),
        ("a listed header is there twice", good().header("accept", "text/plain")),
        ("two credentials", good().header("authorization", &authorization)),
        ("another credential beside it", good().header("authorization", "Bearer abc")),
        ("no credential after the word", with_authorization("FOST")),
        ("no colon", with_authorization(&format!("FOST aspnet{signature}"))),
        ("two colons", with_authorization(&format!("FOST as:pnet:{signature}"))),
        ("a colon at the end", with_authorization(&format!("{authorization}:"))),
        ("no key", with_authorization(&format!("FOST :{signature}"))),
        ("a blank before the key", with_authorization(&format!("FOST  aspnet:{signature}"))),
        ("a key that does not decode", with_authorization(&format!("FOST %zz:{signature}"))),
        ("a key that is not UTF-8", with_authorization(&format!("FOST %ff:{signature}"))),
        ("a key with a line break", with_authorization(&format!("FOST a%0a:{signature}"))),
        ("no signature", with_authorization("FOST aspnet:")),
        ("a signature without padding", with_authorization(authorization.trim_end_matches('='))),
        ("a signature with a byte too many", with_authorization(&format!("FOST aspnet:AAAA{signature}"))),
        ("a signature cut short", with_authorization("FOST aspnet:5GvLip1wOuuno/fL56WS2eB9")),
        ("a signature in the URL alphabet", with_authorization("FOST aspnet:____ip1wOuuno_fL56WS2eB9YIk=")),
        ("a key that nobody knows", with_authorization(&format!("FOST nobody:{signature}"))),
        ("a body that nothing covers", Case { body: b"x".to_vec(), ..good() }),
        ("another query", Case { query: Some("a=2".to_owned()), ..good() }),
        ("no query", Case { query: None, ..good() }),
        ("another method", Case { method: Method::HEAD, ..good() }),
        ("another path", Case { path: "/s".to_owned(), ..good() }),
    ] {
        assert!(case.judge(&rules, NOW).is_err(), "{why}");
    }
}

#[test]
fn the_list_of_signed_headers_names_itself_first_and_nothing_twice() {
    let rules = with_options("");
    // Signed as the list says, so that the list alone is wrong.
    let listing = |list: &str, values: &[&str]| {
        let bytes: Vec<&[u8]> = values.iter().map(|v| v.as_bytes()).collect();
        let document = request::beginning(&Method::GET, b"/", b"2009-01-24 09:36:00", &bytes);
        use hmac::{KeyInit as _, Mac as _};
        let tag = State::new_from_slice(b"s3cret").unwrap().chain_update(document).finalize().into_bytes();
        let tag = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, tag);
        let mut case =
            link("app.example.com/").header("x-fost-timestamp", "2009-01-24 09:36:00").header("authorization", &format!("FOST aspnet:{tag}"));
        case.headers.insert("x-fost-headers", HeaderValue::from_str(list).unwrap());
        case.header("accept", "a/b").judge(&rules, NOW)
    };
    listing("x-fost-headers Accept", &["x-fost-headers Accept", "a/b"]).unwrap();
    listing("X-FOST-Headers  Host", &["X-FOST-Headers  Host", "app.example.com"]).unwrap();
    for (list, values) in [
        ("", vec![""]),
        ("", vec![]),
        ("Accept", vec!["a/b"]),
        ("Accept X-FOST-Headers", vec!["a/b", "Accept X-FOST-Headers"]),
        ("X-FOST-Headers Accept Accept", vec!["X-FOST-Headers Accept Accept", "a/b", "a/b"]),
        ("X-FOST-Headers x-fost-headers", vec!["X-FOST-Headers x-fost-headers", "X-FOST-Headers x-fost-headers"]),
        ("X-FOST-Headers Missing", vec!["X-FOST-Headers Missing", ""]),
        ("X-FOST-Headers\tAccept", vec!["X-FOST-Headers\tAccept", "a/b"]),
        ("X-FOST-Headers,Accept", vec!["X-FOST-Headers,Accept", "a/b"]),
    ] {
        assert!(matches!(listing(list, &values), Err(Refusal::Malformed(_))), "{list}");
    }
}

#[test]
fn a_clock_may_differ_by_max_skew_and_no_more_either_way() {
    let rules = with_options("");
    let case = signed("GET", "/", &[], b"");
    for (now, good) in [(NOW - 16, false), (NOW - 15, true), (NOW + 15, true), (NOW + 16, false), (i64::MIN, false), (i64::MAX, false)] {
        match case.judge(&rules, now) {
            Ok(_) => assert!(good, "{now}"),
            Err(Refusal::Skewed(_)) => assert!(!good, "{now}"),
            Err(other) => panic!("{now}: {other}"),
        }
    }
}

#[test]
fn a_key_acts_for_another_user_only_with_impersonate_and_only_for_a_name_that_can_be_told() {
    let rules = |options: &str| rules(&format!("[keys.aspnet]\nsecret = \"s3cret\"\n{options}"));
    let user = |rules: &Rules, name: Option<&str>| {
        let headers: Vec<_> = name.map(|name| ("X-FOST-User", name)).into_iter().collect();
        signed("GET", "/", &headers, b"").judge(rules, NOW).map(|subject| subject.user.clone())
    };
    assert_eq!(user(&rules(""), None).unwrap(), "aspnet");
    assert_eq!(user(&rules("user = \"webshop\""), None).unwrap(), "webshop");
    assert_eq!(user(&rules("user = \"webshop\""), Some("webshop")).unwrap(), "webshop");
    assert_eq!(user(&rules("impersonate = true"), Some("alice")).unwrap(), "alice");
    for (options, name) in [("", "alice"), ("user = \"webshop\"", "aspnet"), ("user = \"webshop\"", "WebShop")] {
        assert!(matches!(user(&rules(options), Some(name)), Err(Refusal::Forbidden(_))), "{options} {name}");
    }
    for name in ["", " alice", "alice ", "al\tice"] {
        assert!(matches!(user(&rules("impersonate = true"), Some(name)), Err(Refusal::Malformed(_))), "{name:?}");
    }
}

#[test]
fn what_a_key_may_call_is_told_only_to_who_holds_its_secret() {
    let rules = rules("[keys.aspnet]\nsecret = \"s3cret\"\npaths = [\"/api/**\"]");
    signed("GET", "/api/x", &[], b"").judge(&rules, NOW).unwrap();
    signed("GET", "/%61pi/x", &[], b"").judge(&rules, NOW).unwrap();
    let outside = signed("GET", "/admin", &[], b"");
    assert!(matches!(outside.judge(&rules, NOW), Err(Refusal::Forbidden(_))));
    let forged = Case { path: "/admin/".to_owned(), ..outside };
    assert!(matches!(forged.judge(&rules, NOW), Err(Refusal::Wrong(_))));
}

#[test]
fn both_secrets_of_a_key_are_accepted_while_it_is_being_changed() {
    for secret in ["secret = \"old\"\nnext_secret = \"s3cret\"", "secret = \"s3cret\"\nnext_secret = \"new\""] {
        signed("POST", "/caf%C3%A9", &[], b"x").judge(&rules(&format!("[keys.aspnet]\n{secret}")), NOW).unwrap();
    }
    let other = rules("[keys.aspnet]\nsecret = \"old\"\nnext_secret = \"new\"");
    assert!(matches!(signed("POST", "/", &[], b"x").judge(&other, NOW), Err(Refusal::Wrong(_))));
}

#[test]
fn a_decoded_path_that_could_hide_something_is_never_tried() {
    for (path, decoded) in [("/caf%C3%A9/", Some("/café/")), ("/a%20b", Some("/a b")), ("/%41%3F", Some("/A?")), ("/plain", None)] {
        assert_eq!(request::decoded_path(path).as_deref(), decoded, "{path}");
    }
    for path in
        ["/a%2Fb", "/a%2fb", "/a%5Cb", "/%2E%2e/", "/a%2541", "/a%00", "/a%0Ab", "/a%7f", "/%C2%85", "/%ff", "/%E9", "/%", "/%4", "/%zz", "/%+1"]
    {
        assert_eq!(request::decoded_path(path), None, "{path}");
    }
}

#[test]
fn a_link_is_refused_when_anything_that_it_leaves_out_was_added_or_changed() {
    let rules = with_options("");
    let uri: Uri = "https://app.example.com:8443/reports/?b=2&a=1&a=0".parse().unwrap();
    let good = sign::url("aspnet", &Secret::new("s3cret"), &uri, NOW + 30).unwrap();
    let good = good.strip_prefix("https://").unwrap();
    link(good).judge(&rules, NOW).unwrap();
    link(good).judge(&rules, NOW + 30).unwrap();
    assert_eq!(link(good).judge(&rules, NOW + 31), Err(Refusal::Expired));
    Case { method: Method::HEAD, ..link(good) }.judge(&rules, NOW).unwrap();
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
        assert!(Case { method, ..link(good) }.judge(&rules, NOW).is_err());
    }
    for added in
        ["_s=x", "_sort=1", "_s", "_k=aspnet", "_k", "_e=9999999999", "_e", "%5Fs=x", "_%73=x", "%5Fk=aspnet", "%5fe=1", "c=1", "", "_s%zz=1"]
    {
        for case in [format!("{good}&{added}"), good.replacen('?', &format!("?{added}&"), 1)] {
            assert!(link(&case).judge(&rules, NOW).is_err(), "{case}");
        }
    }
    let replaced = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replace(from, to)
    };
    for case in [
        replaced("8443", "8444"),
        replaced("app.", "bpp."),
        replaced("/reports/", "/reports"),
        replaced("b=2&a=1", "a=1&b=2"),
        replaced("&a=0", ""),
        replaced("_k=aspnet", "_k=aspnet;x=1"),
        replaced("_k=aspnet", "_k=aspne"),
        replaced("_k=aspnet", "_k="),
        replaced("_e=1232789790", "_e=1232789791"),
        replaced("_e=1232789790", "_e=01232789790"),
        replaced("_e=1232789790", "_e=+1232789790"),
        replaced("_e=1232789790", "_e=1e99"),
        replaced("_e=1232789790", "_e=99999999999999999999"),
        replaced("_e=1232789790", "_e="),
        replaced("&_e=1232789790", ""),
    ] {
        assert!(link(&case).judge(&rules, NOW).is_err(), "{case}");
    }
}

#[test]
fn the_form_alone_decides_whose_credential_it_is() {
    for (value, mine) in
        [("FOST a:b", true), ("fost a:b", true), ("FOST", true), ("FOSTER a:b", false), ("Bearer FOST a:b", false), ("", false), ("FOS", false)]
    {
        assert_eq!(request::is_mine(&link("a/").header("authorization", value).headers), mine, "{value}");
    }
    for (query, mine) in
        [("_k=a&_s=b", true), ("_s=&_k=", true), ("_k=a", false), ("_s=b", false), ("a_k=a&_s=b", false), ("_k&_s", false), ("", false)]
    {
        assert_eq!(url::is_mine(Some(query)), mine, "{query}");
    }
    assert!(!url::is_mine(None));
}

#[test]
fn replay_memory_tells_scheme_key_and_signature_apart() {
    let one = |scheme: &str, key: &str, tag: [u8; 20]| {
        let mut rules = with_options("");
        rules.name = scheme.into();
        let mut signed = request::read(&signed("GET", "/", &[], b"").head()).unwrap();
        (signed.key, signed.tag) = (key.to_owned(), tag);
        rules.memory(&signed)
    };
    let all = [one("a", "bc", [0; 20]), one("ab", "c", [0; 20]), one("a", "bc", [1; 20]), one("a", "b", [b'c'; 20])];
    for (at, memory) in all.iter().enumerate() {
        assert!(!all[at + 1..].contains(memory), "{at}");
        assert!(all[at + 1..].iter().all(|other| other[..8] != memory[..8]), "{at}: what the process keeps");
    }
    assert_eq!(all[0], one("a", "bc", [0; 20]));
    let rules = with_options("");
    let signed = request::read(&signed("GET", "/", &[], b"").head()).unwrap();
    assert!(rules.scopes.contains_key(&signed.key));
    let elsewhere = Rules { scopes: BTreeMap::new(), ..with_options("") };
    assert_eq!(rules.memory(&signed), elsewhere.memory(&signed), "from the configuration or the store");
}

#[test]
fn methods_that_may_change_something_are_good_for_one_use() {
    for (method, once) in
        [("GET", false), ("HEAD", false), ("OPTIONS", false), ("POST", true), ("PUT", true), ("PATCH", true), ("DELETE", true), ("QUERY", true)]
    {
        assert_eq!(once_only(&Method::from_bytes(method.as_bytes()).unwrap()), once, "{method}");
    }
}
