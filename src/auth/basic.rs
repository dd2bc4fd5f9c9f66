//! User name and password, RFC 7617.
//!
//! ```text
//! Authorization: Basic base64( name ":" password )     UTF-8, padded, no control characters
//! ```
//!
//! An unknown user, a wrong password and a disabled user get the same answer, at what a user of that source usually costs. After some failures of a user, or
//! from an address, passwords that are not remembered are refused unseen for a while, each time for longer.

mod source;

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{AuthError, Challenge, CredentialNames, Identity, Refusal, Subject};
use crate::inbound::{Conn, Inbound};
use crate::store::Stores;
use crate::store::attempts::Who;
use crate::store::django;
use crate::store::passwords::{MAX_PASSWORD_BYTES, Passwords};
use crate::store::users::Users;
use crate::types::{Report, Secret};

/// The longest name, a colon and the longest password, in base64.
const MAX_BASE64_BYTES: usize = (255 + 1 + MAX_PASSWORD_BYTES).div_ceil(3) * 4;

/// `[auth.NAME.basic]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where users are looked up: `store`, `htpasswd:FILE` or `django:DATABASE-URL`. A secret because the URL may hold a
    /// password.
    users: Secret,
    /// More about the database, and about what is read there.
    django: Option<django::Settings>,
    /// What a browser shows when it asks for the password.
    #[serde(default = "default_realm")]
    realm: String,
}

fn default_realm() -> String {
    "doorward".to_owned()
}

/// The scheme.
#[derive(Debug)]
pub struct Basic {
    name: Arc<str>,
    users: Users,
    passwords: Passwords,
    stores: Arc<Stores>,
    challenge: HeaderValue,
}

impl Basic {
    /// Builds the scheme; reports what is wrong with the settings and returns `None` then.
    #[allow(clippy::needless_pass_by_value, reason = "every scheme takes its settings over")]
    pub fn build(name: &str, settings: Settings, stores: &Arc<Stores>, report: &mut Report) -> Option<Self> {
        let users = source::users(name, &settings, stores, report);
        let challenge = challenge(&settings.realm, report);
        Some(Self { name: name.into(), users: users?, passwords: stores.passwords.clone(), stores: Arc::clone(stores), challenge: challenge? })
    }

    /// Whether the request bears a credential of this scheme, and whose.
    pub async fn authenticate(&self, conn: &Conn, inbound: &mut Inbound) -> Result<Option<Identity>, AuthError> {
        let Some(value) = inbound.single(AUTHORIZATION).map_err(Refusal::Malformed)? else { return Ok(None) };
        let Some(login) = Login::parse(value)? else { return Ok(None) };
        let subject = self.verify(login, inbound.client_address(conn)).await?;
        Ok(Some(Identity { subject, scheme: Arc::clone(&self.name), query_credentials: &[] }))
    }

    /// How to ask for this scheme's credential.
    pub fn challenge(&self, _why: &Refusal) -> Challenge {
        Challenge(self.challenge.clone())
    }

    /// Where this scheme's credentials travel.
    pub fn credentials(&self) -> CredentialNames {
        CredentialNames { headers: vec![AUTHORIZATION], cookies: Vec::new() }
    }

    async fn verify(&self, login: Login, from: Option<IpAddr>) -> Result<Arc<Subject>, AuthError> {
        const WRONG: Refusal = Refusal::Wrong("the user is unknown or disabled, or the password is wrong");
        let Login { name, password } = login;
        // Who is known keeps coming in while somebody else guesses. The same mistake again is not another one.
        if let Some(answer) = self.passwords.remembered(&self.users, &name, &password)? {
            return answer.ok_or_else(|| WRONG.into());
        }
        let attempts = &self.stores.attempts;
        let who = || std::iter::once(Who::User(&name)).chain(from.map(Who::Address));
        for who in who() {
            if attempts.locked(who).await?.is_some() {
                return Err(Refusal::Wrong("the password was not looked at: this user or address failed too often").into());
            }
        }
        if let Some(subject) = self.passwords.verify(&self.users, &name, &password).await? {
            attempts.succeeded(Who::User(&name)).await?;
            return Ok(subject);
        }
        for who in who() {
            attempts.failed(who).await?;
        }
        Err(WRONG.into())
    }
}

/// What the header holds.
#[derive(Debug)]
struct Login {
    name: String,
    password: Secret,
}

impl Login {
    /// `None` for a credential of another scheme.
    fn parse(value: &str) -> Result<Option<Self>, Refusal> {
        let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
        if !scheme.eq_ignore_ascii_case("Basic") {
            return Ok(None);
        }
        let encoded = rest.trim_start_matches(' ');
        if encoded.len() > MAX_BASE64_BYTES {
            return Err(Refusal::Malformed("name and password are too long"));
        }
        // Padding and the bits after the last byte must be as RFC 4648 says: one text for each credential.
        let bytes = STANDARD.decode(encoded).map(Zeroizing::new).map_err(|_| Refusal::Malformed("not base64 with padding"))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| Refusal::Malformed("name and password are not UTF-8"))?;
        if text.chars().any(char::is_control) {
            return Err(Refusal::Malformed("a control character in name or password"));
        }
        let (name, password) = text.split_once(':').ok_or(Refusal::Malformed("no colon between name and password"))?;
        if !super::valid_user_name(name) {
            return Err(Refusal::Malformed("not a user's name"));
        }
        Ok(Some(Self { name: name.to_owned(), password: Secret::new(password) }))
    }
}

fn challenge(realm: &str, report: &mut Report) -> Option<HeaderValue> {
    let plain = !realm.is_empty() && realm.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\');
    let value = plain.then(|| HeaderValue::try_from(format!("Basic realm=\"{realm}\", charset=\"UTF-8\"")).ok()).flatten();
    if value.is_none() {
        report.error("realm", "the realm cannot be sent in a header", "write it in ASCII, without quotes and backslashes, such as \"doorward\"");
    }
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::runtime::Handle;

    use super::*;
    use crate::store::passwords::hash_password;
    use crate::store::sql::{Db, NewUser};
    use crate::store::{CacheSettings, Metrics};
    use crate::types::Severity;

    fn login(value: &str) -> Result<Option<(String, Vec<u8>)>, Refusal> {
        Login::parse(value).map(|login| login.map(|login| (login.name, login.password.expose().to_vec())))
    }

    fn header(text: impl AsRef<[u8]>) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[test]
    fn name_and_password_are_parted_at_the_first_colon() {
        let read = |name: &str, password: &str| Ok(Some((name.to_owned(), password.as_bytes().to_vec())));
        // RFC 7617 sections 2 and 2.1.
        assert_eq!(login("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), read("Aladdin", "open sesame"));
        assert_eq!(login("Basic dGVzdDoxMjPCow=="), read("test", "123£"));
        assert_eq!(login("bAsIc   QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), read("Aladdin", "open sesame"));
        assert_eq!(login(&header("a:b:c:")), read("a", "b:c:"));
        assert_eq!(login(&header("a:")), read("a", ""));
        assert_eq!(login(&header("zoë: ü ")), read("zoë", " ü "));
    }

    #[test]
    fn credentials_of_other_schemes_are_not_looked_at() {
        for value in ["", "Bearer x", "Basics QTpi", "Basic\tQTpi", "BasicQTpi", " Basic QTpi", "FOST a:b"] {
            assert_eq!(login(value), Ok(None), "{value}");
        }
    }

    #[test]
    fn what_is_not_of_the_form_is_malformed() {
        let texts: &[&[u8]] = &[b"nocolon", b":password", b"", b"a\0:b", b"a:b\n", b"a:\x7f", b"\xff:b", b"a:\xe9", b" a:b", b"a :b", b"\xc2\x85:b"];
        let mut values: Vec<String> = texts.iter().map(header).collect();
        values.extend(["\u{200b}a:b", "a\u{202e}:b"].map(header));
        values.push(header(format!("{}:x", "a".repeat(256))));
        values.push(header(format!("a:{}", "x".repeat(4000))));
        values.extend(["Basic", "Basic ", "Basic QTpi QTpi", "Basic QTpi,", "Basic QTpi\t", "Basic a:b", "Basic QTpiY"].map(str::to_owned));
        // Without padding, with too much of it, with bits left over, and base64url.
        values.extend(["Basic YTpiYg", "Basic YTpiYg=", "Basic YTpiYg===", "Basic YTpiYh==", "Basic YTr_fw=="].map(str::to_owned));
        for value in values {
            assert!(matches!(login(&value), Err(Refusal::Malformed(_))), "{value}");
        }
    }

    #[test]
    fn the_longest_name_and_password_still_fit() {
        let (name, password) = ("n".repeat(255), "p".repeat(MAX_PASSWORD_BYTES));
        assert_eq!(login(&header(format!("{name}:{password}"))), Ok(Some((name, password.into_bytes()))));
    }

    async fn fixture() -> (Basic, Db, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let aux = Handle::current();
        let db = Db::open(&format!("sqlite:{}/d.db", dir.path().display()), &aux).await.unwrap();
        for name in ["alice", "mallory"] {
            let password_hash = hash_password(&Secret::new("right")).unwrap();
            db.add_user(NewUser { name: name.to_owned(), password_hash, email: None, groups: Vec::new() }).await.unwrap();
        }
        db.set_disabled("mallory", true).await.unwrap();
        let passwords = Passwords::new(&CacheSettings::default(), &aux, &Arc::new(Metrics::default())).unwrap();
        let challenge = challenge("doorward", &mut Report::default()).unwrap();
        let stores = Stores::open(None, &CacheSettings::default(), aux, &mut Report::default()).await.unwrap();
        (Basic { name: "staff".into(), users: Users::new(db.clone()), passwords, stores, challenge }, db, dir)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn unknown_wrong_and_disabled_are_answered_alike() {
        let (scheme, db, _dir) = fixture().await;
        let login = |text: &str| Login::parse(&header(text)).unwrap().unwrap();
        assert_eq!(scheme.verify(login("alice:right"), None).await.unwrap().user, "alice");
        let mut answers = Vec::new();
        for text in ["alice:wrong", "alice:", "nobody:right", "mallory:right", "Alice:right"] {
            match scheme.verify(login(text), None).await {
                Err(AuthError::Refused(refusal)) => answers.push(refusal),
                other => panic!("{text}: {other:?}"),
            }
        }
        assert!(answers.iter().all(|answer| *answer == answers[0] && answer.code() == "credentials_wrong"), "{answers:?}");
        db.close().await;
        assert!(matches!(scheme.verify(login("alice:other"), None).await, Err(AuthError::Unavailable(_))));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_failed_often_is_refused_unseen_and_who_is_remembered_keeps_coming_in() {
        let (scheme, _db, _dir) = fixture().await;
        let from = Some(IpAddr::from([192, 0, 2, 7]));
        let unseen = Refusal::Wrong("the password was not looked at: this user or address failed too often");
        let guess = async |name: &str, at: u32| {
            let login = Login::parse(&header(format!("{name}:guess{at}"))).unwrap().unwrap();
            match scheme.verify(login, from).await {
                Err(AuthError::Refused(refusal)) => refusal == unseen,
                other => panic!("{name} {at}: {other:?}"),
            }
        };
        let right = || Login::parse(&header("alice:right")).unwrap().unwrap();
        assert!(scheme.verify(right(), from).await.is_ok());
        let mut looked_at = 0;
        while !guess("alice", looked_at).await {
            looked_at += 1;
            assert!(looked_at < 100, "every guess is looked at");
        }
        assert!(looked_at >= 5, "who mistypes does not notice it: {looked_at}");
        assert!(scheme.verify(right(), from).await.is_ok(), "who is remembered keeps coming in");
        assert!(!guess("mallory", 0).await, "another user from the same address is not held up yet");
        // A name that nobody has is held up as one that somebody has.
        let mut nobody = 0;
        while !guess("nobody", nobody).await {
            nobody += 1;
            assert!(nobody < 100, "every guess is looked at");
        }
    }

    #[test]
    fn the_challenge_names_realm_and_charset() {
        let value = challenge("Staff only, please", &mut Report::default()).unwrap();
        assert_eq!(value, "Basic realm=\"Staff only, please\", charset=\"UTF-8\"");
        for realm in ["", "a\"b", "a\\b", "a\nb", "a\u{7f}", "é"] {
            let mut report = Report::default();
            assert!(challenge(realm, &mut report).is_none() && report.problems()[0].key == "realm", "{realm:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn settings_that_name_no_place_of_users_are_reported_and_repeat_no_password() {
        let stores = Stores::open(None, &CacheSettings::default(), Handle::current(), &mut Report::default()).await.unwrap();
        for (text, key, expected) in [
            ("users = 'store'", "users", "[store]"),
            ("users = ''", "users", "htpasswd:FILE"),
            ("users = 'ldap:hunter2'", "users", "htpasswd:FILE"),
            ("users = 'htpasswd'", "users", "htpasswd:FILE"),
            ("users = 'htpasswd:'", "users", "htpasswd:FILE"),
            ("users = 'htpasswd:/nonexistent'", "users", "path"),
            ("users = 'htpasswd:/dev/null'", "users", "htpasswd writes"),
            ("users = 'django:'", "users", "url"),
            ("users = 'django:redis://hunter2@x/1'", "users", "url"),
            ("users = 'django:postgres://u@h'", "users", "KIND"),
            ("users = 'django:postgres://u:hunter2@h/d?sslmode=x'", "users", "sslmode"),
            ("users = 'django:sqlite:/x'\ndjango = { password = 'hunter2' }", "users", "password"),
            ("users = 'django:postgres://u@h/d'\ndjango = { password_env = 'DOORWARD_SURELY_UNSET' }", "django.password_env", "set it"),
            ("users = 'django:postgres://u@h/d'\ndjango = { user_table = 'a b' }", "django.user_table", "as it stands"),
            ("users = 'django:postgres://u@h/d'\ndjango = { user_column = 'a.b' }", "django.user_column", "as it stands"),
            ("users = 'django:postgres://u@h/d'\ndjango = { max_connections = 0 }", "django.max_connections", "4"),
            ("users = 'store'\ndjango = {}", "django", "remove it"),
        ] {
            let mut report = Report::default();
            let settings: Settings = toml::from_str(text).unwrap();
            assert!(!format!("{settings:?}").contains("hunter2"));
            assert!(Basic::build("x", settings, &stores, &mut report).is_none() || report.has_errors(), "{text}");
            let found = report.problems().iter().find(|problem| problem.key == key && problem.severity == Severity::Error);
            assert!(found.is_some_and(|problem| problem.remedy.contains(expected)), "{text}: {report:?}");
            assert!(!format!("{report:?}").contains("hunter2"), "{report:?}");
        }
        assert_eq!(toml::from_str::<Settings>("users = 'store'").unwrap().realm, "doorward");
        for text in ["realm = 'x'", "users = 'store'\nuser = 1", "users = 'django:x'\ndjango = { query = 'x' }"] {
            assert!(toml::from_str::<Settings>(text).is_err(), "{text}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_password_in_the_url_is_warned_of_and_one_in_a_file_is_not() {
        let stores = Stores::open(None, &CacheSettings::default(), Handle::current(), &mut Report::default()).await.unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter2\n").unwrap();
        let beside = format!(
            "users = 'django:postgres://u@127.0.0.1/d'\ndjango = {{ password_file = {:?}, groups = true, email_column = 'email' }}",
            file.path()
        );
        for (text, warnings) in [("users = 'django:postgres://u:hunter2@127.0.0.1/d'", 1), (beside.as_str(), 0)] {
            let mut report = Report::default();
            assert!(Basic::build("x", toml::from_str(text).unwrap(), &stores, &mut report).is_some(), "{report:?}");
            assert_eq!(report.problems().len(), warnings, "{report:?}");
        }
    }

    proptest! {
            #[test]
            fn whatever_is_sent_only_names_that_can_be_told_come_out(bytes in prop::collection::vec(any::<u8>(), 0..40), raw in ".{0,40}") {
                for value in [header(&bytes), format!("Basic {raw}"), raw] {
                    if let Ok(Some((name, password))) = login(&value) {
                        prop_assert!(crate::auth::valid_user_name(&name));
    let again = header([name.as_bytes(), b":", &password].concat());
                        prop_assert_eq!(again.trim_start_matches("Basic "), value.split_once(' ').unwrap().1.trim_start());
                    }
                }
            }
        }
}
