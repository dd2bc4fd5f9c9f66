//! How a name outside ASCII is written into a header, and how a list is.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Unstampable;
use crate::types::is_graphic;

/// `identity.encoding`. Each is reversible: no two values are written alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// The bytes of UTF-8 as they are.
    Utf8,
    /// Every byte but the unreserved characters of RFC 3986 as `%XX`.
    Percent,
    /// Base64 in the URL alphabet, without padding.
    Base64Url,
    /// Encoded words of RFC 2047, where the value is not ASCII or could be taken for one.
    Rfc2047,
}

/// All but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An encoded word has at most 75 characters (RFC 2047 section 2): 12 of frame, 60 of base64, which is 45 bytes.
const WORD: usize = 45;

impl Encoding {
    /// All names that the configuration may say.
    pub(super) const NAMES: &'static [(&'static str, Self)] =
        &[("utf-8", Self::Utf8), ("percent", Self::Percent), ("base64url", Self::Base64Url), ("rfc2047", Self::Rfc2047)];

    /// Writes one value. It must not be empty, and what readers of headers would change or cut is refused: control
    /// characters anywhere and blanks at either end.
    pub(super) fn value(self, text: &str) -> Result<HeaderValue, Unstampable> {
        HeaderValue::from_maybe_shared(bytes::Bytes::from(self.encode(text)?)).map_err(|_| Unstampable("a value cannot be written into a header"))
    }

    /// Writes a list, joined by commas. An element with a comma would be read as two.
    pub(super) fn list<'a>(self, elements: impl Iterator<Item = &'a str>) -> Result<HeaderValue, Unstampable> {
        let mut joined = String::new();
        for element in elements {
            if element.contains(',') {
                return Err(Unstampable("an element of a list holds a comma"));
            }
            if !joined.is_empty() {
                joined.push(',');
            }
            joined.push_str(&self.encode(element)?);
        }
        HeaderValue::from_bytes(joined.as_bytes()).map_err(|_| Unstampable("a list cannot be written into a header"))
    }

    fn encode(self, text: &str) -> Result<String, Unstampable> {
        if text.is_empty() {
            return Err(Unstampable("a value is empty"));
        }
        // Most names are plain words.
        if !is_graphic(text) {
            if text.chars().any(char::is_control) {
                return Err(Unstampable("a value holds a control character"));
            }
            if text.trim() != text {
                return Err(Unstampable("a value begins or ends with a blank"));
            }
        }
        Ok(match self {
            Self::Utf8 => text.to_owned(),
            Self::Percent => utf8_percent_encode(text, RESERVED).to_string(),
            Self::Base64Url => URL_SAFE_NO_PAD.encode(text),
            Self::Rfc2047 if text.is_ascii() && !text.contains("=?") => text.to_owned(),
            Self::Rfc2047 => encoded_words(text),
        })
    }
}

fn encoded_words(text: &str) -> String {
    let mut words = String::new();
    let mut word = String::new();
    let mut finish = |word: &mut String| {
        if !word.is_empty() {
            // Readers drop the blank between two encoded words.
            let blank = if words.is_empty() { "" } else { " " };
            words.push_str(&format!("{blank}=?utf-8?B?{}?=", STANDARD.encode(&*word)));
            word.clear();
        }
    };
    for c in text.chars() {
        if word.len() + c.len_utf8() > WORD {
            finish(&mut word);
        }
        word.push(c);
    }
    finish(&mut word);
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(encoding: Encoding, text: &str) -> Option<String> {
        encoding.value(text).ok().map(|value| String::from_utf8(value.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn a_name_is_written_as_the_configuration_says() {
        for (encoding, text, want) in [
            (Encoding::Utf8, "Zoë", "Zoë"),
            (Encoding::Utf8, "a,b %41", "a,b %41"),
            (Encoding::Percent, "Zoë", "Zo%C3%AB"),
            (Encoding::Percent, "a@b.c~-_%", "a%40b.c~-_%25"),
            (Encoding::Base64Url, "Zoë", "Wm_Dqw"),
            (Encoding::Base64Url, "ab", "YWI"),
            (Encoding::Rfc2047, "alice@example.com", "alice@example.com"),
            (Encoding::Rfc2047, "Zoë", "=?utf-8?B?Wm/Dqw==?="),
            (Encoding::Rfc2047, "=?utf-8?B?Wm/Dqw==?=", "=?utf-8?B?PT91dGYtOD9CP1dtL0Rxdz09Pz0=?="),
        ] {
            assert_eq!(written(encoding, text).as_deref(), Some(want), "{encoding:?} {text}");
        }
    }

    #[test]
    fn what_a_reader_would_change_is_refused_and_not_cleaned() {
        for (_, encoding) in Encoding::NAMES {
            for text in ["", " ", " a", "a ", "\u{a0}a", "a\nb", "a\r", "\0", "a\tb", "\u{7f}", "\u{85}x", "a\u{9f}b"] {
                assert_eq!(written(*encoding, text), None, "{encoding:?} {text:?}");
            }
        }
    }

    #[test]
    fn a_list_is_joined_by_commas_that_none_of_its_elements_holds() {
        let list = |elements: &[&str]| Encoding::Utf8.list(elements.iter().copied()).map(|v| v.to_str().unwrap().to_owned());
        assert_eq!(list(&["a", "b c"]).unwrap(), "a,b c");
        for bad in [["a", "b,c"], ["a", ""], ["", "a"], ["a", " b"], ["a", "b\n"]] {
            assert!(list(&bad).is_err(), "{bad:?}");
        }
        assert!(Encoding::Percent.list(["a,b"].into_iter()).is_err());
    }

    proptest! {
        #[test]
        fn long_names_become_words_that_readers_put_together_again(text in "[a-zé€😀]{1,120}") {
            let header = written(Encoding::Rfc2047, &text).unwrap();
            let mut read = String::new();
            for word in header.split(' ') {
                prop_assert!(word.len() <= 75);
                match word.strip_prefix("=?utf-8?B?").and_then(|word| word.strip_suffix("?=")) {
                    Some(word) => read.push_str(&String::from_utf8(STANDARD.decode(word).unwrap()).unwrap()),
                    None => read.push_str(word),
                }
            }
            prop_assert_eq!(read, text);
        }

        #[test]
        fn no_two_names_are_written_alike(a in "\\PC{1,12}", b in "\\PC{1,12}") {
            for (_, encoding) in Encoding::NAMES {
                if let (Some(x), Some(y)) = (written(*encoding, &a), written(*encoding, &b)) {
                    prop_assert_eq!(x == y, a == b);
                }
            }
        }
    }
}
