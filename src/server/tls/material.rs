//! The contents of all certificate files, and what is built out of them.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Settings;
use super::clients::{Clients, Files};
use super::resolve::ByName;
use crate::types::{Report, unix_now};

/// SHA-256 of all contents.
pub(super) type Fingerprint = [u8; 32];

/// TLS 1.2 sessions that can be resumed without a ticket. TLS 1.3 sessions are kept by the clients.
const SESSIONS: usize = 4096;
/// Tickets for one handshake: a browser opens a second connection soon.
const TICKETS: usize = 2;

/// What a server needs for a handshake.
pub(super) struct InService {
    pub(super) config: Arc<ServerConfig>,
    pub(super) fingerprint: Fingerprint,
    /// Name and Unix time.
    pub(super) not_after: Vec<(String, i64)>,
    /// What client certificates are verified with; `None` if none are asked for.
    pub(super) clients: Option<Clients>,
    /// No two that served had the same number.
    pub(super) rules: u64,
}

impl fmt::Debug for InService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InService").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

/// A file's, or why it could not be read.
pub(super) type Contents = io::Result<Zeroizing<Vec<u8>>>;

/// All files, each read once: what is judged is what goes into service.
pub(super) struct Material {
    default: Pair,
    /// In the order of the settings.
    sni: Vec<Pair>,
    client_ca: Option<Contents>,
    client_crl: Vec<Contents>,
}

struct Pair {
    certificate: Contents,
    private_key: Contents,
}

impl Pair {
    fn read(certificate: &Path, private_key: &Path) -> Self {
        Self { certificate: contents(certificate), private_key: contents(private_key) }
    }
}

fn contents(path: &Path) -> Contents {
    std::fs::read(path).map(Zeroizing::new).map_err(|error| io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display())))
}

impl Material {
    pub(super) fn read(settings: &Settings) -> Self {
        Self {
            default: Pair::read(&settings.certificate, &settings.private_key),
            sni: settings.sni.iter().map(|more| Pair::read(&more.certificate, &more.private_key)).collect(),
            client_ca: settings.client_ca.as_deref().map(contents),
            client_crl: settings.client_crl.iter().map(|path| contents(path)).collect(),
        }
    }

    /// Differs whenever any file's content does, or whether it can be read.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let pairs = std::iter::once(&self.default).chain(&self.sni).flat_map(|pair| [&pair.certificate, &pair.private_key]);
        let mut hash = Sha256::new();
        for file in pairs.chain(&self.client_ca).chain(&self.client_crl) {
            match file {
                Ok(bytes) => {
                    hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
                    hash.update(&**bytes);
                }
                Err(_) => hash.update(u64::MAX.to_be_bytes()),
            }
        }
        hash.finalize().into()
    }

    /// Checks everything and reports every problem before giving up.
    pub(super) fn build(&self, settings: &Settings, report: &mut Report) -> Option<InService> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut not_after = Vec::new();
        let default = self.default.certified("default", &provider, &mut not_after, report).map(ByName::new);
        let mut resolver = default;
        for (at, (pair, more)) in self.sni.iter().zip(&settings.sni).enumerate() {
            report.within(&format!("sni[{at}]"), |report| {
                let key = pair.certified(more.name.as_str(), &provider, &mut not_after, report);
                if let (Some(resolver), Some(key)) = (&mut resolver, key) {
                    resolver.add(&more.name, key, report);
                }
            });
        }
        let versions = versions(settings, report);
        let files = Files { authorities: self.client_ca.as_ref(), lists: &self.client_crl };
        let clients = Clients::build(settings.client_auth.as_deref(), &files, &provider, report);
        if report.has_errors() {
            return None;
        }
        let (resolver, versions, clients) = (resolver?, versions?, clients?);
        let config = config(provider, resolver, &versions, clients.as_ref().map(Clients::verifier), report)?;
        Some(InService { config: Arc::new(config), fingerprint: self.fingerprint(), not_after, clients, rules: 0 })
    }
}

impl Pair {
    fn certified(&self, name: &str, provider: &CryptoProvider, not_after: &mut Vec<(String, i64)>, report: &mut Report) -> Option<Arc<CertifiedKey>> {
        let chain = certificates("certificate", &self.certificate, report);
        let key = private_key(&self.private_key, report);
        let (chain, key) = (chain?, key?);
        not_after.push((name.to_owned(), validity(chain.first()?, report)?));
        match CertifiedKey::from_der(chain, key, provider) {
            Ok(certified) => Some(Arc::new(certified)),
            Err(rustls::Error::InconsistentKeys(_)) => {
                report.error("private_key", "the key does not belong to the certificate", "name the key that the certificate was made for");
                None
            }
            Err(error) => {
                report.error("private_key", &format!("the key is not usable: {error}"), "use an ECDSA, Ed25519 or RSA key in PEM form");
                None
            }
        }
    }
}

pub(super) fn certificates(key: &str, contents: &Contents, report: &mut Report) -> Option<Vec<CertificateDer<'static>>> {
    let bytes = readable(key, contents, report)?;
    match CertificateDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>() {
        Ok(found) if found.is_empty() => {
            report.error(key, "the file holds no certificate", "name a PEM file with a BEGIN CERTIFICATE line");
            None
        }
        Ok(found) => Some(found),
        Err(error) => {
            report.error(key, &format!("the file is not valid PEM: {error}"), "name a PEM file");
            None
        }
    }
}

fn private_key(contents: &Contents, report: &mut Report) -> Option<PrivateKeyDer<'static>> {
    let bytes = readable("private_key", contents, report)?;
    // The error is not shown: it could quote the file.
    PrivateKeyDer::from_pem_slice(bytes)
        .map_err(|_| report.error("private_key", "the file holds no private key", "name a PEM file with a BEGIN PRIVATE KEY line, not encrypted"))
        .ok()
}

pub(super) fn readable<'a>(key: &str, contents: &'a Contents, report: &mut Report) -> Option<&'a [u8]> {
    contents.as_deref().map(Vec::as_slice).map_err(|error| report.error(key, &error.to_string(), "check the path and its permissions")).ok()
}

/// The end of the validity in Unix time.
fn validity(leaf: &CertificateDer<'_>, report: &mut Report) -> Option<i64> {
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(leaf) else {
        report.error("certificate", "the first certificate cannot be read", "put the server's own certificate first");
        return None;
    };
    let (from, until, now) = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp(), unix_now());
    if until <= now {
        report.warn("certificate", "the certificate has expired", "renew it");
    } else if from > now {
        report.warn("certificate", "the certificate is not valid yet", "check this machine's clock");
    }
    Some(until)
}

fn versions(settings: &Settings, report: &mut Report) -> Option<Vec<&'static SupportedProtocolVersion>> {
    match settings.min_version.as_deref() {
        None | Some("1.2") => Some(vec![&version::TLS13, &version::TLS12]),
        Some("1.3") => Some(vec![&version::TLS13]),
        Some(other) => {
            report.error("min_version", &format!("{other:?} is not a version that Doorward speaks"), "write \"1.2\" or \"1.3\"");
            None
        }
    }
}

fn config(
    provider: Arc<CryptoProvider>,
    resolver: ByName,
    versions: &[&'static SupportedProtocolVersion],
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    report: &mut Report,
) -> Option<ServerConfig> {
    let broken = |report: &mut Report, error: rustls::Error| report.error("", &format!("TLS cannot be set up: {error}"), "report this");
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).map_err(|error| broken(report, error)).ok()?;
    let asks_clients = verifier.is_some();
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Early data can be replayed by anyone who saw it (RFC 8446 section 8).
    config.max_early_data_size = 0;
    if asks_clients {
        // A resumed session carries its client certificate along: it is verified anew each time instead.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    } else {
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        config.send_tls13_tickets = TICKETS;
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(|error| broken(report, error)).ok()?;
    }
    Some(config)
}
