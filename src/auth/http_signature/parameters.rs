//! `name="value", name="value", name=123`: what a signature says of itself.
//!
//! Stricter than the originals: every parameter at most once, none that is not known, no escapes, nothing left over. Two readers of
//! one header must find the same in it.

use crate::auth::Refusal;

/// No list of headers is longer: it is searched for repeats.
const MOST_NAMES: usize = 50;

/// The parameters of a signature. Nothing of it is believed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters<'a> {
    pub key: Option<&'a str>,
    pub algorithm: Option<&'a str>,
    pub headers: Option<&'a str>,
    pub signature: Option<&'a str>,
    /// Unix seconds.
    pub created: Option<i64>,
    /// Unix seconds.
    pub expires: Option<i64>,
}

/// What the parameters are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Names {
    /// `keyId` or `username`.
    pub key: &'static str,
    /// Whether there may be `created` and `expires`.
    pub times: bool,
}

/// Reads the parameters.
pub(super) fn read(text: &str, names: Names) -> Result<Parameters<'_>, Refusal> {
    let mut found = Parameters::default();
    let mut rest = text;
    loop {
        let (name, after) = rest.trim_start_matches([' ', '\t']).split_once('=').ok_or(Refusal::Malformed("a parameter without a value"))?;
        let (value, after, quoted) = value(after)?;
        let again = match name {
            "algorithm" if quoted => found.algorithm.replace(value).is_some(),
            "headers" if quoted => found.headers.replace(value).is_some(),
            "signature" if quoted => found.signature.replace(value).is_some(),
            "created" if names.times => found.created.replace(seconds(value)?).is_some(),
            "expires" if names.times => found.expires.replace(seconds(value)?).is_some(),
            _ if name == names.key && quoted => found.key.replace(value).is_some(),
            _ => return Err(Refusal::Malformed("a parameter that is not known")),
        };
        if again {
            return Err(Refusal::Malformed("a parameter is there more than once"));
        }
        rest = match after.trim_start_matches([' ', '\t']) {
            "" => return Ok(found),
            more => more.strip_prefix(',').ok_or(Refusal::Malformed("parameters are not separated by commas"))?,
        };
    }
}

/// A value, what follows it, and whether it stood in quotes.
fn value(text: &str) -> Result<(&str, &str, bool), Refusal> {
    if let Some(text) = text.strip_prefix('"') {
        let (value, after) = text.split_once('"').ok_or(Refusal::Malformed("a quote is not closed"))?;
        return if value.contains('\\') { Err(Refusal::Malformed("an escape in a parameter")) } else { Ok((value, after, true)) };
    }
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (value, after) = text.split_at(end);
    Ok((value, after, false))
}

/// Whole seconds, written in one way: no sign, no fraction, no leading zero.
fn seconds(text: &str) -> Result<i64, Refusal> {
    let plain = !text.is_empty() && text.len() <= 12 && text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain).ok_or(Refusal::Malformed("a time is not a number of seconds"))
}

/// The list of what is signed: names separated by one `separator`, none of them twice.
pub(super) fn list(text: &str, separator: char) -> Result<Vec<&str>, Refusal> {
    let names: Vec<&str> = text.split(separator).take(MOST_NAMES + 1).collect();
    if names.len() > MOST_NAMES {
        return Err(Refusal::Malformed("the list of headers is too long"));
    }
    let twice = |(at, name): (usize, &&str)| names.iter().take(at).any(|before| before.eq_ignore_ascii_case(name));
    if names.iter().any(|name| name.is_empty()) || names.iter().enumerate().any(twice) {
        return Err(Refusal::Malformed("the list of headers is empty, or names one twice"));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DRAFT: Names = Names { key: "keyId", times: true };
    const KONG: Names = Names { key: "username", times: false };

    #[test]
    fn parameters_are_read_in_any_order_and_spacing() {
        let expected =
            Parameters { key: Some("k"), algorithm: Some("hmac-sha256"), headers: Some("a b"), signature: Some("s="), ..Parameters::default() };
        for text in [
            r#"keyId="k",algorithm="hmac-sha256",headers="a b",signature="s=""#,
            r#"  keyId="k" ,  algorithm="hmac-sha256", headers="a b",	signature="s=" "#,
            r#"signature="s=",headers="a b",keyId="k",algorithm="hmac-sha256""#,
        ] {
            assert_eq!(read(text, DRAFT).as_ref(), Ok(&expected), "{text}");
        }
        let kong = read(r#"username="k", algorithm="hmac-sha256", headers="a b", signature="s=""#, KONG);
        assert_eq!(kong, Ok(expected));
        let times = read(r#"keyId="k",created=1402170695,expires="1402170699",signature="""#, DRAFT).unwrap();
        assert_eq!((times.created, times.expires, times.signature), (Some(1_402_170_695), Some(1_402_170_699), Some("")));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for text in [
            "",
            " ",
            ",",
            "keyId",
            "keyId=k",
            "=\"k\"",
            r#"keyId="k",keyId="k""#,
            r#"keyId="k",KeyId="l""#,
            r#"keyId="k",signature="a",signature="b""#,
            r#"keyId="k",nonce="x""#,
            r#"keyid="k""#,
            r#"username="k""#,
            r#"keyId="k"#,
            r#"keyId="k"" "#,
            r#"keyId="k" algorithm="a""#,
            r#"keyId="k",,algorithm="a""#,
            r#"keyId="k","#,
            r#"keyId="k\"",algorithm="a""#,
            r#"keyId ="k""#,
            r#"keyId= "k""#,
            "created=",
            "created=-1",
            "created=+1",
            "created=01",
            "created=1.5",
            "created=nan",
            "created=1e9",
            "created=9223372036854775808",
            "created=1,created=1",
        ] {
            assert!(read(text, DRAFT).is_err(), "{text}");
        }
        assert!(read(r#"username="k",created=1"#, KONG).is_err());
        assert!(read(r#"keyId="k""#, KONG).is_err());
    }

    #[test]
    fn a_list_names_something_and_nothing_twice() {
        assert_eq!(list("(request-target) host date", ' '), Ok(vec!["(request-target)", "host", "date"]));
        assert_eq!(list("a;b", ';'), Ok(vec!["a", "b"]));
        for text in ["", " ", "a  b", " a", "a ", "a b a", "date Date"] {
            assert!(list(text, ' ').is_err(), "{text:?}");
        }
        let long = |n: usize| (0..n).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        assert!(list(&long(MOST_NAMES), ' ').is_ok() && list(&long(MOST_NAMES + 1), ' ').is_err() && list(&"x ".repeat(50_000), ' ').is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "(keyId=|headers=|\"|,|created=|[ -~]|\\PC){0,30}") {
            let _ = (read(&text, DRAFT), read(&text, KONG), list(&text, ' '));
        }

        #[test]
        fn what_is_written_is_read_back(key in "[ !#-\\[\\]-~]{0,20}", signature in "[A-Za-z0-9+/=]{0,20}", created in 0_i64..1_000_000_000_000) {
            let text = format!("keyId=\"{key}\", created={created},signature=\"{signature}\"");
            let read = read(&text, DRAFT).unwrap();
            prop_assert_eq!((read.key, read.signature, read.created), (Some(key.as_str()), Some(signature.as_str()), Some(created)));
        }
    }
}
