mod clients;

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, NamedGroup, ProtocolVersion, ServerConnection};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::watch::Found;
use super::*;
use crate::server::devcerts;
use crate::telemetry::Telemetry;

/// A folder with one CA and a certificate for each name; the first is the default.
struct Files(tempfile::TempDir);

impl Files {
    fn new(names: &[&str]) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        for name in names {
            files.make(name);
        }
        files
    }

    fn path(&self, name: &str, end: &str) -> PathBuf {
        self.0.path().join(format!("{}.{end}", name.replace('*', "wild")))
    }

    /// A new certificate and key for `name`.
    fn make(&self, name: &str) {
        let made = devcerts::make(self.0.path(), &[name.to_owned()], true).unwrap();
        std::fs::rename(made.private_key, self.path(name, "key")).unwrap();
        std::fs::rename(made.certificate, self.path(name, "crt")).unwrap();
    }

    fn settings(&self, default: &str, sni: &[&str]) -> Settings {
        Settings {
            certificate: self.path(default, "crt"),
            private_key: self.path(default, "key"),
            min_version: None,
            client_auth: None,
            client_ca: None,
            client_crl: Vec::new(),
            sni: sni
                .iter()
                .map(|name| SniSettings { name: name.parse().unwrap(), certificate: self.path(name, "crt"), private_key: self.path(name, "key") })
                .collect(),
        }
    }

    fn leaf(&self, name: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.path(name, "crt")).unwrap()
    }
}

/// Takes any certificate: these tests look at which one came.
#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn client(identity: Option<(&Path, &Path)>, versions: &[&'static rustls::SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider())).with_protocol_versions(versions).unwrap();
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anything));
    let mut config = match identity {
        Some((certificate, key)) => builder
            .with_client_auth_cert(vec![CertificateDer::from_pem_file(certificate).unwrap()], PrivateKeyDer::from_pem_file(key).unwrap())
            .unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.enable_early_data = true;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// A whole handshake in memory, with what the server sends after it.
fn shake(server: &Certificates, client: &Arc<ClientConfig>, name: &str) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
    let mut client = ClientConnection::new(Arc::clone(client), ServerName::try_from(name.to_owned()).unwrap()).unwrap();
    let mut server = ServerConnection::new(server.terms().config()).unwrap();
    while client.wants_write() || server.wants_write() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets()?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
    }
    Ok((client, server))
}

fn load(settings: &Settings) -> Arc<Certificates> {
    let mut report = Report::default();
    let loaded = Certificates::load(settings, &mut report);
    loaded.unwrap_or_else(|| panic!("{:?}", report.problems()))
}

const BOTH: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

#[test]
fn the_certificate_is_chosen_by_name_exact_before_wildcard_before_default() {
    let files = Files::new(&["default.example", "*.example.com", "a.example.com"]);
    let served = load(&files.settings("default.example", &["*.example.com", "a.example.com"]));
    for (name, wanted) in [
        ("a.example.com", "a.example.com"),
        ("A.Example.COM", "a.example.com"),
        ("b.example.com", "*.example.com"),
        ("b.a.example.com", "default.example"),
        ("example.com", "default.example"),
        ("other.example", "default.example"),
        ("127.0.0.1", "default.example"),
    ] {
        let (client, _) = shake(&served, &client(None, BOTH), name).unwrap();
        assert_eq!(client.peer_certificates().unwrap()[0], files.leaf(wanted), "{name}");
    }
    let names: Vec<_> = served.not_after().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["default", "*.example.com", "a.example.com"]);
    assert!(served.not_after().iter().all(|(_, at)| *at > crate::types::unix_now() + 390 * 86_400));
}

#[test]
fn new_clients_get_a_post_quantum_key_exchange_and_no_early_data() {
    let files = Files::new(&["a"]);
    let served = load(&files.settings("a", &[]));
    assert_eq!(served.terms().config().max_early_data_size, 0);
    let config = client(None, BOTH);
    let (first, server) = shake(&served, &config, "a").unwrap();
    assert_eq!(first.negotiated_key_exchange_group().unwrap().name(), NamedGroup::X25519MLKEM768);
    assert_eq!(first.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(server.alpn_protocol(), Some(&b"h2"[..]));
    assert!(first.tls13_tickets_received() <= 2);
    let again = ClientConnection::new(Arc::clone(&config), ServerName::try_from("a").unwrap());
    assert!(again.unwrap().early_data().is_none());
    assert_eq!(shake(&served, &config, "a").unwrap().0.handshake_kind(), Some(HandshakeKind::Resumed));
}

#[test]
fn the_lowest_version_is_kept_to() {
    let files = Files::new(&["a"]);
    let old = client(None, &[&rustls::version::TLS12]);
    let mut settings = files.settings("a", &[]);
    assert_eq!(shake(&load(&settings), &old, "a").unwrap().0.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    settings.min_version = Some("1.3".to_owned());
    assert!(shake(&load(&settings), &old, "a").is_err());
}

#[test]
fn client_certificates_are_verified_and_never_resumed() {
    let (files, strangers) = (Files::new(&["a", "client"]), Files::new(&["client"]));
    // Server certificates do not do as client certificates: an own one is made by the same CA.
    for files in [&files, &strangers] {
        client_certificate(files);
    }
    let mut settings = files.settings("a", &[]);
    settings.client_ca = Some(files.0.path().join("ca.crt"));
    let identity = |files: &Files| (files.path("client", "crt"), files.path("client", "key"));
    let (ours, theirs) = (identity(&files), identity(&strangers));
    for (mode, nobody_enters) in [("required", false), ("optional", true)] {
        settings.client_auth = Some(mode.to_owned());
        let served = load(&settings);
        for versions in [BOTH, &[&rustls::version::TLS12]] {
            assert_eq!(shake(&served, &client(None, versions), "a").is_ok(), nobody_enters, "{mode}");
            assert!(shake(&served, &client(Some((&theirs.0, &theirs.1)), versions), "a").is_err(), "{mode}");
            let known = client(Some((&ours.0, &ours.1)), versions);
            for _ in 0..2 {
                let (client, server) = shake(&served, &known, "a").unwrap();
                assert!(server.peer_certificates().is_some());
                assert_eq!((client.handshake_kind(), client.tls13_tickets_received()), (Some(HandshakeKind::Full), 0));
            }
        }
    }
}

fn client_certificate(files: &Files) {
    let read = |name: &str| std::fs::read_to_string(files.0.path().join(name)).unwrap();
    let ca = rcgen::Issuer::from_ca_cert_pem(&read("ca.crt"), rcgen::KeyPair::from_pem(&read("ca.key")).unwrap()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["client".to_owned()]).unwrap();
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    std::fs::write(files.path("client", "crt"), params.signed_by(&key, &ca).unwrap().pem()).unwrap();
    std::fs::write(files.path("client", "key"), key.serialize_pem()).unwrap();
}

/// Loads after `spoil`; returns the keys of all errors, or `None` if it loaded.
fn errors(spoil: impl FnOnce(&Files, &mut Settings)) -> Option<Vec<String>> {
    let files = Files::new(&["a", "b"]);
    let mut settings = files.settings("a", &["b"]);
    spoil(&files, &mut settings);
    let mut report = Report::default();
    match Certificates::load(&settings, &mut report) {
        Some(_) => None,
        None => Some(report.problems().iter().filter(|p| p.severity == Severity::Error).map(|p| p.key.clone()).collect()),
    }
}

#[test]
fn every_mistake_is_reported_with_its_key_and_nothing_is_served() {
    type Spoil = fn(&Files, &mut Settings);
    let cases: &[(Spoil, &[&str])] = &[
        (|_, s| s.certificate = "/none".into(), &["tls.certificate"]),
        (|_, s| s.private_key = "/none".into(), &["tls.private_key"]),
        (|f, s| s.private_key = f.path("b", "key"), &["tls.private_key"]),
        (|f, s| s.sni[0].private_key = f.path("a", "key"), &["tls.sni[0].private_key"]),
        (|f, s| std::fs::write(f.0.path().join("e"), "").map(|()| s.certificate = f.0.path().join("e")).unwrap(), &["tls.certificate"]),
        (|f, s| s.certificate = f.path("a", "key"), &["tls.certificate"]),
        (|f, s| s.private_key = f.path("a", "crt"), &["tls.private_key"]),
        (|_, s| (s.certificate, s.sni[0].certificate) = ("/x".into(), "/y".into()), &["tls.certificate", "tls.sni[0].certificate"]),
        (|_, s| s.sni.push(s.sni[0].clone()), &["tls.sni[1].name"]),
        (|_, s| s.min_version = Some("1.1".to_owned()), &["tls.min_version"]),
        (|_, s| s.client_auth = Some("yes".to_owned()), &["tls.client_auth"]),
        (|_, s| s.client_auth = Some("required".to_owned()), &["tls.client_ca"]),
        (|_, s| s.client_auth = Some("optional".to_owned()), &["tls.client_ca"]),
        (|f, s| s.client_ca = Some(f.0.path().join("ca.crt")), &["tls.client_ca"]),
        (|f, s| s.client_crl = vec![f.path("a", "crt")], &["tls.client_crl"]),
        (|_, s| (s.client_auth, s.client_ca) = (Some("required".to_owned()), Some("/none".into())), &["tls.client_ca"]),
        (|f, s| (s.client_auth, s.client_ca) = (Some("required".to_owned()), Some(f.path("a", "key"))), &["tls.client_ca"]),
    ];
    for (at, (spoil, keys)) in cases.iter().enumerate() {
        assert_eq!(errors(spoil).as_deref().map(|have| have.iter().map(String::as_str).collect::<Vec<_>>()), Some(keys.to_vec()), "case {at}");
    }
    assert_eq!(errors(|_, _| ()), None);
}

#[test]
fn weak_choices_are_warned_of() {
    let files = Files::new(&["a"]);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["a".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    std::fs::write(files.path("a", "crt"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(files.path("a", "key"), key.serialize_pem()).unwrap();
    let mut settings = files.settings("a", &["a"]);
    settings.sni[0].name = "b.example.com".parse().unwrap();
    let mut report = Report::default();
    assert!(Certificates::load(&settings, &mut report).is_some());
    let said: Vec<_> = report.problems().iter().map(|p| (p.key.as_str(), p.problem.as_str())).collect();
    let expired = "the certificate has expired";
    assert_eq!(
        said,
        [("tls.certificate", expired), ("tls.sni[0].certificate", expired), ("tls.sni[0].certificate", "the certificate is not for b.example.com")]
    );
}

#[test]
fn a_reload_takes_good_files_and_keeps_the_old_ones_for_bad() {
    let files = Files::new(&["a", "b"]);
    let served = load(&files.settings("a", &["b"]));
    let seen = |name| shake(&served, &client(None, BOTH), name).unwrap().0.peer_certificates().unwrap()[0].clone();
    let old = files.leaf("a");
    assert!(!served.reload().unwrap());
    files.make("a");
    assert_eq!(seen("a"), old);
    assert!(served.reload().unwrap());
    let new = files.leaf("a");
    assert!(new != old && seen("a") == new);

    // One bad file keeps all of the old set, the other new files included.
    files.make("a");
    std::fs::write(files.path("b", "key"), "not a key").unwrap();
    let error = served.reload().unwrap_err().to_string();
    assert!(error.starts_with("tls.sni[0].private_key: ") && !error.contains("not a key"), "{error}");
    assert_eq!(seen("a"), new);
    std::fs::remove_file(files.path("b", "key")).unwrap();
    assert!(served.reload().is_err());
    files.make("b");
    assert!(served.reload().unwrap());
    assert_eq!((seen("a"), seen("b")), (files.leaf("a"), files.leaf("b")));
}

#[test]
fn prepared_certificates_serve_only_once_they_are_installed() {
    let files = Files::new(&["a", "b"]);
    let served = load(&files.settings("a", &[]));
    let seen = || shake(&served, &client(None, BOTH), "x").unwrap().0.peer_certificates().unwrap()[0].clone();
    let prepared = Certificates::prepare(&files.settings("b", &[]), &mut Report::default()).unwrap();
    assert_eq!(seen(), files.leaf("a"));
    served.install(prepared);
    assert_eq!(seen(), files.leaf("b"));
    files.make("b");
    assert!(served.reload().unwrap(), "the new files are watched");
}

#[tokio::test]
async fn the_watch_swaps_good_files_and_counts_bad_ones() {
    let files = Files::new(&["a"]);
    let served = load(&files.settings("a", &[]));
    let telemetry = Telemetry::without_output();
    let watch = tokio::spawn(Arc::clone(&served).watch_every(std::time::Duration::from_millis(5), telemetry.clone()));
    let failures = || telemetry.render().contains("doorward_certificate_reload_failures_total 1");
    let until = async |done: &dyn Fn() -> bool| {
        let waited = tokio::time::timeout(std::time::Duration::from_secs(20), async {
            while !done() {
                tokio::task::yield_now().await;
            }
        });
        waited.await.unwrap();
    };
    let before = served.not_after();
    std::fs::write(files.path("a", "crt"), "broken").unwrap();
    until(&failures).await;
    assert_eq!(served.not_after(), before);
    let config = served.terms().config();
    files.make("a");
    until(&|| !Arc::ptr_eq(&config, &served.terms().config())).await;
    watch.abort();
}

#[test]
fn files_that_are_half_written_are_given_time_and_bad_ones_are_reported_once() {
    let files = Files::new(&["a"]);
    let served = load(&files.settings("a", &[]));
    assert!(matches!(served.look(None), Found::Same));
    let certificate = std::fs::read(files.path("a", "crt")).unwrap();
    std::fs::write(files.path("a", "crt"), &certificate[..100]).unwrap();
    let Found::Unsettled(fingerprint) = served.look(None) else { panic!("it is not reported at first sight") };
    assert!(matches!(served.look(Some([0; 32])), Found::Unsettled(_)), "other contents start anew");
    assert!(matches!(served.look(Some(fingerprint)), Found::Bad(_)));
    assert!(matches!(served.look(None), Found::Same));
    files.make("a");
    assert!(matches!(served.look(None), Found::Swapped));
    std::fs::write(files.path("a", "crt"), &certificate[..100]).unwrap();
    assert!(served.reload().is_err());
    assert!(matches!(served.look(None), Found::Same), "whoever asked for the reload has heard of it");
}
