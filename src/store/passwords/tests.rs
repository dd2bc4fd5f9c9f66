use std::sync::atomic::Ordering;

use sqlx::Connection;

use super::super::HumanDuration;
use super::super::django::{self, DjangoUsers};
use super::super::htpasswd::Htpasswd;
use super::super::sources::Sources;
use super::super::sql::{Db, NewUser};
use super::*;
use crate::types::Report;

struct Fixture {
    db: Db,
    users: Users,
    passwords: Passwords,
    metrics: Arc<Metrics>,
    _dir: tempfile::TempDir,
}

impl Fixture {
    async fn verify(&self, name: &str, password: &str) -> Result<Option<Arc<Subject>>, Unavailable> {
        self.passwords.verify(&self.users, name, &Secret::new(password)).await
    }

    fn misses(&self) -> u64 {
        self.metrics.passwords.misses.load(Ordering::SeqCst)
    }
}

/// Alice with the password "hunter2 ü", remembered for `max_age` seconds.
async fn fixture(max_age: u64) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let aux = Handle::current();
    let db = Db::open(&format!("sqlite:{}/d.db", dir.path().display()), &aux).await.unwrap();
    let hash = hash_password(&Secret::new("hunter2 ü")).unwrap();
    let alice = NewUser { name: "alice".to_owned(), password_hash: hash, email: Some("a@example.com".to_owned()), groups: vec!["staff".to_owned()] };
    assert!(db.add_user(alice).await.unwrap());
    let age = HumanDuration::from_secs(max_age);
    let cache = CacheSettings { max_age: age, negative_max_age: age, ..CacheSettings::default() };
    let metrics = Arc::new(Metrics::default());
    let passwords = Passwords::new(&cache, &aux, &metrics).unwrap();
    Fixture { users: Users::new(db.clone()), db, passwords, metrics, _dir: dir }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_password_gives_the_users_facts_and_no_other_does() {
    let f = fixture(0).await;
    let subject = f.verify("alice", "hunter2 ü").await.unwrap().unwrap();
    assert_eq!((subject.user.as_str(), subject.email.as_deref()), ("alice", Some("a@example.com")));
    assert_eq!(subject.groups, ["staff"]);
    assert!(subject.scopes.is_empty() && subject.claims.is_empty() && subject.expires.is_none());
    for (name, password) in
        [("alice", ""), ("alice", "hunter2"), ("alice", "Hunter2 ü"), ("alice", "hunter2 ü "), ("Alice", "hunter2 ü"), ("bob", "hunter2 ü"), ("", "")]
    {
        assert!(f.verify(name, password).await.unwrap().is_none(), "{name:?} {password:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_user_does_not_get_in_with_the_right_password() {
    let f = fixture(0).await;
    f.db.set_disabled("alice", true).await.unwrap();
    assert!(f.verify("alice", "hunter2 ü").await.unwrap().is_none());
    f.db.set_disabled("alice", false).await.unwrap();
    assert!(f.verify("alice", "hunter2 ü").await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn right_and_wrong_are_both_remembered() {
    let f = fixture(3600).await;
    assert!(f.verify("alice", "hunter2 ü").await.unwrap().is_some());
    assert!(f.verify("alice", "wrong").await.unwrap().is_none());
    f.db.close().await;
    assert!(f.verify("alice", "hunter2 ü").await.unwrap().is_some());
    assert!(f.verify("alice", "wrong").await.unwrap().is_none());
    assert_eq!(f.misses(), 2);
    // What was not asked before is no "wrong password" now.
    assert!(f.verify("alice", "other").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_with_the_same_password_cost_one_hash() {
    let f = fixture(3600).await;
    // Far more than the pool would take one by one.
    let all = futures_util::future::join_all((0..500).map(|_| f.verify("alice", "hunter2 ü"))).await;
    assert!(all.into_iter().all(|answer| answer.unwrap().is_some()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_full_refuses_and_never_lets_in() {
    let f = fixture(0).await;
    let guesses: Vec<String> = (0..300).map(|n| format!("guess {n}")).collect();
    // No core is free, so that the queue fills whatever the machine's speed.
    let cores = u32::try_from(available_parallelism().map_or(1, usize::from)).unwrap();
    let held = f.passwords.cores.acquire_many(cores).await.unwrap();
    let flood = futures_util::future::join_all(guesses.iter().map(|guess| f.verify("alice", guess)));
    let release = async {
        while f.misses() < 300 {
            tokio::task::yield_now().await;
        }
        drop(held);
    };
    let (answers, ()) = tokio::join!(flood, release);
    let refused = answers.iter().filter(|answer| answer.is_err()).count();
    assert_eq!(refused, 300 - WAITING - cores as usize);
    assert!(answers.iter().flatten().all(Option::is_none));
    assert!(f.verify("alice", "hunter2 ü").await.unwrap().is_some(), "the queue has drained");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_is_wrong_without_being_hashed() {
    let f = fixture(0).await;
    assert!(f.verify("alice", &"a".repeat(MAX_PASSWORD_BYTES + 1)).await.unwrap().is_none());
    assert!(f.verify(&"a".repeat(256), "x").await.unwrap().is_none());
    assert_eq!(f.misses(), 0);
    assert!(f.verify("alice", &"a".repeat(MAX_PASSWORD_BYTES)).await.unwrap().is_none());
    assert_eq!(f.misses(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_hash_is_unavailable_and_not_wrong() {
    let f = fixture(0).await;
    for hash in [
        "",
        "plain",
        "$argon2id$v=19$m=19456,t=2,p=1",
        "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGlzIGhlcmU",
        "$unknown$v=1$m=1$aaaaaaaa$aaaaaaaaaaaaaaaa",
        "$argon2id$v=19$m=262145,t=1,p=1$bm9ib2R5IGlzIGhlcmU$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    ] {
        f.db.set_password_hash("alice", hash.to_owned()).await.unwrap();
        assert!(f.verify("alice", "hunter2 ü").await.is_err(), "{hash:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn name_and_password_do_not_run_into_each_other() {
    let f = fixture(0).await;
    let key = |name: &str, password: &str| f.passwords.cache_key(&f.users.now(), name, &Secret::new(password)).unwrap();
    assert_eq!(key("ab", "c"), key("ab", "c"));
    assert_ne!(key("ab", "c"), key("a", "bc"));
    assert_ne!(key("ab", ""), key("a", "b"));
    let other = Passwords::new(&CacheSettings::default(), &Handle::current(), &Arc::default()).unwrap();
    assert_ne!(key("ab", "c"), other.cache_key(&f.users.now(), "ab", &Secret::new("c")).unwrap(), "each process has its own key");
}

#[test]
fn nobodys_hash_costs_what_a_new_users_does() {
    let fresh = hash_password(&Secret::new("x")).unwrap();
    let Reading::Hash(fresh) = hash::read(Form::Store, &fresh).unwrap() else { panic!() };
    assert_eq!(fresh.kind(), hash::Kind::OF_STORE);
    assert!(judge(&fresh, None, &Secret::new("x")).unwrap().is_none(), "even where the password fits");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_unknown_to_the_store_costs_what_its_users_do() {
    let f = fixture(0).await;
    let cost = async |name: &str| {
        let asked = f.users.now();
        let (hash, user) = choose(&asked, asked.find(name).await.unwrap()).unwrap();
        (hash.kind(), user.map(|user| user.name))
    };
    assert_eq!(cost("alice").await, (hash::Kind::OF_STORE, Some("alice".to_owned())));
    assert_eq!(cost("nobody").await, (hash::Kind::OF_STORE, None));
    f.db.set_disabled("alice", true).await.unwrap();
    assert_eq!(cost("alice").await, (hash::Kind::OF_STORE, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_unknown_in_a_file_costs_what_most_of_its_users_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users");
    // By `htpasswd -nb -m` and -B -C 10.
    let [md5, bcrypt] = ["$apr1$fL0/jjOs$TgZenEfpPIR1pbKZB92j4.", "$2y$10$tAN3cmwK/I3XBuWrSCqxZuNFiAMj9VDTIP4wwu1O9kfLfjxWIvmca"];
    std::fs::write(&path, format!("a:{md5}\nb:{bcrypt}\nc:{bcrypt}\n")).unwrap();
    let file = Htpasswd::open(&Sources::default(), &path, &Handle::current(), &mut Report::default()).unwrap();
    let asked = Users::of_htpasswd(file).now();
    let cost = async |name: &str| choose(&asked, asked.find(name).await.unwrap()).unwrap().0.kind();
    assert_eq!(cost("b").await, hash::Kind::Bcrypt { cost: 10, of_sha256: false });
    assert_eq!(cost("nobody").await, cost("b").await);
    assert_eq!(cost("a").await, hash::Kind::Md5Crypt { apache: true });
    assert_eq!(cost("nobody").await, cost("b").await, "whoever came last");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_of_a_user_is_of_one_line_of_the_file() {
    let (f, dir) = (fixture(0).await, tempfile::tempdir().unwrap());
    let path = dir.path().join("users");
    let key = |text: &str, name: &str| {
        std::fs::write(&path, text).unwrap();
        let file = Htpasswd::open(&Sources::default(), &path, &Handle::current(), &mut Report::default()).unwrap();
        f.passwords.cache_key(&Users::of_htpasswd(file).now(), name, &Secret::new("x")).unwrap()
    };
    let [one, other] = ["a:$apr1$fL0/jjOs$TgZenEfpPIR1pbKZB92j4.\n", "a:{SHA}/Hrn08gEogcgvDjo5YNQSGibZVE=\n"];
    assert_eq!(key(one, "a"), key(&format!("# more\n{one}"), "a"), "others may change");
    assert_ne!(key(one, "a"), key(other, "a"));
    assert_ne!(key(one, "a"), key("", "a"));
    assert_ne!(key(one, "b"), f.passwords.cache_key(&f.users.now(), "b", &Secret::new("x")).unwrap(), "another place");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_unknown_to_django_or_has_no_password_costs_what_was_seen_last() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/d.db", dir.path().display());
    let mut writer = sqlx::SqliteConnection::connect(&format!("{url}?mode=rwc")).await.unwrap();
    let rows = "CREATE TABLE auth_user (username text, password text, is_active bool); INSERT INTO auth_user VALUES \
                ('alice', 'pbkdf2_sha256$600$Qk3vS0dJ1yZ2$46tXpyvhkMNdzgZwsIGTphqrGYOKJdEaszMWrpG8B0U=', 1), \
                ('eve', 'pbkdf2_sha1$700$Qk3vS0dJ1yZ2$xyFt6XQW/LZSgINU/ADWHURowqA=', 0), ('none', '!x', 1)";
    sqlx::raw_sql(rows).execute(&mut writer).await.unwrap();
    let table = django::Settings::default().table(&url, &mut Report::default()).unwrap();
    let asked = Users::of_django(Arc::new(DjangoUsers::new([1; 32], &table, &Handle::current()))).now();
    let cost = async |name: &str| {
        let (hash, user) = choose(&asked, asked.find(name).await.unwrap()).unwrap();
        (hash.kind(), user.is_some())
    };
    let of = |sha1: bool, iterations: u32| hash::Kind::Pbkdf2 { sha1, iterations: iterations.try_into().unwrap() };
    assert_eq!(cost("nobody").await, (hash::Kind::OF_DJANGO, false));
    assert_eq!(cost("none").await, (hash::Kind::OF_DJANGO, false));
    assert_eq!(cost("alice").await, (of(false, 600), true));
    assert_eq!(cost("nobody").await, (of(false, 600), false));
    assert_eq!(cost("eve").await, (of(true, 700), false), "who is not active pays as well");
    assert_eq!((cost("nobody").await, cost("none").await), ((of(true, 700), false), (of(true, 700), false)));
}

#[test]
fn passwords_that_no_client_could_send_are_not_taken() {
    assert!(matches!(hash_password(&Secret::new("")), Err(PasswordError::Empty)));
    assert!(matches!(hash_password(&Secret::new("a".repeat(1025))), Err(PasswordError::TooLong)));
    assert!(matches!(hash_password(&Secret::new("a\nb")), Err(PasswordError::NotText)));
    assert!(matches!(hash_password(&Secret::new(vec![0xff])), Err(PasswordError::NotText)));
    let (one, two) = (hash_password(&Secret::new("same")).unwrap(), hash_password(&Secret::new("same")).unwrap());
    assert!(one != two && one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
}
