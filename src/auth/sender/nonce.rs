//! Nonces for proofs (RFC 9449 section 8) that nobody has to remember: their time, and a MAC over it.
//!
//! ```text
//! base64url( time, 8 bytes big-endian │ HMAC-SHA256(key, "doorward dpop nonce" ‖ time), the first 16 bytes )
//! ```
//!
//! Instances with one secret accept each other's. A nonce says how fresh a proof is; that a proof is used once is the
//! replay memory's business.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderValue;
use sha2::Sha256;

/// How long a nonce is good, in seconds.
const LIFETIME: i64 = 300;
/// How far the clocks of two instances may differ, in seconds.
const SKEW: i64 = 10;
const TIME_BYTES: usize = 8;
const TAG_BYTES: usize = 16;

/// Makes nonces and knows them again. The key is prepared once.
#[derive(Clone)]
pub(super) struct Nonces(Hmac<Sha256>);

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Nonces(***)")
    }
}

impl Nonces {
    /// With a secret that several instances share.
    pub fn of(secret: &[u8]) -> Option<Self> {
        let mut mac = Hmac::new_from_slice(secret).ok()?;
        mac.update(b"doorward dpop nonce");
        Some(Self(mac))
    }

    /// With a secret of this process alone; `None` if there are no random numbers.
    pub fn random() -> Option<Self> {
        let mut secret = zeroize::Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(secret.as_mut_slice()).ok()?;
        Self::of(secret.as_slice())
    }

    /// One that is good from `now` (Unix seconds) on.
    pub fn make(&self, now: i64) -> HeaderValue {
        let time = now.to_be_bytes();
        let tag = self.0.clone().chain_update(time).finalize().into_bytes();
        let bytes: Vec<u8> = time.into_iter().chain(tag.into_iter().take(TAG_BYTES)).collect();
        // base64url is always a header's value.
        HeaderValue::try_from(URL_SAFE_NO_PAD.encode(bytes)).unwrap_or_else(|_| HeaderValue::from_static("none"))
    }

    /// Whether it is one of these and still good.
    pub fn accepts(&self, nonce: &str, now: i64) -> bool {
        if nonce.len() != (TIME_BYTES + TAG_BYTES) * 4 / 3 {
            return false;
        }
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(nonce) else { return false };
        let Some((time, tag)) = bytes.split_first_chunk::<TIME_BYTES>() else { return false };
        let made = i64::from_be_bytes(*time);
        let fresh = made.saturating_sub(SKEW) <= now && now <= made.saturating_add(LIFETIME);
        fresh && tag.len() == TAG_BYTES && self.0.clone().chain_update(time).verify_truncated_left(tag).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn a_nonce_is_good_for_five_minutes_wherever_the_secret_is_known() {
        let (here, there, elsewhere) = (Nonces::of(&[7; 32]).unwrap(), Nonces::of(&[7; 32]).unwrap(), Nonces::random().unwrap());
        let nonce = here.make(NOW).to_str().unwrap().to_owned();
        for (now, good) in
            [(NOW, true), (NOW + 300, true), (NOW + 301, false), (NOW - 10, true), (NOW - 11, false), (i64::MAX, false), (i64::MIN, false)]
        {
            assert_eq!((here.accepts(&nonce, now), there.accepts(&nonce, now)), (good, good), "{now}");
            assert!(!elsewhere.accepts(&nonce, now));
        }
        assert_ne!(here.make(NOW), here.make(NOW + 1));
    }

    #[test]
    fn a_nonce_with_any_bit_changed_is_none() {
        let nonces = Nonces::random().unwrap();
        let good = URL_SAFE_NO_PAD.decode(nonces.make(NOW).as_bytes()).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!nonces.accepts(&URL_SAFE_NO_PAD.encode(bad), NOW), "{bit}");
        }
        for bad in ["", "x", "none", &URL_SAFE_NO_PAD.encode(&good[..8]), &URL_SAFE_NO_PAD.encode(&good[..23]), &"A".repeat(33), &"é".repeat(16)] {
            assert!(!nonces.accepts(bad, NOW), "{bad}");
        }
        for extreme in [i64::MIN, -1, i64::MAX] {
            let _ = nonces.accepts(nonces.make(extreme).to_str().unwrap(), NOW);
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", Nonces::of(b"secret").unwrap()), "Nonces(***)");
    }
}
