//! What `[cache] shared` says: where the shared store is.
//!
//! ```text
//! redis://[USER[:PASSWORD]@]HOST[:6379][/DB]                          one server
//! rediss://…                                                          the same over TLS
//! unix:/PATH[?db=DB]                                                  one server on this machine
//! redis+sentinel://[USER[:PASSWORD]@]HOST[:26379],…/MASTER[/DB]       whichever server the Sentinels name; rediss+sentinel for TLS
//! redis+cluster://[USER[:PASSWORD]@]HOST[:6379],…                     a Cluster, by some of its nodes; rediss+cluster for TLS
//! ```
//!
//! `valkey` may stand for `redis` in each. User and password are percent-encoded; an IPv6 address stands in brackets.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use crate::types::Secret;

const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// Where a server is.
pub(super) type Node = (String, u16);

/// What there is at the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    One(Node),
    Unix(PathBuf),
    Sentinel { sentinels: Vec<Node>, master: String },
    Cluster(Vec<Node>),
}

/// An address, and as whom to log in there.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) place: Place,
    pub(super) tls: bool,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) db: i64,
}

/// Reads an address. The error says what is wrong, and nothing of what stands there: it may be a password.
pub(super) fn parse(text: &str) -> Result<Address, &'static str> {
    if let Some(path) = text.strip_prefix("unix:") {
        return unix(path.strip_prefix("//").unwrap_or(path));
    }
    let (scheme, rest) = text.split_once("://").ok_or("it does not begin with redis://, rediss://, redis+sentinel://, redis+cluster:// or unix:")?;
    let scheme = scheme.replace("valkey", "redis");
    let (tls, port) = match scheme.as_str() {
        "redis" | "redis+cluster" => (false, REDIS_PORT),
        "rediss" | "rediss+cluster" => (true, REDIS_PORT),
        "redis+sentinel" => (false, SENTINEL_PORT),
        "rediss+sentinel" => (true, SENTINEL_PORT),
        _ => return Err("it does not begin with redis://, rediss://, redis+sentinel://, redis+cluster:// or unix:"),
    };
    if rest.contains(['?', '#']) {
        return Err("it holds options, and there are none");
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, hosts) = authority.rsplit_once('@').map_or((None, authority), |(login, hosts)| (Some(login), hosts));
    let (user, password) = login.map_or(Ok((None, None)), credentials)?;
    let nodes = hosts.split(',').map(|host| node(host, port)).collect::<Result<Vec<Node>, _>>()?;
    let place = |place, path: &str| Ok(Address { place, tls, user, password, db: database(path)? });
    if scheme.ends_with("+sentinel") {
        let (master, db) = path.split_once('/').unwrap_or((path, ""));
        if master.is_empty() {
            return Err("it does not name the master that the Sentinels watch: …/MASTER or …/MASTER/DB");
        }
        return place(Place::Sentinel { sentinels: nodes, master: decoded(master)? }, db);
    }
    if scheme.ends_with("+cluster") {
        return if path.is_empty() { place(Place::Cluster(nodes), "") } else { Err("a Cluster has no databases by number") };
    }
    match <[Node; 1]>::try_from(nodes) {
        Ok([node]) => place(Place::One(node), path),
        Err(_) => Err("it names several servers; write redis+cluster:// or redis+sentinel://"),
    }
}

fn unix(text: &str) -> Result<Address, &'static str> {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    if !path.starts_with('/') {
        return Err("the path of a Unix socket begins with '/'");
    }
    let db = match query.split_once('=') {
        None if query.is_empty() => 0,
        Some(("db", db)) => database(db)?,
        _ => return Err("it holds options other than db"),
    };
    Ok(Address { place: Place::Unix(PathBuf::from(path)), tls: false, user: None, password: None, db })
}

fn credentials(text: &str) -> Result<(Option<String>, Option<Secret>), &'static str> {
    let (user, password) = text.split_once(':').map_or((text, None), |(user, password)| (user, Some(password)));
    let user = Some(decoded(user)?).filter(|user| !user.is_empty());
    let password = password.map(decoded).transpose()?.map(Zeroizing::new).filter(|password| !password.is_empty());
    Ok((user, password.map(|password| Secret::new(password.as_bytes()))))
}

fn node(text: &str, default_port: u16) -> Result<Node, &'static str> {
    const FORM: &str = "a host is written HOST or HOST:PORT, an IPv6 address in brackets";
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or(FORM)?,
        None => text.find(':').map_or((text, ""), |at| text.split_at(at)),
    };
    let good = if text.starts_with('[') {
        host.parse::<std::net::Ipv6Addr>().is_ok()
    } else {
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    };
    if !good {
        return Err(FORM);
    }
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => default_port,
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port.parse().map_err(|_| FORM)?,
        _ => return Err(FORM),
    };
    Ok((host.to_owned(), port))
}

fn database(text: &str) -> Result<i64, &'static str> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse::<u16>().map(i64::from).map_err(|_| "a database is named by its number, such as 0")
}

fn decoded(text: &str) -> Result<String, &'static str> {
    percent_decode_str(text).decode_utf8().map(std::borrow::Cow::into_owned).map_err(|_| "user, password and master are UTF-8, percent-encoded")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(host: &str, port: u16) -> Node {
        (host.to_owned(), port)
    }

    #[test]
    fn each_form_names_its_place() {
        let sentinel = |sentinels, master: &str| Place::Sentinel { sentinels, master: master.to_owned() };
        for (text, place, tls, db) in [
            ("redis://cache", Place::One(node("cache", 6379)), false, 0),
            ("redis://127.0.0.1:7000/3", Place::One(node("127.0.0.1", 7000)), false, 3),
            ("valkey://cache/", Place::One(node("cache", 6379)), false, 0),
            ("rediss://cache.example.com/0", Place::One(node("cache.example.com", 6379)), true, 0),
            ("valkeys://cache", Place::One(node("cache", 6379)), true, 0),
            ("redis://[::1]:6380/1", Place::One(node("::1", 6380)), false, 1),
            ("redis://[fd00::2]", Place::One(node("fd00::2", 6379)), false, 0),
            ("unix:/run/redis.sock", Place::Unix("/run/redis.sock".into()), false, 0),
            ("unix:///run/redis.sock?db=2", Place::Unix("/run/redis.sock".into()), false, 2),
            ("redis+sentinel://a,b:26380/mymaster", sentinel(vec![node("a", 26379), node("b", 26380)], "mymaster"), false, 0),
            ("rediss+sentinel://a/my%20master/4", sentinel(vec![node("a", 26379)], "my master"), true, 4),
            ("redis+cluster://a:7001,b", Place::Cluster(vec![node("a", 7001), node("b", 6379)]), false, 0),
            ("rediss+cluster://a", Place::Cluster(vec![node("a", 6379)]), true, 0),
        ] {
            let address = parse(text).unwrap_or_else(|problem| panic!("{text}: {problem}"));
            assert_eq!((address.place, address.tls, address.db), (place, tls, db), "{text}");
            assert!(address.user.is_none() && address.password.is_none());
        }
    }

    #[test]
    fn user_and_password_are_decoded_and_never_shown() {
        for (text, user, password) in [
            ("redis://:s3cret%40x@cache", None, Some("s3cret@x")),
            ("redis://door@cache", Some("door"), None),
            ("redis://door:s3cret@x@cache", Some("door"), Some("s3cret@x")),
            ("redis+cluster://door:s3cret@a,b", Some("door"), Some("s3cret")),
            ("redis+sentinel://:s3cret@a/m", None, Some("s3cret")),
        ] {
            let address = parse(text).unwrap();
            assert_eq!((address.user.as_deref(), address.password.as_ref().map(Secret::expose)), (user, password.map(str::as_bytes)), "{text}");
            assert!(!format!("{address:?}").contains("s3cret"));
        }
    }

    #[test]
    fn whatever_has_another_form_is_refused() {
        for text in [
            "",
            "cache:6379",
            "http://cache",
            "redis:/cache",
            "redis://",
            "redis:///0",
            "redis://cache:",
            "redis://cache:+1",
            "redis://cache:65536",
            "redis://cache:1:2",
            "redis://::1",
            "redis://[::1",
            "redis://[cache]",
            "redis://[::1]x",
            "redis://a,b",
            "redis://cache/x",
            "redis://cache/-1",
            "redis://cache/0/1",
            "redis://cache?db=1",
            "redis://cache#0",
            "redis://ca che",
            "redis://:%ff@cache",
            "redis+sentinel://a",
            "redis+sentinel://a/",
            "redis+sentinel://a//0",
            "redis+sentinel://a,/m",
            "redis+cluster://a/0",
            "redis+cluster://,a",
            "unix:redis.sock",
            "unix:/run/redis.sock?x=1",
            "unix:/run/redis.sock?db=x",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "(redis|rediss|redis\\+sentinel|redis\\+cluster|unix)?:?/{0,3}[\\PC]{0,40}") {
            let _ = parse(&text);
        }

        #[test]
        fn no_problem_repeats_what_stands_there(password in "[a-z]{12,20}") {
            for text in [format!("redis://:{password}@a b"), format!("http://:{password}@cache"), format!("redis://x:{password}")] {
                prop_assert!(!parse(&text).err().unwrap_or_default().contains(&password));
            }
        }
    }
}
