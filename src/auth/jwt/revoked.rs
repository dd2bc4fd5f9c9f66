//! A file that lists the names (`jti`) of tokens that are not accepted any more, one a line.
//!
//! ```text
//! # whoever lost a laptop
//! 5b7c1f0e-0d0b-4a55-9d3c-7a9f5d2f8a11
//! ```
//!
//! The file is looked at once a second while tokens come. What it cannot be read anew for leaves the last list in force:
//! a list that vanished does not make a token good again.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use crate::auth::{AuthError, Refusal};

/// Longer lists are an error: who revokes that many tokens changes the key.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// The list.
#[derive(Debug)]
pub(super) struct Revoked {
    path: PathBuf,
    aux: Handle,
    list: ArcSwap<List>,
    /// When the file was last looked at, in Unix seconds.
    looked: AtomicI64,
}

#[derive(Debug)]
struct List {
    names: HashSet<String>,
    state: State,
}

/// What tells one state of a file from another without reading it.
#[derive(Debug, PartialEq, Eq)]
struct State {
    bytes: u64,
    changed: Option<SystemTime>,
    inode: u64,
}

impl Revoked {
    /// Reads the file. `aux` reads it again later.
    pub fn read(path: &Path, aux: Handle) -> Result<Self, String> {
        let list = ArcSwap::from_pointee(List::read(path)?);
        Ok(Self { path: path.to_owned(), aux, list, looked: AtomicI64::new(0) })
    }

    /// Refuses claims whose `jti` is on the list, or that have none and so could never be on it.
    pub async fn check(&self, claims: &Map<String, Value>, now: i64) -> Result<(), AuthError> {
        self.look(now).await;
        match claims.get("jti") {
            Some(Value::String(name)) if self.list.load().names.contains(name) => Err(Refusal::Wrong("the token was revoked").into()),
            Some(Value::String(_)) => Ok(()),
            Some(_) | None => Err(Refusal::Malformed("the token has no name (jti) by which it could be revoked").into()),
        }
    }

    /// Looks at the file, if that was not done in this second. Whoever finds it so waits; the others use what there is.
    async fn look(&self, now: i64) {
        if self.looked.swap(now, Ordering::Relaxed) == now {
            return;
        }
        let (path, last) = (self.path.clone(), self.list.load_full());
        let read = self.aux.spawn_blocking(move || List::read_if_changed(&path, &last)).await;
        match read.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(Some(list)) => {
                tracing::info!(file = %self.path.display(), names = list.names.len(), "read a list of revoked tokens");
                self.list.store(Arc::new(list));
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(error, "a list of revoked tokens could not be read; the last one stays in force"),
        }
    }
}

impl List {
    fn read_if_changed(path: &Path, last: &Self) -> Result<Option<Self>, String> {
        if State::of(path)? == last.state { Ok(None) } else { Self::read(path).map(Some) }
    }

    fn read(path: &Path) -> Result<Self, String> {
        // Looked at first: a change while it is read is seen the next time.
        let state = State::of(path)?;
        if state.bytes > MAX_FILE_BYTES {
            return Err(format!("{} is longer than {MAX_FILE_BYTES} bytes", path.display()));
        }
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        Ok(Self { names: lines.map(str::to_owned).collect(), state })
    }
}

impl State {
    fn of(path: &Path) -> Result<Self, String> {
        use std::os::unix::fs::MetadataExt;
        let metadata = std::fs::metadata(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        Ok(Self { bytes: metadata.len(), changed: metadata.modified().ok(), inode: metadata.ino() })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn is_good(revoked: &Revoked, claims: Value, now: i64) -> bool {
        revoked.check(claims.as_object().unwrap(), now).await.is_ok()
    }

    #[tokio::test]
    async fn what_is_on_the_list_is_refused_from_the_next_second_on_and_stays_so_without_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("revoked");
        assert!(Revoked::read(&path, Handle::current()).is_err(), "a missing file is found when the configuration is loaded");
        std::fs::write(&path, "# lost\n\n  a  \nb").unwrap();
        let revoked = Revoked::read(&path, Handle::current()).unwrap();
        for (name, good) in [("a", false), ("b", false), ("c", true), ("# lost", true), ("", true), ("A", true)] {
            assert_eq!(is_good(&revoked, json!({ "jti": name }), 1).await, good, "{name}");
        }
        std::fs::write(&path, "a\nb\nc\n").unwrap();
        assert!(is_good(&revoked, json!({"jti": "c"}), 1).await, "in the same second");
        assert!(!is_good(&revoked, json!({"jti": "c"}), 2).await);
        std::fs::remove_file(&path).unwrap();
        assert!(!is_good(&revoked, json!({"jti": "c"}), 3).await);
        std::fs::write(&path, [0xff, b'\n']).unwrap();
        assert!(!is_good(&revoked, json!({"jti": "c"}), 4).await);
        std::fs::write(&path, "").unwrap();
        assert!(is_good(&revoked, json!({"jti": "c"}), 5).await);
    }

    #[tokio::test]
    async fn a_token_that_could_not_be_revoked_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let revoked = Revoked::read(file.path(), Handle::current()).unwrap();
        for claims in [json!({}), json!({"jti": null}), json!({"jti": 7}), json!({"jti": ["a"]})] {
            assert!(!is_good(&revoked, claims, 1).await);
        }
        assert!(is_good(&revoked, json!({"jti": "a"}), 1).await);
    }
}
