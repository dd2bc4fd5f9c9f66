//! What ends a client certificate: a revocation, its date, its authority's end. New connections, resumed ones, those that stand.

use rustls_pki_types::pem::PemObject as _;

use crate::support::certified::{VERSIONS, WEB, calling, clock, metric, named, setup, swapped};
use crate::support::client::{BOTH, Call, Proto, Sender, try_handshake};
use crate::support::pki::Ca;
use crate::support::setup::HOST;
use crate::support::upstream::Upstream;
use crate::support::{breathe, now, within};

/// Asks on a connection that stands already; over HTTP/1.1 also whether the gate will close it.
async fn ask_again(call: &Call, sender: &mut Sender, proto: Proto) -> (u16, bool) {
    let answer = call.send_on(sender).await.unwrap();
    (answer.status.as_u16(), proto == Proto::H2 || answer.header("connection") == "close")
}

#[tokio::test]
async fn a_revocation_ends_new_handshakes_resumed_ones_and_connections_that_stand() {
    let (upstream, clients) = (Upstream::echo(), Ca::new("Clients"));
    let gate =
        setup(&upstream, &clients, "optional").with("tls", "client_crl = \"clients.crl\"").file("clients.crl", &clients.crl(&[])).start().await;
    let (leaf, other) = (clients.issue(named(&[WEB])), clients.issue(named(&["urn:thing:1"])));
    let mut standing = Vec::new();
    for proto in BOTH {
        for target in ["/mesh/x", "/public/x"] {
            for leaf in [&leaf, &other] {
                let call = calling(&gate, leaf, target).proto(proto);
                let mut sender = call.connect().await;
                assert_eq!(call.send_on(&mut sender).await.unwrap().status, 200);
                standing.push((call, sender, proto, std::ptr::eq(leaf, &raw const other)));
            }
        }
    }
    // Clients that keep what they need to resume, and come back once.
    let resuming: Vec<_> = VERSIONS.map(|versions| gate.setup.ca.client_config_of(&leaf, &[], versions)).into();
    for config in &resuming {
        for _ in 0..2 {
            assert_eq!(Call::new(gate.https, config.clone(), "GET", "/mesh/x").status().await, Some(200));
        }
    }
    let before = upstream.take().len();
    assert_eq!(before, 8 + 4);

    gate.setup.write("clients.crl", &clients.crl(&[&leaf.der]));
    swapped(&gate, 1).await;
    for (call, sender, proto, other) in &mut standing {
        let (status, closes) = ask_again(call, sender, *proto).await;
        assert_eq!(status, if *other { 200 } else { 401 }, "{proto:?}");
        assert!(closes || *other, "{proto:?}");
    }
    for config in resuming {
        assert_eq!(Call::new(gate.https, config, "GET", "/mesh/x").status().await, None);
    }
    for proto in BOTH {
        assert_eq!(calling(&gate, &leaf, "/public/x").proto(proto).status().await, None);
        assert_eq!(calling(&gate, &other, "/mesh/x").proto(proto).status().await, Some(200));
    }
    assert_eq!(upstream.take().len(), 4 + 2);
    let line = gate.access_line("the refusal", |line| line["code"] == "invalid_credentials").await;
    assert!(line["cause"].as_str().unwrap().contains("revoked"), "{line}");
}

#[tokio::test]
async fn a_connection_over_http_2_is_told_to_go_when_its_certificate_has_ended() {
    let (upstream, clients) = (Upstream::echo(), Ca::new("Clients"));
    let gate =
        setup(&upstream, &clients, "optional").with("tls", "client_crl = \"clients.crl\"").file("clients.crl", &clients.crl(&[])).start().await;
    let leaf = clients.issue(named(&[WEB]));
    let call = calling(&gate, &leaf, "/mesh/x").proto(Proto::H2);
    let mut sender = call.connect().await;
    assert_eq!(call.send_on(&mut sender).await.unwrap().status, 200);
    gate.setup.write("clients.crl", &clients.crl(&[&leaf.der]));
    swapped(&gate, 1).await;
    assert_eq!(call.send_on(&mut sender).await.unwrap().status, 401);
    within("the goodbye", async {
        while call.send_on(&mut sender).await.is_ok() {
            breathe().await
        }
    })
    .await;
}

#[tokio::test]
async fn an_authority_that_is_removed_takes_its_clients_along() {
    let (upstream, clients, next) = (Upstream::echo(), Ca::new("Clients"), Ca::new("Next"));
    let gate = setup(&upstream, &clients, "required").start().await;
    let (leaf, successor) = (clients.issue(named(&[WEB])), next.issue(named(&[WEB])));
    let call = calling(&gate, &leaf, "/mesh/x");
    let mut sender = call.connect().await;
    assert_eq!(call.send_on(&mut sender).await.unwrap().status, 200);
    assert_eq!(calling(&gate, &successor, "/mesh/x").status().await, None);

    gate.setup.write("clients.crt", &(clients.pem() + &next.pem()));
    swapped(&gate, 1).await;
    assert_eq!(call.send_on(&mut sender).await.unwrap().status, 200);
    assert_eq!(calling(&gate, &successor, "/mesh/x").status().await, Some(200));

    gate.setup.write("clients.crt", &next.pem());
    swapped(&gate, 2).await;
    assert_eq!(ask_again(&call, &mut sender, Proto::H1).await, (401, true));
    assert_eq!(calling(&gate, &leaf, "/mesh/x").status().await, None);
    assert_eq!(calling(&gate, &successor, "/mesh/x").status().await, Some(200));
}

#[tokio::test]
async fn a_connection_lasts_no_longer_than_its_certificate() {
    let (upstream, clients) = (Upstream::echo(), Ca::new("Clients"));
    let gate = setup(&upstream, &clients, "optional").start().await;
    let ends = now() + 3;
    let leaf = clients.issue(|params| {
        named(&[WEB])(params);
        params.not_after = time::OffsetDateTime::from_unix_timestamp(ends).unwrap();
    });
    let mut standing = Vec::new();
    for proto in BOTH {
        for target in ["/mesh/x", "/public/x"] {
            let call = calling(&gate, &leaf, target).proto(proto);
            standing.push((call.connect().await, call));
        }
    }
    // Whose certificate ends soon is let in, and asked to come back with the next one.
    let soon = calling(&gate, &leaf, "/mesh/x").send().await;
    assert_eq!((soon.status.as_u16(), soon.header("connection")), (200, "close"));
    clock(ends).await;
    for (mut sender, call) in standing {
        let answer = call.send_on(&mut sender).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (401, "ClientCertificate realm=\"doorward\""));
    }
    assert_eq!(calling(&gate, &leaf, "/mesh/x").status().await, None);
    assert_eq!(upstream.count(), 1);
}

#[tokio::test]
async fn a_list_that_is_too_old_lets_nobody_in_of_whom_it_speaks() {
    let (upstream, clients, unlisted) = (Upstream::echo(), Ca::new("Clients"), Ca::new("Others"));
    let ends = now() + 6;
    let gate = setup(&upstream, &clients, "optional")
        .with("tls", "client_crl = \"clients.crl\"")
        .file("clients.crt", &(clients.pem() + &unlisted.pem()))
        .file("clients.crl", &clients.crl_until(&[], ends))
        .start()
        .await;
    let leaf = clients.issue(named(&[WEB]));
    let call = calling(&gate, &leaf, "/mesh/x");
    let mut sender = call.connect().await;
    assert_eq!(call.send_on(&mut sender).await.unwrap().status, 200);
    assert_eq!(calling(&gate, &unlisted.issue(named(&[WEB])), "/mesh/x").status().await, None, "no list speaks of it");
    assert_eq!(metric(&gate, "doorward_client_crl_next_update_seconds{issuer=\"CN=Clients\"}").await, ends as f64);
    assert!(metric(&gate, "doorward_client_crl_this_update_seconds{issuer=\"CN=Clients\"}").await <= now() as f64);
    assert!(metric(&gate, "doorward_client_ca_not_after_seconds{name=\"CN=Others\"}").await > now() as f64);
    clock(ends).await;
    assert_eq!(call.send_on(&mut sender).await.unwrap().status, 401);
    assert_eq!(calling(&gate, &leaf, "/mesh/x").status().await, None);
    assert_eq!(gate.get("/public/x").status().await, Some(200));
    gate.said("a revocation list is past its nextUpdate").await;

    gate.setup.write("clients.crl", &clients.crl(&[]));
    swapped(&gate, 1).await;
    assert_eq!(calling(&gate, &leaf, "/mesh/x").status().await, Some(200));
}

#[tokio::test]
async fn broken_files_change_nothing_and_are_counted() {
    let (upstream, clients, others) = (Upstream::echo(), Ca::new("Clients"), Ca::new("Clients"));
    let (leaf, revoked) = (clients.issue(named(&[WEB])), clients.issue(named(&[WEB])));
    let gate = setup(&upstream, &clients, "optional")
        .with("tls", "client_crl = [\"clients.crl\"]")
        .file("clients.crl", &clients.crl(&[&revoked.der]))
        .start()
        .await;
    let failures = async || metric(&gate, "doorward_certificate_reload_failures_total").await;
    for (what, file, text) in [
        ("no list", "clients.crl", "garbage".to_owned()),
        ("signed by another of that name", "clients.crl", others.crl(&[])),
        ("no authority", "clients.crt", "garbage".to_owned()),
    ] {
        let (before, was) = (failures().await, std::fs::read_to_string(gate.setup.path(file)).unwrap());
        gate.setup.write(file, &text);
        within(what, async {
            while failures().await <= before {
                breathe().await
            }
        })
        .await;
        assert_eq!(calling(&gate, &leaf, "/mesh/x").status().await, Some(200), "{what}");
        assert_eq!(calling(&gate, &revoked, "/mesh/x").status().await, None, "{what}");
        gate.setup.write(file, &was);
    }
    let der = rustls_pki_types::CertificateRevocationListDer::from_pem_slice(clients.crl(&[&leaf.der]).as_bytes()).unwrap();
    std::fs::write(gate.setup.path("der.new"), &*der).unwrap();
    std::fs::rename(gate.setup.path("der.new"), gate.setup.path("clients.crl")).unwrap();
    swapped(&gate, 1).await;
    assert_eq!(calling(&gate, &leaf, "/mesh/x").status().await, None);
    assert_eq!(calling(&gate, &revoked, "/mesh/x").status().await, Some(200));
}

#[tokio::test]
async fn sessions_of_clients_with_certificates_are_never_resumed() {
    let (upstream, clients) = (Upstream::echo(), Ca::new("Clients"));
    let gate = setup(&upstream, &clients, "optional").start().await;
    let leaf = clients.issue(named(&[WEB]));
    for versions in VERSIONS {
        let config = gate.setup.ca.client_config_of(&leaf, &[], versions);
        for _ in 0..3 {
            assert_eq!(Call::new(gate.https, config.clone(), "GET", "/mesh/x").status().await, Some(200));
            let stream = tokio::net::TcpStream::connect(gate.https).await.unwrap();
            let mut config = (*config).clone();
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            let tls = try_handshake(stream, HOST, config.into()).await.unwrap();
            let kind = tls.get_ref().1.handshake_kind();
            assert!(matches!(kind, Some(rustls::HandshakeKind::Full | rustls::HandshakeKind::FullWithHelloRetryRequest)), "{kind:?}");
        }
    }
}
