//! MD5-crypt: `$1$` of BSD and Linux, `$apr1$` of Apache. The two differ by their mark alone.
//!
//! ```text
//! alternate = MD5(password salt password)
//! first     = MD5(password mark salt alternate… (as long as the password) and, for each bit of the password's length,
//!                 a zero byte or the password's first byte)
//! then a thousand times = MD5(of the last, the password and the salt, in an order that depends on the round)
//! ```

use md5::{Digest, Md5};
use zeroize::Zeroizing;

const ROUNDS: u32 = 1000;
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The 22 characters of hash.
pub(super) fn md5_crypt(password: &[u8], salt: &[u8], apache: bool) -> String {
    let mark: &[u8] = if apache { b"$apr1$" } else { b"$1$" };
    let alternate: Zeroizing<[u8; 16]> = Zeroizing::new(Md5::new_with_prefix(password).chain_update(salt).chain_update(password).finalize().into());
    let mut first = Md5::new_with_prefix(password).chain_update(mark).chain_update(salt);
    for piece in password.chunks(alternate.len()) {
        first.update(alternate.get(..piece.len()).unwrap_or_default());
    }
    let mut length = password.len();
    while length > 0 {
        first.update(if length & 1 == 1 { &[0] } else { password.get(..1).unwrap_or_default() });
        length >>= 1;
    }
    let mut last: Zeroizing<[u8; 16]> = Zeroizing::new(first.finalize().into());
    for round in 0..ROUNDS {
        let odd = round % 2 == 1;
        let mut next = Md5::new();
        next.update(if odd { password } else { last.as_slice() });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if odd { last.as_slice() } else { password });
        *last = next.finalize().into();
    }
    encoded(&last)
}

/// The bytes by threes in the order that the format has, and the twelfth alone; the lowest bits first.
fn encoded(hash: &[u8; 16]) -> String {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = hash.map(u32::from);
    let mut text = String::with_capacity(22);
    for (high, middle, low, characters) in [(a, g, m, 4), (b, h, n, 4), (c, i, o, 4), (d, j, p, 4), (e, k, f, 4), (0, 0, l, 2)] {
        let mut bits = high << 16 | middle << 8 | low;
        for _ in 0..characters {
            text.extend(ALPHABET.get((bits & 63) as usize).map(|c| char::from(*c)));
            bits >>= 6;
        }
    }
    text
}
