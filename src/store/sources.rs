//! Sources that outlive a reload.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A hash of everything that a source is made of, secrets included.
pub type Mark = [u8; 32];

/// Sources by what they are made of: a reload that changes nothing about one keeps it and what it knows. One that no
/// scheme uses any longer is dropped.
pub struct Sources<T> {
    all: Mutex<HashMap<Mark, Weak<T>>>,
}

impl<T> Default for Sources<T> {
    fn default() -> Self {
        Self { all: Mutex::default() }
    }
}

impl<T> fmt::Debug for Sources<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("sources", &self.lock().len()).finish()
    }
}

impl<T> Sources<T> {
    /// The source of this mark: the one that is there, or what `make` makes.
    pub fn get(&self, mark: Mark, make: impl FnOnce() -> T) -> Arc<T> {
        let mut all = self.lock();
        all.retain(|_, source| source.strong_count() > 0);
        if let Some(source) = all.get(&mark).and_then(Weak::upgrade) {
            return source;
        }
        let source = Arc::new(make());
        all.insert(mark, Arc::downgrade(&source));
        source
    }

    /// All sources in use.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<T>> {
        self.lock().values().filter_map(Weak::upgrade).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Mark, Weak<T>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_kept_while_it_is_used_and_made_anew_when_anything_about_it_changes() {
        let sources = Sources::default();
        let one = sources.get([1; 32], || 1);
        assert!(Arc::ptr_eq(&one, &sources.get([1; 32], || 2)));
        let other = sources.get([2; 32], || 3);
        assert_eq!((*other, sources.all().len()), (3, 2));
        drop(one);
        assert_eq!(*sources.get([1; 32], || 4), 4);
    }
}
