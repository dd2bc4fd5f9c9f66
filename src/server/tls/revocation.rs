//! Certificate revocation lists (RFC 5280 section 5), read from files and checked before they go into service.
//!
//! A list whose issuer stands in `client_ca` must bear its signature: a file that was mixed up keeps the old one in service
//! instead of shutting everybody out. Lists of authorities further down the chain are checked when they are used.

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error;
use x509_parser::oid_registry::asn1_rs::oid;
use x509_parser::revocation_list::CertificateRevocationList;

use super::material::{Contents, readable};
use crate::types::{Report, unix_now};

const KEY: &str = "client_crl";

/// A revocation list and its dates, in Unix time.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct List {
    pub(super) der: CertificateRevocationListDer<'static>,
    /// For metrics and the log.
    pub(super) issuer: String,
    pub(super) this_update: i64,
    /// From this second on it says nothing any longer.
    pub(super) next_update: i64,
    scope: Scope,
}

impl std::fmt::Debug for List {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("List").field("issuer", &self.issuer).field("next_update", &self.next_update).finish_non_exhaustive()
    }
}

/// What a list speaks of: its issuer's name and, if it speaks of a part only, which.
type Scope = (Vec<u8>, Option<Vec<u8>>);

/// Reads all files, each of one list in DER, or of any number in PEM. Reports what cannot be used.
pub(super) fn read(files: &[Contents], bundle: &[CertificateDer<'_>], report: &mut Report) -> Option<Vec<List>> {
    let authorities: Vec<X509Certificate<'_>> =
        bundle.iter().filter_map(|der| x509_parser::parse_x509_certificate(der).ok()).map(|(_, parsed)| parsed).collect();
    let mut lists: Vec<List> = Vec::new();
    let mut sound = true;
    for file in files {
        let found: Option<Vec<List>> = lists_of(file, report).and_then(|ders| ders.into_iter().map(|der| list(der, &authorities, report)).collect());
        sound &= found.is_some();
        for list in found.into_iter().flatten() {
            if lists.iter().any(|other| other.scope == list.scope) {
                let problem = format!("there are two lists of {} for the same certificates, and only one would be looked at", list.issuer);
                report.error(KEY, &problem, "keep the newer one");
                sound = false;
            }
            lists.push(list);
        }
    }
    sound.then_some(lists)
}

fn lists_of(file: &Contents, report: &mut Report) -> Option<Vec<CertificateRevocationListDer<'static>>> {
    /// How DER begins: a sequence.
    const SEQUENCE: u8 = 0x30;
    let bytes = readable(KEY, file, report)?;
    if bytes.first() == Some(&SEQUENCE) {
        return Some(vec![CertificateRevocationListDer::from(bytes.to_vec())]);
    }
    match CertificateRevocationListDer::pem_slice_iter(bytes).collect::<Result<Vec<_>, _>>() {
        Ok(found) if found.is_empty() => {
            report.error(KEY, "the file holds no revocation list", "name a DER file, or a PEM file with a BEGIN X509 CRL line");
            None
        }
        Ok(found) => Some(found),
        Err(error) => {
            report.error(KEY, &format!("the file is not valid PEM: {error}"), "name a PEM or DER file");
            None
        }
    }
}

fn list(der: CertificateRevocationListDer<'static>, authorities: &[X509Certificate<'_>], report: &mut Report) -> Option<List> {
    let Ok((rest, parsed)) = x509_parser::parse_x509_crl(&der) else {
        report.error(KEY, "a revocation list cannot be read", "name files as certificate authorities publish them");
        return None;
    };
    let issuer = parsed.issuer().to_string();
    if !rest.is_empty() {
        report.error(KEY, &format!("there are more bytes behind the list of {issuer}"), "write one list in each DER file, or use PEM");
        return None;
    }
    let Some(next_update) = parsed.next_update().map(|at| at.timestamp()) else {
        report.error(KEY, &format!("the list of {issuer} does not say until when it is good"), "have it issued with nextUpdate");
        return None;
    };
    if !signed_by_its_issuer(&parsed, authorities) {
        let problem = format!("the list of {issuer} is not signed by the authority of that name in client_ca");
        report.error(KEY, &problem, "name the list of the authority whose clients are let in");
        return None;
    }
    if next_update <= unix_now() {
        let problem = format!("the list of {issuer} is past its nextUpdate: the clients that it speaks of are refused");
        report.warn(KEY, &problem, "fetch the one that has been issued since");
    }
    let part = parsed.extensions().iter().find(|extension| extension.oid == oid!(2.5.29.28)).map(|extension| extension.value.to_vec());
    let scope = (parsed.issuer().as_raw().to_vec(), part);
    let this_update = parsed.last_update().timestamp();
    Some(List { der: der.clone(), issuer, this_update, next_update, scope })
}

/// `true` also where nobody here can say.
fn signed_by_its_issuer(list: &CertificateRevocationList<'_>, authorities: &[X509Certificate<'_>]) -> bool {
    let mut of_that_name = authorities.iter().filter(|authority| authority.subject().as_raw() == list.issuer().as_raw()).peekable();
    let wrong = |authority: &X509Certificate<'_>| matches!(list.verify_signature(authority.public_key()), Err(X509Error::SignatureVerificationError));
    of_that_name.peek().is_none() || !of_that_name.all(wrong)
}
