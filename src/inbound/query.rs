//! Parameters of a query that Doorward itself reads or takes away.
//!
//! Names are compared as an application reads them: percent-decoded, `+` for a blank.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Whether `part`, what stands between two `&`, is the parameter `name` in any spelling.
pub(super) fn is_named(part: &str, name: &str) -> bool {
    let written = part.split('=').next().unwrap_or_default();
    written == name || (written.contains(['%', '+']) && decode(written).is_some_and(|read| read == name))
}

/// The one value of the parameter `name`; an error when there are several, or it is not UTF-8.
pub(super) fn single(query: &str, name: &str) -> Result<Option<String>, &'static str> {
    let mut values = query.split('&').filter(|part| is_named(part, name)).map(|part| part.split_once('=').map_or("", |(_, value)| value));
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => decode(value).map(|value| Some(value.into_owned())).ok_or("a parameter is not UTF-8"),
        (Some(_), Some(_)) => Err("a parameter is sent more than once"),
    }
}

fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('+') {
        return percent_decode_str(text).decode_utf8().ok();
    }
    let blanks = text.replace('+', " ");
    percent_decode_str(&blanks).decode_utf8().ok().map(|read| Cow::Owned(read.into_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_parameter_is_found_in_every_spelling_of_its_name_and_once() {
        for (query, found) in [
            ("", Ok(None)),
            ("a=1", Ok(Some("1"))),
            ("b=2&a=1%2B%2f%3D&c", Ok(Some("1+/="))),
            ("%61=1+2", Ok(Some("1 2"))),
            ("a", Ok(Some(""))),
            ("a=b=c", Ok(Some("b=c"))),
            ("A=1&aa=2&a%20=3&x=a", Ok(None)),
            ("a=1&a=1", Err(())),
            ("a=1&%61=2", Err(())),
            ("a=%ff", Err(())),
            ("a=%zz", Ok(Some("%zz"))),
        ] {
            assert_eq!(single(query, "a").map_err(drop), found.map(|value| value.map(str::to_owned)), "{query}");
        }
    }

    proptest! {
        #[test]
        fn what_a_form_writes_is_read_back(value in "\\PC{0,12}", other in "[b-z]{0,3}") {
            let query = url::form_urlencoded::Serializer::new(String::new()).append_pair(&other, "x").append_pair("a", &value).finish();
            prop_assert_eq!(single(&query, "a"), Ok(Some(value)));
        }

        #[test]
        fn no_query_makes_it_panic(query in "[a%+=&61é]{0,12}") {
            let _ = single(&query, "a");
        }
    }
}
