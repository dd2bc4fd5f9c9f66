//! What Doorward keeps itself, the same on SQLite, PostgreSQL and MariaDB.

use std::sync::Arc;

use doorward::store::CacheSettings;
use doorward::store::keys::{ApiKey, Keys};
use doorward::store::sql::{Db, NewUser, Rotation};
use doorward::store::tokens::{Tokens, issue};
use doorward::store::users::Users;
use doorward::types::{HumanDuration, Secret};
use tokio::runtime::Handle;

use crate::support::databases::{Database, Kind};
use crate::support::now;

/// An empty store on each kind of database.
async fn stores() -> Vec<(Database, Db)> {
    let mut all = Vec::new();
    for kind in Kind::ALL {
        let database = Database::fresh(kind).await;
        let db = Db::open(&database.url, &Handle::current()).await.unwrap();
        all.push((database, db));
    }
    all
}

/// Nothing is remembered.
fn cache() -> CacheSettings {
    let none = HumanDuration::from_secs(0);
    CacheSettings { max_age: none, negative_max_age: none, ..CacheSettings::default() }
}

fn keys(db: &Db) -> Keys {
    Keys::new(db.clone(), &cache(), &Handle::current(), &Arc::default())
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn plain(name: &str) -> ApiKey {
    ApiKey { name: name.to_owned(), secret: Some(Secret::new("s3cret")), ..ApiKey::default() }
}

/// Names that a careless database takes for `aspnet`.
const ALIKE: [&str; 8] = ["Aspnet", "ASPNET", "aspnet ", "aspnet\0", "äspnet", "aspne_", "aspnet\t", "' OR 1=1 --"];

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_found_as_it_was_added_and_only_by_its_exact_name() {
    for (database, db) in stores().await {
        let key = ApiKey {
            name: "aspnet".to_owned(),
            secret: Some(Secret::new([0, 255, 128, 39, 92])),
            next_secret: Some(Secret::new("x".repeat(4096))),
            user: Some("Zoë 🚪".to_owned()),
            groups: vec!["with blank".to_owned(), "'\"\\%_?$1".to_owned()],
            scopes: words("read write"),
            algorithms: words("hmac-sha1 hmac-sha256"),
            impersonate: true,
            paths: vec!["/api/**".parse().unwrap(), "/u/{id}".parse().unwrap()],
            not_before: Some(-5),
            expires: Some(i64::MAX),
            ..ApiKey::default()
        };
        assert!(db.add_key(&key).await.unwrap());
        let found = keys(&db).find("aspnet").await.unwrap().unwrap();
        let bytes = |secret: &Option<Secret>| secret.as_ref().unwrap().expose().to_vec();
        assert_eq!((bytes(&found.secret), bytes(&found.next_secret)), (bytes(&key.secret), bytes(&key.next_secret)));
        assert_eq!((&found.user, &found.groups, &found.scopes, &found.algorithms), (&key.user, &key.groups, &key.scopes, &key.algorithms));
        assert_eq!((found.impersonate, &found.paths, found.not_before, found.expires), (true, &key.paths, key.not_before, key.expires));
        assert!(found.public_key.is_none() && found.next_public_key.is_none());
        for name in ALIKE {
            assert!(keys(&db).find(name).await.unwrap().is_none(), "{:?}: {name:?}", database.kind);
        }
        let public =
            ApiKey { name: "Aspnet".to_owned(), public_key: Some("PEM".repeat(3000)), next_public_key: Some("é".to_owned()), ..ApiKey::default() };
        assert!(db.add_key(&public).await.unwrap(), "{:?}: it is another name", database.kind);
        let found = keys(&db).find("Aspnet").await.unwrap().unwrap();
        assert_eq!((&found.public_key, &found.next_public_key, found.secret.is_none()), (&public.public_key, &public.next_public_key, true));
        let listed = db.list_keys().await.unwrap();
        assert_eq!(listed.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["Aspnet", "aspnet"]);
        assert_eq!(
            listed.iter().map(|key| (key.has_secret, key.has_public_key, key.rotating)).collect::<Vec<_>>(),
            [(false, true, true), (true, false, true)]
        );
        assert_eq!(
            (&listed[1].groups, &listed[1].paths, listed[1].expires, listed[1].last_used),
            (&key.groups, &words("/api/** /u/{id}"), key.expires, None)
        );
        assert!((now() - 60..=now()).contains(&listed[0].created));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_given_once_also_after_its_key_was_revoked_and_may_be_given_again_on_purpose() {
    for (_database, db) in stores().await {
        assert!(db.add_key(&plain("a")).await.unwrap());
        assert!(!db.add_key(&plain("a")).await.unwrap());
        assert!(db.revoke_key("a").await.unwrap());
        assert!(!db.revoke_key("a").await.unwrap() && !db.revoke_key("none").await.unwrap());
        assert!(keys(&db).find("a").await.unwrap().is_none());
        assert!(!db.add_key(&plain("a")).await.unwrap());
        assert!(!db.set_key_disabled("a", false).await.unwrap(), "revoked is for ever");
        let listed = db.list_keys().await.unwrap();
        assert!(listed.len() == 1 && listed[0].revoked.is_some());
        assert!(db.replace_key(&ApiKey { groups: words("new"), ..plain("a") }).await.unwrap());
        assert!(!db.replace_key(&plain("b")).await.unwrap());
        assert_eq!(keys(&db).find("a").await.unwrap().unwrap().groups, ["new"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_key_is_none_until_it_is_enabled() {
    for (_database, db) in stores().await {
        db.add_key(&plain("a")).await.unwrap();
        for _ in 0..2 {
            assert!(db.set_key_disabled("a", true).await.unwrap());
            assert!(keys(&db).find("a").await.unwrap().is_none() && db.list_keys().await.unwrap()[0].disabled);
        }
        assert!(db.set_key_disabled("a", false).await.unwrap() && !db.set_key_disabled("b", true).await.unwrap());
        assert!(keys(&db).find("a").await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_accepts_both_until_it_is_finished() {
    for (_database, db) in stores().await {
        db.add_key(&plain("a")).await.unwrap();
        db.add_key(&ApiKey { secret: None, public_key: Some("1".to_owned()), ..plain("p") }).await.unwrap();
        assert_eq!(db.finish_rotation("a").await.unwrap(), Rotation::NotNow);
        assert_eq!(db.begin_rotation("a", Secret::new("next")).await.unwrap(), Rotation::Done);
        assert_eq!(db.begin_rotation("a", Secret::new("another")).await.unwrap(), Rotation::NotNow);
        let key = keys(&db).find("a").await.unwrap().unwrap();
        assert_eq!((key.secret.as_ref().unwrap().expose(), key.next_secret.as_ref().unwrap().expose()), (&b"s3cret"[..], &b"next"[..]));
        assert_eq!(db.finish_rotation("a").await.unwrap(), Rotation::Done);
        let key = keys(&db).find("a").await.unwrap().unwrap();
        assert_eq!((key.secret.as_ref().unwrap().expose(), key.next_secret.is_none()), (&b"next"[..], true));
        // A secret is no public key, nor the other way round.
        assert_eq!(db.begin_rotation("p", Secret::new("x")).await.unwrap(), Rotation::NotNow);
        assert_eq!(db.begin_public_rotation("a", "2".to_owned()).await.unwrap(), Rotation::NotNow);
        assert_eq!(db.begin_public_rotation("p", "2".to_owned()).await.unwrap(), Rotation::Done);
        assert_eq!(db.finish_rotation("p").await.unwrap(), Rotation::Done);
        let key = keys(&db).find("p").await.unwrap().unwrap();
        assert_eq!((key.public_key.as_deref(), key.next_public_key.is_none()), (Some("2"), true));
        db.revoke_key("a").await.unwrap();
        assert_eq!(db.begin_rotation("a", Secret::new("x")).await.unwrap(), Rotation::NoSuchKey);
        assert_eq!(db.finish_rotation("none").await.unwrap(), Rotation::NoSuchKey);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_their_users_are_the_same_everywhere() {
    for (database, db) in stores().await {
        let tokens = Tokens::new(db.clone(), &cache(), &Handle::current(), &Arc::default());
        let user =
            |name: &str| NewUser { name: name.to_owned(), password_hash: "$x".to_owned(), email: Some("a@b".to_owned()), groups: words("g h") };
        assert!(db.add_user(user("alice")).await.unwrap() && !db.add_user(user("alice")).await.unwrap());
        assert!(db.add_user(user("Alice")).await.unwrap(), "{:?}: it is another name", database.kind);
        let good = issue(&db, "alice", &words("read write"), 3600).await.unwrap();
        let other = issue(&db, "alice ", &[], -10).await.unwrap();
        let found = tokens.find(&good.token).await.unwrap().unwrap();
        assert_eq!(
            (found.user.as_str(), &found.scopes, &found.groups, found.email.as_deref()),
            ("alice", &words("read write"), &words("g h"), Some("a@b"))
        );
        assert_eq!(found.expires, Some(good.expires));
        let found = tokens.find(&other.token).await.unwrap().unwrap();
        assert_eq!((found.user.as_str(), found.groups.len(), found.expires), ("alice ", 0, Some(other.expires)), "{:?}", database.kind);
        assert!(tokens.find(&good.token.to_uppercase()).await.unwrap().is_none());
        assert!(db.set_disabled("alice", true).await.unwrap());
        assert!(tokens.find(&good.token).await.unwrap().is_none() && tokens.find(&other.token).await.unwrap().is_some());
        assert!(db.set_disabled("alice", false).await.unwrap());
        assert!(db.revoke_token(&good.id).await.unwrap() && !db.revoke_token(&good.id).await.unwrap());
        assert!(tokens.find(&good.token).await.unwrap().is_none());
        assert_eq!(db.list_tokens().await.unwrap().len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_the_same_everywhere_and_only_by_their_exact_name() {
    for (database, db) in stores().await {
        let users = Users::new(db.clone());
        let new = |name: &str| NewUser { name: name.to_owned(), password_hash: "$x".to_owned(), email: None, groups: vec!["a b".to_owned()] };
        assert!(db.add_user(new("aspnet")).await.unwrap() && db.add_user(new("Zoë 🚪")).await.unwrap());
        for name in ALIKE {
            assert!(users.find(name).await.unwrap().is_none(), "{:?}: {name:?}", database.kind);
        }
        let user = users.find("Zoë 🚪").await.unwrap().unwrap();
        assert_eq!((user.password_hash.expose(), user.email, user.groups, user.disabled), (&b"$x"[..], None, vec!["a b".to_owned()], false));
        assert!(db.set_password_hash("Zoë 🚪", "$y".to_owned()).await.unwrap() && !db.set_password_hash("zoë 🚪", "$z".to_owned()).await.unwrap());
        assert!(db.set_disabled("Zoë 🚪", true).await.unwrap() && db.set_disabled("Zoë 🚪", true).await.unwrap());
        let user = users.find("Zoë 🚪").await.unwrap().unwrap();
        assert_eq!((user.password_hash.expose(), user.disabled), (&b"$y"[..], true));
        let listed: Vec<_> = db.list_users().await.unwrap().into_iter().map(|user| (user.name, user.disabled)).collect();
        assert_eq!(listed, [("Zoë 🚪".to_owned(), true), ("aspnet".to_owned(), false)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_an_error_and_never_cut_off() {
    for (database, db) in stores().await {
        let name = "a".repeat(300);
        match db.add_key(&plain(&name)).await {
            Ok(added) => assert!(added && db.key(&name).await.unwrap().unwrap().name == name),
            Err(_) => assert_eq!(database.kind, Kind::Mysql),
        }
        assert!(db.key(&name[..255]).await.unwrap().is_none());
        assert!(db.add_key(&plain("one")).await.unwrap(), "the connection is as good as before");
    }
}
