//! Client certificates: lists that revoke them, and connections that outlive them.

use rcgen::{
    CertificateRevocationListParams, CrlDistributionPoint, CrlIssuingDistributionPoint, CrlScope, KeyIdMethod, RevokedCertParams, SerialNumber,
};
use time::{Duration, OffsetDateTime};

use super::*;
use crate::inbound::Lapse;
use crate::server::tls::clients::verdict as decide;

impl Files {
    fn issuer(&self) -> rcgen::Issuer<'static, rcgen::KeyPair> {
        let read = |name: &str| std::fs::read_to_string(self.0.path().join(name)).unwrap();
        rcgen::Issuer::from_ca_cert_pem(&read("ca.crt"), rcgen::KeyPair::from_pem(&read("ca.key")).unwrap()).unwrap()
    }

    /// Writes a list of the CA that revokes these certificates, good for some seconds.
    fn revoke(&self, names: &[&str], lasts: Duration) {
        std::fs::write(
            self.0.path().join("ca.crl"),
            list(names.iter().map(|name| self.leaf(name)), lasts, None).signed_by(&self.issuer()).unwrap().pem().unwrap(),
        )
        .unwrap();
    }

    fn asking(&self, mode: &str) -> Settings {
        let mut settings = self.settings("a", &[]);
        settings.client_auth = Some(mode.to_owned());
        settings.client_ca = Some(self.0.path().join("ca.crt"));
        settings.client_crl = vec![self.0.path().join("ca.crl")];
        settings
    }
}

fn list(
    revoked: impl Iterator<Item = CertificateDer<'static>>,
    lasts: Duration,
    issuing_distribution_point: Option<CrlIssuingDistributionPoint>,
) -> CertificateRevocationListParams {
    let next_update = OffsetDateTime::now_utc() + lasts;
    CertificateRevocationListParams {
        this_update: next_update - Duration::DAY,
        next_update,
        crl_number: SerialNumber::from(1),
        issuing_distribution_point,
        revoked_certs: revoked
            .map(|der| RevokedCertParams {
                serial_number: SerialNumber::from_slice(x509_parser::parse_x509_certificate(&der).unwrap().1.raw_serial()),
                revocation_time: next_update - Duration::DAY,
                reason_code: None,
                invalidity_date: None,
            })
            .collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    }
}

/// One of another name.
fn another_authority() -> rcgen::Issuer<'static, rcgen::KeyPair> {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "Elsewhere");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    rcgen::Issuer::new(params, rcgen::KeyPair::generate().unwrap())
}

/// A server's certificate `a` and a client's, both of one CA, and a list that revokes nobody.
fn files() -> Files {
    let files = Files::new(&["a", "client"]);
    client_certificate(&files);
    files.revoke(&[], Duration::HOUR);
    files
}

/// The certificate of a new connection.
fn shown(served: &Certificates, files: &Files) -> ClientCertificate {
    let terms = served.terms();
    let (_, server) = shake(served, &client(Some((&files.path("client", "crt"), &files.path("client", "key"))), BOTH), "a").unwrap();
    terms.certificate(&server).unwrap()
}

fn enters(served: &Certificates, files: &Files) -> bool {
    shake(served, &client(Some((&files.path("client", "crt"), &files.path("client", "key"))), BOTH), "a").is_ok()
}

#[test]
fn a_newer_list_is_for_connections_that_stand_and_for_new_ones() {
    let files = files();
    let served = load(&files.asking("required"));
    let certificate = shown(&served, &files);
    assert!(!served.judge(&certificate));
    assert_eq!(certificate.lapse(), None);
    files.revoke(&["client"], Duration::HOUR);
    assert!(!served.judge(&certificate), "the list is not in service yet");
    assert!(served.reload().unwrap());
    assert!(served.judge(&certificate));
    assert_eq!(certificate.lapse(), Some(Lapse::Refused("the client certificate was revoked")));
    assert!(!enters(&served, &files));
    files.revoke(&["a"], Duration::HOUR);
    assert!(served.reload().unwrap());
    assert!(!served.judge(&certificate) && certificate.lapse().is_none() && enters(&served, &files), "the revocation was taken back");
}

#[test]
fn a_list_too_old_another_authority_and_no_verification_end_a_connection() {
    let (files, strangers) = (files(), Files::new(&["x"]));
    let served = load(&files.asking("optional"));
    let certificate = shown(&served, &files);
    let judged = |settings: &Settings| {
        served.install(Certificates::prepare(settings, &mut Report::default()).unwrap());
        let leaves = served.judge(&certificate);
        assert_eq!(leaves, certificate.lapse().is_some());
        certificate.lapse()
    };
    assert_eq!(judged(&files.asking("required")), None);
    files.revoke(&[], Duration::seconds(-1));
    assert_eq!(judged(&files.asking("required")), Some(Lapse::Refused("the revocation list that speaks of the client certificate is too old")));
    assert!(!enters(&served, &files));
    let mut settings = files.asking("optional");
    settings.client_crl.clear();
    assert_eq!(judged(&settings), None);
    settings.client_ca = Some(strangers.0.path().join("ca.crt"));
    assert!(matches!(judged(&settings), Some(Lapse::Refused(_))));
    let elsewhere = list(std::iter::empty(), Duration::HOUR, None).signed_by(&another_authority()).unwrap();
    std::fs::write(files.0.path().join("elsewhere.crl"), elsewhere.der()).unwrap();
    settings = Settings { client_crl: vec![files.0.path().join("elsewhere.crl")], ..files.asking("optional") };
    assert_eq!(judged(&settings), Some(Lapse::Refused("no list of tls.client_crl speaks of the client certificate")));
    assert_eq!(judged(&files.settings("a", &[])), Some(Lapse::Refused("client certificates are not asked for any longer")));
}

#[test]
fn a_verdict_holds_until_the_next_date_that_matters() {
    let files = files();
    let settings = files.asking("required");
    let built = Material::read(&settings).build(&settings, &mut Report::default()).unwrap();
    let (der, now) = (files.leaf("client"), unix_now());
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).unwrap();
    let ends = parsed.validity().not_after.timestamp() + 1;
    let verdict = |now, verified| decide(built.clients.as_ref(), 7, (&der, &[]), now, verified);
    let next_update = built.clients.as_ref().unwrap().lists[0].next_update;
    let first = verdict(now, true);
    assert_eq!((first.rules, first.until, first.ends, first.lapse), (7, next_update, ends, None));
    assert_eq!((verdict(next_update - 1, false).lapse, verdict(next_update - 1, false).until), (None, next_update));
    let late = verdict(next_update, false);
    assert!(late.lapse.is_some() && late.until == ends, "{late:?}");
    assert_eq!((verdict(ends - 1, false).until, verdict(ends, false).until), (ends, i64::MAX));
    assert_eq!(verdict(ends, false).lapse, Some(Lapse::Expired));
    assert_eq!(verdict(0, false).lapse, Some(Lapse::NotYetValid));
    let broken = CertificateDer::from(vec![0x30, 0]);
    for (leaf, between) in [(&broken, vec![]), (&der, vec![broken.clone()])] {
        assert!(decide(built.clients.as_ref(), 7, (leaf, &between), now, true).lapse.is_some(), "what cannot be read is not accepted");
    }
}

#[test]
fn lists_that_cannot_be_used_are_reported_and_the_old_ones_stay() {
    let (files, namesake) = (files(), Files::new(&["x"]));
    let served = load(&files.asking("required"));
    let path = files.0.path().join("ca.crl");
    let good = std::fs::read_to_string(&path).unwrap();
    namesake.revoke(&[], Duration::HOUR);
    let of_namesake = std::fs::read_to_string(namesake.0.path().join("ca.crl")).unwrap();
    let der = rustls_pki_types::CertificateRevocationListDer::from_pem_slice(good.as_bytes()).unwrap();
    let with = |old: &str| good.replace("X509 CRL", old);
    for (what, text) in [
        ("empty", Vec::new()),
        ("noise", b"noise".to_vec()),
        ("half", good.as_bytes()[..good.len() / 2].to_vec()),
        ("another kind of PEM", with("CERTIFICATE").into_bytes()),
        ("an authority of the same name", of_namesake.into_bytes()),
        ("twice the same", good.repeat(2).into_bytes()),
        ("half in DER", der[..der.len() / 2].to_vec()),
        ("more behind it", [&*der, b"\0"].concat()),
        ("a certificate in DER", files.leaf("a").to_vec()),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = served.reload().expect_err(what).to_string();
        assert!(error.starts_with("tls.client_crl: "), "{what}: {error}");
        assert!(enters(&served, &files), "{what}");
    }
    files.revoke(&["client"], Duration::HOUR);
    let revoking = rustls_pki_types::CertificateRevocationListDer::from_pem_file(&path).unwrap();
    std::fs::write(&path, &*revoking).unwrap();
    assert!(served.reload().unwrap() && !enters(&served, &files));
}

#[test]
fn lists_of_parts_stand_beside_each_other() {
    let files = files();
    let part = |scope, uri: &str| {
        let point = CrlIssuingDistributionPoint { distribution_point: CrlDistributionPoint { uris: vec![uri.to_owned()] }, scope: Some(scope) };
        list(std::iter::empty(), Duration::HOUR, Some(point)).signed_by(&files.issuer()).unwrap().pem().unwrap()
    };
    let (users, authorities) = (part(CrlScope::UserCertsOnly, "http://x/users"), part(CrlScope::CaCertsOnly, "http://x/authorities"));
    let path = files.0.path().join("ca.crl");
    std::fs::write(&path, authorities.clone() + &users).unwrap();
    let served = load(&files.asking("required"));
    assert!(enters(&served, &files));
    std::fs::write(&path, authorities).unwrap();
    assert!(served.reload().unwrap() && !enters(&served, &files), "no list speaks of users");
}

#[test]
fn dates_of_authorities_and_lists_are_told() {
    let files = files();
    let served = load(&files.asking("required"));
    let told: Vec<_> = served.dates().into_iter().map(|sample| (sample.name, sample.labels)).collect();
    let of = |name: &'static str, value: &str| (name, vec![(if name.contains("crl") { "issuer" } else { "name" }, value.to_owned())]);
    let ca = "CN=Doorward development CA";
    assert_eq!(
        told,
        [
            of("doorward_certificate_not_after_seconds", "default"),
            of("doorward_client_ca_not_after_seconds", ca),
            of("doorward_client_crl_this_update_seconds", ca),
            of("doorward_client_crl_next_update_seconds", ca),
        ]
    );
    assert_eq!(load(&files.settings("a", &[])).dates().len(), 1);
}

#[test]
fn what_is_too_old_already_is_warned_of() {
    let files = files();
    files.revoke(&[], Duration::seconds(-1));
    let mut report = Report::default();
    assert!(Certificates::prepare(&files.asking("required"), &mut report).is_some());
    let said: Vec<_> = report.problems().iter().map(|problem| (problem.key.as_str(), problem.severity)).collect();
    assert_eq!(said, [("tls.client_crl", Severity::Warning)]);
}
