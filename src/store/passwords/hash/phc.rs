//! `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`: the PHC string format, of Argon2 alone.

use argon2::Params;
use argon2::password_hash::phc::PasswordHash;

use super::{Hash, Kind, MAX_ARGON2_KIB, MAX_ARGON2_LANES, MAX_ARGON2_WORK, Unreadable, Variant};

/// Reads it, and sees that it costs no more than is spent on anybody.
pub(super) fn read(text: &str) -> Result<Hash, Unreadable> {
    let hash = PasswordHash::new(text).map_err(|_| Unreadable("it is not in the form of Argon2's hashes"))?;
    let variant = match hash.algorithm.as_str() {
        "argon2d" => Variant::D,
        "argon2i" => Variant::I,
        "argon2id" => Variant::Id,
        _ => return Err(Unreadable("it is of an algorithm that is not known here")),
    };
    // Without a version it is the first one.
    let old = match hash.version {
        None | Some(0x10) => true,
        Some(0x13) => false,
        Some(_) => return Err(Unreadable("it is of a version of Argon2 that is not known here")),
    };
    let params = Params::try_from(&hash).map_err(|_| Unreadable("its parameters are none of Argon2's"))?;
    if !params.keyid().is_empty() || !params.data().is_empty() {
        return Err(Unreadable("it belongs to a key that is not known here"));
    }
    let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
    if memory > MAX_ARGON2_KIB || lanes > MAX_ARGON2_LANES || u64::from(memory).saturating_mul(passes.into()) > MAX_ARGON2_WORK {
        return Err(Unreadable("its parameters cost more than is spent on a password"));
    }
    let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else {
        return Err(Unreadable("it is not whole"));
    };
    Ok(Hash { kind: Kind::Argon2 { variant, old, memory, passes, lanes }, salt: salt.as_ref().to_vec(), expected: expected.as_bytes().to_vec() })
}
