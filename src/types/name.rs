//! Which names may be told to an application.

/// Whether `name` may be told to an application: 1 to 255 bytes, no control character, no blank at either end, none of
/// the invisible characters that make two names look alike on a screen (zero-width, bidirectional, U+FEFF).
#[must_use]
pub fn valid_user_name(name: &str) -> bool {
    let invisible =
        |c: char| matches!(c, '\u{80}'..='\u{9f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !name.is_empty() && name.len() <= 255 && name.trim() == name && !name.chars().any(|c| c.is_control() || invisible(c))
}
