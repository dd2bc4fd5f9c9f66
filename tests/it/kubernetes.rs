//! Service accounts of Kubernetes: their tokens verified by the cluster's published keys, or reviewed by its API server.

use crate::support::client::{Answer, BOTH};
use crate::support::gateway::Gateway;
use crate::support::kubernetes::{Cluster, Mood};
use crate::support::now;
use crate::support::setup::Setup;
use crate::support::upstream::Upstream;
use crate::support::within;

const OWN: &str = "own-token-of-the-pod";

struct Place {
    gate: Gateway,
    upstream: Upstream,
    cluster: Cluster,
}

impl Place {
    /// With the scheme's lines after what every pod has.
    async fn start(kind: &str, more: &str) -> Self {
        let (upstream, cluster) = (Upstream::echo(), Cluster::start(OWN));
        let setup = Setup::new(&upstream.url()).file("sa/ca.crt", &cluster.ca.pem()).file("sa/token", &format!("{OWN}\n"));
        let source = if kind == "jwt" { "issuer" } else { "url" };
        let scheme = format!(
            "[auth.pods.{kind}]\n{source} = \"{}\"\nca_file = \"sa/ca.crt\"\nbearer_token_file = \"sa/token\"\naudience = [\"orders\"]\n{more}",
            cluster.url()
        );
        Self { gate: setup.rest(&scheme).route("/api/**", &["pods"]).start().await, upstream, cluster }
    }

    async fn call(&self, token: &str) -> Answer {
        self.gate.get("/api/x").bearer(token).send().await
    }

    async fn status(&self, token: &str) -> u16 {
        self.call(token).await.status.as_u16()
    }

    fn issue(&self, name: &str) -> String {
        self.cluster.issue(name, "orders", now() + 600)
    }
}

#[tokio::test]
async fn a_service_account_is_known_by_the_keys_that_the_cluster_shows_to_its_pods() {
    let place = Place::start("jwt", "").await;
    for proto in BOTH {
        for _ in 0..2 {
            let answer = place.gate.get("/api/x").proto(proto).bearer(&place.issue("shop:web")).send().await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(place.upstream.only().user(), Some("system:serviceaccount:shop:web"));
        }
    }
    for seen in place.cluster.take() {
        assert_eq!(seen.one("authorization"), format!("Bearer {OWN}"), "{}", seen.target);
    }
    assert_eq!(place.cluster.hits(), 2, "its metadata and its keys");
    assert_eq!(place.status(&place.cluster.token("shop:web", "https://kubernetes.default.svc", now() + 600)).await, 401);
    assert_eq!(place.status(&place.cluster.token("shop:web", "orders", now() - 60)).await, 401);
}

#[tokio::test]
async fn the_pods_own_token_is_read_anew_for_every_fetch() {
    let place = Place::start("jwt", "").await;
    place.cluster.demand("another");
    let token = place.issue("shop:web");
    // Whether the keys were fetched before it changed is a matter of luck; if so, start over with what nobody knows yet.
    let fresh = Place::start("kubernetes-token-review", "").await;
    fresh.cluster.demand("another");
    let reviewed = fresh.issue("shop:web");
    assert_eq!(fresh.status(&reviewed).await, 503, "the API server refuses Doorward, not the caller");
    fresh.gate.setup.write("sa/token", "another\n");
    assert_eq!(fresh.status(&reviewed).await, 200);
    place.gate.setup.write("sa/token", "another");
    within("the keys being fetched", async {
        while place.status(&token).await != 200 {
            crate::support::breathe().await
        }
    })
    .await;
}

#[tokio::test]
async fn a_reviewed_token_is_a_fact_for_a_while_and_its_deleted_pod_is_noticed() {
    let place = Place::start("kubernetes-token-review", "[cache]\nmax_age = \"1s\"\nnegative_max_age = \"1s\"").await;
    let token = place.issue("shop:web");
    for proto in BOTH {
        let answer = place.gate.get("/api/x").proto(proto).bearer(&token).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(place.upstream.only().user(), Some("system:serviceaccount:shop:web"));
    }
    let question = serde_json::from_slice::<serde_json::Value>(&place.cluster.take()[0].body).unwrap();
    assert_eq!(question["spec"], serde_json::json!({"token": token, "audiences": ["orders"]}));
    place.cluster.forget(&token);
    within("the deletion being noticed", async {
        while place.status(&token).await != 401 {
            crate::support::breathe().await
        }
    })
    .await;
}

#[tokio::test]
async fn many_at_once_cost_one_question_and_forgeries_one_each() {
    let place = Place::start("kubernetes-token-review", "").await;
    let token = place.issue("shop:web");
    let all = futures_util::future::join_all((0..30).map(|_| place.status(&token))).await;
    assert!(all.iter().all(|status| *status == 200), "{all:?}");
    assert_eq!(place.cluster.hits(), 1);
    for _ in 0..3 {
        assert_eq!(place.status(&place.cluster.token("shop:web", "orders", 4_000_000_000)).await, 401);
    }
    assert!(place.cluster.hits() <= 4);
    // Not of a JWT's form: not asked about.
    let asked = place.cluster.hits();
    for token in ["opaque", "a.b", "a.b.c.d.e", "..", &format!("a.{}.c", "b".repeat(9000))] {
        assert_eq!(place.status(token).await, 401);
    }
    assert_eq!(place.cluster.hits(), asked);
}

#[tokio::test]
async fn a_token_for_another_audience_or_over_or_of_another_issuer_is_refused() {
    let place = Place::start("kubernetes-token-review", "").await;
    assert_eq!(place.status(&place.cluster.issue("shop:web", "billing", now() + 600)).await, 401);
    assert_eq!(place.status(&place.cluster.issue("shop:web", "orders", now() - 60)).await, 401, "over, whatever the server says");
    place.cluster.mood(Mood::NoAudiences);
    assert_eq!(place.status(&place.issue("shop:old")).await, 401, "a server that does not look at audiences has not looked at ours");
    let asked = place.cluster.hits();
    let named = Place::start("kubernetes-token-review", "issuer = \"https://another.example\"").await;
    assert_eq!(named.status(&named.issue("shop:web")).await, 401);
    assert_eq!((named.cluster.hits(), place.cluster.hits()), (0, asked));
    assert_eq!((place.upstream.count(), named.upstream.count()), (0, 0));
}

#[tokio::test]
async fn while_the_api_server_does_not_answer_nobody_is_let_in_and_nobody_called_wrong() {
    let place = Place::start("kubernetes-token-review", "").await;
    let known = place.issue("shop:known");
    assert_eq!(place.status(&known).await, 200);
    for mood in [Mood::Down, Mood::Garbage, Mood::Silent] {
        place.cluster.mood(mood);
        let answer = place.call(&place.issue(&format!("shop:{mood:?}"))).await;
        assert_eq!(answer.status, 503, "{mood:?}: {}", answer.text());
        assert!(!answer.header("retry-after").is_empty());
        assert_eq!(place.status(&known).await, 200, "what is known goes on: {mood:?}");
    }
    place.cluster.mood(Mood::Well);
    assert_eq!(place.status(&place.issue("shop:again")).await, 200);
}

#[tokio::test]
async fn a_server_that_another_authority_vouches_for_is_not_told_any_token() {
    let (upstream, cluster, other) = (Upstream::echo(), Cluster::start(OWN), Cluster::start(OWN));
    let scheme = format!(
        "[auth.pods.kubernetes-token-review]\nurl = \"{0}\"\nca_file = \"ca.crt\"\nbearer_token_file = \"token\"\naudience = \"orders\"\n\
         [auth.keys.jwt]\nissuer = \"{0}\"\nca_file = \"ca.crt\"\nbearer_token_file = \"token\"\naudience = \"orders\"",
        cluster.url()
    );
    let setup = Setup::new(&upstream.url()).file("ca.crt", &other.ca.pem()).file("token", OWN).rest(&scheme);
    let gate = setup.route("/review/**", &["pods"]).route("/keys/**", &["keys"]).start().await;
    let token = cluster.issue("shop:web", "orders", now() + 600);
    for path in ["/review/x", "/keys/x"] {
        assert_eq!(gate.get(path).bearer(&token).send().await.status, 503, "{path}");
    }
    assert_eq!((cluster.hits(), upstream.count()), (0, 0));
}
