//! Path patterns against a matcher that is simple enough to be right.
//!
//! ```text
//! PATTERN LF PATH
//! ```

use doorward::types::PathPattern;

/// Any text: a pattern, and a path to match.
pub fn run(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let (pattern, path) = text.split_once('\n').unwrap_or((text, "/"));
    let Ok(parsed) = pattern.parse::<PathPattern>() else { return false };
    assert_eq!(parsed.as_str(), pattern);
    assert_eq!(parsed.matches(path), expected(pattern, path), "{pattern:?} against {path:?}");
    // A pattern without names and stars is the only path that it matches.
    if !pattern.contains(['{', '*']) {
        assert!(parsed.matches(pattern));
        assert_eq!(parsed.matches(path), pattern == path);
    }
    parsed.matches(path)
}

fn expected(pattern: &str, path: &str) -> bool {
    if !path.starts_with('/') {
        return false;
    }
    if let Some(prefix) = pattern.strip_suffix("/**") {
        // The path itself, or one of its beginnings that end before a '/'.
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        return ends.map(|end| &path[..end]).any(|beginning| same(prefix, beginning));
    }
    same(pattern, path)
}

fn same(pattern: &str, path: &str) -> bool {
    let (wanted, had): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    wanted.len() == had.len() && wanted.iter().zip(had).all(|(want, have)| *want == have || (want.starts_with('{') && !have.is_empty()))
}
