//! Which certificate a client gets: the exact name, else the wildcard for its one label, else the default.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::ServerName;

use crate::types::{HostPattern, Report};

#[derive(Debug)]
pub(super) struct ByName {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what stands behind `*.`.
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    default: Arc<CertifiedKey>,
}

impl ByName {
    pub(super) fn new(default: Arc<CertifiedKey>) -> Self {
        Self { exact: HashMap::new(), wildcard: HashMap::new(), default }
    }

    /// Adds a certificate; reports a name that has one already, and warns if the certificate is for other names.
    pub(super) fn add(&mut self, name: &HostPattern, key: Arc<CertifiedKey>, report: &mut Report) {
        if !covers(&key, name.as_str()) {
            report.warn("certificate", &format!("the certificate is not for {}", name.as_str()), "name a certificate that clients accept there");
        }
        let before = match name.as_str().strip_prefix("*.") {
            Some(domain) => self.wildcard.insert(domain.to_owned(), key),
            None => self.exact.insert(name.as_str().to_owned(), key),
        };
        if before.is_some() {
            report.error("name", &format!("{} is given twice", name.as_str()), "keep one certificate for each name");
        }
    }

    fn find(&self, name: Option<&str>) -> Arc<CertifiedKey> {
        let found = name.and_then(|name| {
            let name = name.to_ascii_lowercase();
            let name = name.strip_suffix('.').unwrap_or(&name);
            self.exact.get(name).or_else(|| self.wildcard.get(name.split_once('.')?.1))
        });
        Arc::clone(found.unwrap_or(&self.default))
    }
}

fn covers(key: &CertifiedKey, name: &str) -> bool {
    // A wildcard is tried with a label that no certificate names on its own.
    let probe = name.replacen('*', "doorward-wildcard-probe", 1);
    let (Ok(probe), Some(leaf)) = (ServerName::try_from(probe), key.cert.first()) else { return false };
    ParsedCertificate::try_from(leaf).is_ok_and(|leaf| rustls::client::verify_server_name(&leaf, &probe).is_ok())
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.find(hello.server_name()))
    }
}
