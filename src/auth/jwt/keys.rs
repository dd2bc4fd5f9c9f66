//! The keys of a scheme, and whether one of them signed a token.

use std::sync::Arc;
use std::time::Instant;

use jsonwebtoken::DecodingKey;
use sha2::{Digest, Sha256};

use super::compact::Compact;
use super::header::Header;
use crate::auth::{AuthError, Refusal};
use crate::store::jwks::{KeySet, Keyring, PublicKey};
use crate::types::Secret;

/// One source of keys. A scheme has one kind alone, so that no key of one kind is ever taken for one of another.
#[derive(Debug)]
pub(in crate::auth) enum Keys {
    /// A shared secret, for HS*, and what tells it apart from others without telling what it is.
    Secret { key: DecodingKey, mark: [u8; 32] },
    /// One public key, and the file that it was read from.
    Pinned { key: PublicKey, pem: Vec<u8> },
    /// Those that an issuer publishes.
    Set(Arc<KeySet>),
}

const WRONG: Refusal = Refusal::Wrong("the token's signature is not by a key of the issuer");
const UNKNOWN: Refusal = Refusal::Wrong("unknown key");

impl Keys {
    /// A shared secret.
    pub fn secret(secret: &Secret) -> Self {
        let mark = Sha256::new().chain_update(b"doorward jwt secret\0").chain_update(secret.expose()).finalize();
        Self::Secret { key: DecodingKey::from_secret(secret.expose()), mark: Sha256::digest(mark).into() }
    }

    /// Tells keys apart that stand in the configuration under one name. Nothing secret.
    pub fn fingerprint(&self) -> &[u8] {
        match self {
            Self::Pinned { pem, .. } => pem,
            Self::Secret { mark, .. } => mark,
            // A set's source is among the settings.
            Self::Set(_) => &[],
        }
    }

    /// Verifies the signature of `token`, whose header is `header`. Waits only for an issuer's keys.
    pub async fn verify(&self, token: &Compact<'_>, header: &Header) -> Result<(), AuthError> {
        match self {
            Self::Secret { key, .. } => {
                // The header's algorithm is one of the configured ones, which are HMACs alone: see `settings.rs`.
                let verified = jsonwebtoken::crypto::verify(token.signature, token.signed.as_bytes(), key, header.algorithm);
                if verified.unwrap_or(false) { Ok(()) } else { Err(WRONG.into()) }
            }
            Self::Pinned { key, .. } => {
                if key.verifies(header.algorithm, token.signed.as_bytes(), token.signature) {
                    Ok(())
                } else {
                    Err(WRONG.into())
                }
            }
            Self::Set(set) => verify_by_set(set, token, header, Instant::now()).await,
        }
    }
}

/// With a `kid`, a key of that name that does not verify is the answer. An unknown one, or a signature by none of the
/// keys when the token names none, may be by a key that was published since: then the set is renewed. Twice at most, for
/// a fetch that was under way already may have been answered before the key was published.
async fn verify_by_set(set: &Arc<KeySet>, token: &Compact<'_>, header: &Header, now: Instant) -> Result<(), AuthError> {
    let mut keyring = set.keyring(now).await?;
    let mut renewals = 0;
    loop {
        let outcome = tried(&keyring, token, header);
        match outcome {
            Tried::Verified => return Ok(()),
            Tried::Failed if header.kid.is_some() => return Err(WRONG.into()),
            Tried::Failed if renewals == 2 => return Err(WRONG.into()),
            Tried::Unknown if renewals == 2 => return Err(UNKNOWN.into()),
            Tried::Failed | Tried::Unknown => {}
        }
        // Time has passed while the last was awaited.
        keyring = set.renewed(if renewals == 0 { now } else { Instant::now() }).await?;
        renewals += 1;
    }
}

enum Tried {
    Verified,
    Failed,
    Unknown,
}

fn tried(keyring: &Keyring, token: &Compact<'_>, header: &Header) -> Tried {
    let mut outcome = Tried::Unknown;
    for key in keyring.candidates(header.kid.as_deref(), header.algorithm) {
        if key.verifies(header.algorithm, token.signed.as_bytes(), token.signature) {
            return Tried::Verified;
        }
        outcome = Tried::Failed;
    }
    outcome
}
