//! A gateway that takes client certificates, and clients that hold some.

use rcgen::CertificateParams;

use super::client::Call;
use super::gateway::Gateway;
use super::pki::{Ca, Leaf, uri};
use super::setup::Setup;
use super::upstream::Upstream;
use super::{breathe, now, within};

/// A workload that is let in.
pub const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";
/// Both versions of TLS, for loops.
pub const VERSIONS: [&[&rustls::SupportedProtocolVersion]; 2] = [&[&rustls::version::TLS12], &[&rustls::version::TLS13]];

/// Routes `/mesh/**` for certificates, `/both/**` for them and passwords, `/public/**`.
pub fn setup(upstream: &Upstream, clients: &Ca, client_auth: &str) -> Setup {
    let setup = Setup::new(&upstream.url())
        .file("clients.crt", &clients.pem())
        .section("limits", "header_timeout = \"2m\"")
        .with("tls", &format!("client_auth = \"{client_auth}\"\nclient_ca = \"clients.crt\""))
        .rest("[auth.mesh.client-certificate]\nuser_from = \"san-uri\"\nallow = [\"spiffe://cluster.local/ns/*/sa/*\", \"urn:thing:*\"]")
        .rest("[auth.staff.basic]\nusers = \"store\"")
        .route("/mesh/**", &["mesh"])
        .route("/both/**", &["mesh", "staff"])
        .public("/public/**");
    setup.cli_ok(&["user", "add", "bob", "--password-stdin"], "a password of some length\n");
    setup
}

pub fn named(names: &[&str]) -> impl FnOnce(&mut CertificateParams) {
    let names = names.iter().map(|name| uri(name)).collect();
    |params| params.subject_alt_names = names
}

pub fn calling(gate: &Gateway, leaf: &Leaf, target: &str) -> Call {
    Call::new(gate.https, gate.setup.ca.client_config_with(leaf), "GET", target)
}

/// Until the files that were written are in service.
pub async fn swapped(gate: &Gateway, times: usize) {
    gate.said_times("new certificates are in service", times).await;
}

pub async fn clock(after: i64) {
    within("a date", async {
        while now() <= after {
            breathe().await
        }
    })
    .await;
}

pub async fn metric(gate: &Gateway, start: &str) -> f64 {
    let text = gate.admin("/metrics").send().await.text();
    let line = text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start} in\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}
