//! What the schemes with a shared key have in common: keys that may sign, with their HMAC states made ready, and the
//! spelling of names and signatures.

mod credential;
mod hmacs;
mod holder;
mod private;
mod public;
mod settings;
mod spelling;
mod text;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use hmac::{KeyInit, Mac};
use http::Method;
use sha2::{Digest, Sha256};

use super::{AuthError, Refusal};
use crate::payload::{Payload, PayloadError, Room};
use crate::store::facts::Subject;
use crate::store::keys::ApiKey;
use crate::store::{Stores, Unavailable};
use crate::types::Report;

pub use self::hmacs::Algorithm;
pub(super) use self::hmacs::{Hmacs, Seed, tag_of_any_length};
pub(super) use self::holder::Holder;
pub(super) use self::private::PrivateKey;
pub(super) use self::public::{PublicAlgorithm, VerifyingKey};
pub(super) use self::settings::DEBUGGED;
pub use self::settings::{KeySettings, valid_scope};
pub(super) use self::spelling::{can_be_a_name, is_alias, name, tag, unescape, unescape_unless};
pub(super) use self::text::{NO_KEY, OTHER_WAY, Parts, UNLIKE, header_line, target as target_parts};
pub use self::text::{Part, SignedText, visible};

/// All that keys may sign with, by the names of RFC 9421 where it has one. A scheme knows some of them.
pub const ALGORITHMS: [&str; 9] = [
    "hmac-sha1",
    "hmac-sha256",
    "hmac-sha384",
    "hmac-sha512",
    "rsa-pss-sha512",
    "rsa-v1_5-sha256",
    "ecdsa-p256-sha256",
    "ecdsa-p384-sha384",
    "ed25519",
];

/// What may not be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// Nothing to sign with.
    #[error("the secret is empty")]
    Secret,
    /// A private key that cannot be used.
    #[error("{0}")]
    Key(&'static str),
    /// Not between the years 0 and 9999.
    #[error("the time cannot be written as a timestamp")]
    Time,
    /// A URL without a host, or with parameters that are the signature's own.
    #[error("{0}")]
    Url(&'static str),
}

/// What a signer made, and the bytes that it signed.
pub type WithText<T> = (T, Vec<u8>);

/// How a scheme names the holders of keys.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// Stands before the key's name where no user is bound to the key.
    pub prefix: &'static str,
    /// Whether a request may name another user.
    pub names_users: bool,
    /// What its keys may sign with: names of RFC 9421 where it has one. Those that begin with `hmac-` take a shared secret,
    /// the others a public key.
    pub algorithms: &'static [&'static str],
}

/// All keys of one scheme: those of the configuration, then those of the store.
#[derive(Debug)]
pub(super) struct Keyring<M> {
    configured: BTreeMap<String, PreparedKey<M>>,
    /// What an unknown key is measured with, so that it costs what a known one costs. Nothing that it says is believed.
    dummy: Vec<M>,
    manner: Manner,
}

impl<M: KeyInit + Clone> Keyring<M> {
    /// Builds the keys of the configuration; reports each mistake under `keys` and returns `None` then, also when there is
    /// no key at all and no store that could have one. `kind` is the scheme's.
    pub(super) fn build(
        settings: BTreeMap<String, KeySettings>,
        place: (&str, &str),
        manner: Manner,
        store: bool,
        report: &mut Report,
    ) -> Option<Self> {
        let (name, kind) = place;
        let wanted = settings.len();
        if wanted == 0 && !store {
            let remedy = format!("add [auth.{name}.{kind}.keys.KEY], or a [store]");
            report.error("keys", "there are no keys, so nobody could be let in", &remedy);
            return None;
        }
        let mut configured = BTreeMap::new();
        report.within("keys", |report| {
            for (name, settings) in settings {
                let key = report.within(&name, |report| settings.build(&name, manner, report));
                if let Some(prepared) = key.and_then(|key| PreparedKey::new(Arc::new(key), manner)) {
                    configured.insert(name, prepared);
                }
            }
        });
        let dummy = vec![M::new(&Default::default())];
        (configured.len() == wanted).then_some(Self { configured, dummy, manner })
    }

    /// The key `name` of the configuration.
    pub(super) fn get(&self, name: &str) -> Option<&PreparedKey<M>> {
        self.configured.get(name)
    }

    /// The key `name`: the configuration's, else the store's.
    pub(super) async fn find(&self, name: &str, stores: &Stores) -> Result<Option<Cow<'_, PreparedKey<M>>>, Unavailable> {
        if let Some(key) = self.get(name) {
            return Ok(Some(Cow::Borrowed(key)));
        }
        let Some(store) = &stores.keys else { return Ok(None) };
        match store.find(name).await? {
            // A key of another kind of scheme: unknown here, and measured as such.
            Some(key) if key.secret.is_none() && key.public_key.is_some() => Ok(None),
            // A key of the store without anything to verify with is damage, not an unknown key.
            Some(key) => {
                PreparedKey::new(key, self.manner).map(|key| Some(Cow::Owned(key))).ok_or_else(|| Unavailable::new("store", "a key without a secret"))
            }
            None => Ok(None),
        }
    }

    /// The MACs of `key`, unfed, or those that an unknown key is measured with.
    pub(super) fn states<'a>(&'a self, key: Option<&'a PreparedKey<M>>) -> &'a [M] {
        key.map_or(&self.dummy, |key| &key.states)
    }
}

/// A key, with the MAC of each of its secrets ready to be fed.
#[derive(Debug, Clone)]
pub(super) struct PreparedKey<M> {
    holder: Holder,
    states: Vec<M>,
}

impl<M: KeyInit + Clone> PreparedKey<M> {
    /// `None` for a key that nobody may use: one without a secret.
    fn new(key: Arc<ApiKey>, manner: Manner) -> Option<Self> {
        let secrets = key.secret.iter().chain(&key.next_secret).filter(|secret| !secret.is_empty());
        let states: Vec<M> = secrets.filter_map(|secret| <M as KeyInit>::new_from_slice(secret.expose()).ok()).collect();
        (!states.is_empty()).then(|| Self { holder: Holder::new(key, manner), states })
    }

    /// Whether the key may call this (decoded) path.
    pub(super) fn opens(&self, rule_path: &str) -> bool {
        self.holder.opens(rule_path)
    }

    /// Whether its wrong signatures are debugged at `now`.
    pub(super) fn is_debugged(&self, stores: &Stores, now: i64) -> bool {
        self.holder.is_debugged(stores, now)
    }

    /// See [`Holder::allows`].
    pub(super) fn allows(&self, algorithm: &str) -> bool {
        self.holder.allows(algorithm)
    }

    /// See [`Holder::identify`].
    pub(super) fn identify(&self, named: Option<String>, rule_path: &str, now: i64) -> Result<Arc<Subject>, Refusal> {
        self.holder.identify(named, rule_path, now)
    }
}

/// MACs over one document (or over two readings of it), fed together.
#[derive(Debug, Clone)]
pub(super) struct Macs<M> {
    /// Mostly the only one: a key with one secret, a path with one reading.
    first: Option<M>,
    more: Vec<M>,
}

impl<M: Mac + KeyInit + Clone> Macs<M> {
    /// One MAC for each secret and each reading of the document's beginning.
    pub(super) fn begin<'a>(states: &[M], readings: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let mut all = states.iter().flat_map(|state| readings.clone().map(|reading| Mac::chain_update(state.clone(), reading)));
        Self { first: all.next(), more: all.collect() }
    }

    /// Feeds the next bytes of the document.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        for mac in self.first.iter_mut().chain(&mut self.more) {
            Mac::update(mac, bytes);
        }
    }

    /// Whether `tag` is the MAC of any of them. Each is compared, in constant time.
    pub(super) fn match_any(self, tag: &[u8]) -> bool {
        self.first.into_iter().chain(self.more).fold(false, |good, mac| mac.verify_slice(tag).is_ok() | good)
    }
}

/// The key, if it is known and made the tag. An unknown key has been measured too, and is told apart in the log alone.
pub(super) fn verified<'a, M: Mac + KeyInit + Clone>(
    key: Option<&'a PreparedKey<M>>,
    macs: Macs<M>,
    tag: &[u8],
) -> Result<&'a PreparedKey<M>, Refusal> {
    match (key, macs.match_any(tag)) {
        (Some(key), true) => Ok(key),
        (Some(_), false) => Err(Refusal::Wrong(UNLIKE)),
        (None, _) => Err(Refusal::Wrong(NO_KEY)),
    }
}

/// Whether a signature under this method is good for one use where timestamps count whole seconds: GET, HEAD and OPTIONS
/// may repeat.
pub(super) fn once_only(method: &Method) -> bool {
    *method != Method::GET && *method != Method::HEAD && *method != Method::OPTIONS
}

/// What the replay memory keeps of a signature. The length before each field keeps them apart.
pub(super) fn memory(kind: &str, fields: [&[u8]; 3]) -> [u8; 32] {
    let hash = fields.iter().fold(Sha256::new_with_prefix(kind), |hash, field| {
        // Of one block together with what is measured; no field comes near 4 GiB.
        let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
        Digest::chain_update(Digest::chain_update(hash, length.to_be_bytes()), field)
    });
    hash.finalize().into()
}

/// Tells the MACs of one key and scheme from those of another.
pub(super) type Scope = [u8; 12];

/// That of the key `key` of the scheme `scheme`.
pub(super) fn scope(kind: &str, scheme: &str, key: &str) -> Scope {
    memory(kind, [scheme.as_bytes(), key.as_bytes(), b""]).first_chunk().copied().unwrap_or_default()
}

/// What the replay memory keeps of a MAC that is as good as random by itself, and so need not be hashed with each request. The first bytes,
/// which alone are kept in the process, are of this scope too.
pub(super) fn memory_of_mac(mac: &[u8; 20], scope: &Scope) -> [u8; 32] {
    let mut memory = [0; 32];
    for (byte, from) in memory.iter_mut().zip(mac.iter().chain(scope)) {
        *byte = *from;
    }
    for (byte, of) in memory.iter_mut().zip(scope) {
        *byte ^= of;
    }
    memory
}

/// Notes since when the configuration has signatures of these keys debugged: before they are built, and told anew by each reload.
/// `place` is the scheme's name.
pub(super) fn debug(place: &str, keys: &mut BTreeMap<String, KeySettings>, stores: &Stores) {
    for (name, key) in keys {
        key.debug_until = stores.debugging.until(place, name, key.debug_signatures, stores.clock.now());
    }
}

/// Whether wrong signatures of a key are debugged, which may be unknown.
pub(super) fn is_debugged<M: KeyInit + Clone>(key: Option<&PreparedKey<M>>, stores: &Stores, now: i64) -> bool {
    key.is_some_and(|key| key.is_debugged(stores, now))
}

/// Makes sure that a body which no signature covers has nothing in it.
pub(super) async fn nothing(body: &mut Payload, room: &Arc<Room>) -> Result<u64, AuthError> {
    if body.is_empty() {
        return Ok(0);
    }
    match body.hold(0, room, |_| {}).await {
        Err(PayloadError::TooLarge(_)) => Err(Refusal::Malformed("a body that the signature does not cover").into()),
        held => Ok(held?),
    }
}
