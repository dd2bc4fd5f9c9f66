//! Verified passwords, remembered by a keyed hash, so that hashing is not paid on every request.
//!
//! What is remembered lies under HMAC-SHA256(key of this process, source, length of the name, name, the file's hash of the
//! user, password): who reads the memory's hashes alone cannot guess passwords offline any faster than against the real
//! ones, for the key is not among them. A user whose line in a file has changed is another one at once.
//!
//! One bounded pool verifies the passwords of all sources. Whoever is unknown, or has no password, costs what a user of
//! that source usually does.

pub mod hash;

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Instant;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{Error as HashError, PasswordHasher};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::cache::{CacheKey, Known, Limits};
use super::facts::Subject;
use super::revocations::Revocations;
use super::users::{Asked, User, Users};
use super::{CacheSettings, MAX_NAME_BYTES, Metrics, Unavailable};
use crate::types::Secret;
use hash::{Form, Hash, Reading};

/// Longer passwords are not verified: hashing costs by length.
pub const MAX_PASSWORD_BYTES: usize = 1024;
/// How many verifications may wait for a core; those beyond are [`Unavailable`].
const WAITING: usize = 64;
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
    pub fn remembered(&self, users: &Users, name: &str, password: &Secret) -> Result<Option<Option<Arc<Subject>>>, Unavailable> {
        Ok(self.known.peek(&self.cache_key(&users.now(), name, password)?, Instant::now()))
    }

    /// The user's facts if `password` is right and the user is not disabled. An unknown user costs the same.
    /// `Err` when the source cannot say, or too many verifications are waiting already.
    pub async fn verify(&self, users: &Users, name: &str, password: &Secret) -> Result<Option<Arc<Subject>>, Unavailable> {
        // Judged by form alone, so that the time tells nothing of who exists.
        if name.is_empty() || name.len() > MAX_NAME_BYTES || password.len() > MAX_PASSWORD_BYTES {
            return Ok(None);
        }
        // A file may change at any moment: what is remembered and what is asked are of the same one.
        let asked = users.now();
        let key = self.cache_key(&asked, name, password)?;
        let load = || {
            let (this, name, password) = (self.clone(), name.to_owned(), password.clone());
            async move {
                let (hash, user) = choose(&asked, asked.find(&name).await?)?;
                this.check(hash, user, password).await
            }
        };
        self.known.get(key, Instant::now(), load).await
    }

    async fn check(&self, hash: Hash, user: Option<User>, password: Secret) -> Result<Option<Subject>, Unavailable> {
        let permit = Arc::clone(&self.cores).acquire_owned().await.map_err(|closed| Unavailable::new(SOURCE, closed))?;
        let verdict = self.aux.spawn_blocking(move || {
            // Held by the thread, not by who waits for it: a core is free only when the work has ended.
            let _permit = permit;
            judge(&hash, user, &password)
        });
        verdict.await.map_err(|broken| Unavailable::new(SOURCE, broken))?
    }

    fn cache_key(&self, asked: &Asked, name: &str, password: &Secret) -> Result<CacheKey, Unavailable> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose()).map_err(|error| Unavailable::new(SOURCE, error))?;
        mac.update(&asked.mark());
        for part in [name.as_bytes(), asked.line_of(name)] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.update(password.expose());
        Ok(mac.finalize().into_bytes().into())
    }
}

/// What to verify the password against, and who comes in if it fits: nobody where there is no such user, where he may not
/// log in, and where no password is his.
fn choose(asked: &Asked, found: Option<User>) -> Result<(Hash, Option<User>), Unavailable> {
    let Some(user) = found else { return Ok((asked.usual().of_nobody(), None)) };
    match read(asked.form(), &user) {
        Ok(Reading::Hash(hash)) => {
            asked.saw(hash.kind());
            Ok((hash, Some(user).filter(|user| !user.disabled)))
        }
        Ok(Reading::None(why)) => {
            tracing::info!(source = asked.name(), user = user.name, why, "nobody can log in as this user");
            Ok((asked.usual().of_nobody(), None))
        }
        Err(why) => {
            tracing::warn!(source = asked.name(), user = user.name, %why, "the user's password hash cannot be used");
            Err(damaged(&why))
        }
    }
}

fn read(form: Form, user: &User) -> Result<Reading, hash::Unreadable> {
    let text = std::str::from_utf8(user.password_hash.expose()).map_err(|_| hash::Unreadable("it is not UTF-8"))?;
    hash::read(form, text)
}

fn damaged(cause: &dyn std::fmt::Display) -> Unavailable {
    Unavailable::new(SOURCE, format_args!("a user's password hash cannot be used: {cause}"))
}

/// Hashes first and asks who it is afterwards: unknown, disabled and wrong take the same path.
fn judge(hash: &Hash, user: Option<User>, password: &Secret) -> Result<Option<Subject>, Unavailable> {
    let right = hash.fits(password.expose()).map_err(|error| damaged(&error))?;
    Ok(user.filter(|_| right).map(|user| Subject { user: user.name, email: user.email, groups: user.groups, ..Subject::default() }))
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
