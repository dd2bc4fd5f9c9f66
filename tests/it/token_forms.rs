//! Where a token may stand in a request, and that it stands nowhere any more when the application sees it.

use crate::support::client::BOTH;
use crate::support::gateway::Gateway;
use crate::support::introspection::Introspection;
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;

struct Place {
    gate: Gateway,
    upstream: Upstream,
    _server: Introspection,
}

async fn place(form: &str) -> Place {
    let (upstream, server) = (Upstream::echo(), Introspection::start());
    server.gives("tok+/=~.-_", "alice");
    server.gives("other", "bob");
    let ask = format!(
        "source = \"introspection\"\nintrospection_url = \"{}\"\nclient_id = \"gate\"\nclient_secret_file = \"secrets/client\"",
        server.url()
    );
    let setup = Setup::new(&upstream.url()).file("secrets/client", "secret").rest(&format!("[auth.remote.token]\n{ask}\n{form}"));
    let setup = setup.rest("[auth.staff.basic]\nusers = \"store\"").route("/t/**", &["remote", "staff"]).public("/public/**");
    setup.cli_ok(&["user", "add", "carol", "--password-stdin"], "a password of some length\n");
    let forwarding = setup.rest("[[route]]\npath = \"/f/**\"\naccept = [\"remote\"]\nforward_credentials = true");
    Place { gate: forwarding.start().await, upstream, _server: server }
}

impl Place {
    /// What becomes of a request, over both protocols: its status, and what the application saw of the target and the token.
    async fn send(&self, target: &str, headers: &[(&str, &str)]) -> (u16, Option<String>) {
        let mut outcomes = Vec::new();
        for proto in BOTH {
            let call = headers.iter().fold(self.gate.get(target).proto(proto), |call, (name, value)| call.header(name, *value));
            let status = call.send().await.status.as_u16();
            let seen = self.upstream.take();
            let seen = seen.first().map(|seen| {
                assert!(!seen.lines.iter().any(|line| line.contains("tok+/=~.-_")), "{:#?}", seen.lines);
                seen.target.clone()
            });
            outcomes.push((status, seen));
        }
        assert_eq!(outcomes[0], outcomes[1], "{target} {headers:?}");
        outcomes.remove(0)
    }

    async fn passes(&self, target: &str, headers: &[(&str, &str)]) -> bool {
        match self.send(target, headers).await {
            (200, Some(_)) => true,
            (401, None) => false,
            other => panic!("{target} {headers:?}: {other:?}"),
        }
    }
}

const T: &str = "tok+/=~.-_";
const IN_QUERY: &str = "access_token=tok%2B%2F%3D~.-_";

#[tokio::test]
async fn a_token_stands_behind_one_of_the_configured_words_or_none() {
    for (form, good, bad) in [
        ("", vec!["Bearer", "bearer", "BEARER"], vec!["Token", "JWT", ""]),
        ("prefix = [\"JWT\", \"Bearer\"]", vec!["JWT", "jwt", "Bearer"], vec!["Token", ""]),
        ("prefix = \"Token\"", vec!["Token", "tOKEN"], vec!["Bearer", ""]),
        ("prefix = \"\"", vec![""], vec!["Bearer", "Token"]),
        ("prefix = [\"\", \"Bearer\"]", vec!["", "Bearer"], vec!["Token"]),
    ] {
        let place = place(form).await;
        let value = |word: &str| if word.is_empty() { T.to_owned() } else { format!("{word} {T}") };
        for word in good {
            assert!(place.passes("/t/x", &[("Authorization", &value(word))]).await, "{form:?}: {word:?}");
        }
        for word in bad {
            assert!(!place.passes("/t/x", &[("Authorization", &value(word))]).await, "{form:?}: {word:?}");
        }
    }
}

#[tokio::test]
async fn a_token_stands_in_a_header_or_a_cookie_of_its_own_where_one_is_named() {
    let place = place("header = \"X-Access-Token\"\ncookie = \"tok\"").await;
    let cookie = format!("a=1; tok={T}; b=2");
    let bearer = format!("Bearer {T}");
    for headers in [
        vec![("X-Access-Token", T)],
        vec![("x-access-token", bearer.as_str())],
        vec![("Cookie", cookie.as_str())],
        vec![("Cookie", cookie.as_str()), ("X-Access-Token", T), ("Authorization", bearer.as_str())],
    ] {
        assert!(place.passes("/t/x", &headers).await, "{headers:?}");
    }
    for headers in [
        vec![("X-Access-Token", "other"), ("Authorization", bearer.as_str())],
        vec![("Cookie", "tok=other"), ("X-Access-Token", T)],
        vec![("X-Access-Token", T), ("X-Access-Token", T)],
        vec![("X-Token", T)],
        vec![("Cookie", "tok2=other")],
        vec![("Cookie", "tok=other; tok=other")],
    ] {
        assert!(!place.passes("/t/x", &headers).await, "{headers:?}");
    }
    // A credential of ours reaches no application, not even on a public route.
    assert_eq!(place.send("/public/x", &[("X-Access-Token", T), ("Cookie", &cookie)]).await.0, 200);
}

#[tokio::test]
async fn the_query_is_read_only_where_that_is_switched_on() {
    for form in ["", "header = \"access_token\"", "cookie = \"access_token\""] {
        let place = place(form).await;
        for target in [format!("/t/x?{IN_QUERY}"), format!("/t/x?access_token={T}"), format!("/t/x?a=1&{IN_QUERY}")] {
            assert!(!place.passes(&target, &[]).await, "{form:?} {target}");
        }
        // It is nothing to us then, and stays where it is.
        assert_eq!(place.send("/public/x?access_token=x", &[]).await, (200, Some("/public/x?access_token=x".to_owned())));
    }
}

#[tokio::test]
async fn a_token_in_the_query_is_taken_away_in_every_spelling_and_nothing_else_is() {
    let place = place("query_parameter = \"access_token\"").await;
    for (query, left) in [
        (IN_QUERY.to_owned(), "/t/x"),
        (format!("a=1&{IN_QUERY}&b=%20+;c&&d"), "/t/x?a=1&b=%20+;c&&d"),
        (format!("%61ccess_toke%6E={}&a=%ff", "tok%2b%2f%3d%7e.-_"), "/t/x?a=%ff"),
        (format!("Access_Token=z&{IN_QUERY}&access_token2=y"), "/t/x?Access_Token=z&access_token2=y"),
    ] {
        assert_eq!(place.send(&format!("/t/x?{query}"), &[]).await, (200, Some(left.to_owned())), "{query}");
    }
    for query in [
        format!("{IN_QUERY}&{IN_QUERY}"),
        format!("{IN_QUERY}&access_token="),
        format!("{IN_QUERY}&%61ccess_token=other"),
        "access_token=wrong".to_owned(),
        "access_token=".to_owned(),
        "access_token".to_owned(),
        "access_token=%ff".to_owned(),
        "access_token=a%20b".to_owned(),
        "access_token=a+b".to_owned(),
        "access_token=a%2Cb".to_owned(),
        "access_token=tok%00".to_owned(),
        format!("access_token={T}"),
        format!("access_token[]={T}"),
        format!("x={T};{IN_QUERY}"),
    ] {
        assert!(!place.passes(&format!("/t/x?{query}"), &[]).await, "{query}");
    }
}

#[tokio::test]
async fn a_token_in_the_query_and_another_credential_are_one_too_many() {
    let place = place("query_parameter = \"access_token\"\nheader = \"X-Access-Token\"").await;
    for (name, value) in [("Authorization", format!("Bearer {T}")), ("Authorization", "Bearer other".to_owned()), ("X-Access-Token", T.to_owned())] {
        assert!(!place.passes(&format!("/t/x?{IN_QUERY}"), &[(name, &value)]).await, "{name}: {value}");
        assert!(place.passes("/t/x?access_token=", &[(name, &value)]).await, "an empty one is none");
    }
}

#[tokio::test]
async fn a_token_in_the_query_reaches_no_application_whoever_lets_the_request_in() {
    let place = place("query_parameter = \"access_token\"").await;
    assert_eq!(place.send("/public/x?a=1&access_token=zzz", &[]).await, (200, Some("/public/x?a=1".to_owned())));
    // Unless the route says so.
    let said = place.gate.get(&format!("/f/x?{IN_QUERY}")).send().await;
    assert_eq!(said.status, 200);
    assert_eq!(place.upstream.only().target, format!("/f/x?{IN_QUERY}"));
    let unknown = crate::support::world::basic("carol", "a password of some length");
    // Nor does another credential stand in for a token that nobody knows.
    let call = place.gate.get("/t/x?access_token=zzz").headers(&unknown);
    assert_eq!(call.send().await.status, 401);
    assert_eq!(place.gate.get("/t/x").headers(&unknown).send().await.status, 200);
}
