//! The `Cookie` line (RFC 6265 section 4.2.1): looked up and shortened, never rewritten.

use http::header::{self, HeaderMap, HeaderValue};

use super::Unclean;

/// HTTP/2 clients may send one `cookie` line for each cookie (RFC 9113 section 8.2.3); HTTP/1 has one line.
pub(super) fn join(headers: &mut HeaderMap) -> Result<(), Unclean> {
    let lines: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if lines.len() < 2 {
        return Ok(());
    }
    let line = HeaderValue::from_bytes(&lines.join(&b"; "[..])).map_err(|_| Unclean::Header("the cookies cannot be joined"))?;
    headers.insert(header::COOKIE, line);
    Ok(())
}

/// The value of the cookie `name`; an error when it is sent more than once.
pub(super) fn find<'l>(line: &'l str, name: &str) -> Result<Option<&'l str>, &'static str> {
    let mut values = line.split(';').filter_map(|pair| pair.trim().split_once('=')).filter(|(key, _)| *key == name).map(|(_, value)| value);
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err("a cookie is sent more than once"),
    }
}

/// Whether a cookie `name` is sent at all.
#[must_use]
pub fn holds(headers: &HeaderMap, name: &str) -> bool {
    let is_it = |pair: &[u8]| pair.trim_ascii().split(|b| *b == b'=').next() == Some(name.as_bytes());
    headers.get_all(header::COOKIE).iter().any(|line| line.as_bytes().split(|b| *b == b';').any(is_it))
}

/// Takes the cookie `name` away and leaves the others byte for byte.
pub(super) fn remove(headers: &mut HeaderMap, name: &str) {
    let Some(line) = headers.get(header::COOKIE) else { return };
    let is_it = |pair: &[u8]| pair.trim_ascii().split(|b| *b == b'=').next() == Some(name.as_bytes());
    let kept: Vec<&[u8]> = line.as_bytes().split(|b| *b == b';').filter(|pair| !is_it(pair)).collect();
    if kept.len() == line.as_bytes().split(|b| *b == b';').count() {
        return;
    }
    match HeaderValue::from_bytes(kept.join(&b';').trim_ascii()) {
        Ok(line) if !line.is_empty() => headers.insert(header::COOKIE, line),
        _ => headers.remove(header::COOKIE),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, HeaderValue::from_static(line));
        }
        headers
    }

    #[test]
    fn several_cookie_lines_become_one() {
        let mut headers = headers(&["a=1", "b=2; c=3"]);
        join(&mut headers).unwrap();
        assert_eq!(headers.get_all(header::COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
    }

    #[test]
    fn a_cookie_sent_twice_is_not_chosen_from() {
        assert_eq!(find("a=1; b=2", "b"), Ok(Some("2")));
        assert_eq!(find("ab=1; b =2", "b"), Ok(None));
        assert!(find("a=1; a=1", "a").is_err());
    }

    #[test]
    fn taking_one_cookie_away_leaves_the_others_as_they_were() {
        for (line, left) in [
            ("a=1; sid=x; b=\"2 3\"", Some("a=1; b=\"2 3\"")),
            ("sid=x; a=1", Some("a=1")),
            ("a=1;sid=x", Some("a=1")),
            ("sid=x", None),
            ("sidx=1; xsid=2", Some("sidx=1; xsid=2")),
        ] {
            let mut headers = headers(&[line]);
            remove(&mut headers, "sid");
            assert_eq!(headers.get(header::COOKIE).map(|line| line.to_str().unwrap()), left, "{line}");
        }
    }
}
