//! Which patterns can match a path at all, by its first segment: a thousand routes cost no more than ten.

use std::collections::HashMap;

use crate::types::PathPattern;

/// Numbers of patterns, in their order.
#[derive(Debug)]
pub(super) struct Shortlist {
    /// For each first segment that is named: those that name it, and those that match any.
    named: HashMap<Box<str>, Vec<usize>>,
    /// Those that match any first segment.
    any: Vec<usize>,
}

impl Shortlist {
    pub(super) fn new<'a>(patterns: impl Iterator<Item = &'a PathPattern> + Clone) -> Self {
        let numbered = patterns.enumerate();
        let any = numbered.clone().filter(|(_, pattern)| pattern.first_segment().is_none()).map(|(number, _)| number).collect();
        let mut named: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        for (_, pattern) in numbered.clone() {
            let Some(first) = pattern.first_segment() else { continue };
            if !named.contains_key(first) {
                let fits = |pattern: &PathPattern| pattern.first_segment().is_none_or(|other| other == first);
                named.insert(first.into(), numbered.clone().filter(|(_, pattern)| fits(pattern)).map(|(number, _)| number).collect());
            }
        }
        Self { named, any }
    }

    /// The patterns that may match `path` (decoded, starting with `/`), in their order. All others do not match it.
    pub(super) fn of(&self, path: &str) -> &[usize] {
        let rest = path.strip_prefix('/').unwrap_or(path);
        let first = rest.split_once('/').map_or(rest, |(first, _)| first);
        self.named.get(first).unwrap_or(&self.any)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn patterns(texts: &[String]) -> Vec<PathPattern> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn only_what_cannot_match_is_left_out() {
        let texts = ["/a", "/{x}/b", "/b/**", "/", "/a/**", "/**"].map(str::to_owned);
        let patterns = patterns(&texts);
        let list = Shortlist::new(patterns.iter());
        assert_eq!(list.of("/a/c"), [0, 1, 4, 5]);
        assert_eq!(list.of("/b"), [1, 2, 5]);
        assert_eq!(list.of("/"), [1, 3, 5]);
        assert_eq!(list.of("/c/d"), [1, 5]);
    }

    proptest! {
        #[test]
        fn the_first_match_is_that_of_all_patterns(
            texts in proptest::collection::vec("(/([ab]|\\{x\\})){0,3}(/|/\\*\\*)?", 0..12),
            path in "(/[abc]{0,1}){1,4}",
        ) {
            let texts: Vec<String> = texts.into_iter().filter(|text| text.parse::<PathPattern>().is_ok()).collect();
            let patterns = patterns(&texts);
            let list = Shortlist::new(patterns.iter());
            let short = list.of(&path).iter().copied().find(|number| patterns[*number].matches(&path));
            prop_assert_eq!(short, patterns.iter().position(|pattern| pattern.matches(&path)));
        }
    }
}
