//! Verifies client certificates: what rustls asks, and what is asked again later.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::revocation::List;

/// The client's own certificate must be spoken of by a list, once there are any. Those of its chain need not be, but none
/// may stand on one: that is a second look, as one verifier has one opinion of what no list speaks of.
pub(super) struct Wall {
    own: Arc<dyn ClientCertVerifier>,
    chain: Option<Arc<dyn ClientCertVerifier>>,
}

impl fmt::Debug for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wall").field("lists", &self.chain.is_some()).finish_non_exhaustive()
    }
}

impl Wall {
    /// `optional`: clients without a certificate pass.
    pub(super) fn build(
        roots: &Arc<RootCertStore>,
        lists: &[List],
        optional: bool,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, VerifierBuilderError> {
        let builder = || {
            let builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider))
                .with_crls(lists.iter().map(|list| list.der.clone()))
                .enforce_revocation_expiration();
            if optional { builder.allow_unauthenticated() } else { builder }
        };
        let own = builder().only_check_end_entity_revocation().build()?;
        let chain = if lists.is_empty() { None } else { Some(builder().allow_unknown_revocation_status().build()?) };
        Ok(Arc::new(Self { own, chain }))
    }
}

impl ClientCertVerifier for Wall {
    fn offer_client_auth(&self) -> bool {
        self.own.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.own.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.own.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.own.verify_client_cert(end_entity, intermediates, now)?;
        match &self.chain {
            // Without intermediates the first look was at all there is.
            Some(chain) if !intermediates.is_empty() => chain.verify_client_cert(end_entity, intermediates, now),
            Some(_) | None => Ok(verified),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.own.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.own.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.own.supported_verify_schemes()
    }
}
