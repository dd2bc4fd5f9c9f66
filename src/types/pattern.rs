//! Patterns for paths and hosts. First match wins elsewhere; here a pattern matches or it does not.

use serde::Deserialize;

/// A path pattern: exact (`/healthz`), a prefix (`/api/**`), with `{name}` for one whole, non-empty segment.
///
/// Matched against the percent-decoded path of a request that has been cleaned, so that `/%61pi` and `/api` cannot get
/// different answers. `/api/**` matches `/api`, `/api/` and all below; it never matches `/apix`. Letters match by case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    segments: Vec<Segment>,
    rest: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Any,
}

impl PathPattern {
    /// Whether `path` (decoded, starting with `/`) matches.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let Some(path) = path.strip_prefix('/') else { return false };
        let mut parts = path.split('/');
        for segment in &self.segments {
            match (segment, parts.next()) {
                (Segment::Literal(want), Some(have)) if want == have => {}
                (Segment::Any, Some(have)) if !have.is_empty() => {}
                _ => return false,
            }
        }
        self.rest || parts.next().is_none()
    }

    /// The first segment of all paths that match, unless they differ there.
    #[must_use]
    pub fn first_segment(&self) -> Option<&str> {
        match self.segments.first() {
            Some(Segment::Literal(literal)) => Some(literal),
            Some(Segment::Any) | None => None,
        }
    }

    /// The pattern as it was written: the route's name in logs and metrics.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl std::str::FromStr for PathPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(path) = text.strip_prefix('/') else {
            return Err(format!("a path pattern starts with '/'; write \"/{text}\""));
        };
        if text.contains(['?', '#', '%', '\\', ';']) || text.chars().any(char::is_control) {
            return Err(format!("the path pattern {text:?} may not hold any of ? # % \\ ; as it is matched against the decoded path alone"));
        }
        let (path, rest) = match path.strip_suffix("**") {
            Some("") => return Ok(Self { text: text.to_owned(), segments: Vec::new(), rest: true }),
            Some(prefix) if prefix.ends_with('/') => (prefix.strip_suffix('/').unwrap_or(prefix), true),
            Some(_) => return Err(format!("in {text:?}, ** stands for whole segments; write it after a '/', at the end")),
            None => (path, false),
        };
        let segments = path.split('/').map(|part| segment(part, text)).collect::<Result<Vec<_>, _>>()?;
        let inner = segments.len() - 1;
        if segments.iter().enumerate().any(|(at, s)| (rest || at < inner) && *s == Segment::Literal(String::new())) {
            return Err(format!("the path pattern {text:?} holds an empty segment; such paths are refused before any route is looked at"));
        }
        Ok(Self { text: text.to_owned(), segments, rest })
    }
}

fn segment(part: &str, text: &str) -> Result<Segment, String> {
    if let Some(name) = part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
        let valid = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        return if valid { Ok(Segment::Any) } else { Err(format!("in {text:?}, a name in braces is made of letters, digits and _")) };
    }
    if part.contains(['*', '{', '}']) {
        return Err(format!("in {text:?}, * may only stand as /** at the end, and braces only around a whole segment"));
    }
    if part == "." || part == ".." {
        return Err(format!("the path pattern {text:?} holds a dot segment; no request with one is let in"));
    }
    Ok(Segment::Literal(part.to_owned()))
}

impl<'de> Deserialize<'de> for PathPattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A host name (`app.example.com`) or a wildcard for exactly one label (`*.example.com`). Compared without case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern(String);

impl HostPattern {
    /// Whether `host` (lower case, without port or trailing dot) matches.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self.0.strip_prefix("*.") {
            Some(domain) => host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == domain),
            None => self.0 == host,
        }
    }

    /// The pattern, lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        let is_ip = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
        let valid = is_ip
            || (!name.is_empty()
                && name.len() <= 253
                && name.split('.').all(|label| {
                    !label.is_empty() && label.len() <= 63 && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                }));
        if !valid {
            return Err(format!(
                "{text:?} is not a host name; write it without scheme, port or path, such as \"app.example.com\" or \"*.example.com\""
            ));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl<'de> Deserialize<'de> for HostPattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_what_it_says_and_nothing_beside_it() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("/healthz", &["/healthz"], &["/healthz/", "/healthzz", "/", "/x/healthz", "/HEALTHZ"]),
            ("/api/**", &["/api", "/api/", "/api/a", "/api/a/b"], &["/apix", "/ap", "/", "/x/api"]),
            ("/**", &["/", "/a", "/a/b/"], &["", "a"]),
            ("/", &["/"], &["/a", ""]),
            ("/u/{id}/edit", &["/u/7/edit", "/u/é/edit"], &["/u//edit", "/u/edit", "/u/7/8/edit", "/u/7/edit/"]),
            ("/u/{id}/**", &["/u/7", "/u/7/x"], &["/u", "/u/"]),
            ("/dir/", &["/dir/"], &["/dir", "/dir/x"]),
        ];
        for (pattern, hits, misses) in cases {
            let parsed: PathPattern = pattern.parse().unwrap();
            for path in *hits {
                assert!(parsed.matches(path), "{pattern} should match {path}");
            }
            for path in *misses {
                assert!(!parsed.matches(path), "{pattern} should not match {path}");
            }
        }
    }

    #[test]
    fn patterns_that_could_never_match_or_say_two_things_do_not_parse() {
        for text in [
            "", "api", "/a**", "/**/a", "/a/*", "/a//b", "/a//**", "//**", "/{}", "/{a b}", "/a{b}", "/../a", "/./a", "/a?b", "/a#b", "/a%20b",
            "/a\\b", "/a;b", "/a\u{7}b",
        ] {
            assert!(text.parse::<PathPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_wildcard_host_stands_for_exactly_one_label() {
        let host: HostPattern = "*.Example.com".parse().unwrap();
        assert!(host.matches("a.example.com"));
        for miss in ["example.com", "a.b.example.com", ".example.com", "aexample.com", "a.example.com.evil"] {
            assert!(!host.matches(miss), "{miss}");
        }
        for text in ["", "*", "a:443", "http://a", "a..b", "*.*.a", "a/b"] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
    }
}
