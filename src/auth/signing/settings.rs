//! What the configuration says of a key.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Manner, can_be_a_name};
use crate::auth::valid_user_name;
use crate::store::jwks::PublicKey;
use crate::store::keys::ApiKey;
use crate::types::{Moment, PathPattern, Report, Secret, SecretSource, unix_now};

/// Secrets shorter than this many bytes can be guessed.
const WEAK_SECRET: usize = 16;

/// What speaks against having signatures debugged.
pub(in crate::auth) const DEBUGGED: &str = "the log shows what should have been signed wherever a signature does not match: path, query, headers";

/// `[auth.NAME.KIND.keys.KEY]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeySettings {
    /// The shared secret, in place.
    pub secret: Option<Secret>,
    /// The shared secret, in a file.
    pub secret_file: Option<PathBuf>,
    /// The shared secret, in the environment.
    pub secret_env: Option<String>,
    /// A second secret that is accepted while keys are being changed, in place.
    pub next_secret: Option<Secret>,
    /// The second secret, in a file.
    pub next_secret_file: Option<PathBuf>,
    /// The second secret, in the environment.
    pub next_secret_env: Option<String>,
    /// The public key in place: PEM, `BEGIN PUBLIC KEY`. For schemes that know signatures with one.
    pub public_key: Option<String>,
    /// The public key, in a file.
    pub public_key_file: Option<PathBuf>,
    /// A second public key that is accepted while keys are being changed, in a file.
    pub next_public_key_file: Option<PathBuf>,
    /// Whom the key stands for; the key's own name without it.
    pub user: Option<String>,
    /// The groups of that user; not of others for whom the key acts.
    pub groups: Vec<String>,
    /// What a request with this key may do, as OAuth scopes do it for a token.
    pub scopes: Vec<String>,
    /// What it may sign with; all that the scheme allows without it.
    pub algorithms: Option<Vec<String>>,
    /// Whether it may act for other users.
    pub impersonate: bool,
    /// Which paths it may call; all without it.
    pub paths: Option<Vec<PathPattern>>,
    /// When it begins to be good.
    pub not_before: Option<Moment>,
    /// From when on it is good no longer.
    pub expires: Option<Moment>,
    /// Whether the log shows what should have been signed, where a signature does not match. Ends by itself after an hour.
    pub debug_signatures: bool,
    /// Until when, in Unix seconds.
    #[serde(skip)]
    pub debug_until: Option<i64>,
}

impl KeySettings {
    /// The key `name`, for a scheme of `manner`. Reports each mistake and returns `None` then.
    pub(in crate::auth) fn build(mut self, name: &str, manner: Manner, report: &mut Report) -> Option<ApiKey> {
        let material = self.material(manner, report);
        if self.debug_signatures {
            report.warn("debug_signatures", DEBUGGED, "take it out once the fault is found; it ends by itself an hour after it was first read");
        }
        let named = name_is_sound(name, self.user.as_deref(), manner, report);
        let sound = self.rights_are_sound(manner, report) & self.life_is_sound(report);
        let paths = self.paths.take();
        if paths.as_ref().is_some_and(Vec::is_empty) {
            report.error("paths", "the key may call no path at all", "list path patterns, or leave `paths` out to allow all");
            return None;
        }
        let material = material.filter(|_| named && sound)?;
        Some(ApiKey {
            name: name.to_owned(),
            user: self.user,
            groups: self.groups,
            scopes: self.scopes,
            algorithms: self.algorithms.unwrap_or_default(),
            impersonate: self.impersonate,
            paths: paths.unwrap_or_default(),
            not_before: self.not_before.map(|moment| moment.0),
            expires: self.expires.map(|moment| moment.0),
            debug_until: self.debug_until,
            ..material
        })
    }

    /// The secrets or the public keys: a key has one or the other.
    fn material(&self, manner: Manner, report: &mut Report) -> Option<ApiKey> {
        let secret = SecretSource { key: "secret", inline: self.secret.as_ref(), file: self.secret_file.as_ref(), env: self.secret_env.as_deref() };
        let next = SecretSource {
            key: "next_secret",
            inline: self.next_secret.as_ref(),
            file: self.next_secret_file.as_ref(),
            env: self.next_secret_env.as_deref(),
        };
        let has_public = self.public_key.is_some() || self.public_key_file.is_some() || self.next_public_key_file.is_some();
        if has_public && !manner.takes_public_keys() {
            report.error("public_key", "a key of this scheme is a shared secret", "leave the public key out");
            return None;
        }
        if has_public && (!secret.is_absent() || !next.is_absent()) {
            report.error("public_key", "the key has a shared secret and a public key", "make two keys of it, with a name each");
            return None;
        }
        if has_public || !manner.takes_secrets() {
            return self.public_keys(report);
        }
        let loaded = secret.load(report);
        let next = if next.is_absent() { Some(None) } else { next.load(report).map(Some) };
        for (key, secret) in [("secret", loaded.as_ref()), ("next_secret", next.as_ref().and_then(Option::as_ref))] {
            if secret.is_some_and(|secret| secret.len() < WEAK_SECRET) {
                report.warn(key, "the secret is shorter than 16 bytes", "use the output of: openssl rand -base64 32");
            }
        }
        let (secret, next_secret) = (Some(loaded?), next?);
        Some(ApiKey { secret, next_secret, ..ApiKey::default() })
    }

    fn public_keys(&self, report: &mut Report) -> Option<ApiKey> {
        let loaded = match (&self.public_key, &self.public_key_file) {
            (Some(pem), None) => checked("public_key", pem.clone(), report),
            (None, Some(path)) => read("public_key_file", path, report),
            (None, None) => {
                report.error("public_key_file", "no public key is given", "name a file that begins with -----BEGIN PUBLIC KEY-----");
                None
            }
            (Some(_), Some(_)) => {
                report.error("public_key", "the public key is given twice", "keep one of public_key and public_key_file");
                None
            }
        };
        let next = match &self.next_public_key_file {
            Some(path) => read("next_public_key_file", path, report).map(Some),
            None => Some(None),
        };
        let (public_key, next_public_key) = (Some(loaded?), next?);
        Some(ApiKey { public_key, next_public_key, ..ApiKey::default() })
    }

    fn rights_are_sound(&self, manner: Manner, report: &mut Report) -> bool {
        let mut sound = true;
        let mut mistake = |key: &str, problem: &str, remedy: &str| {
            report.error(key, problem, remedy);
            sound = false;
        };
        if self.impersonate && !manner.names_users {
            mistake("impersonate", "a request of this scheme cannot name another user", "leave it out");
        }
        if self.groups.iter().any(|group| !valid_user_name(group)) {
            mistake("groups", "a group's name is empty, too long, or holds a character that does not show", "write plain names");
        }
        if self.scopes.iter().any(|scope| !valid_scope(scope)) {
            mistake("scopes", "a scope is empty or holds a blank, a quote, a backslash or something outside ASCII", "write one scope a text");
        }
        let all = manner.algorithms.join(", ");
        match &self.algorithms {
            Some(algorithms) if algorithms.is_empty() => {
                mistake("algorithms", "the key may sign with nothing", "list algorithms, or leave `algorithms` out to allow all");
            }
            Some(algorithms) if algorithms.iter().any(|name| !manner.algorithms.contains(&name.as_str())) => {
                mistake("algorithms", &format!("this scheme knows {all} alone"), "list some of these, or leave `algorithms` out to allow all");
            }
            Some(_) | None => {}
        }
        sound
    }

    fn life_is_sound(&self, report: &mut Report) -> bool {
        if let (Some(begins), Some(ends)) = (self.not_before, self.expires)
            && begins >= ends
        {
            report.error("expires", "the key ends before it begins", "write a moment after `not_before`");
            return false;
        }
        if self.expires.is_some_and(|ends| ends.0 <= unix_now()) {
            report.warn("expires", "the key has expired", "give it more time, or take it out");
        }
        true
    }
}

impl Manner {
    fn takes_secrets(self) -> bool {
        self.algorithms.iter().any(|name| name.starts_with("hmac-"))
    }

    fn takes_public_keys(self) -> bool {
        self.algorithms.iter().any(|name| !name.starts_with("hmac-"))
    }
}

fn read(key: &str, path: &Path, report: &mut Report) -> Option<String> {
    match std::fs::read_to_string(path) {
        Ok(pem) => checked(key, pem, report),
        Err(error) => {
            report.error(key, &format!("cannot read {}: {error}", path.display()), "check the path and its permissions");
            None
        }
    }
}

fn checked(key: &str, pem: String, report: &mut Report) -> Option<String> {
    if let Err(why) = PublicKey::from_pem(pem.as_bytes()) {
        let remedy = "give the public key of an RSA, P-256, P-384 or Ed25519 pair as -----BEGIN PUBLIC KEY-----";
        report.error(key, &format!("this is not a public key: {why}"), remedy);
        return None;
    }
    Some(pem)
}

/// A scope-token of RFC 6749, section 3.3.
#[must_use]
pub fn valid_scope(scope: &str) -> bool {
    !scope.is_empty() && scope.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}

fn name_is_sound(name: &str, user: Option<&str>, manner: Manner, report: &mut Report) -> bool {
    let can_be_sent = can_be_a_name(name);
    let sound = can_be_sent && (user.is_some() || valid_user_name(&format!("{}{name}", manner.prefix)));
    if !sound {
        report.error("", "the key's name cannot be told to an application", "use letters, digits, '-', '_' and '.', or give the key a `user`");
    }
    if user.is_some_and(|user| !valid_user_name(user)) {
        report.error("user", "the user's name is empty, too long, or holds a character that does not show", "write a plain name");
        return false;
    }
    sound
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Severity;

    const SHARED: Manner = Manner { prefix: "", names_users: true, algorithms: &["hmac-sha1", "hmac-sha256"] };
    const PUBLIC: Manner = Manner { prefix: "", names_users: false, algorithms: &["ed25519", "rsa-pss-sha512"] };
    const EITHER: Manner = Manner { prefix: "", names_users: false, algorithms: &["hmac-sha256", "ed25519"] };

    const ED25519: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n-----END PUBLIC KEY-----\n";

    /// The key, and the keys at which mistakes and weak choices were reported.
    fn build(manner: Manner, toml: &str) -> (Option<ApiKey>, Vec<(String, Severity)>) {
        let settings: KeySettings = toml::from_str(toml).unwrap();
        let mut report = Report::default();
        let built = settings.build("a", manner, &mut report);
        (built, report.problems().iter().map(|problem| (problem.key.clone(), problem.severity)).collect())
    }

    #[test]
    fn every_mistake_is_reported_at_its_key() {
        let pem = format!("public_key = '''{ED25519}'''\n");
        let secret = "secret = \"sixteen bytes and\"\n";
        for (manner, toml, key) in [
            (SHARED, pem.clone(), "public_key"),
            (SHARED, format!("{secret}next_public_key_file = \"x\""), "public_key"),
            (SHARED, format!("{secret}groups = [\"\"]"), "groups"),
            (SHARED, format!("{secret}groups = [\"a\\nb\"]"), "groups"),
            (SHARED, format!("{secret}scopes = [\"read write\"]"), "scopes"),
            (SHARED, format!("{secret}scopes = [\"\"]"), "scopes"),
            (SHARED, format!("{secret}scopes = [\"é\"]"), "scopes"),
            (SHARED, format!("{secret}algorithms = []"), "algorithms"),
            (SHARED, format!("{secret}algorithms = [\"hmac-sha1\", \"HMAC-SHA256\"]"), "algorithms"),
            (SHARED, format!("{secret}not_before = 2027-01-01\nexpires = 2027-01-01"), "expires"),
            (PUBLIC, secret.to_owned(), "public_key_file"),
            (PUBLIC, format!("{pem}impersonate = true"), "impersonate"),
            (PUBLIC, String::new(), "public_key_file"),
            (PUBLIC, "public_key = \"x\"".to_owned(), "public_key"),
            (PUBLIC, format!("{pem}public_key_file = \"x\""), "public_key"),
            (PUBLIC, "public_key_file = \"/does/not/exist\"".to_owned(), "public_key_file"),
            (PUBLIC, format!("{pem}next_public_key_file = \"/does/not/exist\""), "next_public_key_file"),
            (EITHER, format!("{pem}{secret}"), "public_key"),
            (EITHER, format!("{pem}next_{secret}"), "public_key"),
            (EITHER, String::new(), "secret"),
        ] {
            let (built, problems) = build(manner, &toml);
            let errors: Vec<_> = problems.iter().filter(|(_, severity)| *severity == Severity::Error).map(|(key, _)| key.as_str()).collect();
            assert!(built.is_none() && errors == [key], "{toml}: {problems:?}");
        }
    }

    #[test]
    fn a_key_has_all_that_the_configuration_says() {
        let toml = format!(
            "public_key = '''{ED25519}'''\ngroups = [\"staff\"]\nscopes = [\"a\", \"b\"]\nalgorithms = [\"ed25519\"]\n\
             not_before = \"2020-01-01\"\nexpires = 9999-01-01T00:00:00Z"
        );
        for manner in [PUBLIC, EITHER] {
            let (built, problems) = build(manner, &toml);
            let key = built.unwrap();
            assert!(problems.is_empty() && key.secret.is_none() && key.next_public_key.is_none(), "{problems:?}");
            assert_eq!((key.public_key.as_deref(), key.groups.len(), key.scopes.len(), key.algorithms.len()), (Some(ED25519), 1, 2, 1));
            assert_eq!((key.not_before, key.expires), (Some(1_577_836_800), Some(253_370_764_800)));
        }
    }

    #[test]
    fn a_key_that_has_expired_is_warned_of() {
        let (built, problems) = build(SHARED, "secret_env = \"PATH\"\nexpires = 2020-01-01");
        assert!(built.is_some());
        assert_eq!(problems, [("expires".to_owned(), Severity::Warning)]);
    }
}
