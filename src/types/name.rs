//! Which names may be told to an application.

/// Whether `text` holds nothing but letters, digits and punctuation of ASCII. Looks at all bytes alike, without an early end: that is
/// faster.
#[must_use]
pub fn is_graphic(text: &str) -> bool {
    text.bytes().fold(true, |graphic, byte| graphic & byte.is_ascii_graphic())
}

/// Whether `name` may be told to an application: 1 to 255 bytes, no control character, no blank at either end, none of
/// the invisible characters that make two names look alike on a screen (zero-width, bidirectional, U+FEFF).
#[must_use]
pub fn valid_user_name(name: &str) -> bool {
    let invisible =
        |c: char| matches!(c, '\u{80}'..='\u{9f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let sound = || is_graphic(name) || (name.trim() == name && !name.chars().any(|c| c.is_control() || invisible(c)));
    !name.is_empty() && name.len() <= 255 && sound()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_told_when_a_screen_shows_all_of_it() {
        for name in ["a", "~", "a b", "José", "a@b", &"a".repeat(255)] {
            assert!(valid_user_name(name), "{name:?}");
        }
        for name in ["", " ", " a", "a ", "a\n", "\u{7f}", "a\u{200b}", "a\u{85}b", "\u{feff}a", &"a".repeat(256)] {
            assert!(!valid_user_name(name), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_graphic_has_neither_blank_nor_control_character_nor_anything_outside_ascii(text in ".{0,40}") {
            prop_assert_eq!(is_graphic(&text), text.chars().all(|c| ('!'..='~').contains(&c)));
        }
    }
}
