//! One command for a shell, to paste.

use http::Method;

/// One command for a shell. Told to leave path and brackets alone: what is sent must be what was signed.
pub(super) fn curl(method: &Method, headers: &[String], data: Option<&str>, url: &str) -> String {
    let mut words = vec!["curl".to_owned(), "--path-as-is".to_owned(), "--globoff".to_owned()];
    match *method {
        Method::GET => {}
        Method::HEAD => words.push("--head".to_owned()),
        _ => words.extend(["--request".to_owned(), quoted(method.as_str())]),
    }
    for header in headers {
        // curl drops a header that is written without a value, but not one that ends in a semicolon.
        let line = header.strip_suffix(": ").map_or_else(|| header.clone(), |name| format!("{name};"));
        words.extend(["--header".to_owned(), quoted(&line)]);
    }
    if let Some(data) = data {
        let option = if data.starts_with('@') { "--data-binary" } else { "--data-raw" };
        words.extend([option.to_owned(), quoted(data)]);
    }
    words.push(quoted(url));
    words.join(" ")
}

/// A word that a POSIX shell reads back as `text`.
fn quoted(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/' | b':' | b'@' | b'=' | b'+' | b',' | b'%');
    if !text.is_empty() && text.bytes().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_quoted_word_is_one_word_again(text in "[^\\x00]{0,20}") {
            let shell = std::process::Command::new("sh").arg("-c").arg(format!("printf %s {}", quoted(&text))).output().unwrap();
            prop_assert_eq!(shell.stdout, text.into_bytes());
        }
    }
}
