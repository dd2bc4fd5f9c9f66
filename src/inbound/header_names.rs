//! Lists of headers that are looked for in every message.

use http::header::{HeaderMap, HeaderName};

/// Names by their lengths. A name that is looked up is compared with the few of its length: less work than to hash it.
#[derive(Debug)]
pub struct NamesByLength<N>(Vec<Vec<N>>);

/// Names of headers: mostly none of them is there, and a look at each header that is there finds it out.
pub type HeaderNames = NamesByLength<HeaderName>;

impl<N> Default for NamesByLength<N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<N: AsRef<[u8]>> NamesByLength<N> {
    /// These names.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = N>) -> Self {
        let mut all = Self::default();
        for name in names {
            let length = name.as_ref().len();
            if all.0.len() <= length {
                all.0.resize_with(length + 1, Vec::new);
            }
            if let Some(list) = all.0.get_mut(length).filter(|list| !list.iter().any(|known| known.as_ref() == name.as_ref())) {
                list.push(name);
            }
        }
        all
    }

    /// Whether `name` is one of them, byte for byte.
    #[must_use]
    pub fn contains(&self, name: impl AsRef<[u8]>) -> bool {
        let name = name.as_ref();
        self.any(name.len(), |known| known == name)
    }

    /// Whether one of them, among those of this length, is what is looked for.
    pub(super) fn any(&self, length: usize, is_it: impl Fn(&[u8]) -> bool) -> bool {
        self.0.get(length).is_some_and(|list| list.iter().any(|known| is_it(known.as_ref())))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &N> {
        self.0.iter().flatten()
    }
}

impl HeaderNames {
    /// Removes all of them.
    pub fn remove_from(&self, headers: &mut HeaderMap) {
        remove_if(headers, |name| self.contains(name));
    }
}

/// Looks at each header once: a message has fewer of them than there are names to look for.
pub(super) fn remove_if(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    let mut names = headers.keys().filter(|name| unwanted(name)).cloned();
    // Mostly there is one at most, which needs no list.
    let (first, more) = (names.next(), names.collect::<Vec<_>>());
    for name in first.into_iter().chain(more) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_is_named_is_removed_and_nothing_else() {
        let name = HeaderName::from_static;
        let names = HeaderNames::new([name("x-a"), name("x-b"), name("authorization"), name("cookie")]);
        assert_eq!(names.iter().count(), 4);
        let mut headers = HeaderMap::new();
        for header in ["x-a", "x-a", "x-c", "x_a", "authorization", "x-authorization"] {
            headers.append(name(header), HeaderValue::from_static("1"));
        }
        names.remove_from(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["x-authorization", "x-c", "x_a"]);
        HeaderNames::default().remove_from(&mut headers);
        assert_eq!(headers.len(), 3);
    }
}
