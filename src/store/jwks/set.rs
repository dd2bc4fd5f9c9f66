//! One issuer's key set: when it is fetched, by whom, and how long it is believed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use jsonwebtoken::Algorithm;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::KeySetStatus;
use super::key::PublicKey;
use super::source::{Document, Source};
use crate::idp::{Client, TOTAL_TIMEOUT};
use crate::store::Unavailable;

/// Keys older than this are fetched anew when they are next used; the old ones serve meanwhile.
pub const REFRESH_AFTER: Duration = Duration::from_secs(5 * 60);
/// Between two fetches while there are keys, whatever asks for them, unless the last brought a key that was new.
pub const COOLDOWN: Duration = Duration::from_secs(30);
/// Between two fetches of which the first brought a new key: an issuer that rotates may do so again. Names that nobody
/// published bring nothing, so it is they that meet [`COOLDOWN`].
pub const COOLDOWN_AFTER_NEWS: Duration = Duration::from_millis(250);
/// Between two fetches while there are no keys.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Keys that could not be fetched anew for so long are believed no more.
pub const MAX_STALE: Duration = Duration::from_secs(60 * 60);
/// A file is read again, when used, after so long. What it held serves until it holds something better.
pub const FILE_REFRESH_AFTER: Duration = Duration::from_secs(3);

/// So many keys are tried at most for a token that names its key: two keys may bear one name during a rotation.
pub const MAX_SAME_KID: usize = 4;
/// So many keys are tried at most for a token that names none.
pub const MAX_WITHOUT_KID: usize = 8;

#[derive(Debug, Clone, Copy)]
struct Ages {
    refresh_after: Duration,
    cooldown: Duration,
    max_stale: Duration,
}

const REMOTE: Ages = Ages { refresh_after: REFRESH_AFTER, cooldown: COOLDOWN, max_stale: MAX_STALE };
const FILE: Ages = Ages { refresh_after: FILE_REFRESH_AFTER, cooldown: FILE_REFRESH_AFTER, max_stale: Duration::MAX };

/// The keys of a set at one time.
#[derive(Debug)]
pub struct Keyring {
    document: Arc<Document>,
    /// What the keys were read from: an equal answer is not read again.
    body: Bytes,
    /// When the fetch that brought them began.
    fetched: Instant,
}

impl Keyring {
    /// The keys that may have signed a token whose header names `kid` and `algorithm`. A few at most.
    pub fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &PublicKey> {
        let most = if kid.is_some() { MAX_SAME_KID } else { MAX_WITHOUT_KID };
        let named = move |key: &&PublicKey| kid.is_none_or(|kid| key.kid() == Some(kid));
        self.document.keys.iter().filter(named).filter(move |key| key.fits(algorithm)).take(most)
    }

    /// Whether it holds a key that `last` did not.
    fn has_news(&self, last: Option<&Self>) -> bool {
        let Some(last) = last else { return !self.document.keys.is_empty() };
        let known = |key: &PublicKey| last.document.keys.iter().any(|known| known.is(key));
        !Arc::ptr_eq(&self.document, &last.document) && !self.document.keys.iter().all(known)
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.fetched)
    }
}

#[derive(Debug, Default)]
pub(super) struct Progress {
    pub running: bool,
    /// Whether the last refresh brought a key that was not there before.
    pub news: bool,
    /// When the last refresh began.
    pub attempted: Option<Instant>,
    /// What came of it; `None` when it brought keys.
    pub failure: Option<Arc<str>>,
    pub failures: u64,
}

/// One issuer's key set.
#[derive(Debug)]
pub struct KeySet {
    name: String,
    source: Source,
    ages: Ages,
    aux: Handle,
    client: ArcSwapOption<Client>,
    keyring: ArcSwapOption<Keyring>,
    progress: Mutex<Progress>,
    pub(super) concluded: watch::Sender<()>,
}

impl KeySet {
    pub(super) fn new(source: Source, aux: Handle) -> Self {
        let ages = if matches!(source, Source::File(_)) { FILE } else { REMOTE };
        Self {
            name: source.name(),
            source,
            ages,
            aux,
            client: ArcSwapOption::empty(),
            keyring: ArcSwapOption::empty(),
            progress: Mutex::default(),
            concluded: watch::Sender::new(()),
        }
    }

    /// Fetches with `client` from now on.
    pub(super) fn ask_with(&self, client: Client) {
        self.client.store(Some(Arc::new(client)));
    }

    /// Takes a set over that was read elsewhere.
    pub(super) fn install(&self, body: Bytes) -> Result<(), String> {
        let keyring = self.read(body, Instant::now())?;
        self.keyring.store(Some(Arc::new(keyring)));
        Ok(())
    }

    /// The keys. Waits only while there are none that may be used; refreshes old ones behind the caller's back.
    pub async fn keyring(self: &Arc<Self>, now: Instant) -> Result<Arc<Keyring>, Unavailable> {
        if let Some(keyring) = self.usable(now) {
            if keyring.age(now) >= self.ages.refresh_after {
                self.begin(now);
            }
            return Ok(keyring);
        }
        self.refresh(now).await;
        self.usable(now).ok_or_else(|| self.unavailable())
    }

    /// The keys after an attempt to get newer ones, for a token that none of the present keys signed. Attempts are
    /// coalesced and rare ([`COOLDOWN`]); between them the answer is what the last one brought. `Err` if that failed:
    /// then nobody can say whether the token's key has been published.
    pub async fn renewed(self: &Arc<Self>, now: Instant) -> Result<Arc<Keyring>, Unavailable> {
        self.refresh(now).await;
        if self.progress().failure.is_some() {
            return Err(self.unavailable());
        }
        self.usable(now).ok_or_else(|| self.unavailable())
    }

    /// Starts a first fetch without waiting for it.
    pub fn prefetch(self: &Arc<Self>, now: Instant) {
        if self.usable(now).is_none() {
            self.begin(now);
        }
    }

    fn usable(&self, now: Instant) -> Option<Arc<Keyring>> {
        self.keyring.load_full().filter(|keyring| keyring.age(now) < self.ages.max_stale)
    }

    fn unavailable(&self) -> Unavailable {
        let why = self.progress().failure.clone();
        Unavailable::new("jwks", format_args!("{}: {}", self.name, why.as_deref().unwrap_or("no keys yet")))
    }

    async fn refresh(self: &Arc<Self>, now: Instant) {
        // Subscribed before looking, so that an end between the two is not missed.
        let mut concluded = self.concluded.subscribe();
        let mut begun = self.begin(now);
        if let Begun::Soon(wait) = begun {
            tokio::time::sleep(wait).await;
            concluded.mark_unchanged();
            begun = self.begin(now + wait);
        }
        if matches!(begun, Begun::Running) {
            // The sender lives in self: this cannot fail.
            let _ = concluded.changed().await;
        }
    }

    /// Starts a refresh, unless one runs or it is too soon.
    fn begin(self: &Arc<Self>, now: Instant) -> Begun {
        let usable = self.usable(now).is_some();
        let mut progress = self.progress();
        if progress.running {
            return Begun::Running;
        }
        let pause = match (usable, progress.news) {
            (false, _) => RETRY_AFTER,
            (true, true) => COOLDOWN_AFTER_NEWS.min(self.ages.cooldown),
            (true, false) => self.ages.cooldown,
        };
        let passed = progress.attempted.map_or(Duration::MAX, |last| now.saturating_duration_since(last));
        if passed < pause {
            return if usable && progress.news { Begun::Soon(pause.saturating_sub(passed)) } else { Begun::TooSoon };
        }
        progress.running = true;
        progress.attempted = Some(now);
        drop(progress);
        let attempt = Attempt { set: Arc::clone(self), began: now, outcome: Err("the fetch was cut off".to_owned()) };
        self.aux.spawn(attempt.run());
        Begun::Running
    }

    fn read(&self, body: Bytes, fetched: Instant) -> Result<Keyring, String> {
        let document = match self.keyring.load().as_deref() {
            Some(last) if last.body == body => Arc::clone(&last.document),
            Some(_) | None => {
                let document = Document::parse(&body)?;
                for why in &document.skipped {
                    tracing::warn!(key_set = self.name, why, "a key of the set is passed over");
                }
                tracing::info!(key_set = self.name, keys = document.keys.len(), "read a key set");
                Arc::new(document)
            }
        };
        Ok(Keyring { document, body, fetched })
    }

    fn conclude(&self, outcome: Result<Keyring, String>) {
        let mut news = false;
        let failure = match outcome {
            Ok(keyring) => {
                news = keyring.has_news(self.keyring.load().as_deref());
                self.keyring.store(Some(Arc::new(keyring)));
                None
            }
            Err(error) => {
                tracing::warn!(key_set = self.name, error, "a key set could not be refreshed; what was fetched before stays in use for a while");
                Some(Arc::from(error))
            }
        };
        let mut progress = self.progress();
        progress.running = false;
        progress.news = news;
        progress.failures += u64::from(failure.is_some());
        progress.failure = failure;
        drop(progress);
        self.concluded.send_replace(());
    }

    pub(super) fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn status(&self, now: Instant) -> KeySetStatus {
        let keyring = self.keyring.load_full();
        let progress = self.progress();
        KeySetStatus {
            name: self.name.clone(),
            age_seconds: keyring.as_ref().map(|keyring| keyring.age(now).as_secs()),
            keys: keyring.as_ref().map_or(0, |keyring| keyring.document.keys.len()),
            skipped: keyring.as_ref().map_or(0, |keyring| keyring.document.skipped.len()),
            failures_total: progress.failures,
            last_error: progress.failure.as_deref().map(str::to_owned),
        }
    }
}

enum Begun {
    /// A refresh runs now.
    Running,
    /// The last was too short a while ago.
    TooSoon,
    /// It may begin after so long, a fraction of a second.
    Soon(Duration),
}

/// A refresh that runs. However it ends, by a panic or with its runtime, those who wait are told.
struct Attempt {
    set: Arc<KeySet>,
    began: Instant,
    outcome: Result<Keyring, String>,
}

impl Attempt {
    async fn run(mut self) {
        let client = self.set.client.load_full();
        // One limit for all of it: an issuer's metadata and its key set are two fetches, or three.
        let body = tokio::time::timeout(TOTAL_TIMEOUT, self.set.source.fetch(client.as_deref())).await;
        let body = body.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        self.outcome = body.and_then(|body| self.set.read(body, self.began));
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Err(String::new()));
        self.set.conclude(outcome);
    }
}
