//! Every scheme against everything that can be wrong with a credential, over both protocols: one table.

use std::collections::BTreeSet;

use crate::support::aws::Aws;
use crate::support::client::{BOTH, Call, Proto};
use crate::support::fost::{self, Fost};
use crate::support::gateway::Gateway;
use crate::support::gateways::Signer;
use crate::support::idp::{AUDIENCE, Key, Mood, Provider, claims_but};
use crate::support::kubernetes::{self, Cluster};
use crate::support::message_signature::{self, Signature};
use crate::support::pki::{Ca, uri};
use crate::support::s3::S3;
use crate::support::senders::{self, Sender};
use crate::support::setup::{HOST, Setup};
use crate::support::upstream::Upstream;
use crate::support::world::{PASSWORD, SCHEMES, World, basic, bearer};
use crate::support::{now, query_hmac};

/// All kinds that the binary knows; a test makes sure of that.
const KINDS: [&str; 12] = [
    "fost",
    "query-hmac",
    "s3-v2",
    "http-message-signature",
    "aws-v4",
    "http-signature",
    "webhook",
    "jwt",
    "token",
    "kubernetes-token-review",
    "basic",
    "client-certificate",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wrong {
    Nothing,
    Absent,
    Malformed,
    Forged,
    /// Over, or too far from our clock.
    Expired,
    /// Meant for somebody else: another audience, another path, another user's route.
    Elsewhere,
    /// Good, but its source cannot be asked.
    SourceDown,
}

const ALL: [Wrong; 7] = [Wrong::Nothing, Wrong::Absent, Wrong::Malformed, Wrong::Forged, Wrong::Expired, Wrong::Elsewhere, Wrong::SourceDown];

impl Wrong {
    fn expected(self, scheme: &str) -> u16 {
        match self {
            Self::Nothing => 200,
            // Its clients know 403 and a text.
            Self::Malformed | Self::Forged | Self::Expired | Self::Elsewhere if scheme == "query-hmac" => 403,
            Self::Absent | Self::Malformed | Self::Forged | Self::Expired | Self::Elsewhere => 401,
            Self::SourceDown => 503,
        }
    }
}

struct Table {
    gate: Gateway,
    upstream: Upstream,
    provider: Provider,
    cluster: Cluster,
    clients: Ca,
    key: Key,
    token: String,
    expired: String,
}

impl Table {
    async fn start(mood: Mood) -> Self {
        let (upstream, key) = (Upstream::echo(), Key::generate("k", "ES256"));
        let provider = Provider::start(&[&key]);
        // Before the gateway starts, as it may ask for the keys at once.
        let cluster = Cluster::start("own");
        cluster.mood(if mood == Mood::Well { kubernetes::Mood::Well } else { kubernetes::Mood::Down });
        provider.mood(mood);
        let clients = Ca::new("Clients");
        let mut setup = Setup::new(&upstream.url())
            .with("tls", "client_auth = \"optional\"\nclient_ca = \"clients.crt\"")
            .file("clients.crt", &clients.pem())
            .rest("[auth.client-certificate.client-certificate]\nuser_from = \"san-uri\"\nallow = [\"urn:web\"]")
            .file("sa/ca.crt", &cluster.ca.pem())
            .file("sa/token", "own")
            .rest(&format!(
                "[auth.kubernetes-token-review.kubernetes-token-review]\nurl = \"{}\"\nca_file = \"sa/ca.crt\"\nbearer_token_file = \"sa/token\"\naudience = \"{AUDIENCE}\"",
                cluster.url()
            ))
            .section("cache", "max_age = \"0s\"\nnegative_max_age = \"0s\"")
            .rest("[auth.fost.fost]\n[auth.query-hmac.query-hmac]\n[auth.s3-v2.s3-v2]")
            .rest("[auth.aws-v4.aws-v4]\nregion = \"eu-central-1\"\nservice = \"s3\"")
            .rest("[auth.http-message-signature.http-message-signature]\n[auth.http-signature.http-signature]")
            .rest("[auth.webhook.webhook]\npreset = \"stripe\"\nsecret_file = \"hook\"\npaths = [\"/webhook/x\"]")
            .rest("[auth.token.token]\nsource = \"store\"\n[auth.basic.basic]\nusers = \"store\"")
            .file("hook", senders::SECRET)
            .rest(&format!("[auth.jwt.jwt]\nissuer = \"{0}\"\njwks_url = \"{0}/jwks\"\naudience = [\"{AUDIENCE}\"]", provider.issuer()));
        for scheme in KINDS {
            setup = setup.route(&format!("/{scheme}/**"), &[scheme]);
        }
        let add = setup.cli_ok(&["key", "add", "aspnet", "--user", "webshop", "--json"], "");
        let secret = serde_json::from_str::<serde_json::Value>(&add).unwrap()["secret"].as_str().unwrap().to_owned();
        setup.write("secret", &secret);
        setup.cli_ok(&["user", "add", "bob", "--password-stdin"], &format!("{PASSWORD}\n"));
        let issue = |ttl: &str| {
            let issued = setup.cli_ok(&["token", "issue", "--user", "bob", "--ttl", ttl, "--json"], "");
            serde_json::from_str::<serde_json::Value>(&issued).unwrap()["token"].as_str().unwrap().to_owned()
        };
        let (token, expired) = (issue("1h"), issue("1s"));
        let over = now() + 1;
        crate::support::within("a token's end", async {
            while now() <= over + 1 {
                tokio::task::yield_now().await
            }
        })
        .await;
        Self { gate: setup.start().await, upstream, provider, cluster, clients, key, token, expired }
    }

    /// The request of one cell; `None` where a scheme has no such thing.
    fn call(&self, scheme: &str, wrong: Wrong) -> Option<Call> {
        let target = format!("/{scheme}/x");
        let secret = std::fs::read_to_string(self.gate.setup.path("secret")).unwrap();
        if scheme == "query-hmac" {
            return Some(self.gate.get(&query_signed(secret.trim(), wrong)));
        }
        if scheme == "webhook" {
            return delivery(&self.gate, wrong);
        }
        if scheme == "client-certificate" {
            return certified(&self.gate, &self.clients, &target, wrong);
        }
        let fost = Fost::new().key(fost::KEY, secret.trim());
        let s3 = S3::new().key(fost::KEY, secret.trim());
        let aws = Aws::s3().key(fost::KEY, secret.trim());
        let draft = Signer::new("draft").key(fost::KEY, secret.trim());
        let issuer = self.provider.issuer();
        let claims = claims_but("carol", "iss", issuer.clone().into());
        let with = |name: &str, value: serde_json::Value| {
            let mut claims = claims.clone();
            claims[name] = value;
            claims
        };
        let headers = match (scheme, wrong) {
            (_, Wrong::Absent) => Vec::new(),
            ("fost", Wrong::Nothing | Wrong::SourceDown) => fost.sign("GET", &target, b""),
            ("fost", Wrong::Malformed) => bearer("x").into_iter().map(|(name, _)| (name, "FOST nothing".to_owned())).collect(),
            ("fost", Wrong::Forged) => fost.key(fost::KEY, "guess").sign("GET", &target, b""),
            ("fost", Wrong::Expired) => fost.skewed(-1000).sign("GET", &target, b""),
            ("fost", Wrong::Elsewhere) => fost.sign("GET", "/fost/y", b""),
            ("s3-v2", Wrong::Nothing | Wrong::SourceDown) => s3.sign("GET", &target, None),
            ("s3-v2", Wrong::Malformed) => vec![("Authorization".to_owned(), "AWS nothing".to_owned())],
            ("s3-v2", Wrong::Forged) => s3.key(fost::KEY, "guess").sign("GET", &target, None),
            ("s3-v2", Wrong::Expired) => s3.skewed(-1000).sign("GET", &target, None),
            ("aws-v4", Wrong::Nothing | Wrong::SourceDown) => aws.sign("GET", &target, b""),
            ("aws-v4", Wrong::Malformed) => vec![("Authorization".to_owned(), "AWS4-HMAC-SHA256 nothing".to_owned())],
            ("aws-v4", Wrong::Forged) => aws.key(fost::KEY, "guess").sign("GET", &target, b""),
            ("aws-v4", Wrong::Expired) => aws.skewed(-1000).sign("GET", &target, b""),
            ("aws-v4", Wrong::Elsewhere) => aws.sign("GET", "/aws-v4/y", b""),
            ("s3-v2", Wrong::Elsewhere) => s3.sign("GET", "/s3-v2/y", None),
            ("http-message-signature", _) => message_signed(secret.trim(), &target, wrong),
            ("http-signature", Wrong::Nothing | Wrong::SourceDown) => draft.sign("GET", &target, b""),
            ("http-signature", Wrong::Malformed) => vec![("Authorization".to_owned(), "Signature nothing".to_owned())],
            ("http-signature", Wrong::Forged) => draft.key(fost::KEY, "guess").sign("GET", &target, b""),
            ("http-signature", Wrong::Expired) => draft.skewed(-1000).sign("GET", &target, b""),
            ("http-signature", Wrong::Elsewhere) => draft.sign("GET", "/http-signature/y", b""),
            ("jwt", Wrong::Nothing | Wrong::SourceDown) => bearer(&self.key.token(&claims)),
            ("jwt", Wrong::Malformed) => bearer("a.b.c"),
            ("jwt", Wrong::Forged) => bearer(&Key::generate("k", "ES256").token(&claims)),
            ("jwt", Wrong::Expired) => bearer(&self.key.token(&with("exp", (now() - 100).into()))),
            ("jwt", Wrong::Elsewhere) => bearer(&self.key.token(&with("aud", "billing".into()))),
            ("token", Wrong::Nothing | Wrong::SourceDown) => bearer(&self.token),
            ("token", Wrong::Malformed) => bearer("two words"),
            ("token", Wrong::Forged) => bearer(&self.token.chars().rev().collect::<String>()),
            ("token", Wrong::Expired) => bearer(&self.expired),
            ("kubernetes-token-review", Wrong::Nothing | Wrong::SourceDown) => bearer(&self.cluster.issue("shop:web", AUDIENCE, now() + 60)),
            ("kubernetes-token-review", Wrong::Malformed) => bearer("a.b.c.d.e"),
            ("kubernetes-token-review", Wrong::Forged) => bearer(&self.cluster.token("shop:mallory", AUDIENCE, now() + 60)),
            ("kubernetes-token-review", Wrong::Expired) => bearer(&self.cluster.issue("shop:web", AUDIENCE, now() - 60)),
            ("kubernetes-token-review", Wrong::Elsewhere) => bearer(&self.cluster.issue("shop:web", "billing", now() + 60)),
            ("basic", Wrong::Nothing | Wrong::SourceDown) => basic("bob", PASSWORD),
            ("basic", Wrong::Malformed) => vec![("Authorization".to_owned(), "Basic !!!".to_owned())],
            ("basic", Wrong::Forged) => basic("bob", "guess"),
            ("token", Wrong::Elsewhere) | ("basic", Wrong::Expired | Wrong::Elsewhere) => return None,
            (other, _) => panic!("{other} is not in the table"),
        };
        Some(self.gate.get(&target).headers(&headers))
    }

    async fn run(&self, cells: &[Wrong]) -> BTreeSet<(&'static str, Wrong)> {
        let mut done = BTreeSet::new();
        for scheme in KINDS {
            for wrong in cells {
                for proto in BOTH {
                    let Some(call) = self.call(scheme, *wrong) else { continue };
                    let before = self.upstream.count();
                    let answer = call.proto(proto).send().await;
                    assert_eq!(answer.status.as_u16(), wrong.expected(scheme), "{scheme} {wrong:?} {proto:?}: {}", answer.text());
                    let forwarded = self.upstream.count() - before;
                    assert_eq!(forwarded, usize::from(wrong.expected(scheme) == 200), "{scheme} {wrong:?} {proto:?}");
                    assert_eq!(answer.headers.contains_key("www-authenticate"), wrong.expected(scheme) == 401, "{scheme} {wrong:?} {proto:?}");
                    assert_eq!(answer.headers.contains_key("retry-after"), wrong.expected(scheme) == 503, "{scheme} {wrong:?} {proto:?}");
                    done.insert((scheme, *wrong));
                }
            }
        }
        done
    }
}

/// The headers of one cell of the row `http-message-signature`.
fn message_signed(secret: &str, target: &str, wrong: Wrong) -> Vec<(String, String)> {
    let (key, guess) = (message_signature::Key::secret(secret), message_signature::Key::secret("guess"));
    let good = Signature::new(fost::KEY, &key);
    match wrong {
        Wrong::Nothing | Wrong::SourceDown => good.sign("GET", target, 0),
        Wrong::Absent => Vec::new(),
        Wrong::Malformed => vec![("Signature-Input".to_owned(), "sig1=(".to_owned())],
        Wrong::Forged => Signature::new(fost::KEY, &guess).sign("GET", target, 0),
        Wrong::Expired => good.skewed(-1000).sign("GET", target, 0),
        Wrong::Elsewhere => good.sign("GET", "/http-message-signature/y", 0),
    }
}

/// The target of one cell of the row `query-hmac`, whose credential is no header.
fn query_signed(secret: &str, wrong: Wrong) -> String {
    let (good, now) = ("/query-hmac/x", query_hmac::timestamp(0));
    match wrong {
        Wrong::Nothing | Wrong::SourceDown => query_hmac::sign(fost::KEY, secret, good, &now, b""),
        Wrong::Absent => good.to_owned(),
        Wrong::Malformed => format!("{good}?apikey={}&signature=x", fost::KEY),
        Wrong::Forged => query_hmac::sign(fost::KEY, "guess", good, &now, b""),
        Wrong::Expired => query_hmac::sign(fost::KEY, secret, good, &query_hmac::timestamp(-1000), b""),
        Wrong::Elsewhere => query_hmac::sign(fost::KEY, secret, "/query-hmac/y", &now, b"").replace("hmac/y", "hmac/x"),
    }
}

/// One cell of the row `webhook`: a POST, each with a body of its own, as it is let in once. Its secret is in no store.
fn delivery(gate: &Gateway, wrong: Wrong) -> Option<Call> {
    let body = format!("{:?}", std::time::Instant::now());
    let (sender, mut target) = (Sender::new("stripe"), "/webhook/x");
    let headers = match wrong {
        Wrong::Nothing => sender.sign(body.as_bytes()),
        Wrong::Absent => Vec::new(),
        Wrong::Malformed => vec![("Stripe-Signature".to_owned(), "t=1,v1=x".to_owned())],
        Wrong::Forged => sender.secret("guess").sign(body.as_bytes()),
        Wrong::Expired => sender.skewed(-1000).sign(body.as_bytes()),
        Wrong::Elsewhere => {
            target = "/webhook/y";
            sender.sign(body.as_bytes())
        }
        Wrong::SourceDown => return None,
    };
    Some(gate.call("POST", target).headers(&headers).body(body))
}

/// One cell of the row `client-certificate`. One that is forged or over ends the handshake: there is no answer to look at. No source is
/// asked.
fn certified(gate: &Gateway, clients: &Ca, target: &str, wrong: Wrong) -> Option<Call> {
    let name = match wrong {
        Wrong::Absent => return Some(gate.get(target)),
        Wrong::Nothing => "urn:web",
        Wrong::Malformed => "urn:web\u{7}",
        Wrong::Elsewhere => "urn:other",
        Wrong::Forged | Wrong::Expired | Wrong::SourceDown => return None,
    };
    let leaf = clients.issue(|params| params.subject_alt_names = vec![uri(name)]);
    Some(Call::new(gate.https, gate.setup.ca.client_config_with(&leaf), "GET", target))
}

#[tokio::test]
async fn every_kind_that_there_is_stands_in_the_table() {
    assert_eq!(doorward::auth::SchemeSettings::KINDS, KINDS);
}

#[tokio::test]
async fn every_scheme_answers_everything_that_can_be_wrong_as_the_table_says() {
    let table = Table::start(Mood::Well).await;
    let done = table.run(&ALL[..6]).await;
    assert_eq!(done.len(), KINDS.len() * 6 - 5, "{done:?}");
}

#[tokio::test]
async fn no_scheme_lets_anyone_in_while_its_source_is_down() {
    let table = Table::start(Mood::Down).await;
    // The store is gone: its file is a folder now, and nothing is remembered.
    table.gate.setup.cli_ok(&["user", "list"], "");
    for name in ["doorward.db", "doorward.db-wal", "doorward.db-shm"] {
        let path = table.gate.setup.path(name);
        if path.exists() {
            // Cut short, so that also connections that are open read nonsense.
            std::fs::write(&path, b"not a database, and not long enough to be one").unwrap();
        }
    }
    for scheme in KINDS {
        for proto in BOTH {
            // A webhook's secret is in no store.
            let Some(call) = table.call(scheme, Wrong::SourceDown) else { continue };
            let answer = call.proto(proto).send().await;
            assert_eq!(answer.status, 503, "{scheme} {proto:?}: {}", answer.text());
            assert!(answer.headers.contains_key("retry-after"), "{scheme}");
        }
    }
    assert_eq!(table.upstream.count(), 0);
}

#[tokio::test]
async fn a_scheme_that_cannot_decide_is_not_passed_over_for_the_next() {
    let (upstream, key) = (Upstream::echo(), Key::generate("k", "ES256"));
    let provider = Provider::start(&[&key]);
    provider.mood(Mood::Down);
    let scheme = format!("[auth.corp.jwt]\nissuer = \"{0}\"\njwks_url = \"{0}/jwks\"\naudience = [\"{AUDIENCE}\"]", provider.issuer());
    let setup = Setup::new(&upstream.url()).rest(&scheme).rest("[auth.t.token]\nsource = \"store\"\n[auth.s.basic]\nusers = \"store\"");
    let gate = setup.route("/x/**", &["corp", "t", "s"]).start().await;
    let token = key.token(&claims_but("carol", "iss", provider.issuer().into()));
    for proto in [Proto::H1, Proto::H2] {
        assert_eq!(gate.get("/x/y").proto(proto).bearer(&token).host(HOST).send().await.status, 503);
    }
    assert_eq!(upstream.count(), 0);
}

#[tokio::test]
async fn a_second_authorization_header_is_an_ambiguous_request() {
    let world = World::start().await;
    for proto in BOTH {
        for scheme in SCHEMES {
            let target = format!("/{scheme}/x");
            let good = world.good(scheme, "GET", &target);
            for second in ["Basic eDp5", "Bearer x", "", &good[0].1] {
                let answer = world.get(&target).proto(proto).headers(&good).header("Authorization", second).send().await;
                assert_eq!(answer.status, 400, "{scheme} {second:?}");
            }
        }
    }
    assert_eq!(world.upstream.count(), 0);
}
