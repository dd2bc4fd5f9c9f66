//! What a URL may say, and what is said of it.

use super::*;

fn place(url: &str) -> Place {
    Place::parse(url, None).unwrap_or_else(|error| panic!("{url}: {error}"))
}

/// The mode of TLS that is asked for, by its name with PostgreSQL.
fn mode(place: &Place) -> &'static str {
    match &place.target {
        Target::Sqlite(_) => "none",
        Target::Postgres(options) => match options.get_ssl_mode() {
            PgSslMode::Disable => "disable",
            PgSslMode::Allow => "allow",
            PgSslMode::Prefer => "prefer",
            PgSslMode::Require => "require",
            PgSslMode::VerifyCa => "verify-ca",
            PgSslMode::VerifyFull => "verify-full",
        },
        Target::Mysql(options) => match options.get_ssl_mode() {
            MySqlSslMode::Disabled => "disable",
            MySqlSslMode::Preferred => "prefer",
            MySqlSslMode::Required => "require",
            MySqlSslMode::VerifyCa => "verify-ca",
            MySqlSslMode::VerifyIdentity => "verify-full",
        },
    }
}

#[test]
fn another_machine_is_verified_unless_the_url_says_otherwise_which_is_weak() {
    for (host, query, expected, weak) in [
        ("db.example.com", "", "verify-full", false),
        ("10.0.0.5:6000", "", "verify-full", false),
        ("localhost", "", "prefer", false),
        ("127.0.0.1", "", "prefer", false),
        ("127.9.9.9:1", "", "prefer", false),
        ("[::1]", "", "prefer", false),
        ("localhost.example.com", "", "verify-full", false),
        ("127.0.0.1.example.com", "", "verify-full", false),
        ("[2001:db8::1]", "", "verify-full", false),
        ("db", "?sslmode=verify-ca", "verify-ca", false),
        ("db", "?ssl-mode=VERIFY_IDENTITY", "verify-full", false),
        ("db", "?sslmode=require", "require", true),
        ("db", "?ssl-mode=REQUIRED", "require", true),
        ("db", "?sslmode=prefer", "prefer", true),
        ("db", "?sslmode=disable", "disable", true),
        ("127.0.0.1", "?sslmode=disable", "disable", false),
        ("127.0.0.1", "?sslmode=verify-full", "verify-full", false),
    ] {
        for kind in ["postgres", "postgresql", "mysql", "mariadb"] {
            let place = place(&format!("{kind}://u@{host}/d{query}"));
            assert_eq!((mode(&place), place.weakness().is_some()), (expected, weak), "{kind} {host} {query}");
        }
    }
    for url in ["postgres://u@%2Frun%2Fpostgresql/d", "postgres://u@h/d?host=/run/postgresql", "mysql://u@localhost/d?socket=/run/m.sock"] {
        assert_eq!((mode(&place(url)), place(url).weakness().is_some()), ("disable", false), "{url}");
    }
}

#[test]
fn what_is_shown_of_a_url_has_neither_user_nor_password_nor_options() {
    for (url, shown) in [
        ("postgres://alice:hunter2@db.example.com:6000/d?sslmode=disable", "postgres://db.example.com:6000/d"),
        ("mariadb://alice:hunter2@db/d", "mysql://db/d"),
        ("postgres://alice:hunter2@%2Frun%2Fpg/d", "postgres:///run/pg/d"),
        ("sqlite:/a/b.db", "/a/b.db"),
    ] {
        let place = place(url);
        assert_eq!((place.to_string().as_str(), format!("{place:?}").as_str()), (shown, shown));
    }
}

#[test]
fn names_and_passwords_are_decoded() {
    let Target::Postgres(options) = place("postgres://al%40ice:p%2Fw%23d@h/d%20b").target else { panic!("another kind") };
    assert_eq!((options.get_username(), options.get_database()), ("al@ice", Some("d b")));
    assert!(format!("{options:?}").contains("p/w#d"));
    let beside = Secret::new("hunter2");
    let Target::Mysql(options) = Place::parse("mysql://u@h/d", Some(&beside)).unwrap().target else { panic!("another kind") };
    assert!(format!("{options:?}").contains("hunter2"));
}

#[test]
fn a_mistake_in_a_url_is_said_without_the_password() {
    let beside = Secret::new("hunter2");
    for (url, password, expected) in [
        ("postgres://db/d", None, "no user"),
        ("postgres://:hunter2@db/d", None, "no user"),
        ("postgres://u:hun#ter2@db/d", None, "cannot be read"),
        ("postgres://u:1#hunter2@db/d", None, "percent-encode"),
        ("postgres://u:12/hunter2@db/d", None, "no user"),
        ("postgres://u:1?hunter2@db/d", None, "no user"),
        ("postgres://u:hun/ter2@db/d", None, "cannot be read"),
        ("postgres://u:hunter2@db", None, "no database"),
        ("postgres://u:hunter2@db/", None, "no database"),
        ("postgres://u:hunter2@db/a/b", None, "no database"),
        ("postgres://u:hunter2@/d", None, ""),
        ("postgres://u:hunter2@db:99999/d", None, "cannot be read"),
        ("postgres://u:%ff@db/d", None, "UTF-8"),
        ("postgres://u:hunter2@db/d", Some(&beside), "twice"),
        ("postgres://u:hunter2@db/d?sslmod=disable", None, "\"sslmod\""),
        ("postgres://u:hunter2@db/d?sslmode=yes", None, "unknown mode"),
        ("postgres://u:hunter2@db/d?sslmode=", None, "unknown mode"),
        ("postgres://u:hunter2@db/d?sslrootcert=/no/such/file", None, "cannot be read"),
        ("postgres://u:hunter2@db/d?socket=/x", None, "\"socket\""),
        ("mysql://u:hunter2@db/d?host=/x", None, "\"host\""),
        ("mysql://u:hunter2@db/d?statement-cache-capacity=x", None, "no number"),
        ("oracle://u:hunter2@db/d", None, "\"oracle\" is not supported"),
        ("u:hunter2@db/d", None, "not supported"),
        ("hunter2", None, "not supported"),
        ("sqlite:a.db", Some(&beside), "no password"),
    ] {
        let error = Place::parse(url, password).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("hunter2") && !error.contains("ter2"), "{url}: {error}");
    }
}
