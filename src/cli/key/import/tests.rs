//! What is taken from each origin, and what is left.

use super::dj_api_auth::{key as dj_key, path};
use super::*;
use doorward::store::sql::{DjKey, DjUser};

/// (name, user, groups, algorithms, secret) of the keys that were taken, and (name, why) of the others.
type Taken = (String, Option<String>, Vec<String>, Vec<String>, String);

fn split(found: Vec<Found>) -> (Vec<Taken>, Vec<(String, String)>) {
    let (mut taken, mut left) = (Vec::new(), Vec::new());
    for found in found {
        match found.key {
            Ok(key) => {
                let secret = String::from_utf8(key.secret.unwrap().expose().to_vec()).unwrap();
                taken.push((key.name, key.user, key.groups, key.algorithms, secret));
            }
            Err(why) => left.push((found.name, why)),
        }
    }
    (taken, left)
}

fn taken(name: &str, user: &str, groups: &[&str], algorithms: &[&str], secret: &str) -> Taken {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    (name.to_owned(), Some(user.to_owned()), owned(groups), owned(algorithms), secret.to_owned())
}

const KONG: &str = r#"
_format_version: "3.0"
_transform: true
services:
- name: orders
  url: http://orders:8000
  plugins: [{name: hmac-auth, config: {enforce_headers: [date, request-line]}}]
consumers:
- username: alex
  custom_id: "77"
  tags: [&tag blue]
  acls:
  - group: dev
  - {group: admin, tags: [*tag]}
  hmacauth_credentials:
  - {username: alex-key, secret: "a secret: long # enough"}
  - {username: 007, secret: 12345678901234567890}
  - {username: vaulted, secret: "{vault://env/alex}"}
  - {username: none}
  keyauth_credentials: [{key: plain}, {key: 42}]
- id: 5e3c
  custom_id: partner
  basicauth_credentials: [{username: x, password: y}]
- username: empty
- {id: 9f}
hmacauth_credentials:
- {consumer: 5e3c, username: flat, secret: flat-secret-0123456789}
- {consumer: {id: 5e3c}, username: flat2, secret: flat-secret-0123456789}
- {consumer: {username: alex}, username: flat3, secret: flat-secret-0123456789}
- {consumer: gone, username: orphan, secret: flat-secret-0123456789}
- {username: nobody, secret: flat-secret-0123456789}
- {consumer: 9f, username: nameless, secret: flat-secret-0123456789}
acls:
- {consumer: 5e3c, group: partners}
"#;

#[test]
fn kongs_consumers_are_taken_with_their_groups_nested_or_flat() {
    let (found, left) = split(kong::keys(KONG).unwrap());
    let flat = "flat-secret-0123456789";
    assert_eq!(
        found,
        [
            taken("alex-key", "alex", &["dev", "admin"], &[], "a secret: long # enough"),
            taken("007", "alex", &["dev", "admin"], &[], "12345678901234567890"),
            taken("flat3", "alex", &["dev", "admin"], &[], flat),
            taken("flat", "partner", &["partners"], &[], flat),
            taken("flat2", "partner", &["partners"], &[], flat),
        ]
    );
    let left: Vec<_> = left.iter().map(|(name, why)| (name.as_str(), why.split([';', '(', ':']).next().unwrap())).collect();
    assert_eq!(
        left,
        [
            ("vaulted", "its secret stands elsewhere "),
            ("none", "it has no secret"),
            ("nameless", "its consumer has neither a username nor a custom_id"),
            ("orphan", "its consumer is not in the document"),
            ("nobody", "its consumer is not in the document"),
            ("alex", "2 credential"),
            ("partner", "1 credential"),
        ]
    );
}

#[test]
fn a_custom_id_that_is_another_consumers_name_brings_neither_its_keys_nor_its_groups() {
    let json = r#"{"_format_version": "3.0", "consumers": [{"username": "mallory", "custom_id": "admin"}, {"username": "admin"}],
        "acls": [{"consumer": "admin", "group": "root"}], "hmacauth_credentials": [{"consumer": "admin", "username": "k", "secret": "0123456789abcdef"},
        {"consumer": "mallory", "username": "m", "secret": "0123456789abcdef"}]}"#;
    let expected = [taken("m", "mallory", &[], &[], "0123456789abcdef"), taken("k", "admin", &["root"], &[], "0123456789abcdef")];
    assert_eq!(split(kong::keys(json).unwrap()).0, expected);
}

#[test]
fn json_says_the_same_as_yaml() {
    let json = r#"{"_format_version": "3.0", "consumers": [{"username": "alex", "hmacauth_credentials": [{"username": "k", "secret": "0123456789abcdef"}]}]}"#;
    let expected = [taken("k", "alex", &[], &[], "0123456789abcdef")];
    assert_eq!(split(kong::keys(json).unwrap()).0, expected);
    assert_eq!(split(kong::keys(&format!("\n  {json}\n")).unwrap()).0, expected);
}

#[test]
fn apisix_consumers_are_taken_old_and_new_standalone_listed_and_dumped() {
    let yaml = r#"
routes:
  - {uri: /hello, plugins: {hmac-auth: {}}, upstream: {type: roundrobin, nodes: {"127.0.0.1:1980": 1}}}
consumers:
  - username: jack
    group_id: staff
    plugins:
      hmac-auth: {key_id: jack-key, secret_key: jack-secret-0123456789}
      limit-count: {count: 2, time_window: 60}
      key-auth: {key: plain}
    credentials:
      - {id: a, plugins: {hmac-auth: {key_id: jack-2, secret_key: jack-secret-0123456789}}}
      - {name: b, type: hmac-auth, config: {key_id: jack-3, secret_key: jack-secret-0123456789}}
      - {name: c, type: key-auth, config: {key: plain}}
  - username: jill
    plugins:
      hmac-auth: {access_key: jill-key, secret_key: jill-secret-0123456789, algorithm: hmac-sha512, clock_skew: 0}
  - {username: odd, plugins: {hmac-auth: {access_key: odd, secret_key: jill-secret-0123456789, algorithm: hmac-md5}}}
  - {username: env, plugins: {hmac-auth: {key_id: env, secret_key: $env://HMAC}}}
  - {id: jack/credentials/four, plugins: {hmac-auth: {key_id: jack-4, secret_key: jack-secret-0123456789}}}
  - {id: lost, plugins: {hmac-auth: {key_id: lost, secret_key: jack-secret-0123456789}}}
#END
"#;
    let (found, left) = split(apisix::keys(yaml).unwrap());
    let secret = "jack-secret-0123456789";
    assert_eq!(
        found,
        [
            taken("jack-key", "jack", &["staff"], &[], secret),
            taken("jack-2", "jack", &["staff"], &[], secret),
            taken("jack-3", "jack", &["staff"], &[], secret),
            taken("jill-key", "jill", &[], &["hmac-sha512"], "jill-secret-0123456789"),
            taken("jack-4", "jack", &[], &[], secret),
        ]
    );
    let left: Vec<_> = left.iter().map(|(name, why)| (name.as_str(), why.split(" (").next().unwrap())).collect();
    assert_eq!(
        left,
        [
            ("jack", "a credential of key-auth: it signs nothing"),
            ("jack", "a credential of key-auth: it signs nothing"),
            ("odd", "its algorithm is not known"),
            ("env", "its secret stands elsewhere"),
            ("lost", "its consumer has no username"),
        ]
    );
    let json = r#"{"total": 2, "list": [
        {"key": "/apisix/consumers/jack", "value": {"username": "jack", "plugins": {"hmac-auth": {"key_id": "k", "secret_key": "0123456789abcdef"}}}},
        {"key": "/apisix/consumers/jack/credentials/x", "value": {"plugins": {"hmac-auth": {"key_id": "l", "secret_key": "0123456789abcdef"}}}}]}"#;
    let expected = [taken("k", "jack", &[], &[], "0123456789abcdef"), taken("l", "jack", &[], &[], "0123456789abcdef")];
    assert_eq!(split(apisix::keys(json).unwrap()).0, expected);
}

#[test]
fn what_cannot_be_read_is_told_by_its_place_alone() {
    let bomb = format!("a: &a [x]\n{}consumers: []", (0..40).map(|n| format!("b{n}: [*a, *a, *a]\n")).collect::<String>());
    assert!(kong::keys(&bomb).is_ok(), "a few aliases are no harm");
    let deep = format!("consumers: {}{}", "[".repeat(5000), "]".repeat(5000));
    let laughs =
        (1..12).fold("a0: &a0 [hunter2]\n".to_owned(), |text, n| format!("{text}a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(", ")));
    for text in [
        "consumers: hunter2",
        "consumers: [{username: [hunter2]}]",
        "consumers: [{username: alex, hmacauth_credentials: [{username: k, secret: {a: hunter2}}]}]",
        "consumers: []\nconsumers: [hunter2]",
        "{\"consumers\": \"hunter2\"}",
        "{\"consumers\": [{\"hmacauth_credentials\": \"hunter2\"}]}",
        "{hunter2",
        "hunter2",
        "\thunter2: [",
        "a: 1\n---\nhunter2: 2",
        &deep,
        &laughs,
    ] {
        let error = format!("{:#}", kong::keys(text).unwrap_err());
        assert!(error.contains("cannot be read") && !error.contains("hunter2"), "{text:.80}: {error}");
    }
}

#[test]
fn an_entry_point_becomes_a_path_that_matches_no_more() {
    for (name, expected) in [
        ("^hello/$", Some("/hello/")),
        ("^hello/", Some("/hello/")),
        ("^$", Some("/")),
        ("^api/ ^v1\\.0/ ^goodbye/$", Some("/api/v1.0/goodbye/")),
        ("^a\\-b/c_d~$", Some("/a-b/c_d~")),
        ("^users/(?P<name>[^/]+)/$", Some("/users/{any}/")),
        ("^users/([^/]+)$", Some("/users/{any}")),
        ("^users/ ^[^/]+/edit/$", Some("/users/{any}/edit/")),
        ("^caf\u{e9}/$", Some("/caf\u{e9}/")),
        ("^users/(?P<id>\\d+)/$", None),
        ("^users/[0-9]+/$", None),
        ("^x[^/]+/$", None),
        ("^[^/]+x/$", None),
        ("^(?P<a>[^/]+)(?P<b>[^/]+)/$", None),
        ("^a.c/$", None),
        ("^a|b$", None),
        ("^(a|b)/$", None),
        ("^a?$", None),
        ("^.*$", None),
        ("^a\\d$", None),
        ("^a\\w$", None),
        ("^a\\", None),
        ("^a\\$", Some("/a$")),
        ("^a$ ^b$", None),
        ("^a{2}/$", None),
        ("^(?i)a/$", None),
        ("^a\\*b$", None),
        ("^a\\?b$", None),
        ("^a%20b$", None),
        ("hello/$", None),
        ("^a/ b/$", None),
        ("", None),
        ("A name of its own", None),
    ] {
        assert_eq!(path(name).as_deref(), expected, "{name}");
    }
}

fn dj(user: DjUser, entry_points: &[&str]) -> DjKey {
    let entry_points = entry_points.iter().map(|name| (*name).to_owned()).collect();
    DjKey { name: "483a570a".to_owned(), secret: Secret::new("0123456789abcdef0123456789abcdef"), user, entry_points }
}

#[test]
fn a_key_of_dj_api_auth_gets_its_entry_points_and_never_more() {
    let found = dj_key(dj(DjUser::Active("alice".to_owned()), &["^hello/$", "^users/(?P<id>\\d+)/$"]));
    let key = found.key.unwrap();
    assert_eq!((key.user.as_deref(), key.paths.len(), key.paths[0].as_str()), (Some("alice"), 1, "/hello/"));
    assert!(found.note.unwrap().contains("\\d+"));
    assert!(dj_key(dj(DjUser::Nobody, &["^hello/$"])).key.unwrap().user.is_none());
    for (user, entry_points, why) in [
        (DjUser::Nobody, &[][..], "no entry point"),
        (DjUser::Nobody, &["^\\d+$"], "cannot be said"),
        (DjUser::Nobody, &["^//$"], "cannot be said"),
        (DjUser::Inactive("eve".to_owned()), &["^hello/$"], "not active"),
        (DjUser::Unknown, &["^hello/$"], "auth_user"),
    ] {
        let error = dj_key(dj(user, entry_points)).key.unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}
