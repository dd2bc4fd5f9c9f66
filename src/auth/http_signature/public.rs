//! RSA public keys, in the draft's own dialect. The gateways' dialects know shared secrets alone.
//!
//! ```text
//! Authorization: Signature keyId="KEY",algorithm="rsa-sha256",…    RSASSA-PKCS1-v1_5 with SHA-256
//! Authorization: Signature keyId="KEY",algorithm="hs2019",…        whatever the key is bound to
//! ```
//!
//! A key is bound to one algorithm, and no request chooses another: `rsa-v1_5-sha256`, which nearly all clients of the draft mean
//! also where they write `hs2019`, or `rsa-pss-sha512`, which the draft meant by it. How it writes a point of ECDSA the draft does
//! not say, and its clients do it in two ways: those keys, and Ed25519, belong to RFC 9421.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::auth::Refusal;
use crate::auth::signing::{Holder, KeySettings, Manner, NO_KEY, PublicAlgorithm, UNLIKE, VerifyingKey};
use crate::store::facts::Subject;
use crate::store::keys::ApiKey;
use crate::store::{Stores, Unavailable};
use crate::types::Report;

/// A key without a user stands for its own name.
const MANNER: Manner = Manner { prefix: "", names_users: false, algorithms: &["rsa-v1_5-sha256", "rsa-pss-sha512"] };

/// Keys of the store that are kept ready.
const READY: u64 = 10_000;

/// The longest MAC has 64 bytes. Whatever is longer was made with a private key, or is nonsense.
const LONGEST_MAC: usize = 64;

/// No RSA key that is taken makes longer signatures: 8192 bits, in base64.
const LONGEST: usize = 1368;

/// Nobody has the private half of it.
const DUMMY: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAllIbL6yF3B+tWUc8fjUA
i1om+kAVyyLBbFdkiKsByYGKFr63K5iLNL/se6Bw93UqUEqmYGp5VbDdLzX+ByX6
OVJjNW6fe8lbOvkDVb1yMg0hBVBb+zMw2Gn6Ssprl/u1OxZNaw0cqIngCr60qjX8
coZ5FjqTuU9iPFHgyFAEpdZsU5BPY0pQfL6wftG+k6DVENXvPVogbo7uF3JQ4sxC
Uw6rhJk9QOfdUoOVgdqe4fuvzpCKNtpwX2cgqPgMjyVaQHrczUALgq2l/N5kkHgD
IX9oIwWAwojFkkX3l8vqYmMrq3LX+C+HZTgRX8z5SrAcFVgp3COZbiUVU51uz0Ap
AwIDAQAB
-----END PUBLIC KEY-----";

/// What a request that was signed with a private key says of the algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rsa {
    /// `rsa-sha256`.
    Sha256,
    /// `hs2019`, or nothing.
    Own,
}

impl Rsa {
    /// Whether a request that names `algorithm`, with a signature of `length` bytes, was signed with a private key.
    pub(super) fn claimed(algorithm: Option<&str>, length: usize) -> Option<Self> {
        match algorithm {
            Some("rsa-sha256") => Some(Self::Sha256),
            None | Some("hs2019") if length > LONGEST_MAC => Some(Self::Own),
            Some(_) | None => None,
        }
    }
}

/// The bytes of a signature: base64 with its padding and without stray bits, so that one signature has one spelling.
pub(super) fn tag(text: &str) -> Option<Vec<u8>> {
    (text.len() <= LONGEST).then(|| STANDARD.decode(text).ok())?
}

/// A key that is ready to verify.
#[derive(Debug)]
pub(super) struct Prepared {
    holder: Holder,
    algorithm: PublicAlgorithm,
    /// The key, and the next one while keys are being changed.
    keys: Vec<VerifyingKey>,
}

impl Prepared {
    /// `None` for a key that can have signed nothing here: a secret, or a public key of another kind. The error says what is wrong with
    /// a key that is damaged.
    fn new(key: Arc<ApiKey>) -> Result<Option<Self>, &'static str> {
        let pems = key.public_key.iter().chain(&key.next_public_key);
        let keys = pems.map(|pem| VerifyingKey::from_pem(pem.as_bytes())).collect::<Result<Vec<_>, _>>()?;
        let is_rsa = |key: &VerifyingKey| key.algorithms().any(|algorithm| algorithm == PublicAlgorithm::RsaV15Sha256);
        let algorithm = match key.algorithms.iter().find(|name| MANNER.algorithms.contains(&name.as_str())).map(String::as_str) {
            Some("rsa-pss-sha512") => PublicAlgorithm::RsaPssSha512,
            None if !key.algorithms.is_empty() => return Ok(None),
            Some(_) | None => PublicAlgorithm::RsaV15Sha256,
        };
        if keys.is_empty() || !keys.iter().all(is_rsa) {
            return Ok(None);
        }
        Ok(Some(Self { holder: Holder::new(key, MANNER), algorithm, keys }))
    }

    /// Whether its wrong signatures are debugged at `now` (Unix seconds).
    pub(super) fn is_debugged(&self, stores: &Stores, now: i64) -> bool {
        self.holder.is_debugged(stores, now)
    }
}

/// All public keys: those of the configuration, then those of the store.
#[derive(Debug)]
pub(super) struct PublicKeys {
    configured: BTreeMap<String, Arc<Prepared>>,
    /// Keys of the store, each for as long as the store gives the same one.
    ready: moka::sync::Cache<String, Arc<Prepared>>,
    /// What an unknown key is measured with, so that it costs what a known one costs. Nothing that it says is believed.
    dummy: VerifyingKey,
}

impl PublicKeys {
    /// Builds the keys of the configuration; reports each mistake under `keys` and returns `None` then.
    pub(super) fn build(settings: BTreeMap<String, KeySettings>, report: &mut Report) -> Option<Self> {
        let (wanted, mut configured) = (settings.len(), BTreeMap::new());
        report.within("keys", |report| {
            for (name, settings) in settings {
                let key = report.within(&name, |report| {
                    let key = Prepared::new(Arc::new(settings.build(&name, MANNER, report)?)).ok().flatten();
                    if key.is_none() {
                        report.error(
                            "public_key",
                            "a public key of this scheme is an RSA key",
                            "take http-message-signature for keys of other kinds",
                        );
                    }
                    key
                });
                configured.extend(key.map(|key| (name, Arc::new(key))));
            }
        });
        let dummy = VerifyingKey::from_pem(DUMMY.as_bytes()).ok()?;
        (configured.len() == wanted).then(|| Self { configured, ready: moka::sync::Cache::new(READY), dummy })
    }

    /// Whether the configuration has none.
    pub(super) fn is_empty(&self) -> bool {
        self.configured.is_empty()
    }

    /// The key `name` of the configuration.
    pub(super) fn get(&self, name: &str) -> Option<&Arc<Prepared>> {
        self.configured.get(name)
    }

    /// The key `name`: the configuration's, else the store's.
    pub(super) async fn find(&self, name: &str, stores: &Stores) -> Result<Option<Arc<Prepared>>, Unavailable> {
        if let Some(key) = self.get(name) {
            return Ok(Some(Arc::clone(key)));
        }
        let Some(store) = &stores.keys else { return Ok(None) };
        let Some(key) = store.find(name).await? else { return Ok(None) };
        if let Some(ready) = self.ready.get(name).filter(|ready| Arc::ptr_eq(ready.holder.key(), &key)) {
            return Ok(Some(ready));
        }
        let Some(prepared) = Prepared::new(key).map_err(|why| Unavailable::new("store", why))?.map(Arc::new) else { return Ok(None) };
        self.ready.insert(name.to_owned(), Arc::clone(&prepared));
        Ok(Some(prepared))
    }

    /// Judges a signature. `path` is the decoded one. An unknown key is measured as long as a known one of 2048 bits.
    pub(super) fn settle(
        &self,
        (rsa, readings, tag): (Rsa, &[Vec<u8>], &[u8]),
        key: Option<&Prepared>,
        path: &str,
        now: i64,
    ) -> Result<Arc<Subject>, Refusal> {
        let (algorithm, keys) =
            key.map_or((PublicAlgorithm::RsaV15Sha256, std::slice::from_ref(&self.dummy)), |key| (key.algorithm, key.keys.as_slice()));
        let pairs = keys.iter().flat_map(|key| readings.iter().map(move |reading| (key, reading)));
        let good = pairs.fold(false, |good, (key, reading)| key.verifies(algorithm, reading, tag) | good);
        match key {
            Some(_) if rsa == Rsa::Sha256 && algorithm != PublicAlgorithm::RsaV15Sha256 => {
                Err(Refusal::Wrong("the key may not sign with this algorithm"))
            }
            Some(key) if good => key.holder.identify(None, path, now),
            Some(_) => Err(Refusal::Wrong(UNLIKE)),
            None => Err(Refusal::Wrong(NO_KEY)),
        }
    }
}
