//! What passwords are compared with: the hashes of Doorward's own store, of htpasswd files and of Django.
//!
//! ```text
//! text ── read(form) ──> Hash { kind with its parameters, salt, what must come out }
//! store     $argon2id$v=19$m=…,t=…,p=…$SALT$HASH            phc.rs
//! htpasswd  $2y$COST$…  $apr1$…  $1$…  $5$…  $6$…  {SHA}…   crypt.rs, md5_crypt.rs, des_crypt.rs
//! Django    ALGORITHM$…                                     django.rs
//! ```
//!
//! What a hash costs is bounded while it is read, before any of it is spent: whoever writes a row or a line decides its
//! parameters. Every kind is compared in constant time.

mod crypt;
mod des_crypt;
mod django;
mod md5_crypt;
mod phc;

#[cfg(test)]
mod tests;

use std::fmt;
use std::num::NonZeroU32;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::pbkdf2;
use sha1::{Digest, Sha1};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The longest text of a hash that is read. Django's column holds 128 characters.
const MAX_TEXT_BYTES: usize = 512;
/// Twelve times what Django 5.2 asks for; some three seconds.
const MAX_PBKDF2_ITERATIONS: u32 = 12_000_000;
/// Memory of one verification by Argon2: 256 MiB. Django asks for 100.
const MAX_ARGON2_KIB: u32 = 256 * 1024;
/// KiB times passes: ten times what Django asks for.
const MAX_ARGON2_WORK: u64 = 2 * 1024 * 1024;
const MAX_ARGON2_LANES: u32 = 64;
/// The highest that `htpasswd` makes; Django's is 12. Some ten seconds.
const MAX_BCRYPT_COST: u32 = 17;
/// `N × r`, of which each unit takes up 128 bytes: 256 MiB. Django's take up 16 MiB.
const MAX_SCRYPT_BLOCKS: u64 = 2 * 1024 * 1024;
/// `N × r × p`: thirteen times what Django asks for.
const MAX_SCRYPT_WORK: u64 = 8 * 1024 * 1024;
const MAX_SCRYPT_FACTOR: u32 = 64;
/// The usual is 5,000; some programs write 656,000.
const MAX_SHA_CRYPT_ROUNDS: u32 = 1_000_000;

/// Where a hash's text stands, and so which forms it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// In Doorward's own store.
    Store,
    /// In an htpasswd file.
    Htpasswd,
    /// In a table of Django's.
    Django,
}

/// How a hash is made, with everything that it costs. Two of one kind cost the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// RFC 9106.
    Argon2 {
        /// `argon2d`, `argon2i` or `argon2id`.
        variant: Variant,
        /// Whether it is version 0x10, before 0x13.
        old: bool,
        /// KiB.
        memory: u32,
        /// Passes over it.
        passes: u32,
        /// Lanes, which are computed one after the other here.
        lanes: u32,
    },
    /// RFC 8018.
    Pbkdf2 {
        /// With HMAC-SHA-1 instead of HMAC-SHA-256.
        sha1: bool,
        /// Iterations.
        iterations: NonZeroU32,
    },
    /// Of the first 72 bytes of the password, or of the hexadecimal SHA-256 of all of it.
    Bcrypt {
        /// The logarithm of the rounds.
        cost: u32,
        /// Whether SHA-256 comes first.
        of_sha256: bool,
    },
    /// RFC 7914.
    Scrypt {
        /// The logarithm of `N`.
        log_n: u8,
        /// The block size.
        r: u32,
        /// The number of blocks, which are computed one after the other.
        p: u32,
    },
    /// `$5$` and `$6$`.
    ShaCrypt {
        /// SHA-512 instead of SHA-256.
        sha512: bool,
        /// Rounds.
        rounds: u32,
    },
    /// `$apr1$` and `$1$`: a thousand rounds of MD5.
    Md5Crypt {
        /// Apache's own mark.
        apache: bool,
    },
    /// `{SHA}`: once, without a salt.
    Sha1,
    /// Traditional crypt: of the first eight characters.
    DesCrypt,
}

/// The variants of Argon2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Variant {
    /// `argon2d`.
    D,
    /// `argon2i`.
    I,
    /// `argon2id`.
    Id,
}

/// The text is of no form that is read, or costs more than is spent on anybody. Says nothing of the hash itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub &'static str);

/// What a text says of the user's password.
#[derive(Debug)]
pub enum Reading {
    /// This is its hash.
    Hash(Hash),
    /// There is none that lets anybody in: none was set, or what is kept of it is too weak. Says which.
    None(&'static str),
}

/// One user's hash. `Debug` shows its kind alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Hash {
    kind: Kind,
    salt: Vec<u8>,
    /// What must come out.
    expected: Vec<u8>,
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

/// Reads a hash's text, as it stands at such a place. Computes nothing.
pub fn read(form: Form, text: &str) -> Result<Reading, Unreadable> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(Unreadable("it is longer than any hash"));
    }
    match form {
        Form::Store => phc::read(text).map(Reading::Hash),
        Form::Htpasswd => crypt::read(text).map(Reading::Hash),
        Form::Django => django::read(text),
    }
}

impl Kind {
    /// Of new users of Doorward's own store.
    pub const OF_STORE: Self = Self::Argon2 {
        variant: Variant::Id,
        old: false,
        memory: Params::DEFAULT_M_COST,
        passes: Params::DEFAULT_T_COST,
        lanes: Params::DEFAULT_P_COST,
    };
    /// Of new users of Django 5.2.
    pub const OF_DJANGO: Self = match NonZeroU32::new(1_000_000) {
        Some(iterations) => Self::Pbkdf2 { sha1: false, iterations },
        None => Self::OF_STORE,
    };
    /// Of `htpasswd -B`.
    pub const OF_HTPASSWD: Self = Self::Bcrypt { cost: 5, of_sha256: false };

    /// Whether passwords are guessed by the billion from such hashes.
    #[must_use]
    pub fn is_weak(self) -> bool {
        match self {
            Self::Md5Crypt { .. } | Self::Sha1 | Self::DesCrypt => true,
            Self::Argon2 { .. } | Self::Pbkdf2 { .. } | Self::Bcrypt { .. } | Self::Scrypt { .. } | Self::ShaCrypt { .. } => false,
        }
    }

    /// A hash of this kind that no password has: it costs what a user's own would.
    #[must_use]
    pub fn of_nobody(self) -> Hash {
        let (salt, length) = match self {
            Self::Argon2 { .. } => (16, 32),
            Self::Pbkdf2 { sha1, .. } => (22, if sha1 { 20 } else { 32 }),
            Self::Bcrypt { .. } => (16, 31),
            Self::Scrypt { .. } => (22, 64),
            Self::ShaCrypt { sha512, .. } => (16, if sha512 { 64 } else { 32 }),
            Self::Md5Crypt { .. } => (8, 22),
            Self::Sha1 => (0, 20),
            Self::DesCrypt => (2, 11),
        };
        Hash { kind: self, salt: vec![b'.'; salt], expected: vec![0; length] }
    }

    /// What comes out for `password`, of `length` bytes where the kind leaves that open.
    fn compute(self, password: &[u8], salt: &[u8], length: usize) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
        let mut out = Zeroizing::new(vec![0; length]);
        match self {
            Self::Argon2 { variant, old, memory, passes, lanes } => {
                let params = Params::new(memory, passes, lanes, Some(length)).map_err(|_| Unreadable("its parameters are none of Argon2's"))?;
                let algorithm = match variant {
                    Variant::D => Algorithm::Argon2d,
                    Variant::I => Algorithm::Argon2i,
                    Variant::Id => Algorithm::Argon2id,
                };
                let version = if old { Version::V0x10 } else { Version::V0x13 };
                let done = Argon2::new(algorithm, version, params).hash_password_into(password, salt, &mut out);
                done.map_err(|_| Unreadable("Argon2 cannot be computed with its parameters, or there is no memory for it"))?;
            }
            Self::Pbkdf2 { sha1, iterations } => {
                let algorithm = if sha1 { pbkdf2::PBKDF2_HMAC_SHA1 } else { pbkdf2::PBKDF2_HMAC_SHA256 };
                pbkdf2::derive(algorithm, iterations, salt, password, &mut out);
            }
            Self::Bcrypt { cost, of_sha256 } => out = crypt::bcrypt(password, salt, cost, of_sha256)?,
            Self::Scrypt { log_n, r, p } => {
                let params = scrypt::Params::new(log_n, r, p).map_err(|_| Unreadable("its parameters are none of scrypt's"))?;
                scrypt::scrypt(password, salt, &params, &mut out).map_err(|_| Unreadable("its length is none of scrypt's"))?;
            }
            Self::ShaCrypt { sha512, rounds } => {
                let params = sha_crypt::Params::new(rounds).map_err(|_| Unreadable("its rounds are none of SHA-crypt's"))?;
                out = Zeroizing::new(if sha512 {
                    sha_crypt::sha512_crypt(password, salt, params).to_vec()
                } else {
                    sha_crypt::sha256_crypt(password, salt, params).to_vec()
                });
            }
            Self::Md5Crypt { apache } => out = Zeroizing::new(md5_crypt::md5_crypt(password, salt, apache).into_bytes()),
            Self::Sha1 => out = Zeroizing::new(Sha1::digest(password).to_vec()),
            Self::DesCrypt => out = des_crypt::des_crypt(password, salt),
        }
        Ok(out)
    }
}

impl Hash {
    /// How it is made, and what it costs.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it is the hash of `password`. Takes from microseconds to seconds of one core: not for a thread that serves.
    pub fn fits(&self, password: &[u8]) -> Result<bool, Unreadable> {
        let out = self.kind.compute(password, &self.salt, self.expected.len())?;
        Ok(out.as_slice().ct_eq(&self.expected).into())
    }
}

/// Lower-case hexadecimal SHA-256: what Django gives to bcrypt.
fn hex_sha256(password: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(Sha256::digest(password).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A plain decimal number: digits alone, without a sign or a zero before them.
fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (!text.starts_with('0') || text == "0");
    plain.then(|| text.parse().ok()).flatten()
}
