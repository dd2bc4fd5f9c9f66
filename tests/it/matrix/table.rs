//! The world of the table: a gateway that knows all lines, with their sources, which can be well, down, slow, or talk nonsense.

use serde_json::{Value, json};

use super::rows::{ROWS, Row, Wrong};
use super::signed::{self, CONFIGURED};
use crate::support::certified::{calling, named, swapped};
use crate::support::client::Call;
use crate::support::databases::{Database, Kind};
use crate::support::gateway::Gateway;
use crate::support::idp::{AUDIENCE, Key, Mood, Provider, jwks};
use crate::support::introspection::{Introspection, Manner};
use crate::support::kubernetes::{self, Cluster};
use crate::support::pki::{Ca, Leaf};
use crate::support::relay::{Relay, Way};
use crate::support::setup::Setup;
use crate::support::upstream::{Upstream, answer};
use crate::support::world::{PASSWORD, basic, bearer};
use crate::support::{breathe, django, fost, now, senders, within};

const ADMIN_KEY: &str = "admin-key-0123456789abcdef0123456789abcdef";
/// The issuer whose keys stand in a file.
const FILED: &str = "https://filed.example";
/// Of Django's making, and of htpasswd's, both of `ELSEWHERE`.
const DJANGO_HASH: &str = "pbkdf2_sha256$600$Qk3vS0dJ1yZ2$46tXpyvhkMNdzgZwsIGTphqrGYOKJdEaszMWrpG8B0U=";
const HTPASSWD: &str = "dora:{SHA}/Hrn08gEogcgvDjo5YNQSGibZVE=\n";
/// The password of `dora` and `zoe`.
const ELSEWHERE: &str = "pässwörd 1";
/// Whom a client's certificate names.
const CLIENT: &str = "urn:web";
const STAMP: &str = "2099-01-01 00:00:00";

/// The sources of the lines.
struct Sources {
    provider: Provider,
    cluster: Cluster,
    introspection: Introspection,
    store: Relay,
    table: Relay,
    users: Relay,
    /// What the relays lead to.
    databases: [Database; 3],
}

impl Sources {
    /// As they are when a test says that `state` is wrong.
    async fn start(key: &Key) -> Self {
        let databases = [Database::fresh(Kind::Postgres).await, Database::fresh(Kind::Mysql).await, Database::fresh(Kind::Postgres).await];
        let [store, table, users] = [0, 1, 2].map(|at: usize| Relay::to(databases[at].address(), Way::Open));
        let (provider, cluster, introspection) = (Provider::start(&[key]), Cluster::start("own"), Introspection::start());
        Self { provider, cluster, introspection, store, table, users, databases }
    }

    fn become_as(&self, state: Wrong) {
        let nonsense = answer("200 OK", &["Content-Type: application/json"], "{\"keys\": nonsense");
        let (mood, cluster, manner, way) = match state {
            Wrong::SourceDown => (Mood::Down, kubernetes::Mood::Down, Manner::Down, Way::Cut),
            Wrong::SourceSlow => (Mood::Silent, kubernetes::Mood::Silent, Manner::Silent, Way::Silent),
            Wrong::SourceGarbage => (Mood::Says(nonsense.clone()), kubernetes::Mood::Garbage, Manner::Says(nonsense), Way::Garbage),
            Wrong::Nothing
            | Wrong::Absent
            | Wrong::Malformed
            | Wrong::Forged
            | Wrong::Expired
            | Wrong::NotYetValid
            | Wrong::Elsewhere
            | Wrong::Revoked => (Mood::Well, kubernetes::Mood::Well, Manner::Well, Way::Open),
        };
        self.provider.mood(mood);
        self.cluster.mood(cluster);
        self.introspection.manner(manner);
        self.store.set(way);
        self.table.set(way);
        self.users.set(way);
    }

    async fn fill(&self) {
        let table = &self.databases[1];
        django::users(table).await;
        django::toolkit(table, true).await;
        django::toolkit_token(table, true, "table-good", STAMP, "1").await;
        django::toolkit_token(table, true, "table-over", "2020-01-01 00:00:00", "1").await;
        django::accounts(&self.databases[2], &[("zoe", DJANGO_HASH, true)]).await;
        let told = |name: &str, value: Value| {
            let mut members = json!({"active": true, "username": "alice", "aud": AUDIENCE, "exp": now() + 300});
            members[name] = value;
            self.introspection.knows(&format!("asked-{name}"), members);
        };
        told("good", true.into());
        told("exp", (now() - 100).into());
        told("nbf", (now() + 1000).into());
        told("aud", "billing".into());
    }
}

/// The gateway before them, and credentials of all kinds.
pub struct Table {
    pub gate: Gateway,
    pub upstream: Upstream,
    sources: Sources,
    key: Key,
    secret: String,
    token: String,
    expired: String,
    reviewed: String,
    /// Vouches for clients.
    clients: Ca,
    /// A client's good certificate.
    leaf: Leaf,
}

fn schemes(sources: &Sources) -> String {
    let (issuer, cluster, asked) = (sources.provider.issuer(), sources.cluster.url(), sources.introspection.url());
    let table = sources.databases[1].url_through(&sources.table);
    let users = sources.databases[2].url_through(&sources.users);
    let (configured, audience) = (CONFIGURED.0, format!("audience = [\"{AUDIENCE}\"]"));
    format!(
        r#"
[auth.fost.fost]
[auth.query-hmac.query-hmac]
[auth.s3-v2.s3-v2]
[auth.aws-v4.aws-v4]
region = "eu-central-1"
service = "s3"
[auth.http-message-signature.http-message-signature]
[auth.http-signature.http-signature]
[auth.fost-config.fost]
[auth.fost-config.fost.keys.{configured}]
secret_file = "configured"
[auth.webhook.webhook]
preset = "stripe"
secret_file = "hook"
paths = ["/webhook/x"]
[auth.jwt.jwt]
issuer = "{issuer}"
jwks_url = "{issuer}/jwks"
{audience}
[auth.jwt-discovery.jwt]
issuer = "{issuer}"
{audience}
[auth.jwt-file.jwt]
issuer = "{FILED}"
jwks_file = "jwks.json"
{audience}
[auth.token.token]
source = "store"
[auth.introspection.token]
source = "introspection"
introspection_url = "{asked}"
client_id = "gate"
client_secret_file = "client"
{audience}
[auth.token-table.token]
source = "sql"
[auth.token-table.token.sql]
url = "{table}"
preset = "django-oauth-toolkit"
[auth.kubernetes-token-review.kubernetes-token-review]
url = "{cluster}"
ca_file = "sa/ca.crt"
bearer_token_file = "sa/token"
{audience}
[auth.basic.basic]
users = "store"
[auth.basic-htpasswd.basic]
users = "htpasswd:users"
[auth.basic-django.basic]
users = "django:{users}"
[auth.client-certificate.client-certificate]
user_from = "san-uri"
allow = ["{CLIENT}"]
"#
    )
}

impl Table {
    /// With sources that are as `state` says before the gateway starts, as it may ask them at once.
    pub async fn start(state: Wrong) -> Self {
        let (upstream, key) = (Upstream::echo(), Key::generate("k", "ES256"));
        let sources = Sources::start(&key).await;
        sources.fill().await;
        let clients = Ca::new("Clients");
        let leaf = clients.issue(named(&[CLIENT]));
        let mut setup = Setup::new(&upstream.url())
            .with("tls", "client_auth = \"optional\"\nclient_ca = \"clients.crt\"\nclient_crl = \"clients.crl\"")
            .file("clients.crt", &clients.pem())
            .file("clients.crl", &clients.crl(&[]))
            .section("store", &format!("url = {:?}", sources.databases[0].url))
            .section("cache", "max_age = \"0s\"\nnegative_max_age = \"0s\"")
            .section("admin", "key_file = \"admin\"")
            .rest(&schemes(&sources));
        let ca = sources.cluster.ca.pem();
        for (name, text) in [
            ("sa/ca.crt", ca.as_str()),
            ("sa/token", "own"),
            ("admin", ADMIN_KEY),
            ("hook", senders::SECRET),
            ("client", "introspection-secret-7c1f"),
            ("configured", CONFIGURED.1),
            ("jwks.json", &jwks(&[&key])),
            ("users", HTPASSWD),
        ] {
            setup = setup.file(name, text);
        }
        std::fs::set_permissions(setup.path("users"), std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        for row in ROWS {
            setup = setup.route(&format!("/{}/**", row.name), &[row.name]);
        }
        let of = |text: String, name: &str| serde_json::from_str::<Value>(&text).unwrap()[name].as_str().unwrap().to_owned();
        let secret = of(setup.cli_ok(&["key", "add", fost::KEY, "--user", "webshop", "--json"], ""), "secret");
        setup.cli_ok(&["user", "add", "bob", "--password-stdin"], &format!("{PASSWORD}\n"));
        let issue = |ttl: &str| of(setup.cli_ok(&["token", "issue", "--user", "bob", "--ttl", ttl, "--json"], ""), "token");
        let (token, expired) = (issue("1h"), issue("1s"));
        let over = now() + 1;
        within("a token's end", async {
            while now() <= over + 1 {
                breathe().await;
            }
        })
        .await;
        sources.become_as(state);
        let through = sources.databases[0].url_through(&sources.store);
        let gate = setup.section("store", &format!("url = {through:?}")).start().await;
        let reviewed = sources.cluster.issue("shop:web", AUDIENCE, now() + 300);
        Self { gate, upstream, sources, key, secret, token, expired, reviewed, clients, leaf }
    }

    /// Whose keys are fetched.
    pub fn issuer(&self) -> String {
        self.sources.provider.issuer()
    }

    /// All sources are well again.
    pub fn recover(&self) {
        self.sources.become_as(Wrong::Nothing);
    }

    /// Takes every credential back that can be.
    pub async fn revoke(&self) {
        let setup = &self.gate.setup;
        setup.cli_ok(&["key", "revoke", fost::KEY], "");
        setup.cli_ok(&["user", "disable", "bob"], "");
        let listed: Value = serde_json::from_str(&setup.cli_ok(&["token", "list", "--json"], "")).unwrap();
        for token in listed.as_array().unwrap() {
            setup.cli_ok(&["token", "revoke", token["id"].as_str().unwrap()], "");
        }
        self.sources.databases[1].run("DELETE FROM oauth2_provider_accesstoken").await;
        self.sources.databases[2].run("UPDATE auth_user SET is_active = false").await;
        self.sources.introspection.forgets("asked-good");
        setup.write("users", "another:{SHA}/Hrn08gEogcgvDjo5YNQSGibZVE=\n");
        self.gate.said("a new file of users is in service").await;
        setup.write("clients.crl", &self.clients.crl(&[&self.leaf.der]));
        swapped(&self.gate, 1).await;
        self.sources.cluster.forget(&self.reviewed);
        for body in
            [json!({"key": CONFIGURED.0}), json!({"jti": "good", "issuer": self.sources.provider.issuer()}), json!({"jti": "good", "issuer": FILED})]
        {
            let call = Call::plain(self.gate.admin.unwrap(), "POST", "/admin/revoke").header("Authorization", format!("Bearer {ADMIN_KEY}"));
            assert_eq!(call.body(body.to_string()).send().await.status, 200, "{body}");
        }
    }

    /// The request of one cell.
    pub fn call(&self, row: &Row, wrong: Wrong) -> Call {
        let headers = match row.kind {
            "webhook" => return signed::delivery(&self.gate, wrong),
            "client-certificate" => return self.certified(row, wrong),
            "jwt" | "token" | "kubernetes-token-review" | "basic" if wrong == Wrong::Absent => Vec::new(),
            "jwt" => bearer(&self.jwt(row, wrong)),
            "token" => bearer(&self.opaque(row, wrong)),
            "kubernetes-token-review" => bearer(&self.service_account(wrong)),
            "basic" => {
                let (user, password) = match row.name {
                    "basic-htpasswd" => ("dora", ELSEWHERE),
                    "basic-django" => ("zoe", ELSEWHERE),
                    _ => ("bob", PASSWORD),
                };
                match wrong {
                    Wrong::Malformed => vec![("Authorization".to_owned(), "Basic !!!".to_owned())],
                    Wrong::Forged => basic(user, "guess"),
                    _ => basic(user, password),
                }
            }
            _ if row.name == "fost-config" => return signed::call(&self.gate, row.name, wrong, CONFIGURED),
            _ => return signed::call(&self.gate, row.name, wrong, (fost::KEY, &self.secret)),
        };
        self.gate.get(&format!("/{}/x", row.name)).headers(&headers)
    }

    fn certified(&self, row: &Row, wrong: Wrong) -> Call {
        let target = format!("/{}/x", row.name);
        let at = |days: i64| time::OffsetDateTime::now_utc() + time::Duration::days(days);
        let dated = |from: i64, until: i64| {
            self.clients.issue(|params| {
                named(&[CLIENT])(params);
                (params.not_before, params.not_after) = (at(from), at(until));
            })
        };
        let leaf = match wrong {
            Wrong::Absent => return self.gate.get(&target),
            Wrong::Malformed => self.clients.issue(named(&["urn:web\u{7}"])),
            Wrong::Forged => Ca::new("Clients").issue(named(&[CLIENT])),
            Wrong::Expired => dated(-2, -1),
            Wrong::NotYetValid => dated(1, 2),
            Wrong::Elsewhere => self.clients.issue(named(&["urn:other"])),
            _ => return calling(&self.gate, &self.leaf, &target),
        };
        calling(&self.gate, &leaf, &target)
    }

    fn jwt(&self, row: &Row, wrong: Wrong) -> String {
        let issuer = if row.name == "jwt-file" { FILED.to_owned() } else { self.sources.provider.issuer() };
        let mut claims = json!({"iss": issuer, "aud": AUDIENCE, "sub": "carol", "iat": now(), "exp": now() + 300, "jti": "good"});
        match wrong {
            Wrong::Malformed => return "a.b.c".to_owned(),
            Wrong::Forged => return Key::generate("k", "ES256").token(&claims),
            Wrong::Expired => claims["exp"] = (now() - 100).into(),
            Wrong::NotYetValid => claims["nbf"] = (now() + 100).into(),
            Wrong::Elsewhere => claims["aud"] = "billing".into(),
            _ => {}
        }
        self.key.token(&claims)
    }

    fn opaque(&self, row: &Row, wrong: Wrong) -> String {
        let [good, over] = match row.name {
            "token" => [self.token.as_str(), &self.expired],
            "introspection" => ["asked-good", "asked-exp"],
            "token-table" => ["table-good", "table-over"],
            other => panic!("{other} has no tokens"),
        };
        let token = match wrong {
            Wrong::Malformed => "two words",
            Wrong::Forged => return good.chars().rev().collect(),
            Wrong::Expired => over,
            Wrong::NotYetValid => "asked-nbf",
            Wrong::Elsewhere => "asked-aud",
            _ => good,
        };
        token.to_owned()
    }

    fn service_account(&self, wrong: Wrong) -> String {
        let cluster = &self.sources.cluster;
        match wrong {
            Wrong::Malformed => "a.b.c.d.e".to_owned(),
            Wrong::Forged => cluster.token("shop:mallory", AUDIENCE, now() + 60),
            Wrong::Expired => cluster.issue("shop:web", AUDIENCE, now() - 60),
            Wrong::Elsewhere => cluster.issue("shop:web", "billing", now() + 60),
            _ => self.reviewed.clone(),
        }
    }
}
