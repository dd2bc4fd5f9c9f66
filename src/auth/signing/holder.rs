//! Who holds a key and what the key is good for, once a signature has shown that it is theirs.

use std::sync::Arc;

use super::Manner;
use crate::auth::{Refusal, valid_user_name};
use crate::store::Stores;
use crate::store::facts::{Origin, Subject};
use crate::store::keys::ApiKey;

/// The holder of a key: judged after the signature, so that nobody learns of a key what only its holder may know.
#[derive(Debug, Clone)]
pub(in crate::auth) struct Holder {
    key: Arc<ApiKey>,
    manner: Manner,
    /// Who the key stands for when it names nobody else.
    own: Arc<Subject>,
}

impl Holder {
    /// The holder of `key`, as the scheme of `manner` names it.
    pub(in crate::auth) fn new(key: Arc<ApiKey>, manner: Manner) -> Self {
        let user = key.user.clone().unwrap_or_else(|| format!("{}{}", manner.prefix, key.name));
        let origin = Origin::Key { name: key.name.as_str().into() };
        let own = Subject { user, groups: key.groups.clone(), scopes: key.scopes.clone(), expires: key.expires, origin, ..Subject::default() };
        Self { key, manner, own: Arc::new(own) }
    }

    /// The key itself.
    pub(in crate::auth) fn key(&self) -> &Arc<ApiKey> {
        &self.key
    }

    /// Whether the key may call this (decoded) path.
    pub(in crate::auth) fn opens(&self, rule_path: &str) -> bool {
        self.key.paths.is_empty() || self.key.paths.iter().any(|pattern| pattern.matches(rule_path))
    }

    /// Whether its wrong signatures are debugged at `now` (Unix seconds).
    pub(in crate::auth) fn is_debugged(&self, stores: &Stores, now: i64) -> bool {
        stores.debugging.is_on(self.key.debug_until, now)
    }

    /// Whether the key may sign with this algorithm. A scheme that knows several asks before it believes one.
    pub(in crate::auth) fn allows(&self, algorithm: &str) -> bool {
        self.key.algorithms.is_empty() || self.key.algorithms.iter().any(|allowed| allowed == algorithm)
    }

    /// Whom a request with this key's good signature stands for. `named` is the user that the request names and signs;
    /// `now` are Unix seconds.
    pub(in crate::auth) fn identify(&self, named: Option<String>, rule_path: &str, now: i64) -> Result<Arc<Subject>, Refusal> {
        let key = self.key();
        if key.not_before.is_some_and(|begins| now < begins) {
            return Err(Refusal::NotYetValid);
        }
        if key.expires.is_some_and(|ends| now >= ends) {
            return Err(Refusal::Expired);
        }
        if !self.manner.algorithms.iter().any(|algorithm| self.allows(algorithm)) {
            return Err(Refusal::Forbidden("the key may not sign with this scheme's algorithm"));
        }
        if !self.opens(rule_path) {
            return Err(Refusal::Forbidden("the path is not among the key's paths"));
        }
        let subject = match named {
            Some(user) if user != self.own.user => self.act_for(user)?,
            Some(_) | None if valid_user_name(&self.own.user) => Arc::clone(&self.own),
            Some(_) | None => return Err(Refusal::Forbidden("the key's user has no name that an application can be told")),
        };
        key.used.at(now);
        Ok(subject)
    }

    /// Another user, with the key's scopes but none of its user's groups: what groups others are in, the key does not say.
    fn act_for(&self, user: String) -> Result<Arc<Subject>, Refusal> {
        if !self.key.impersonate {
            return Err(Refusal::Forbidden("the key may not act for another user"));
        }
        let (scopes, expires, origin) = (self.own.scopes.clone(), self.own.expires, self.own.origin.clone());
        Ok(Arc::new(Subject { user, scopes, expires, origin, ..Subject::default() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000;

    const MANNER: Manner = Manner { prefix: "key:", names_users: true, algorithms: &["hmac-sha1"] };

    fn holder(key: ApiKey) -> Holder {
        Holder::new(Arc::new(ApiKey { name: "a".to_owned(), ..key }), MANNER)
    }

    #[test]
    fn a_key_is_good_from_its_first_second_to_the_one_before_its_last() {
        for (not_before, expires, expected) in [
            (None, None, Ok(())),
            (Some(NOW), Some(NOW + 1), Ok(())),
            (Some(i64::MIN), Some(i64::MAX), Ok(())),
            (Some(NOW + 1), None, Err(Refusal::NotYetValid)),
            (Some(i64::MAX), None, Err(Refusal::NotYetValid)),
            (None, Some(NOW), Err(Refusal::Expired)),
            (None, Some(i64::MIN), Err(Refusal::Expired)),
            (None, Some(0), Err(Refusal::Expired)),
        ] {
            let found = holder(ApiKey { not_before, expires, ..ApiKey::default() }).identify(None, "/", NOW);
            assert_eq!(found.map(drop), expected, "{not_before:?} {expires:?}");
        }
    }

    #[test]
    fn groups_and_scopes_are_told_and_the_groups_only_of_the_keys_own_user() {
        let key = ApiKey {
            groups: vec!["staff".to_owned()],
            scopes: vec!["read".to_owned()],
            impersonate: true,
            expires: Some(NOW + 9),
            ..ApiKey::default()
        };
        let holder = holder(key);
        let own = holder.identify(None, "/", NOW).unwrap();
        assert_eq!((own.user.as_str(), own.groups.len(), own.scopes.len(), own.expires), ("key:a", 1, 1, Some(NOW + 9)));
        let same = holder.identify(Some("key:a".to_owned()), "/", NOW).unwrap();
        assert_eq!(same, own);
        let other = holder.identify(Some("bob".to_owned()), "/", NOW).unwrap();
        assert_eq!((other.user.as_str(), other.groups.len(), other.scopes.len(), other.expires), ("bob", 0, 1, Some(NOW + 9)));
    }

    #[test]
    fn a_key_signs_with_its_own_algorithms_alone() {
        for (algorithms, good) in [(vec![], true), (vec!["hmac-sha1"], true), (vec!["ed25519", "hmac-sha1"], true), (vec!["hmac-sha256"], false)] {
            let key = ApiKey { algorithms: algorithms.iter().map(|name| (*name).to_owned()).collect(), ..ApiKey::default() };
            let holder = holder(key);
            assert_eq!(holder.identify(None, "/", NOW).is_ok(), good, "{algorithms:?}");
            assert_eq!(holder.allows("hmac-sha1"), good, "{algorithms:?}");
        }
    }
}
