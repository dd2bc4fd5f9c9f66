//! How names and signatures are spelt on their way. Each has one spelling, or is refused.

use crate::auth::Refusal;
use crate::types::is_graphic;

/// The longest key name, in bytes.
const LONGEST_NAME: usize = 255;

/// The name of a key as clients send it, percent-decoded. Decoded once, and strictly.
pub(in crate::auth) fn name(sent: &str) -> Result<String, Refusal> {
    let decoded = if sent.contains('%') { unescape(sent.as_bytes()).and_then(|bytes| String::from_utf8(bytes).ok()) } else { Some(sent.to_owned()) };
    match decoded {
        Some(name) if can_be_a_name(&name) => Ok(name),
        Some(_) | None => Err(Refusal::Malformed("the key's name")),
    }
}

/// Whether a key could be called so.
pub(in crate::auth) fn can_be_a_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST_NAME && (is_graphic(name) || !name.chars().any(char::is_control))
}

/// The `N` bytes of a signature; base64 with its padding and without stray bits, so that one MAC has one spelling.
pub(in crate::auth) fn tag<const N: usize>(text: &str) -> Option<[u8; N]> {
    use base64::Engine as _;
    // Longer than any signature: nobody makes us decode more.
    let (text, mut decoded) = ((text.len() <= 64).then_some(text)?, [0; 48]);
    let length = base64::engine::general_purpose::STANDARD.decode_slice(text, &mut decoded).ok()?;
    decoded.get(..length)?.try_into().ok()
}

/// Whether `other` is another spelling of `name` that applications fold into one variable with it (`x_tenant` into `x-tenant`). It would
/// be read, and is not signed. Both are lower case.
pub(in crate::auth) fn is_alias(other: &str, name: &str) -> bool {
    let folded = |byte: u8| if byte.is_ascii_alphanumeric() { byte } else { b'_' };
    other != name && other.len() == name.len() && other.bytes().map(folded).eq(name.bytes().map(folded))
}

/// Percent-decoded, once; `None` if a `%` is not followed by two hexadecimal digits.
pub(in crate::auth) fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    unescape_unless(text, |_| false)
}

/// As [`unescape`]; `None` also if an escape stands for a byte that is forbidden.
pub(in crate::auth) fn unescape_unless(text: &[u8], forbidden: impl Fn(u8) -> bool) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'%' {
            decoded.push(*byte);
            continue;
        }
        let [high, low, after @ ..] = rest else { return None };
        let escaped = hex(*high)? << 4 | hex(*low)?;
        if forbidden(escaped) {
            return None;
        }
        decoded.push(escaped);
        rest = after;
    }
    Some(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_has_one_spelling() {
        assert_eq!(tag::<3>("AQID"), Some([1, 2, 3]));
        assert_eq!(tag::<2>("AQI="), Some([1, 2]));
        for text in ["", "AQI", "AQJ=", "AQI==", "AQI=\n", " AQI=", "AQ-=", "AQIDBA==", &"A".repeat(10_000)] {
            assert_eq!(tag::<2>(text), None, "{text}");
        }
    }

    #[test]
    fn an_alias_differs_in_what_is_no_letter_or_digit() {
        for (other, name, alias) in [
            ("x_tenant", "x-tenant", true),
            ("x.tenant", "x-tenant", true),
            ("x-tenant", "x_tenant", true),
            ("x-tenant", "x-tenant", false),
            ("x_tenants", "x-tenant", false),
            ("xxtenant", "x-tenant", false),
            ("date", "date", false),
        ] {
            assert_eq!(is_alias(other, name), alias, "{other} {name}");
        }
    }

    #[test]
    fn a_name_is_decoded_once_and_strictly() {
        assert_eq!(name("a%20b%2541").as_deref(), Ok("a b%41"));
        for text in ["", "%zz", "%", "%4", "%ff", "a%0a", "a\n", &"x".repeat(256)] {
            assert!(name(text).is_err(), "{text}");
        }
    }
}
