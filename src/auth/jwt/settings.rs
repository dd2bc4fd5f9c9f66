//! `[auth.NAME.jwt]`: what may stand there, and everything that can be wrong with it.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::claims::ClaimRules;
use super::header::{HeaderRules, normal_type};
use super::keys::Keys;
use super::verifier::Verifier;
use crate::auth::bearer::one_or_many;
use crate::store::jwks::KeySets;
use crate::types::{ByteSize, HumanDuration, Report, Secret, Severity};

/// Without `algorithms`, for public keys.
const DEFAULT_ALGORITHMS: [&str; 4] = ["RS256", "ES256", "EdDSA", "PS256"];
/// Without `algorithms`, with a secret.
const DEFAULT_SECRET_ALGORITHMS: [&str; 1] = ["HS256"];
/// Without `typ`. "" is a token without one.
const DEFAULT_TYPES: [&str; 3] = ["", "JWT", "at+jwt"];

/// `[auth.NAME.jwt]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What `iss` must be. Without another source of keys, its metadata names the key set.
    pub issuer: Option<String>,
    /// `false` for tokens of a shared secret or one public key that name no issuer.
    pub issuer_check: bool,
    /// A JWK set's URL.
    pub jwks_url: Option<String>,
    /// A JWK set in a file, which is watched.
    pub jwks_file: Option<PathBuf>,
    /// A public key: `BEGIN PUBLIC KEY`.
    pub public_key_file: Option<PathBuf>,
    /// A shared secret, in place.
    pub secret: Option<Secret>,
    /// A shared secret, in a file.
    pub secret_file: Option<PathBuf>,
    /// A shared secret, in the environment.
    pub secret_env: Option<String>,
    /// Certificate authorities to trust for the issuer, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// `aud` must be or hold one of these.
    #[serde(deserialize_with = "one_or_many")]
    pub audience: Option<Vec<String>>,
    /// `false` for tokens that name no audience.
    pub audience_check: bool,
    /// The algorithms that are accepted.
    pub algorithms: Option<Vec<String>>,
    /// The claim that is the user's name; nested by dots.
    pub user_claim: String,
    /// The claim that is the e-mail address.
    pub email_claim: String,
    /// The claim that lists the groups.
    pub groups_claim: String,
    /// Claims that must be there.
    pub required_claims: Vec<String>,
    /// How far clocks may differ.
    pub leeway: HumanDuration,
    /// Accepted values of the header's `typ`; "" for none.
    pub typ: Option<Vec<String>>,
    /// Longer tokens are refused before they are decoded.
    pub max_token_bytes: ByteSize,
    /// Words before the token in `Authorization`.
    #[serde(deserialize_with = "one_or_many")]
    pub prefix: Option<Vec<String>>,
    /// Another header that holds the token.
    pub header: Option<String>,
    /// A cookie that holds the token.
    pub cookie: Option<String>,
    /// How a refusal is told: `oauth2`.
    pub error_format: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            issuer: None,
            issuer_check: true,
            jwks_url: None,
            jwks_file: None,
            public_key_file: None,
            secret: None,
            secret_file: None,
            secret_env: None,
            ca_file: None,
            audience: None,
            audience_check: true,
            algorithms: None,
            user_claim: "sub".to_owned(),
            email_claim: "email".to_owned(),
            groups_claim: "groups".to_owned(),
            required_claims: vec!["exp".to_owned()],
            leeway: HumanDuration::from_secs(10),
            typ: None,
            max_token_bytes: ByteSize(8 * 1024),
            prefix: None,
            header: None,
            cookie: None,
            error_format: "oauth2".to_owned(),
        }
    }
}

impl Settings {
    /// Builds what verifies the tokens of the scheme `name`. Every mistake is reported, not only the first.
    pub(super) fn verifier(&self, name: &str, sets: &KeySets, report: &mut Report) -> Option<Verifier> {
        let before = report.problems().len();
        self.check_the_small_ones(report);
        let issuer = self.checked_issuer(report);
        let audience = self.checked_audience(report);
        let algorithms = self.checked_algorithms(report);
        let keys = self.keys(&algorithms, sets, report);
        let failed = report.problems().iter().skip(before).any(|problem| problem.severity == Severity::Error);
        let keys = keys.filter(|_| !failed)?;
        let types = self.typ.clone().unwrap_or_else(|| DEFAULT_TYPES.map(str::to_owned).to_vec());
        Some(Verifier {
            fact_scope: self.fact_scope(name, &keys),
            max_token_bytes: usize::try_from(self.max_token_bytes.0).unwrap_or(usize::MAX),
            header: HeaderRules { algorithms, types: types.iter().map(|typ| normal_type(typ)).collect() },
            claims: ClaimRules {
                issuer,
                audience,
                required: self.required_claims.clone(),
                leeway: i64::try_from(self.leeway.0.as_secs()).unwrap_or(0),
                user: self.user_claim.clone(),
                email: self.email_claim.clone(),
                groups: self.groups_claim.clone(),
            },
            keys,
        })
    }

    /// The name under which facts are remembered. It holds every setting, so that nothing learned under other rules or
    /// keys is found after a reload. Secrets print as `***`; a hash of theirs tells them apart.
    fn fact_scope(&self, name: &str, keys: &Keys) -> String {
        let rules = Sha256::new().chain_update(format!("{name}\0{self:?}\0")).chain_update(keys.fingerprint());
        // Hashed once here, because it is hashed again with every token.
        format!("jwt {}", URL_SAFE_NO_PAD.encode(rules.finalize()))
    }

    fn check_the_small_ones(&self, report: &mut Report) {
        if self.error_format != "oauth2" {
            report.error("error_format", &format!("{:?} is not known", self.error_format), "write error_format = \"oauth2\", or leave it out");
        }
        if self.user_claim.is_empty() {
            report.error("user_claim", "it names no claim", "write user_claim = \"sub\", or leave it out");
        }
        if self.leeway.0.as_secs() > 300 {
            report.warn("leeway", "tokens stay valid for minutes after they expired", "set the clocks right and write leeway = \"10s\"");
        }
        if !self.required_claims.iter().any(|claim| claim == "exp") {
            report.warn("required_claims", "a token without exp never expires", "let \"exp\" stand among required_claims");
        }
        if self.typ.as_ref().is_some_and(Vec::is_empty) {
            report.error(
                "typ",
                "no type is allowed, so no token would be",
                "list the types that your issuer writes, with \"\" for tokens without one",
            );
        }
        if !(64..=64 * 1024).contains(&self.max_token_bytes.0) {
            report.error("max_token_bytes", "it is not between 64 bytes and 64 KiB", "write max_token_bytes = \"8KiB\", or leave it out");
        }
        let remote = self.jwks_url.is_some() || self.discovers();
        if self.ca_file.is_some() && !remote {
            report.error("ca_file", "nothing is fetched here that it could be for", "remove it");
        }
    }

    fn checked_issuer(&self, report: &mut Report) -> Option<String> {
        let own_key = self.public_key_file.is_some() || !self.secret_source().is_absent();
        match (&self.issuer, self.issuer_check) {
            (Some(issuer), true) if issuer.is_empty() => report.error("issuer", "it is empty", "write the value of your tokens' iss"),
            (Some(issuer), true) => return Some(issuer.clone()),
            (Some(_), false) => report.error("issuer_check", "an issuer is given and is not to be checked", "remove issuer_check"),
            (None, true) => report.error("issuer", "no issuer is given", "write issuer = \"…\" with the value of your tokens' iss"),
            (None, false) if own_key => report.warn(
                "issuer_check",
                "any token that the key signed is accepted, whoever it is from",
                "write issuer = \"…\" if your tokens have iss",
            ),
            (None, false) => {
                report.error("issuer_check", "tokens of a key set must name their issuer", "remove issuer_check and write issuer = \"…\"")
            }
        }
        None
    }

    fn checked_audience(&self, report: &mut Report) -> Option<Vec<String>> {
        let listed = self.audience.clone().unwrap_or_default();
        if listed.iter().any(String::is_empty) {
            report.error("audience", "an audience is empty", "write the value of your tokens' aud");
            return None;
        }
        match (listed.is_empty(), self.audience_check) {
            (false, true) => return Some(listed),
            (true, true) => report.error(
                "audience",
                "no audience is given: tokens for other applications would be accepted",
                "write audience = [\"…\"] with the value of your tokens' aud",
            ),
            (false, false) => report.error("audience_check", "an audience is given and is not to be checked", "remove audience_check"),
            (true, false) => report.warn(
                "audience_check",
                "tokens that the issuer made for other applications are accepted",
                "write audience = [\"…\"] if your tokens have aud",
            ),
        }
        None
    }

    fn checked_algorithms(&self, report: &mut Report) -> Vec<Algorithm> {
        let with_secret = !self.secret_source().is_absent();
        let default: &[&str] = if with_secret { &DEFAULT_SECRET_ALGORITHMS } else { &DEFAULT_ALGORITHMS };
        let names: Vec<&str> = self.algorithms.as_ref().map_or_else(|| default.to_vec(), |names| names.iter().map(String::as_str).collect());
        if names.is_empty() {
            report.error("algorithms", "no algorithm is allowed, so no token would be", "list those that your issuer uses, or leave it out");
        }
        let mut algorithms = Vec::new();
        for name in names {
            match name.parse::<Algorithm>() {
                Ok(algorithm) if (algorithm.family() == AlgorithmFamily::Hmac) == with_secret => algorithms.push(algorithm),
                Ok(_) if with_secret => {
                    report.error("algorithms", &format!("{name} is not for a shared secret"), "with a secret, list HS256, HS384 or HS512 alone")
                }
                Ok(_) => report.error(
                    "algorithms",
                    &format!("{name} needs a shared secret"),
                    "with public keys, list RS…, PS…, ES256, ES384 or EdDSA alone",
                ),
                Err(_) => report.error(
                    "algorithms",
                    &format!("{name:?} is not known"),
                    "use any of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, or with a secret HS256, HS384, HS512",
                ),
            }
        }
        algorithms
    }
}
