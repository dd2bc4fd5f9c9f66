//! The hashes that stand in htpasswd files.
//!
//! ```text
//! $2y$05$ 22 characters of salt, 31 of hash     bcrypt; also $2a$ and $2b$, which are the same for passwords
//! $apr1$SALT$ 22 characters                     MD5, a thousand times; also $1$
//! $5$[rounds=N$]SALT$ 43 characters             SHA-256, 5000 times unless it says otherwise
//! $6$[rounds=N$]SALT$ 86 characters             SHA-512, likewise
//! {SHA} 28 characters                           SHA-1, once, in base64
//! 2 characters of salt, 11 of hash              DES, 25 times: traditional crypt
//! ```

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::{Hash, Kind, MAX_BCRYPT_COST, MAX_SHA_CRYPT_ROUNDS, Unreadable, hex_sha256, number};

/// Some programs leave bits over behind the last byte of a salt.
const BCRYPT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::BCRYPT,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);
/// The alphabet of the three older ones.
const CRYPT64: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Without `rounds=`.
const SHA_CRYPT_ROUNDS: u32 = 5000;
/// bcrypt takes the password with the zero byte that ends it, and no more than this of both.
const BCRYPT_BYTES: usize = 72;
const UNKNOWN: &str = "it is plain text, or a hash of a kind that is not known here";

/// Reads one, and sees that it costs no more than is spent on anybody.
pub(super) fn read(text: &str) -> Result<Hash, Unreadable> {
    if let Some(encoded) = text.strip_prefix("{SHA}") {
        let expected = STANDARD.decode(encoded).ok().filter(|hash| hash.len() == 20).ok_or(Unreadable("it is not a whole {SHA} hash"))?;
        return Ok(Hash { kind: Kind::Sha1, salt: Vec::new(), expected });
    }
    let is_descrypt = text.len() == 13 && text.bytes().all(|b| CRYPT64.contains(&b));
    if is_descrypt {
        let (salt, expected) = text.as_bytes().split_at_checked(2).unwrap_or_default();
        return Ok(Hash { kind: Kind::DesCrypt, salt: salt.to_vec(), expected: expected.to_vec() });
    }
    let mut fields = text.strip_prefix('$').ok_or(Unreadable(UNKNOWN))?.split('$');
    match fields.next() {
        Some("2a" | "2b" | "2y") => read_bcrypt(text, false),
        Some("2x") => Err(Unreadable("it is of a faulty bcrypt ($2x$)")),
        Some(mark @ ("apr1" | "1")) => read_md5(mark == "apr1", fields),
        Some(mark @ ("5" | "6")) => read_sha(mark == "6", fields),
        _ => Err(Unreadable(UNKNOWN)),
    }
}

/// `$2b$12$…`, also as Django writes it behind a word of its own.
pub(super) fn read_bcrypt(text: &str, of_sha256: bool) -> Result<Hash, Unreadable> {
    const BROKEN: Unreadable = Unreadable("it is not a whole bcrypt hash");
    let mut fields = text.strip_prefix("$2").and_then(|rest| rest.strip_prefix(['a', 'b', 'y'])).ok_or(BROKEN)?.split('$');
    let (Some(""), Some(cost), Some(rest), None) = (fields.next(), fields.next(), fields.next(), fields.next()) else {
        return Err(BROKEN);
    };
    let cost = Some(cost)
        .filter(|cost| cost.len() == 2 && cost.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|cost| cost.parse::<u32>().ok())
        .ok_or(BROKEN)?;
    let (Some(salt), Some(expected)) = (rest.get(..22), rest.get(22..)) else { return Err(BROKEN) };
    let salt = BCRYPT.decode(salt).map_err(|_| BROKEN)?;
    if expected.len() != 31 || BCRYPT.decode(expected).is_err() || cost < 4 {
        return Err(BROKEN);
    }
    if cost > MAX_BCRYPT_COST {
        return Err(Unreadable("its cost is higher than what is spent on a password"));
    }
    Ok(Hash { kind: Kind::Bcrypt { cost, of_sha256 }, salt, expected: expected.as_bytes().to_vec() })
}

/// The 31 characters of hash.
pub(super) fn bcrypt(password: &[u8], salt: &[u8], cost: u32, of_sha256: bool) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
    let salt: [u8; 16] = salt.try_into().map_err(|_| Unreadable("its salt is not of 16 bytes"))?;
    let hex = of_sha256.then(|| hex_sha256(password));
    let password = hex.as_ref().map_or(password, |hex| hex.as_bytes());
    let mut key = Zeroizing::new([0; BCRYPT_BYTES]);
    let mut used = 1;
    for (to, from) in key.iter_mut().zip(password) {
        *to = *from;
        used += 1;
    }
    let out = Zeroizing::new(bcrypt::bcrypt(cost, salt, key.get(..used.min(BCRYPT_BYTES)).unwrap_or_default()));
    Ok(Zeroizing::new(BCRYPT.encode(out.get(..23).unwrap_or_default()).into_bytes()))
}

fn read_md5<'t>(apache: bool, mut fields: impl Iterator<Item = &'t str>) -> Result<Hash, Unreadable> {
    let (Some(salt), Some(expected), None) = (fields.next(), fields.next(), fields.next()) else {
        return Err(Unreadable("it is not a whole $apr1$ or $1$ hash"));
    };
    let sound = salt.len() <= 8 && expected.len() == 22 && expected.bytes().all(|b| CRYPT64.contains(&b));
    let hash = Hash { kind: Kind::Md5Crypt { apache }, salt: salt.as_bytes().to_vec(), expected: expected.as_bytes().to_vec() };
    if sound { Ok(hash) } else { Err(Unreadable("it is not a whole $apr1$ or $1$ hash")) }
}

fn read_sha<'t>(sha512: bool, fields: impl Iterator<Item = &'t str>) -> Result<Hash, Unreadable> {
    const BROKEN: Unreadable = Unreadable("it is not a whole $5$ or $6$ hash");
    let mut fields = fields.peekable();
    let rounds = match fields.peek().and_then(|field| field.strip_prefix("rounds=")) {
        Some(rounds) => {
            let rounds = number::<u32>(rounds).filter(|rounds| *rounds >= sha_crypt::Params::ROUNDS_MIN).ok_or(BROKEN)?;
            fields.next();
            rounds
        }
        None => SHA_CRYPT_ROUNDS,
    };
    if rounds > MAX_SHA_CRYPT_ROUNDS {
        return Err(Unreadable("its rounds are more than are spent on a password"));
    }
    let (Some(salt), Some(expected), None) = (fields.next(), fields.next(), fields.next()) else { return Err(BROKEN) };
    if salt.len() > 16 {
        return Err(BROKEN);
    }
    let order = if sha512 { order_of_sha512() } else { order_of_sha256() };
    let expected = decoded(expected, &order).ok_or(BROKEN)?;
    Ok(Hash { kind: Kind::ShaCrypt { sha512, rounds }, salt: salt.as_bytes().to_vec(), expected })
}

/// In which order the bytes of SHA-512 are written: by threes, each a step further in another third, and the last alone.
fn order_of_sha512() -> Vec<usize> {
    let mut order = Vec::with_capacity(64);
    let (mut a, mut b, mut c) = (0, 21, 42);
    for _ in 0..21 {
        order.extend([c, b, a]);
        (a, b, c) = (b + 1, c + 1, a + 1);
    }
    order.push(63);
    order
}

/// The same of SHA-256; the last two stand together.
fn order_of_sha256() -> Vec<usize> {
    let mut order = Vec::with_capacity(32);
    let (mut a, mut b, mut c) = (0, 10, 20);
    for _ in 0..10 {
        order.extend([c, b, a]);
        (a, b, c) = (c + 1, a + 1, b + 1);
    }
    order.extend([30, 31]);
    order
}

/// The bytes of a hash out of its characters: four for three bytes, the lowest bits first. `None` where there are too few or
/// too many, or bits are left over.
fn decoded(text: &str, order: &[usize]) -> Option<Vec<u8>> {
    let mut bytes = vec![0; order.len()];
    let mut characters = text.bytes();
    for places in order.chunks(3) {
        let mut bits = 0_u32;
        for at in 0..=places.len() {
            let value = CRYPT64.iter().position(|c| Some(*c) == characters.clone().next())?;
            characters.next();
            bits |= u32::try_from(value).ok()? << (6 * at);
        }
        for place in places {
            *bytes.get_mut(*place)? = u8::try_from(bits & 0xff).ok()?;
            bits >>= 8;
        }
        if bits != 0 {
            return None;
        }
    }
    characters.next().is_none().then_some(bytes)
}
