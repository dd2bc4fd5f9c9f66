//! The keys of the scheme, and which algorithm each of them has. A request may say which it used; it never chooses.

use std::collections::BTreeMap;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::fields::Signed;
use super::rules::Document;
use crate::auth::Refusal;
use crate::auth::signing::{Holder, KeySettings, Manner, NO_KEY, OTHER_WAY, PublicAlgorithm, UNLIKE, VerifyingKey};
use crate::store::facts::Subject;
use crate::store::keys::ApiKey;
use crate::store::{Stores, Unavailable};
use crate::types::Report;

/// A key without a user stands for its own name.
pub(super) const MANNER: Manner = Manner {
    prefix: "",
    names_users: false,
    algorithms: &["hmac-sha256", "rsa-pss-sha512", "rsa-v1_5-sha256", "ecdsa-p256-sha256", "ecdsa-p384-sha384", "ed25519"],
};

/// Keys of the store that are kept ready.
const READY: u64 = 10_000;

/// Nobody has the private halves of these.
const DUMMIES: [&str; 4] = [
    "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAllIbL6yF3B+tWUc8fjUA
i1om+kAVyyLBbFdkiKsByYGKFr63K5iLNL/se6Bw93UqUEqmYGp5VbDdLzX+ByX6
OVJjNW6fe8lbOvkDVb1yMg0hBVBb+zMw2Gn6Ssprl/u1OxZNaw0cqIngCr60qjX8
coZ5FjqTuU9iPFHgyFAEpdZsU5BPY0pQfL6wftG+k6DVENXvPVogbo7uF3JQ4sxC
Uw6rhJk9QOfdUoOVgdqe4fuvzpCKNtpwX2cgqPgMjyVaQHrczUALgq2l/N5kkHgD
IX9oIwWAwojFkkX3l8vqYmMrq3LX+C+HZTgRX8z5SrAcFVgp3COZbiUVU51uz0Ap
AwIDAQAB
-----END PUBLIC KEY-----",
    "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEZ2akxH5gySiuvrq0Up35FnYL94Ha
IfU9LCNQWfLkkeRil/IGkJzlLjyvToa0H7JErJ/p7IA0UWiVDB+2Xi6rVA==
-----END PUBLIC KEY-----",
    "-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE2ModYH8m7zHtLFR6YsvIY6dePUE3zO57
GNzAbk5jDD/V/DCeuhBvXyd0xCOL9tw6OOj4PDz8j2WjVcoJ2VN6o5FAwXUDdoeU
GDHVETBaEq4c9cjmO3TdTLnS+qk0mpts
-----END PUBLIC KEY-----",
    "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAI1iblYa4cjvDTpLLg8SQt6ApO4OXgYyU7MlOD44nL0I=
-----END PUBLIC KEY-----",
];

/// Ways to sign: RFC 9421 section 3.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    HmacSha256,
    Public(PublicAlgorithm),
}

impl Algorithm {
    /// By its name in the registry.
    pub(super) fn named(name: &str) -> Option<Self> {
        let public = || PublicAlgorithm::ALL.into_iter().map(Self::Public);
        std::iter::once(Self::HmacSha256).chain(public()).find(|algorithm| algorithm.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::Public(PublicAlgorithm::RsaPssSha512) => "rsa-pss-sha512",
            Self::Public(PublicAlgorithm::RsaV15Sha256) => "rsa-v1_5-sha256",
            Self::Public(PublicAlgorithm::EcdsaP256Sha256) => "ecdsa-p256-sha256",
            Self::Public(PublicAlgorithm::EcdsaP384Sha384) => "ecdsa-p384-sha384",
            Self::Public(PublicAlgorithm::Ed25519) => "ed25519",
        }
    }

    /// What a signature of this length was probably made with.
    pub(super) fn of_length(bytes: usize) -> Self {
        match bytes {
            0..=32 => Self::HmacSha256,
            33..=64 => Self::Public(PublicAlgorithm::Ed25519),
            65..=96 => Self::Public(PublicAlgorithm::EcdsaP384Sha384),
            _ => Self::Public(PublicAlgorithm::RsaPssSha512),
        }
    }
}

/// What verifies.
#[derive(Debug, Clone)]
enum Material {
    Secret(Hmac<Sha256>),
    Public(Box<VerifyingKey>),
}

impl Material {
    /// The algorithms that fit, the best first.
    fn fits(&self) -> Vec<Algorithm> {
        match self {
            Self::Secret(_) => vec![Algorithm::HmacSha256],
            Self::Public(key) => key.algorithms().map(Algorithm::Public).collect(),
        }
    }

    fn verifies(&self, algorithm: Algorithm, base: &[u8], signature: &[u8]) -> bool {
        match (self, algorithm) {
            (Self::Secret(mac), Algorithm::HmacSha256) => Mac::chain_update(mac.clone(), base).verify_slice(signature).is_ok(),
            (Self::Public(key), Algorithm::Public(algorithm)) => key.verifies(algorithm, base, signature),
            (Self::Secret(_), Algorithm::Public(_)) | (Self::Public(_), Algorithm::HmacSha256) => false,
        }
    }
}

/// A key that is ready to verify.
#[derive(Debug)]
pub(super) struct Prepared {
    pub holder: Holder,
    /// Each secret or public key, the next one too, with the algorithms that it is bound to.
    ways: Vec<(Vec<Algorithm>, Material)>,
}

impl Prepared {
    /// The error says what is wrong with the key: it is damaged, not unknown.
    pub(super) fn new(key: Arc<ApiKey>) -> Result<Self, &'static str> {
        let mut materials = Vec::new();
        for secret in key.secret.iter().chain(&key.next_secret).filter(|secret| !secret.is_empty()) {
            materials.push(Material::Secret(KeyInit::new_from_slice(secret.expose()).map_err(|_| "a key whose secret cannot be used")?));
        }
        for pem in key.public_key.iter().chain(&key.next_public_key) {
            materials.push(Material::Public(Box::new(VerifyingKey::from_pem(pem.as_bytes())?)));
        }
        if materials.is_empty() {
            return Err("a key with nothing to verify with");
        }
        let bound = |material: Material| {
            let mut fits = material.fits();
            // An RSA key has two. Without a word about it the key is bound to the better one, and never to both at once.
            if key.algorithms.is_empty() {
                fits.truncate(1);
            } else {
                fits.retain(|algorithm| key.algorithms.iter().any(|name| name == algorithm.name()));
            }
            (fits, material)
        };
        let ways = materials.into_iter().map(bound).collect();
        Ok(Self { holder: Holder::new(key, MANNER), ways })
    }

    /// What could have made a signature that says `alg` of itself. One that says nothing is by the only algorithm that there is.
    fn candidates(&self, alg: Option<&str>) -> Vec<(Algorithm, &Material)> {
        let mut candidates = Vec::new();
        for (bound, material) in &self.ways {
            let algorithm = match (alg, bound.as_slice()) {
                (None, [only]) => Some(*only),
                (None, _) => None,
                (Some(alg), bound) => bound.iter().copied().find(|algorithm| algorithm.name() == alg),
            };
            candidates.extend(algorithm.map(|algorithm| (algorithm, material)));
        }
        candidates
    }
}

/// All keys: those of the configuration, then those of the store.
#[derive(Debug)]
pub(super) struct Keys {
    configured: BTreeMap<String, Arc<Prepared>>,
    /// Keys of the store, each for as long as the store gives the same one.
    ready: moka::sync::Cache<String, Arc<Prepared>>,
    /// What an unknown key is measured with, so that it costs what a known one costs. Nothing that it says is believed.
    dummies: Vec<Material>,
}

impl Keys {
    /// Builds the keys of the configuration; reports each mistake under `keys` and returns `None` then, also when there is no key
    /// at all and no store that could have one.
    pub(super) fn build(settings: BTreeMap<String, KeySettings>, name: &str, store: bool, report: &mut Report) -> Option<Self> {
        let wanted = settings.len();
        if wanted == 0 && !store {
            let remedy = format!("add [auth.{name}.http-message-signature.keys.KEY], or a [store]");
            report.error("keys", "there are no keys, so nobody could be let in", &remedy);
            return None;
        }
        let mut configured = BTreeMap::new();
        report.within("keys", |report| {
            for (name, settings) in settings {
                let key = report.within(&name, |report| Self::configured(&name, settings, report));
                configured.extend(key.map(|key| (name, Arc::new(key))));
            }
        });
        let mut dummies = vec![Material::Secret(KeyInit::new(&Default::default()))];
        for pem in DUMMIES {
            dummies.push(Material::Public(Box::new(VerifyingKey::from_pem(pem.as_bytes()).ok()?)));
        }
        (configured.len() == wanted).then(|| Self { configured, ready: moka::sync::Cache::new(READY), dummies })
    }

    fn configured(name: &str, settings: KeySettings, report: &mut Report) -> Option<Prepared> {
        let key = settings.build(name, MANNER, report)?;
        let prepared = Prepared::new(Arc::new(key)).ok().filter(|key| key.ways.iter().all(|(bound, _)| !bound.is_empty()));
        if prepared.is_none() {
            report.error("algorithms", "none of them fits the type of the key", "leave `algorithms` out to use the one that does");
        }
        prepared
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
        let prepared = Arc::new(Prepared::new(key).map_err(|why| Unavailable::new("store", why))?);
        self.ready.insert(name.to_owned(), Arc::clone(&prepared));
        Ok(Some(prepared))
    }

    /// Who signed. `found` are the keys of `documents`, in the same order. Signatures by unknown keys say nothing; all others must be
    /// right and stand for the same user. `path` is the decoded one, `now` are Unix seconds. An error says which document it is about.
    pub(super) fn settle(
        &self,
        documents: &[Document],
        found: &[Option<Arc<Prepared>>],
        path: &str,
        now: i64,
    ) -> Result<Arc<Subject>, (usize, Refusal)> {
        let mut who: Option<Arc<Subject>> = None;
        for (at, (document, key)) in documents.iter().zip(found).enumerate() {
            let verdict = self.verify(key.as_deref(), &document.signed, &document.base);
            let Some(key) = key else { continue };
            let subject = verdict.and_then(|()| key.holder.identify(None, path, now)).map_err(|refusal| (at, refusal))?;
            if who.as_ref().is_some_and(|other| other.user != subject.user) {
                return Err((at, Refusal::Malformed("signatures of two users: let the configuration name a label or a tag")));
            }
            who.get_or_insert(subject);
        }
        who.ok_or((0, Refusal::Wrong(NO_KEY)))
    }

    /// Whether `signed` was made by `key` over `base`. A key that is not known, or not bound to the algorithm that the signature
    /// names, is measured with another one of that algorithm.
    fn verify(&self, key: Option<&Prepared>, signed: &Signed, base: &[u8]) -> Result<(), Refusal> {
        let alg = signed.params.alg.as_deref();
        let candidates = key.map_or_else(Vec::new, |key| key.candidates(alg));
        if candidates.is_empty() {
            let alg = alg.and_then(Algorithm::named).unwrap_or_else(|| Algorithm::of_length(signed.signature.len()));
            for dummy in self.dummies(alg) {
                let _ = std::hint::black_box(dummy.verifies(alg, base, &signed.signature));
            }
            return Err(Refusal::Wrong(if key.is_some() { OTHER_WAY } else { NO_KEY }));
        }
        let good = candidates.into_iter().fold(false, |good, (alg, material)| material.verifies(alg, base, &signed.signature) | good);
        if good { Ok(()) } else { Err(Refusal::Wrong(UNLIKE)) }
    }

    /// Whether `signed` was made by `key` over `text`, in place of what was sent.
    pub(super) fn made_by(key: &Prepared, signed: &Signed, text: &[u8]) -> bool {
        let candidates = key.candidates(signed.params.alg.as_deref()).into_iter();
        candidates.fold(false, |good, (alg, material)| material.verifies(alg, text, &signed.signature) | good)
    }

    fn dummies(&self, algorithm: Algorithm) -> impl Iterator<Item = &Material> {
        self.dummies.iter().filter(move |dummy| dummy.fits().contains(&algorithm))
    }

    #[cfg(test)]
    pub(super) fn dummies_for(&self, algorithm: Algorithm) -> usize {
        self.dummies(algorithm).count()
    }
}
