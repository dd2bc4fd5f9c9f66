//! Certificates: chosen by name, changed without a restart, and a broken one never takes a good one's place.

use std::sync::Arc;

use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;

use crate::support::client::try_handshake;
use crate::support::gateway::Gateway;
use crate::support::pki::Ca;
use crate::support::setup::{HOST, Setup};
use crate::support::upstream::Upstream;
use crate::support::within;

async fn shown(gate: &Gateway, ca: &Ca, sni: &str) -> std::io::Result<CertificateDer<'static>> {
    let stream = within("a connection", TcpStream::connect(gate.https)).await.unwrap();
    let tls = try_handshake(stream, sni, ca.client_config(&[b"h2", b"http/1.1"])).await?;
    Ok(tls.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned())
}

#[tokio::test]
async fn the_certificate_is_chosen_by_the_name_asked_for() {
    let upstream = Upstream::echo();
    let setup = Setup::new(&upstream.url());
    let (exact, wild) = (setup.ca.leaf(&["one.example.org"]), setup.ca.leaf(&["*.example.org"]));
    let sni = |name: &str, file: &str| format!("[[tls.sni]]\nname = \"{name}\"\ncertificate = \"{file}.crt\"\nprivate_key = \"{file}.key\"");
    let gate = setup
        .file("one.crt", &exact.certificate)
        .file("one.key", &exact.key)
        .file("wild.crt", &wild.certificate)
        .file("wild.key", &wild.key)
        .rest(&sni("*.example.org", "wild"))
        .rest(&sni("one.example.org", "one"))
        .public("/**")
        .start()
        .await;
    let ca = &gate.setup.ca;
    assert_eq!(shown(&gate, ca, "one.example.org").await.unwrap(), exact.der);
    assert_eq!(shown(&gate, ca, "two.example.org").await.unwrap(), wild.der);
    assert_eq!(shown(&gate, ca, "ONE.example.org").await.unwrap(), exact.der);
    shown(&gate, ca, HOST).await.unwrap();
    // A wildcard stands for one label: here the default is shown, and does not fit.
    assert!(shown(&gate, ca, "a.b.example.org").await.is_err());
}

#[tokio::test]
async fn a_new_certificate_is_taken_up_without_a_restart_and_a_broken_one_is_not() {
    let upstream = Upstream::echo();
    let gate = Setup::new(&upstream.url()).public("/**").start().await;
    let ca = &gate.setup.ca;
    let first = shown(&gate, ca, HOST).await.unwrap();
    let open = gate.get("/x");
    let mut sender = open.connect().await;
    assert_eq!(open.send_on(&mut sender).await.unwrap().status, 200);

    let second = ca.leaf(&[HOST]);
    gate.setup.write("certs/server.key", &second.key);
    gate.setup.write("certs/server.crt", &second.certificate);
    within("the new certificate", async {
        while shown(&gate, ca, HOST).await.unwrap() != second.der {
            crate::support::breathe().await
        }
    })
    .await;
    assert_ne!(first, second.der);
    assert_eq!(open.send_on(&mut sender).await.unwrap().status, 200, "an open connection goes on");

    let failures = async || {
        let metrics = gate.admin("/metrics").send().await.text();
        let line = metrics.lines().find(|line| line.contains("certificate_reload_fail") && !line.starts_with('#')).unwrap_or("x 0").to_owned();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    let other = ca.leaf(&[HOST]);
    for (what, certificate, key) in [
        ("no certificate at all", "garbage", second.key.as_str()),
        ("half a file", &second.certificate[..200], second.key.as_str()),
        ("empty", "", second.key.as_str()),
        ("a key of another certificate", second.certificate.as_str(), other.key.as_str()),
    ] {
        let before = failures().await;
        gate.setup.write("certs/server.crt", certificate);
        gate.setup.write("certs/server.key", key);
        within(what, async {
            while failures().await <= before {
                crate::support::breathe().await
            }
        })
        .await;
        assert_eq!(shown(&gate, ca, HOST).await.unwrap(), second.der, "{what}");
    }
    gate.setup.write("certs/server.crt", &other.certificate);
    gate.setup.write("certs/server.key", &other.key);
    within("the repaired certificate", async {
        while shown(&gate, ca, HOST).await.unwrap() != other.der {
            crate::support::breathe().await
        }
    })
    .await;
}

#[tokio::test]
async fn modern_tls_and_nothing_older_is_spoken() {
    let upstream = Upstream::echo();
    for (minimum, old_accepted) in [("1.2", true), ("1.3", false)] {
        let gate = Setup::new(&upstream.url()).with("tls", &format!("min_version = \"{minimum}\"")).public("/**").start().await;
        let mut roots = rustls::RootCertStore::empty();
        let pem = gate.setup.ca.pem();
        roots.add(<CertificateDer as rustls_pki_types::pem::PemObject>::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
        let old = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(gate.https).await.unwrap();
        assert_eq!(try_handshake(stream, HOST, Arc::new(old)).await.is_ok(), old_accepted, "{minimum}");

        let stream = TcpStream::connect(gate.https).await.unwrap();
        let tls = try_handshake(stream, HOST, gate.setup.ca.client_config(&[b"h2", b"http/1.1"])).await.unwrap();
        let session = &tls.get_ref().1;
        assert_eq!(session.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        assert_eq!(session.alpn_protocol(), Some(b"h2".as_slice()));
        assert_eq!(session.negotiated_key_exchange_group().unwrap().name(), rustls::NamedGroup::X25519MLKEM768);
    }
}

#[tokio::test]
async fn no_request_is_taken_before_the_handshake_is_done() {
    let upstream = Upstream::echo();
    let gate = Setup::new(&upstream.url()).public("/**").start().await;
    let mut config = (*gate.setup.ca.client_config(&[b"http/1.1"])).clone();
    config.enable_early_data = true;
    let config = Arc::new(config);
    let call = crate::support::client::Call::new(gate.https, config.clone(), "GET", "/x");
    assert_eq!(call.send().await.status, 200);
    let mut next = rustls::ClientConnection::new(config, ServerName::try_from(HOST).unwrap()).unwrap();
    assert!(next.early_data().is_none(), "a ticket allows early data");
}

#[tokio::test]
async fn a_client_without_alpn_speaks_http_1() {
    let upstream = Upstream::echo();
    let gate = Setup::new(&upstream.url()).public("/**").start().await;
    let mut raw = crate::support::client::Raw::tls(gate.https, HOST, gate.setup.ca.client_config(&[])).await;
    raw.write(format!("GET /x HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await;
    assert_eq!(raw.answer().await.unwrap().status, 200);
    // The preface of HTTP/2 without having agreed on it is no request.
    let raw = crate::support::client::Raw::tls(gate.https, HOST, gate.setup.ca.client_config(&[b"http/1.1"])).await;
    let answers = raw.answers(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    assert!(answers.iter().all(|answer| answer.status >= 400), "{answers:?}");
    assert_eq!(upstream.count(), 1);
}
