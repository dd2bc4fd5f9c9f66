//! What client certificates are verified with: by the handshake, and again while the connection lasts.
//!
//! ```text
//! client's certificate --issued by--> intermediates (sent along) --issued by--> client_ca
//!          |                              |
//!   a list of client_crl must          must not stand on a list;
//!   speak of it                        a list need not speak of them
//! ```
//!
//! A list past its `nextUpdate` says nothing any longer: whom it speaks of is refused.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, RootCertStore};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::material::{Contents, certificates};
use super::revocation::{self, List};
use super::wall::Wall;
use crate::inbound::{ClientCertificate, Lapse, Verdict};
use crate::types::{Report, unix_now};

/// What `client_ca` and `client_crl` hold.
#[derive(Debug)]
pub(super) struct Files<'a> {
    pub(super) authorities: Option<&'a Contents>,
    pub(super) lists: &'a [Contents],
}

/// The verifier in service, and the dates that matter to it.
pub(super) struct Clients {
    verifier: Arc<dyn ClientCertVerifier>,
    /// Of each authority: its name and `notAfter`, in Unix time.
    pub(super) authorities: Vec<(String, i64)>,
    pub(super) lists: Vec<List>,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").field("authorities", &self.authorities).field("lists", &self.lists).finish_non_exhaustive()
    }
}

impl Clients {
    /// `Some(None)` if clients need no certificate. Anything unclear is a mistake: it must never leave the gate open.
    pub(super) fn build(client_auth: Option<&str>, files: &Files<'_>, provider: &Arc<CryptoProvider>, report: &mut Report) -> Option<Option<Self>> {
        let optional = match client_auth {
            None | Some("none") => {
                let unused = [("client_ca", files.authorities.is_some()), ("client_crl", !files.lists.is_empty())];
                for (key, _) in unused.iter().filter(|(_, given)| *given) {
                    let remedy = format!("write client_auth = \"required\", or remove {key}");
                    report.error(key, "client certificates are not asked for", &remedy);
                }
                return unused.iter().all(|(_, given)| !given).then_some(None);
            }
            Some("optional") => true,
            Some("required") => false,
            Some(other) => {
                report.error("client_auth", &format!("{other:?} is not known"), "write \"none\", \"optional\" or \"required\"");
                return None;
            }
        };
        let Some(bundle) = files.authorities else {
            report.error("client_ca", "there is nothing to verify client certificates against", "write client_ca = \"PATH\"");
            return None;
        };
        let bundle = certificates("client_ca", bundle, report)?;
        let authorities = known(&bundle, report);
        let roots = roots(&bundle, report);
        let lists = revocation::read(files.lists, &bundle, report);
        let (authorities, roots, lists) = (authorities?, roots?, lists?);
        let verifier = Wall::build(&roots, &lists, optional, provider)
            .map_err(|error| report.error("client_ca", &error.to_string(), "name a bundle of CA certificates, and lists that they issued"))
            .ok()?;
        Some(Some(Self { verifier, authorities, lists }))
    }

    /// For handshakes.
    pub(super) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.verifier)
    }

    /// Whether a handshake at `now` (Unix seconds) would accept the certificate.
    pub(super) fn verify(&self, der: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>], now: i64) -> Result<(), Lapse> {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).unwrap_or(0)));
        let _: ClientCertVerified = self.verifier.verify_client_cert(der, intermediates, time).map_err(|error| lapse(&error))?;
        Ok(())
    }

    /// The next second after `now` from which something that holds now may not hold.
    fn next_change(&self, ends: impl Iterator<Item = i64>, now: i64) -> i64 {
        let lists = self.lists.iter().map(|list| list.next_update);
        ends.chain(lists).filter(|at| *at > now).min().unwrap_or(i64::MAX)
    }
}

/// The certificate of a connection whose handshake was done by these rules.
pub(super) fn admitted(clients: Option<&Clients>, rules: u64, chain: &[CertificateDer<'_>], now: i64) -> Option<ClientCertificate> {
    let (first, rest) = chain.split_first()?;
    let (der, intermediates): (_, Vec<_>) = (first.clone().into_owned(), rest.iter().map(|der| der.clone().into_owned()).collect());
    // The handshake has just verified it.
    let verdict = verdict(clients, rules, (&der, &intermediates), now, true);
    Some(ClientCertificate::judged(der, intermediates, verdict))
}

/// What is known of a certificate by the rules of this number. It is verified unless that was just done.
pub(super) fn verdict(
    clients: Option<&Clients>,
    rules: u64,
    (der, intermediates): (&CertificateDer<'_>, &[CertificateDer<'_>]),
    now: i64,
    verified: bool,
) -> Verdict {
    let refused = |lapse| Verdict { rules, until: i64::MAX, ends: i64::MIN, lapse: Some(lapse) };
    let Some(clients) = clients else { return refused(Lapse::Refused("client certificates are not asked for any longer")) };
    let own = over(der);
    let all: Option<Vec<i64>> = std::iter::once(own).chain(intermediates.iter().map(over)).collect();
    let (Some(ends), Some(all)) = (own, all) else { return refused(Lapse::Refused("a certificate of the client's chain cannot be read")) };
    let lapse = if verified { None } else { clients.verify(der, intermediates, now).err() };
    Verdict { rules, until: clients.next_change(all.into_iter(), now), ends, lapse }
}

/// The first second after a certificate's validity, to which its `notAfter` still belongs (RFC 5280 section 4.1.2.5).
fn over(der: &CertificateDer<'_>) -> Option<i64> {
    let (_, parsed) = x509_parser::parse_x509_certificate(der).ok()?;
    Some(parsed.validity().not_after.timestamp().saturating_add(1))
}

fn known(bundle: &[CertificateDer<'_>], report: &mut Report) -> Option<Vec<(String, i64)>> {
    let mut all = Vec::new();
    for der in bundle {
        let Ok((_, parsed)) = x509_parser::parse_x509_certificate(der) else {
            report.error("client_ca", "a certificate in it cannot be read", "remove it from the bundle");
            return None;
        };
        let (name, ends) = (parsed.subject().to_string(), parsed.validity().not_after.timestamp());
        if ends < unix_now() {
            report.warn("client_ca", &format!("{name} has expired, and vouches for clients as long as it stands here"), "remove it from the bundle");
        }
        all.push((name, ends));
    }
    Some(all)
}

fn roots(bundle: &[CertificateDer<'static>], report: &mut Report) -> Option<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    for authority in bundle {
        if let Err(error) = roots.add(authority.clone()) {
            report.error("client_ca", &format!("a certificate in it is not usable: {error}"), "remove it from the bundle");
            return None;
        }
    }
    Some(Arc::new(roots))
}

fn lapse(error: &rustls::Error) -> Lapse {
    let rustls::Error::InvalidCertificate(why) = error else {
        return Lapse::Refused("a revocation list cannot be used for the client certificate");
    };
    if matches!(why, CertificateError::Expired | CertificateError::ExpiredContext { .. }) {
        Lapse::Expired
    } else if matches!(why, CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) {
        Lapse::NotYetValid
    } else if *why == CertificateError::Revoked {
        Lapse::Refused("the client certificate was revoked")
    } else if *why == CertificateError::UnknownIssuer {
        Lapse::Refused("the client certificate's issuer is not in tls.client_ca")
    } else if *why == CertificateError::UnknownRevocationStatus {
        Lapse::Refused("no list of tls.client_crl speaks of the client certificate")
    } else if matches!(why, CertificateError::ExpiredRevocationList | CertificateError::ExpiredRevocationListContext { .. }) {
        Lapse::Refused("the revocation list that speaks of the client certificate is too old")
    } else {
        Lapse::Refused("the client certificate is not accepted")
    }
}
