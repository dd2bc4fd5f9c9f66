//! Lists of headers that are looked for in every message.

use http::header::{HeaderMap, HeaderName};

/// Names of headers by their lengths: mostly none of them is there, and a look at each header that is there finds it out.
#[derive(Debug, Default)]
pub struct HeaderNames(Vec<Vec<HeaderName>>);

impl HeaderNames {
    /// These names.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = HeaderName>) -> Self {
        let mut lists: Vec<Vec<HeaderName>> = Vec::new();
        for name in names {
            let length = name.as_str().len();
            if lists.len() <= length {
                lists.resize(length + 1, Vec::new());
            }
            lists.get_mut(length).into_iter().for_each(|list| list.push(name.clone()));
        }
        Self(lists)
    }

    /// Whether `name` is one of them.
    #[must_use]
    pub fn contains(&self, name: &HeaderName) -> bool {
        self.0.get(name.as_str().len()).is_some_and(|list| list.contains(name))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &HeaderName> {
        self.0.iter().flatten()
    }

    /// Removes all of them.
    pub fn remove_from(&self, headers: &mut HeaderMap) {
        if headers.keys().any(|name| self.contains(name)) {
            for name in self.iter() {
                headers.remove(name);
            }
        }
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
