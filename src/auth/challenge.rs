//! How a client is asked for a credential.

use http::HeaderValue;

/// One way to prove who one is: a value for `WWW-Authenticate`.
#[derive(Debug, Clone)]
pub struct Challenge(pub HeaderValue);

/// Where two share a word, the first speaks for both.
pub(super) fn one_of_each_word(challenges: impl Iterator<Item = Challenge>) -> Vec<Challenge> {
    fn word(challenge: &Challenge) -> &[u8] {
        challenge.0.as_bytes().split(|b| *b == b' ').next().unwrap_or_default()
    }
    let mut all: Vec<Challenge> = Vec::new();
    for challenge in challenges {
        if !all.iter().any(|other| word(other).eq_ignore_ascii_case(word(&challenge))) {
            all.push(challenge);
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
        let offered = one_of_each_word(texts.iter().map(|text| Challenge(HeaderValue::from_static(text))));
        let offered: Vec<_> = offered.iter().map(|challenge| challenge.0.as_bytes()).collect();
        assert_eq!(offered, [&b"FOST realm=\"a\""[..], b"Bearer realm=\"a\"", b"Basic realm=\"a\"", b"Bearers"]);
    }
}
