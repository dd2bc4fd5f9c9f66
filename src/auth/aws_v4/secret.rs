//! From a secret to the key of one day, region and service.
//!
//! ```text
//! HMAC("AWS4" secret, "20261122") ─> HMAC(…, region) ─> HMAC(…, service) ─> HMAC(…, "aws4_request") ─> the signing key
//! ```
//!
//! It is derived anew for each request: four short MACs cost less than looking one up.

use hmac::digest::common::KeySizeUser;
use hmac::digest::{FixedOutput, InvalidLength, Key, MacMarker, Output, OutputSizeUser, Update};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::request::Scope;

/// HMAC-SHA256 with some key.
pub(super) type Plain = Hmac<Sha256>;

/// HMAC-SHA256 whose key is a secret with `AWS4` before it.
#[derive(Clone)]
pub(super) struct Prefixed(Plain);

impl std::fmt::Debug for Prefixed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Prefixed(***)")
    }
}

impl KeySizeUser for Prefixed {
    type KeySize = <Plain as KeySizeUser>::KeySize;
}

impl KeyInit for Prefixed {
    fn new(key: &Key<Self>) -> Self {
        Self(<Plain as KeyInit>::new(key))
    }

    fn new_from_slice(secret: &[u8]) -> Result<Self, InvalidLength> {
        let key = zeroize::Zeroizing::new([b"AWS4", secret].concat());
        <Plain as KeyInit>::new_from_slice(&key).map(Self)
    }
}

impl OutputSizeUser for Prefixed {
    type OutputSize = <Plain as OutputSizeUser>::OutputSize;
}

impl Update for Prefixed {
    fn update(&mut self, data: &[u8]) {
        Update::update(&mut self.0, data);
    }
}

impl FixedOutput for Prefixed {
    fn finalize_into(self, out: &mut Output<Self>) {
        self.0.finalize_into(out);
    }
}

impl MacMarker for Prefixed {}

/// The MAC of `scope`, ready to be fed. `None` never happens: a MAC takes keys of any length.
pub(super) fn signing_key(secret: &Prefixed, scope: &Scope<'_>) -> Option<Plain> {
    let mut state = secret.0.clone();
    for part in [scope.date, scope.region, scope.service, super::request::TERMINATOR] {
        Update::update(&mut state, part.as_bytes());
        state = <Plain as KeyInit>::new_from_slice(&state.finalize().into_bytes()).ok()?;
    }
    Some(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Amazon's published example of a derivation.
    #[test]
    fn the_key_of_a_day_is_the_published_one() {
        let secret = <Prefixed as KeyInit>::new_from_slice(b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY").unwrap();
        let scope = Scope { date: "20120215", region: "us-east-1", service: "iam" };
        let want = <Plain as KeyInit>::new_from_slice(&[
            0xf4, 0x78, 0x0e, 0x2d, 0x9f, 0x65, 0xfa, 0x89, 0x5f, 0x9c, 0x67, 0xb3, 0x2c, 0xe1, 0xba, 0xf0, 0xb0, 0xd8, 0xa4, 0x35, 0x05, 0xa0, 0x00,
            0xa1, 0xa9, 0xe0, 0x90, 0xd4, 0x14, 0xdb, 0x40, 0x4d,
        ])
        .unwrap();
        assert!(signing_key(&secret, &scope).unwrap().finalize() == want.finalize());
    }

    #[test]
    fn a_secret_is_not_shown() {
        let secret = <Prefixed as KeyInit>::new_from_slice(b"secret").unwrap();
        assert_eq!(format!("{secret:?}"), "Prefixed(***)");
    }
}
