//! Certificates -> `rustls::ServerConfig`, swapped as a whole when the files change.
//!
//! ```text
//! files --read once--> Material --build--> InService --swap--> next handshake
//!                         |          any problem: the old one stays in service
//!                         +-- SHA-256 of all contents: what "changed" means
//! ```
//!
//! A connection with a client certificate is judged by what is in service now, at each of its requests: what a new
//! handshake would refuse does not go on because it began earlier.

mod clients;
mod dates;
mod material;
mod resolve;
mod revocation;
mod wall;
mod watch;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::{ServerConfig, ServerConnection};
use serde::Deserialize;

use crate::inbound::ClientCertificate;
use crate::types::{HostPattern, Problem, Report, Severity, one_or_more, unix_now};

use material::{Fingerprint, InService, Material};

/// So many seconds before its certificate ends, a client is asked to come back with the next one.
const PARTING: i64 = 30;

/// `[tls]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// PEM chain, leaf first.
    pub certificate: PathBuf,
    /// PEM key of the leaf.
    pub private_key: PathBuf,
    /// `1.2` (default) or `1.3`.
    #[serde(default)]
    pub min_version: Option<String>,
    /// `none` (default), `optional` or `required`.
    #[serde(default)]
    pub client_auth: Option<String>,
    /// PEM bundle that client certificates are verified against.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
    /// Revocation lists, PEM or DER; without any, nothing is known to be revoked.
    #[serde(default, deserialize_with = "one_or_more")]
    pub client_crl: Vec<PathBuf>,
    /// More certificates, chosen by server name.
    #[serde(default)]
    pub sni: Vec<SniSettings>,
}

impl Settings {
    /// Whether clients are asked for a certificate.
    #[must_use]
    pub fn asks_for_certificates(&self) -> bool {
        self.client_auth.as_deref().is_some_and(|mode| mode != "none")
    }
}

/// `[[tls.sni]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SniSettings {
    /// Exact or `*.domain`.
    pub name: HostPattern,
    /// PEM chain, leaf first.
    pub certificate: PathBuf,
    /// PEM key of the leaf.
    pub private_key: PathBuf,
}

/// The certificates in service.
pub struct Certificates {
    current: ArcSwap<InService>,
    source: Mutex<Source>,
    /// The number of the rules in service.
    rules: AtomicU64,
}

/// What a handshake is done by.
#[derive(Debug)]
pub struct Terms(Arc<InService>);

impl Terms {
    /// For rustls.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.config)
    }

    /// The certificate that the client proved to hold in the handshake that was done by these terms.
    pub(super) fn certificate(&self, session: &ServerConnection) -> Option<ClientCertificate> {
        clients::admitted(self.0.clients.as_ref(), self.0.rules, session.peer_certificates()?, unix_now())
    }
}

/// Where certificates come from. The lock is held while files are read, so that two reloads cannot overtake each other.
#[derive(Debug)]
struct Source {
    settings: Settings,
    /// Contents that were tried and refused.
    refused: Option<Fingerprint>,
}

/// Certificates that were read and found good, but are not in service yet.
#[derive(Debug)]
pub struct Prepared {
    settings: Settings,
    loaded: InService,
}

/// New certificate files that cannot be used. The old ones are still in service.
#[derive(Debug, thiserror::Error)]
pub struct ReloadError(pub Vec<Problem>);

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            let before = if at == 0 { "" } else { "; " };
            write!(f, "{before}{}: {}", problem.key, problem.problem)?;
        }
        Ok(())
    }
}

impl Certificates {
    /// Reads all files and checks that each key fits its certificate. Reports (keys start with `tls.`) and returns `None` if
    /// any does not. An expired certificate is only warned of.
    pub fn load(settings: &Settings, report: &mut Report) -> Option<Arc<Self>> {
        Self::prepare(settings, report).map(|prepared| Arc::new(Self::new(prepared)))
    }

    /// Puts what was prepared into service.
    #[must_use]
    pub fn new(prepared: Prepared) -> Self {
        const FIRST: u64 = 1;
        let Prepared { settings, loaded } = prepared;
        let first = InService { rules: FIRST, ..loaded };
        Self { current: ArcSwap::from_pointee(first), source: Mutex::new(Source { settings, refused: None }), rules: AtomicU64::new(FIRST) }
    }

    /// Reads and checks as [`Certificates::load`] does; puts nothing into service.
    pub fn prepare(settings: &Settings, report: &mut Report) -> Option<Prepared> {
        let loaded = report.within("tls", |report| Material::read(settings).build(settings, report))?;
        Some(Prepared { settings: settings.clone(), loaded })
    }

    /// Puts what was prepared into service, for handshakes from now on, and watches its files instead of the old ones.
    pub fn install(&self, prepared: Prepared) {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        *source = Source { settings: prepared.settings, refused: None };
        self.serve(prepared.loaded);
    }

    /// Reads the files again. `Ok(true)` if they had changed and are in service now; `Ok(false)` if nothing changed. On an
    /// error the old ones stay in service; the caller logs it and counts it. Blocks on the file system.
    pub fn reload(&self) -> Result<bool, ReloadError> {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let material = Material::read(&source.settings);
        let fingerprint = material.fingerprint();
        if fingerprint == self.current.load().fingerprint {
            source.refused = None;
            return Ok(false);
        }
        let mut report = Report::default();
        match report.within("tls", |report| material.build(&source.settings, report)) {
            Some(loaded) => {
                self.serve(loaded);
                source.refused = None;
                Ok(true)
            }
            None => {
                source.refused = Some(fingerprint);
                Err(ReloadError(report.problems().iter().filter(|problem| problem.severity == Severity::Error).cloned().collect()))
            }
        }
    }

    fn serve(&self, loaded: InService) {
        let rules = self.rules.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        self.current.store(Arc::new(InService { rules, ..loaded }));
    }

    /// For the next handshake.
    pub(super) fn terms(&self) -> Terms {
        Terms(self.current.load_full())
    }

    /// Judges the certificate of a connection by what is in service now. Whether the connection should end: the certificate
    /// is not accepted any longer, or will soon be over.
    pub(super) fn judge(&self, certificate: &ClientCertificate) -> bool {
        let now = unix_now();
        let current = self.current.load();
        let verdict = certificate.judge(current.rules, now, || {
            clients::verdict(current.clients.as_ref(), current.rules, (&certificate.der, &certificate.intermediates), now, false)
        });
        verdict.lapse.is_some() || verdict.ends.saturating_sub(now) <= PARTING
    }

    /// When each certificate in service expires, in Unix time: by its server name, `default` for the first.
    #[must_use]
    pub fn not_after(&self) -> Vec<(String, i64)> {
        self.current.load().not_after.clone()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("not_after", &self.current.load().not_after).finish()
    }
}

#[cfg(test)]
mod tests;
