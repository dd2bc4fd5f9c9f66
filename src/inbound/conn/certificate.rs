//! A connection's client certificate: what the handshake verified, and how it has stood since.
//!
//! A connection may outlive the certificate that it began with. So it keeps what a handshake would look at, and is judged
//! again whenever a new handshake could end otherwise:
//!
//! ```text
//! handshake --> Verdict { by rules 7, until the next date that matters }
//! request   --> same rules, date not reached: as it was       else: verified anew, by the rules of now
//! ```

use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};

/// A client's certificate, which the client proved to hold.
#[derive(Debug)]
pub struct ClientCertificate {
    /// The certificate itself, DER.
    pub der: CertificateDer<'static>,
    /// What the client sent along to verify it with.
    pub intermediates: Vec<CertificateDer<'static>>,
    /// SHA-256 of it: the `x5t#S256` of RFC 8705 section 3.1.
    pub sha256: [u8; 32],
    verdict: Mutex<Verdict>,
    memo: Memo,
}

/// What the latest verification said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The number of the rules that it was verified by.
    pub rules: u64,
    /// From this second on (Unix time) the same rules may say something else.
    pub until: i64,
    /// The first second after the certificate's own validity.
    pub ends: i64,
    /// Why it is not accepted any longer; `None` while it is.
    pub lapse: Option<Lapse>,
}

/// Why a certificate that a handshake accepted is not accepted any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lapse {
    /// Past its `notAfter`.
    Expired,
    /// Before its `notBefore`: the clock was set back.
    NotYetValid,
    /// Revoked, its issuer removed, or its revocation list too old. A fixed text for the log.
    Refused(&'static str),
}

impl ClientCertificate {
    /// One that holds for ever: of the end entity's certificate alone, DER.
    #[must_use]
    pub fn new(der: &[u8]) -> Self {
        Self::judged(CertificateDer::from(der.to_vec()), Vec::new(), Verdict { rules: 0, until: i64::MAX, ends: i64::MAX, lapse: None })
    }

    /// One that a handshake accepted, with what was found.
    #[must_use]
    pub fn judged(der: CertificateDer<'static>, intermediates: Vec<CertificateDer<'static>>, verdict: Verdict) -> Self {
        let sha256 = Sha256::digest(&der).into();
        Self { der, intermediates, sha256, verdict: Mutex::new(verdict), memo: Memo::default() }
    }

    /// How it stands by the rules of this number at `now` (Unix seconds). Calls `anew` only if the verdict is of other
    /// rules, or of a time that is over.
    pub fn judge(&self, rules: u64, now: i64, anew: impl FnOnce() -> Verdict) -> Verdict {
        let mut verdict = self.lock();
        if verdict.rules != rules || verdict.until <= now {
            *verdict = anew();
        }
        *verdict
    }

    /// Why it is not accepted any longer, as of the latest judgement.
    #[must_use]
    pub fn lapse(&self) -> Option<Lapse> {
        self.lock().lapse
    }

    /// What was last read of the certificate, if it is a `T` that `fits`; else what `read` makes of it, which is kept in
    /// its place while the connection lives.
    pub fn remember<T: Any + Send + Sync>(&self, fits: impl FnOnce(&T) -> bool, read: impl FnOnce() -> T) -> Arc<T> {
        let mut memo = self.memo.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = memo.as_ref().and_then(|known| Arc::clone(known).downcast::<T>().ok());
        if let Some(known) = known.filter(|known| fits(known)) {
            return known;
        }
        let made = Arc::new(read());
        *memo = Some(Arc::clone(&made) as _);
        made
    }

    fn lock(&self) -> MutexGuard<'_, Verdict> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What whoever reads the certificate keeps of it. What that is, is their business.
#[derive(Default)]
struct Memo(Mutex<Option<Arc<dyn Any + Send + Sync>>>);

impl std::fmt::Debug for Memo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memo")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_judged_anew_by_other_rules_and_when_its_time_is_over() {
        let verdict = |rules, until, lapse| Verdict { rules, until, ends: 100, lapse };
        let certificate = ClientCertificate::judged(CertificateDer::from(vec![1]), Vec::new(), verdict(1, 100, None));
        let never = || unreachable!("it is not asked for");
        assert_eq!(certificate.judge(1, 99, never).lapse, None);
        let revoked = Some(Lapse::Refused("revoked"));
        assert_eq!(certificate.judge(2, 50, || verdict(2, 100, revoked)).lapse, revoked);
        assert_eq!((certificate.judge(2, 99, never).lapse, certificate.lapse()), (revoked, revoked));
        assert_eq!(certificate.judge(2, 100, || verdict(2, i64::MAX, Some(Lapse::Expired))).lapse, Some(Lapse::Expired));
        assert_eq!(certificate.judge(3, 100, || verdict(3, i64::MAX, None)).lapse, None);
        assert_eq!(certificate.lapse(), None);
    }

    #[test]
    fn what_was_read_is_kept_while_it_fits() {
        let certificate = ClientCertificate::new(b"x");
        assert_eq!(*certificate.remember(|_: &u8| true, || 1), 1);
        assert_eq!(*certificate.remember(|kept: &u8| *kept == 1, || 2), 1);
        assert_eq!(*certificate.remember(|kept: &u8| *kept == 2, || 2), 2);
        assert_eq!(*certificate.remember(|_: &u16| true, || 3), 3, "another reader's memo is not mistaken for one's own");
        assert_eq!(*certificate.remember(|_: &u8| true, || 4), 4);
    }
}
