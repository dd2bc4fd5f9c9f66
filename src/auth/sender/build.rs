//! From the settings of `dpop` to what judges proofs.

use jsonwebtoken::{Algorithm, AlgorithmFamily};

use super::nonce::Nonces;
use super::proof::{Origin, Proofs};
use super::{Dpop, Senders, Table};
use crate::auth::bearer::Carrier;
use crate::types::{HumanDuration, Report, SecretSource};

const DEFAULT_ALGORITHMS: [&str; 5] = ["ES256", "ES384", "EdDSA", "PS256", "RS256"];
/// Without `max_age`, in seconds.
const DEFAULT_MAX_AGE: u64 = 60;
/// A proof is remembered for so long: longer ones would fill the memory.
const LONGEST_MAX_AGE: u64 = 600;
/// Shorter secrets can be guessed.
const MIN_SECRET_BYTES: usize = 32;

impl Table {
    pub(super) fn build(&self, leeway: i64, report: &mut Report) -> Option<Senders> {
        let required = match self.mode.as_deref() {
            Some("off") => {
                if self.names_more_than_a_mode() {
                    report.error(
                        "mode",
                        "it is \"off\", and the other lines ask for more",
                        "write mode = \"optional\" or \"required\", or remove them",
                    );
                }
                return Some(Senders { dpop: None });
            }
            Some("optional") => false,
            Some("required") => true,
            Some(_) | None => {
                report.error("mode", "it says neither off, optional nor required", "write mode = \"optional\" or mode = \"required\"");
                false
            }
        };
        let algorithms = self.algorithms(report);
        let origins = self.origins(report);
        let nonces = self.nonces(report);
        let max_age = self.max_age.unwrap_or(HumanDuration::from_secs(DEFAULT_MAX_AGE)).0.as_secs();
        if !(1..=LONGEST_MAX_AGE).contains(&max_age) {
            report.error("max_age", "it is not between one second and ten minutes", "write max_age = \"60s\", or leave it out");
        }
        let max_age = i64::try_from(max_age).unwrap_or(i64::MAX);
        let carrier = Carrier::build(Some(vec!["DPoP".to_owned()]), None, None, report)?;
        let names = self.algorithm_names().join(" ");
        let proofs = Proofs::new(algorithms, max_age, leeway, origins, nonces?);
        Some(Senders { dpop: Some(Dpop { required, carrier, proofs, algorithms: names }) })
    }

    fn names_more_than_a_mode(&self) -> bool {
        let rest = self.max_age.is_some() || self.algorithms.is_some() || !self.origins.is_empty() || self.nonce;
        rest || !self.secret_source().is_absent()
    }

    fn secret_source(&self) -> SecretSource<'_> {
        SecretSource {
            key: "nonce_secret",
            inline: self.nonce_secret.as_ref(),
            file: self.nonce_secret_file.as_ref(),
            env: self.nonce_secret_env.as_deref(),
        }
    }

    fn algorithm_names(&self) -> Vec<&str> {
        self.algorithms.as_ref().map_or_else(|| DEFAULT_ALGORITHMS.to_vec(), |names| names.iter().map(String::as_str).collect())
    }

    fn algorithms(&self, report: &mut Report) -> Vec<Algorithm> {
        let names = self.algorithm_names();
        if names.is_empty() {
            report.error("algorithms", "no algorithm is allowed, so no proof would be", "list those that your clients use, or leave it out");
        }
        let mut algorithms = Vec::new();
        for name in names {
            match name.parse::<Algorithm>() {
                Ok(algorithm) if algorithm.family() != AlgorithmFamily::Hmac => algorithms.push(algorithm),
                Ok(_) | Err(_) => report.error(
                    "algorithms",
                    &format!("{name:?} is not an algorithm of public keys"),
                    "use any of ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512",
                ),
            }
        }
        algorithms
    }

    fn origins(&self, report: &mut Report) -> Vec<Origin> {
        let mut origins = Vec::new();
        for text in &self.origins {
            match Origin::parse(text) {
                Some(origin) => origins.push(origin),
                None => {
                    report.error("origins", &format!("{text:?} is not scheme, host and port alone"), "write it as \"https://api.example.com\"");
                }
            }
        }
        origins
    }

    /// The outer `None` is an error that was reported.
    fn nonces(&self, report: &mut Report) -> Option<Option<Nonces>> {
        let source = self.secret_source();
        match (self.nonce, source.is_absent()) {
            (false, true) => Some(None),
            (false, false) => {
                report.error("nonce", "there is a secret for nonces, and none are asked for", "write nonce = true, or remove the secret");
                None
            }
            (true, true) => match Nonces::random() {
                Some(nonces) => Some(Some(nonces)),
                None => {
                    report.error("nonce", "this machine gives no random numbers", "see that it does");
                    None
                }
            },
            (true, false) => {
                let secret = source.load(report)?;
                if secret.len() < MIN_SECRET_BYTES {
                    report.error("nonce_secret", "it has fewer than 32 bytes and can be guessed", "use the output of: openssl rand -base64 32");
                    return None;
                }
                Some(Some(Nonces::of(secret.expose())?))
            }
        }
    }
}
