//! A certificate authority made anew for each test.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// What a client needs to trust the authority in this PEM text alone.
pub fn trusting(pem: &str) -> Arc<rustls::ClientConfig> {
    Arc::new(trusting_only(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()))
}

fn trusting_only(authority: CertificateDer<'static>) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority).unwrap();
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn client_params(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = time::OffsetDateTime::now_utc() - time::Duration::HOUR;
    params.not_after = params.not_before + time::Duration::DAY;
    change(&mut params);
    params
}

/// A certificate that nobody vouches for but itself.
pub fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> Leaf {
    let key = KeyPair::generate().unwrap();
    let certificate = client_params(change).self_signed(&key).unwrap();
    Leaf { certificate: certificate.pem(), der: certificate.der().clone(), key: key.serialize_pem(), key_der: key.serialize_der() }
}

/// What names a client in its certificate.
pub fn uri(name: &str) -> rcgen::SanType {
    rcgen::SanType::URI(name.try_into().unwrap())
}

/// A certificate authority.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// A certificate with its key, both PEM.
pub struct Leaf {
    pub certificate: String,
    pub key: String,
    pub der: CertificateDer<'static>,
    pub key_der: Vec<u8>,
}

impl Ca {
    pub fn new(name: &str) -> Self {
        let params = ca_params(name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A server certificate for `names` (DNS names or addresses).
    pub fn leaf(&self, names: &[&str]) -> Leaf {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// A server certificate that ran out long ago.
    pub fn expired_leaf(&self, names: &[&str]) -> Leaf {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        self.sign(params)
    }

    /// A client's certificate.
    pub fn client_leaf(&self, name: &str) -> Leaf {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    /// Any certificate; `change` says what is in it. Good for clients, from an hour ago for a day, unless it says otherwise.
    pub fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        self.sign(client_params(change))
    }

    /// An authority that this one vouches for.
    pub fn intermediate(&self, name: &str) -> Self {
        let params = ca_params(name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    pub fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    /// A revocation list, good for a day.
    pub fn crl(&self, revoked: &[&CertificateDer<'_>]) -> String {
        self.crl_until(revoked, super::now() + 86_400)
    }

    /// A revocation list with this `nextUpdate`; issued an hour before that or now, whichever is earlier.
    pub fn crl_until(&self, revoked: &[&CertificateDer<'_>], next_update: i64) -> String {
        let at = |seconds: i64| time::OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        let now = super::now();
        let list = CertificateRevocationListParams {
            this_update: at(now.min(next_update - 3600)),
            next_update: at(next_update),
            crl_number: SerialNumber::from(u64::try_from(now).unwrap()),
            issuing_distribution_point: None,
            revoked_certs: revoked
                .iter()
                .map(|der| RevokedCertParams {
                    serial_number: SerialNumber::from_slice(x509_parser::parse_x509_certificate(der).unwrap().1.raw_serial()),
                    revocation_time: at(now - 60),
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    fn sign(&self, params: CertificateParams) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Leaf { certificate: certificate.pem(), der: certificate.der().clone(), key: key.serialize_pem(), key_der: key.serialize_der() }
    }

    /// The same for a client that shows this certificate when it is asked for one.
    pub fn client_config_with(&self, leaf: &Leaf) -> Arc<rustls::ClientConfig> {
        self.client_config_of(leaf, &[], rustls::ALL_VERSIONS)
    }

    /// The same with certificates between this one and an authority, and in these versions of TLS alone.
    pub fn client_config_of(
        &self,
        leaf: &Leaf,
        between: &[CertificateDer<'static>],
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let key = rustls_pki_types::PrivateKeyDer::try_from(leaf.key_der.clone()).unwrap();
        let chain = std::iter::once(&leaf.der).chain(between).cloned().collect();
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .unwrap();
        Arc::new(config)
    }

    /// What a client needs to trust this authority alone.
    pub fn client_config(&self, alpn: &[&[u8]]) -> Arc<rustls::ClientConfig> {
        let mut config = trusting_only(self.certificate.der().clone());
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }
}

impl Leaf {
    /// What a TLS server needs to show this certificate.
    pub fn server_config(&self) -> Arc<rustls::ServerConfig> {
        let key = rustls_pki_types::PrivateKeyDer::try_from(self.key_der.clone()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone()], key)
            .unwrap();
        Arc::new(config)
    }
}
