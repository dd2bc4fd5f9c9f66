//! What a client that was refused is told to try.

use http::HeaderValue;

use super::{Access, Refusal};

/// One way to prove who one is: a value for `WWW-Authenticate`.
#[derive(Debug, Clone)]
pub struct Challenge(pub HeaderValue);

/// Headers of a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnChallenge {
    /// `WWW-Authenticate`.
    pub challenge: HeaderValue,
    /// `DPoP-Nonce`.
    pub nonce: Option<HeaderValue>,
}

/// What a client that was refused is told to try: a challenge, and to those who sign, what to sign.
#[derive(Debug, Clone)]
pub struct Offer {
    /// For `WWW-Authenticate`.
    pub challenge: Challenge,
    /// For `Accept-Signature`, RFC 9421 section 5.1.
    pub accept_signature: Option<HeaderValue>,
}

impl From<Challenge> for Offer {
    fn from(challenge: Challenge) -> Self {
        Self { challenge, accept_signature: None }
    }
}

/// What to tell a client that was refused: one challenge for each word that `Authorization` may start with. Where two schemes
/// share a word, the first of the route speaks for both: clients read two challenges of one name as a contradiction.
#[must_use]
pub fn challenges(access: &Access, why: &Refusal) -> Vec<Offer> {
    match access {
        Access::Public => Vec::new(),
        Access::Accept(schemes) => one_of_each_word(schemes.iter().map(|scheme| scheme.offer(why))),
    }
}

fn one_of_each_word(offers: impl Iterator<Item = Offer>) -> Vec<Offer> {
    fn word(offer: &Offer) -> &[u8] {
        offer.challenge.0.as_bytes().split(|b| *b == b' ').next().unwrap_or_default()
    }
    let mut all: Vec<Offer> = Vec::new();
    for offer in offers {
        if !all.iter().any(|other| word(other).eq_ignore_ascii_case(word(&offer))) {
            all.push(offer);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_authenticate_is_offered_once() {
        let texts = ["FOST realm=\"a\"", "Bearer realm=\"a\"", "bearer realm=\"a\", error=\"x\"", "Basic realm=\"a\"", "Bearers"];
        let offered = one_of_each_word(texts.iter().map(|text| Challenge(HeaderValue::from_static(text)).into()));
        let offered: Vec<_> = offered.iter().map(|offer| offer.challenge.0.as_bytes()).collect();
        assert_eq!(offered, [&b"FOST realm=\"a\""[..], b"Bearer realm=\"a\"", b"Basic realm=\"a\"", b"Bearers"]);
    }
}
