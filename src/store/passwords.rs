//! Verified passwords, remembered by a keyed hash, so that Argon2 is not paid on every request.
//!
//! What is remembered lies under HMAC-SHA256(key of this process, length of the name, name, password): who reads the
//! memory's hashes alone cannot guess passwords offline any faster than against Argon2, for the key is not among them.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Instant;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{Error as HashError, PasswordHasher, PasswordVerifier};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::cache::{CacheKey, Known, Limits};
use super::facts::Subject;
use super::revocations::Revocations;
use super::users::{User, Users};
use super::{CacheSettings, MAX_NAME_BYTES, Metrics, Unavailable};
use crate::types::Secret;

/// Longer passwords are not verified: hashing costs by length.
pub const MAX_PASSWORD_BYTES: usize = 1024;
/// How many verifications may wait for a core; those beyond are [`Unavailable`].
const WAITING: usize = 64;
/// What a password of an unknown user is verified against: of the default cost, and the hash of no known password.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGlzIGhlcmU$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

const SOURCE: &str = "passwords";

/// Verifies passwords on a small, bounded pool. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Passwords {
    known: Known<Subject>,
    key: Secret,
    cores: Arc<Semaphore>,
    aux: Handle,
}

impl Passwords {
    /// Remembers nothing yet. Fails when the machine gives no random numbers.
    pub fn new(cache: &CacheSettings, aux: &Handle, metrics: &Arc<Metrics>) -> Result<Self, Unavailable> {
        let cores = available_parallelism().map_or(1, usize::from);
        let mut key = vec![0; 32];
        aws_lc_rs::rand::fill(&mut key).map_err(|_| Unavailable::new(SOURCE, "no random numbers"))?;
        let known = Known::new(SOURCE, Limits::new(cache, cores + WAITING), aux.clone(), Arc::clone(metrics), |metrics| &metrics.passwords);
        Ok(Self { known, key: Secret::new(key), cores: Arc::new(Semaphore::new(cores)), aux: aux.clone() })
    }

    /// Asks anew for users of whom something was revoked.
    #[must_use]
    pub fn ended_by(self, revocations: &Arc<Revocations>) -> Self {
        Self { known: self.known.ended_by(revocations), ..self }
    }

    /// What is remembered of this name and password: the user's facts, or that they do not fit. Nothing is hashed.
    pub fn remembered(&self, name: &str, password: &Secret) -> Result<Option<Option<Arc<Subject>>>, Unavailable> {
        Ok(self.known.peek(&self.cache_key(name, password)?, Instant::now()))
    }

    /// The user's facts if `password` is right and the user is not disabled. An unknown user costs the same.
    /// `Err` when the store cannot say, or too many verifications are waiting already.
    pub async fn verify(&self, users: &Users, name: &str, password: &Secret) -> Result<Option<Arc<Subject>>, Unavailable> {
        // Judged by form alone, so that the time tells nothing of who exists.
        if name.is_empty() || name.len() > MAX_NAME_BYTES || password.len() > MAX_PASSWORD_BYTES {
            return Ok(None);
        }
        let load = || {
            let (this, users, name, password) = (self.clone(), users.clone(), name.to_owned(), password.clone());
            async move {
                let user = users.find(&name).await?;
                this.check(user, password).await
            }
        };
        self.known.get(self.cache_key(name, password)?, Instant::now(), load).await
    }

    async fn check(&self, user: Option<User>, password: Secret) -> Result<Option<Subject>, Unavailable> {
        let permit = Arc::clone(&self.cores).acquire_owned().await.map_err(|closed| Unavailable::new(SOURCE, closed))?;
        let verdict = self.aux.spawn_blocking(move || {
            // Held by the thread, not by who waits for it: a core is free only when the work has ended.
            let _permit = permit;
            judge(user, &password)
        });
        verdict.await.map_err(|broken| Unavailable::new(SOURCE, broken))?
    }

    fn cache_key(&self, name: &str, password: &Secret) -> Result<CacheKey, Unavailable> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose()).map_err(|error| Unavailable::new(SOURCE, error))?;
        mac.update(&(name.len() as u64).to_be_bytes());
        mac.update(name.as_bytes());
        mac.update(password.expose());
        Ok(mac.finalize().into_bytes().into())
    }
}

/// Hashes first and asks who it is afterwards: unknown, disabled and wrong take the same path.
fn judge(user: Option<User>, password: &Secret) -> Result<Option<Subject>, Unavailable> {
    let damaged = |cause: &dyn std::fmt::Display| Unavailable::new(SOURCE, format_args!("a user's password hash cannot be read: {cause}"));
    let text = match &user {
        Some(user) => std::str::from_utf8(user.password_hash.expose()).map_err(|error| damaged(&error))?,
        None => NOBODY,
    };
    let hash = PasswordHash::new(text).map_err(|error| damaged(&error))?;
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err(damaged(&"it is not whole"));
    }
    let right = match Argon2::default().verify_password(password.expose(), &hash) {
        Ok(()) => true,
        Err(HashError::PasswordInvalid) => false,
        Err(error) => return Err(damaged(&error)),
    };
    Ok(user.filter(|user| right && !user.disabled).map(|user| Subject {
        user: user.name,
        email: user.email,
        groups: user.groups,
        ..Subject::default()
    }))
}

/// The hash of a new password, in PHC form: Argon2id with 19 MiB, two passes, one lane. Takes some 30 ms.
pub fn hash_password(password: &Secret) -> Result<String, PasswordError> {
    if password.is_empty() {
        return Err(PasswordError::Empty);
    }
    if password.len() > MAX_PASSWORD_BYTES {
        return Err(PasswordError::TooLong);
    }
    if std::str::from_utf8(password.expose()).map_or(true, |text| text.chars().any(char::is_control)) {
        return Err(PasswordError::NotText);
    }
    let hash: PasswordHash = Argon2::default().hash_password(password.expose()).map_err(PasswordError::Hash)?;
    Ok(hash.to_string())
}

/// Why a password was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// No character at all.
    #[error("the password is empty")]
    Empty,
    /// Longer than [`MAX_PASSWORD_BYTES`].
    #[error("the password is longer than {MAX_PASSWORD_BYTES} bytes")]
    TooLong,
    /// RFC 7617 section 2: no client could send it.
    #[error("the password holds control characters or is not UTF-8")]
    NotText,
    /// The hash could not be made.
    #[error("the password cannot be hashed: {0}")]
    Hash(HashError),
}

#[cfg(test)]
mod tests;
