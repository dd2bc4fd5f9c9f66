//! Where a scheme's keys come from: exactly one place, said in its settings.

use jsonwebtoken::Algorithm;

use super::keys::Keys;
use super::settings::Settings;
use crate::store::jwks::{Access, KeySets, PublicKey, Source};
use crate::types::{Report, SecretSource};

/// Shorter secrets can be guessed (RFC 7518 section 3.2).
const MIN_SECRET_BYTES: usize = 32;

impl Settings {
    /// Where the shared secret stands, if there is one.
    pub(super) fn secret_source(&self) -> SecretSource<'_> {
        SecretSource { key: "secret", inline: self.secret.as_ref(), file: self.secret_file.as_ref(), env: self.secret_env.as_deref() }
    }

    /// Which sources of keys are given, in the order of the sentence in `keys`.
    fn given(&self) -> [bool; 4] {
        [self.jwks_url.is_some(), self.jwks_file.is_some(), self.public_key_file.is_some(), !self.secret_source().is_absent()]
    }

    /// Whether the issuer's metadata is asked for the key set.
    pub(super) fn discovers(&self) -> bool {
        self.issuer.is_some() && self.given() == [false; 4]
    }

    fn access(&self) -> Access {
        Access { ca_file: self.ca_file.clone(), bearer_token_file: self.bearer_token_file.clone() }
    }

    /// The keys of the one source that is given.
    pub(super) fn keys(&self, algorithms: &[Algorithm], sets: &KeySets, report: &mut Report) -> Option<Keys> {
        let one_of = "write one of jwks_url, jwks_file, public_key_file and secret_file, or issuer = \"https://…\" alone";
        match (self.given(), &self.issuer) {
            ([true, false, false, false], _) => {
                let url = self.jwks_url.as_ref()?;
                match url.parse() {
                    Ok(url) => set(Source::Url { url, access: self.access() }, "jwks_url", sets, report),
                    Err(error) => refuse("jwks_url", &error, "write the whole https:// URL of the key set", report),
                }
            }
            ([false, true, false, false], _) => set(Source::File(self.jwks_file.clone()?), "jwks_file", sets, report),
            ([false, false, true, false], _) => self.pinned(algorithms, report),
            ([false, false, false, true], _) => self.shared(algorithms, report),
            ([false, false, false, false], Some(issuer)) => match issuer.parse() {
                Ok(url) => set(Source::Issuer { issuer: issuer.clone(), url, access: self.access() }, "issuer", sets, report),
                Err(error) => refuse("issuer", &format!("the keys cannot be found by it: {error}"), one_of, report),
            },
            ([false, false, false, false], None) => refuse("", "there is no key to verify tokens with", one_of, report),
            _ => refuse("", "there is more than one source of keys", one_of, report),
        }
    }

    fn pinned(&self, algorithms: &[Algorithm], report: &mut Report) -> Option<Keys> {
        let path = self.public_key_file.as_ref()?;
        let pem = match std::fs::read(path) {
            Ok(pem) => pem,
            Err(error) => {
                return refuse("public_key_file", &format!("cannot read {}: {error}", path.display()), "check the path and its permissions", report);
            }
        };
        match PublicKey::from_pem(&pem) {
            Ok(key) if algorithms.iter().any(|algorithm| key.fits(*algorithm)) => Some(Keys::Pinned { key, pem }),
            Ok(_) => refuse("algorithms", "none of them fits the key of public_key_file", "list the algorithm that your issuer signs with", report),
            Err(why) => {
                let remedy = "put the public key alone there; of a certificate: openssl x509 -in FILE -noout -pubkey";
                refuse("public_key_file", &format!("{}: {why}", path.display()), remedy, report)
            }
        }
    }

    fn shared(&self, algorithms: &[Algorithm], report: &mut Report) -> Option<Keys> {
        let secret = self.secret_source().load(report)?;
        if secret.len() < MIN_SECRET_BYTES {
            return refuse("secret", "it has fewer than 32 bytes and can be guessed", "use the output of: openssl rand -base64 32", report);
        }
        // What everybody may know makes no secret (CVE-2015-9235 and its many successors).
        if secret.expose().starts_with(b"-----BEGIN") {
            return refuse("secret", "it is a PEM file, not a secret", "write public_key_file = \"…\" for a public key", report);
        }
        if secret.len() < 64 && algorithms.iter().any(|algorithm| matches!(algorithm, Algorithm::HS384 | Algorithm::HS512)) {
            report.warn(
                "secret",
                "it is shorter than the longest of these algorithms asks for (RFC 7518 section 3.2)",
                "use the output of: openssl rand -base64 64",
            );
        }
        Some(Keys::secret(&secret))
    }
}

fn set(source: Source, key: &str, sets: &KeySets, report: &mut Report) -> Option<Keys> {
    let by_file = matches!(source, Source::File(_));
    match sets.source(source) {
        Ok(set) => Some(Keys::Set(set)),
        Err(error) if by_file => refuse(key, &error, "put a JWK set there: {\"keys\": […]}", report),
        Err(error) => refuse("ca_file", &error, "name a PEM file of certificates, or leave it out", report),
    }
}

fn refuse(key: &str, problem: &str, remedy: &str, report: &mut Report) -> Option<Keys> {
    report.error(key, problem, remedy);
    None
}
