//! From settings to what verifies. Everything that can be wrong with the settings is found here.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use sha2::{Digest, Sha256};

use super::claims::{ClaimRules, TokenType};
use super::header::{HeaderRules, normal_type};
use super::settings::Settings;
use super::verifier::{Rules, Verifier};
use crate::store::jwks::KeySets;
use crate::types::{Report, Severity};

/// Without `algorithms`, for public keys.
const DEFAULT_ALGORITHMS: [&str; 4] = ["RS256", "ES256", "EdDSA", "PS256"];
/// Without `algorithms`, with a secret.
const DEFAULT_SECRET_ALGORITHMS: [&str; 1] = ["HS256"];
/// Without `typ`. "" is a token without one.
const DEFAULT_TYPES: [&str; 3] = ["", "JWT", "at+jwt"];
/// What Flask-JWT demands, in the order in which it misses them.
const FLASK_CLAIMS: [&str; 4] = ["exp", "iat", "nbf", "identity"];
/// What RFC 9068 section 2.2 demands.
const RFC9068_CLAIMS: [&str; 7] = ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"];
/// Without `leeway`, in seconds.
const DEFAULT_LEEWAY: u64 = 10;
const DEFAULT_MAX_TOKEN_BYTES: u64 = 8 * 1024;

impl Settings {
    /// Builds what verifies the tokens of the scheme `name`. Every mistake is reported, not only the first.
    pub(super) fn verifier(&self, name: &str, sets: &KeySets, report: &mut Report) -> Option<Verifier> {
        let before = report.problems().len();
        self.check_the_scheme(report);
        let issuers = if self.issuers.is_empty() { vec![self.rules(sets, report)] } else { self.several(sets, report) };
        let failed = report.problems().iter().skip(before).any(|problem| problem.severity == Severity::Error);
        let issuers = issuers.into_iter().collect::<Option<Vec<_>>>().filter(|_| !failed)?;
        Some(Verifier { fact_scope: self.fact_scope(name, &issuers), max_token_bytes: self.max_token_bytes(), issuers })
    }

    /// How far clocks may differ, in seconds.
    pub(super) fn leeway_seconds(&self) -> i64 {
        self.leeway.as_ref().map_or(DEFAULT_LEEWAY, |leeway| leeway.0.as_secs()).try_into().unwrap_or(0)
    }

    fn max_token_bytes(&self) -> usize {
        self.max_token_bytes.map_or(DEFAULT_MAX_TOKEN_BYTES, |bytes| bytes.0).try_into().unwrap_or(usize::MAX)
    }

    /// The name under which facts are remembered. It holds every setting, so that nothing learned under other rules or
    /// keys is found after a reload. Secrets print as `***`; a hash of theirs tells them apart.
    fn fact_scope(&self, name: &str, issuers: &[Rules]) -> String {
        let mut rules = Sha256::new().chain_update(format!("{name}\0{self:?}\0"));
        for issuer in issuers {
            let keys = issuer.keys.fingerprint();
            rules = rules.chain_update((keys.len() as u64).to_be_bytes()).chain_update(keys);
        }
        // Hashed once here, because it is hashed again with every token.
        format!("jwt {}", URL_SAFE_NO_PAD.encode(rules.finalize()))
    }

    fn several(&self, sets: &KeySets, report: &mut Report) -> Vec<Option<Rules>> {
        for key in self.given_of_one_issuer() {
            report.error(key, "with several issuers, it is not clear whose it is", "move it into an entry of issuers");
        }
        let mut all = Vec::new();
        let mut names = Vec::new();
        for (at, entry) in self.issuers.iter().enumerate() {
            let entry = &entry.0;
            let rules = report.within(&format!("issuers[{at}]"), |report| {
                for key in entry.given_of_the_scheme() {
                    report.error(key, "it is the same for all issuers", "write it beside issuers");
                }
                if entry.issuer.is_none() || entry.issuer_check == Some(false) {
                    report.error("issuer", "among several issuers, each has a name", "write issuer = \"…\" with the value of its tokens' iss");
                    return None;
                }
                if names.contains(&entry.issuer) {
                    report.error("issuer", "it stands there twice", "remove one of the entries");
                }
                names.push(entry.issuer.clone());
                self.of_entry(entry).rules(sets, report)
            });
            all.push(rules);
        }
        all
    }

    /// The rules for the one issuer of these settings.
    fn rules(&self, sets: &KeySets, report: &mut Report) -> Option<Rules> {
        self.check_the_small_ones(report);
        let issuer = self.checked_issuer(report);
        let audience = self.checked_audience(report);
        let algorithms = self.checked_algorithms(report);
        let (token_type, types) = self.checked_types(report);
        let parties = self.checked_parties(report);
        let keys = self.keys(&algorithms, sets, report)?;
        let claim = |given: &Option<String>, default: &str| given.clone().unwrap_or_else(|| default.to_owned());
        Some(Rules {
            header: HeaderRules { algorithms, types },
            claims: ClaimRules {
                issuer,
                audience,
                parties,
                token_type,
                required: self.required(token_type),
                leeway: self.leeway_seconds(),
                user: claim(&self.user_claim, if self.is_flask() { "identity" } else { "sub" }),
                numbers_name_users: self.is_flask(),
                email: claim(&self.email_claim, "email"),
                groups: claim(&self.groups_claim, "groups"),
            },
            keys,
        })
    }

    fn required(&self, token_type: TokenType) -> Vec<String> {
        let default: &[&str] = if self.is_flask() { &FLASK_CLAIMS } else { &["exp"] };
        let mut required = self.required_claims.clone().unwrap_or_else(|| default.iter().map(|&claim| claim.to_owned()).collect());
        if token_type == TokenType::Rfc9068 {
            required.extend(RFC9068_CLAIMS.map(str::to_owned));
        }
        if self.revoked_file.is_some() {
            // A token without a name could not be revoked.
            required.push("jti".to_owned());
        }
        required
    }

    fn check_the_scheme(&self, report: &mut Report) {
        match self.error_format.as_deref() {
            None | Some("oauth2" | "flask-jwt") => {}
            Some(other) => report.error("error_format", &format!("{other:?} is not known"), "write \"oauth2\" or \"flask-jwt\""),
        }
        if self.max_token_bytes.is_some_and(|bytes| !(64..=64 * 1024).contains(&bytes.0)) {
            report.error("max_token_bytes", "it is not between 64 bytes and 64 KiB", "write max_token_bytes = \"8KiB\", or leave it out");
        }
    }

    fn check_the_small_ones(&self, report: &mut Report) {
        if self.user_claim.as_ref().is_some_and(String::is_empty) {
            report.error("user_claim", "it names no claim", "write user_claim = \"sub\", or leave it out");
        }
        if self.leeway_seconds() > 300 {
            report.warn("leeway", "tokens stay valid for minutes after they expired", "set the clocks right and write leeway = \"10s\"");
        }
        if self.required_claims.as_ref().is_some_and(|claims| !claims.iter().any(|claim| claim == "exp")) {
            report.warn("required_claims", "a token without exp never expires", "let \"exp\" stand among required_claims");
        }
        let remote = self.jwks_url.is_some() || self.discovers();
        if self.ca_file.is_some() && !remote {
            report.error("ca_file", "nothing is fetched here that it could be for", "remove it");
        }
        match (&self.bearer_token_file, remote, &self.ca_file) {
            (Some(_), false, _) => report.error("bearer_token_file", "nothing is fetched here that it could be for", "remove it"),
            // The issuer's metadata names a second server. It gets the token only if the same authority vouches for it.
            (Some(_), true, None) => report.error(
                "bearer_token_file",
                "without ca_file, a token would go to any server with a certificate that the system trusts",
                "write ca_file = \"…\" with the authority of the issuer's own servers",
            ),
            (Some(_), true, Some(_)) | (None, ..) => {}
        }
    }

    fn checked_types(&self, report: &mut Report) -> (TokenType, Vec<String>) {
        let token_type = match self.token_type.as_deref() {
            None | Some("access") => TokenType::Access,
            Some("rfc9068") => TokenType::Rfc9068,
            Some("any") => TokenType::Any,
            Some(other) => {
                report.error("token_type", &format!("{other:?} is not known"), "write \"access\", \"rfc9068\" or \"any\"");
                TokenType::Access
            }
        };
        let types = match (&self.typ, token_type) {
            (Some(types), _) if types.is_empty() => {
                report.error(
                    "typ",
                    "no type is allowed, so no token would be",
                    "list the types that your issuer writes, with \"\" for tokens without one",
                );
                Vec::new()
            }
            (Some(types), TokenType::Rfc9068) if types.iter().any(|typ| normal_type(typ) != "at+jwt") => {
                report.error("typ", "with token_type = \"rfc9068\" the only type is at+jwt", "remove typ, or write token_type = \"access\"");
                Vec::new()
            }
            (Some(types), _) => types.clone(),
            (None, TokenType::Rfc9068) => vec!["at+jwt".to_owned()],
            (None, TokenType::Access | TokenType::Any) => DEFAULT_TYPES.map(str::to_owned).to_vec(),
        };
        (token_type, types.iter().map(|typ| normal_type(typ)).collect())
    }

    fn checked_parties(&self, report: &mut Report) -> Option<Vec<String>> {
        let parties = self.authorized_parties.clone()?;
        if parties.is_empty() || parties.iter().any(String::is_empty) {
            report.error(
                "authorized_parties",
                "it names nobody, so no token would be accepted",
                "list the clients that may use their tokens here, or leave it out",
            );
        }
        Some(parties)
    }

    fn checked_issuer(&self, report: &mut Report) -> Option<String> {
        let own_key = self.public_key_file.is_some() || !self.secret_source().is_absent();
        match (&self.issuer, self.issuer_check) {
            (Some(issuer), None | Some(true)) if issuer.is_empty() => report.error("issuer", "it is empty", "write the value of your tokens' iss"),
            (Some(issuer), None | Some(true)) => return Some(issuer.clone()),
            (Some(_), Some(false)) => report.error("issuer_check", "an issuer is given and is not to be checked", "remove issuer_check"),
            // Flask-JWT writes none.
            (None, None) if self.is_flask() && own_key => {}
            (None, None | Some(true)) => report.error("issuer", "no issuer is given", "write issuer = \"…\" with the value of your tokens' iss"),
            (None, Some(false)) if own_key => report.warn(
                "issuer_check",
                "any token that the key signed is accepted, whoever it is from",
                "write issuer = \"…\" if your tokens have iss",
            ),
            (None, Some(false)) => {
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
            (false, None | Some(true)) => return Some(listed),
            // Flask-JWT writes none.
            (true, None) if self.is_flask() => {}
            (true, None | Some(true)) => report.error(
                "audience",
                "no audience is given: tokens for other applications would be accepted",
                "write audience = [\"…\"] with the value of your tokens' aud",
            ),
            (false, Some(false)) => report.error("audience_check", "an audience is given and is not to be checked", "remove audience_check"),
            (true, Some(false)) => report.warn(
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
