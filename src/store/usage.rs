//! When keys were last used: noted beside the requests, written now and then, lost without harm.
//!
//! ```text
//! a good signature -> the key's own clock: at most once a minute -> the list -> after a moment, one statement for many keys
//! ```

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;

use super::sql::Db;

/// How exact it is, in seconds.
const EXACT_TO: i64 = 60;
/// How long uses are gathered before they are written.
const GATHER: Duration = Duration::from_secs(5);
/// Beyond these, uses are forgotten until the list was written.
const MOST_PENDING: usize = 10_000;

/// Where uses are gathered.
pub(super) struct Usage {
    db: Db,
    aux: Handle,
    pending: Mutex<HashMap<String, i64>>,
}

impl Usage {
    pub(super) fn new(db: Db, aux: Handle) -> Arc<Self> {
        Arc::new(Self { db, aux, pending: Mutex::default() })
    }

    /// What a key of the store notes its uses with.
    pub(super) fn of(self: &Arc<Self>, name: &str) -> Used {
        Used(Some(Arc::new(Clock { name: name.to_owned(), noted: AtomicI64::new(i64::MIN), usage: Arc::clone(self) })))
    }

    fn note(self: &Arc<Self>, name: &str, now: i64) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.len() >= MOST_PENDING {
            return;
        }
        // The first of a list sees to it that the list is written.
        if pending.is_empty() {
            let usage = Arc::clone(self);
            self.aux.spawn(async move {
                tokio::time::sleep(GATHER).await;
                usage.write().await;
            });
        }
        pending.insert(name.to_owned(), now);
    }

    async fn write(&self) {
        let uses = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        let uses: Vec<(String, i64)> = uses.into_iter().collect();
        if let Err(error) = self.db.note_uses(&uses).await {
            tracing::debug!(cause = %error, "when keys were last used could not be written");
        }
    }
}

/// Notes the uses of one key; does nothing for a key of the configuration. `Debug` shows nothing.
#[derive(Clone, Default)]
pub struct Used(Option<Arc<Clock>>);

struct Clock {
    name: String,
    noted: AtomicI64,
    usage: Arc<Usage>,
}

impl Used {
    /// The key was used at `now` (Unix seconds). Never waits for anything but a short lock, and that once a minute.
    pub fn at(&self, now: i64) {
        let Some(clock) = &self.0 else { return };
        let noted = clock.noted.load(Ordering::Relaxed);
        if now.saturating_sub(noted) < EXACT_TO {
            return;
        }
        // Of many requests at once, one notes it.
        if clock.noted.compare_exchange(noted, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            clock.usage.note(&clock.name, now);
        }
    }
}

impl fmt::Debug for Used {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Used")
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::ApiKey;
    use super::super::sql::Place;
    use super::*;
    use crate::types::Secret;

    const NOW: i64 = 1_790_000_000;

    fn pending(usage: &Usage) -> Vec<(String, i64)> {
        let mut all: Vec<_> = usage.pending.lock().unwrap().clone().into_iter().collect();
        all.sort();
        all
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_use_is_noted_once_a_minute_and_written_for_many_keys_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&format!("sqlite:{}/d.db", dir.path().display()), &Handle::current()).await.unwrap();
        for number in 0..100 {
            let secret = Some(Secret::new("s3cret"));
            assert!(db.add_key(&ApiKey { name: format!("k{number:02}"), secret, ..ApiKey::default() }).await.unwrap());
        }
        let usage = Usage::new(db.clone(), Handle::current());
        let clock = usage.of("k00");
        for (now, noted) in [(NOW, NOW), (NOW + 59, NOW), (NOW - 1000, NOW), (NOW + 60, NOW + 60)] {
            clock.at(now);
            assert_eq!(pending(&usage), [("k00".to_owned(), noted)], "{now}");
        }
        for number in 1..70 {
            usage.of(&format!("k{number:02}")).at(NOW);
        }
        usage.of("nobody").at(NOW);
        usage.write().await;
        assert!(pending(&usage).is_empty());
        let listed = db.list_keys().await.unwrap();
        assert_eq!(listed.iter().filter(|key| key.last_used.is_some_and(|at| (NOW..=NOW + 60).contains(&at))).count(), 70);
        assert!(listed.iter().skip(70).all(|key| key.last_used.is_none()));
        // An older use does not hide a newer one.
        db.note_uses(&[("k00".to_owned(), 5)]).await.unwrap();
        assert!(db.list_keys().await.unwrap()[0].last_used.unwrap() >= NOW);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_cannot_be_written_or_kept_is_forgotten() {
        let place = Place::parse("sqlite:/nonexistent/d.db", None).unwrap();
        let usage = Usage::new(Db::at(place, None, 1, &Handle::current()), Handle::current());
        for number in 0..MOST_PENDING + 5 {
            usage.of(&number.to_string()).at(NOW);
        }
        assert_eq!(pending(&usage).len(), MOST_PENDING);
        usage.write().await;
        assert!(pending(&usage).is_empty());
        Used::default().at(NOW);
    }
}
