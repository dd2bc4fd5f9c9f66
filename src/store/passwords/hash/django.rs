//! The hashes that Django writes.
//!
//! ```text
//! pbkdf2_sha256$ITERATIONS$SALT$BASE64        also pbkdf2_sha1
//! argon2$argon2id$v=19$m=…,t=…,p=…$SALT$HASH
//! bcrypt_sha256$$2b$12$…                      of the password's hexadecimal SHA-256; bcrypt$$2b$12$…
//! scrypt$N$SALT$R$P$BASE64
//! !…                                          no password
//! ```
//!
//! Refused: `md5`, `sha1`, `unsalted_md5`, `unsalted_sha1` and `crypt` of old versions, which are guessed by the billion.

use std::num::NonZeroU32;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Hash, Kind, MAX_PBKDF2_ITERATIONS, MAX_SCRYPT_BLOCKS, MAX_SCRYPT_FACTOR, MAX_SCRYPT_WORK, Reading, Unreadable, crypt, number, phc};

const WEAK: &str = "the hash is of a kind that Django has given up; let the user set a new password";

/// Reads what stands in the column `password`.
pub(super) fn read(text: &str) -> Result<Reading, Unreadable> {
    if text.is_empty() || text.starts_with('!') {
        return Ok(Reading::None("no password is set"));
    }
    // A bare MD5 or SHA-1, as it was without a salt.
    let is_hex = |text: &str| (text.len() == 32 || text.len() == 40) && text.bytes().all(|b| b.is_ascii_hexdigit());
    let Some((algorithm, rest)) = text.split_once('$') else {
        return if is_hex(text) { Ok(Reading::None(WEAK)) } else { Err(Unreadable("it is not in the form of Django's hashes")) };
    };
    let hash = match algorithm {
        "pbkdf2_sha256" => pbkdf2(rest, false),
        "pbkdf2_sha1" => pbkdf2(rest, true),
        "argon2" => phc::read(text.strip_prefix("argon2").unwrap_or_default()),
        "bcrypt_sha256" => crypt::read_bcrypt(rest, true),
        "bcrypt" => crypt::read_bcrypt(rest, false),
        "scrypt" => scrypt(rest),
        "md5" | "sha1" | "unsalted_md5" | "unsalted_sha1" | "crypt" => return Ok(Reading::None(WEAK)),
        _ => Err(Unreadable("it is of an algorithm that is not known here")),
    };
    hash.map(Reading::Hash)
}

fn pbkdf2(rest: &str, sha1: bool) -> Result<Hash, Unreadable> {
    const BROKEN: Unreadable = Unreadable("it is not a whole pbkdf2 hash");
    let mut fields = rest.split('$');
    let (Some(iterations), Some(salt), Some(expected), None) = (fields.next(), fields.next(), fields.next(), fields.next()) else {
        return Err(BROKEN);
    };
    let iterations: NonZeroU32 = number(iterations).and_then(NonZeroU32::new).ok_or(BROKEN)?;
    if iterations.get() > MAX_PBKDF2_ITERATIONS {
        return Err(Unreadable("its iterations are more than are spent on a password"));
    }
    let expected = base64_of(expected, if sha1 { 20 } else { 32 }).ok_or(BROKEN)?;
    Ok(Hash { kind: Kind::Pbkdf2 { sha1, iterations }, salt: salt_of(salt).ok_or(BROKEN)?, expected })
}

fn scrypt(rest: &str) -> Result<Hash, Unreadable> {
    const BROKEN: Unreadable = Unreadable("it is not a whole scrypt hash");
    let fields: Vec<&str> = rest.split('$').collect();
    let [n, salt, r, p, expected] = fields.as_slice() else { return Err(BROKEN) };
    let (Some(n), Some(r), Some(p)) = (number::<u64>(n), number::<u32>(r), number::<u32>(p)) else { return Err(BROKEN) };
    if n < 2 || !n.is_power_of_two() || r == 0 || p == 0 {
        return Err(BROKEN);
    }
    let blocks = n.saturating_mul(r.into());
    if r > MAX_SCRYPT_FACTOR || p > MAX_SCRYPT_FACTOR || blocks > MAX_SCRYPT_BLOCKS || blocks.saturating_mul(p.into()) > MAX_SCRYPT_WORK {
        return Err(Unreadable("its parameters cost more than is spent on a password"));
    }
    let log_n = u8::try_from(n.trailing_zeros()).map_err(|_| BROKEN)?;
    let expected = base64_of(expected, 64).ok_or(BROKEN)?;
    Ok(Hash { kind: Kind::Scrypt { log_n, r, p }, salt: salt_of(salt).ok_or(BROKEN)?, expected })
}

/// Django lets no hash be made without a salt.
fn salt_of(text: &str) -> Option<Vec<u8>> {
    (!text.is_empty()).then(|| text.as_bytes().to_vec())
}

fn base64_of(text: &str, length: usize) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok().filter(|hash| hash.len() == length)
}
