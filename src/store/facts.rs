//! Facts learned by verifying: what a credential says of its bearer. Never a decision.

use std::sync::Arc;

use serde_json::{Map, Value};

/// What is known of a caller. Facts, not decisions: policy judges them anew on every request.
#[derive(Debug, Default, PartialEq)]
pub struct Subject {
    /// The name that the application is told. Never empty, never with a control character: see `auth::valid_user_name`.
    pub user: String,
    /// E-mail address, if known.
    pub email: Option<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// OAuth scopes; empty for schemes that have none.
    pub scopes: Vec<String>,
    /// All claims of a token; empty for schemes that have none.
    pub claims: Map<String, Value>,
    /// Unix seconds after which these facts no longer hold.
    pub expires: Option<i64>,
}

/// SHA-256 over the length-prefixed scheme name and credential: never the credential itself.
pub type FactKey = [u8; 32];

/// Facts by credential, bounded. A hit is synchronous.
#[derive(Debug)]
pub struct Facts {}

impl Facts {
    /// With room for `capacity` facts.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        let _ = capacity;
        todo!()
    }

    /// The key of `credential` under the scheme named `scheme`.
    #[must_use]
    pub fn key(scheme: &str, credential: &[u8]) -> FactKey {
        let _ = (scheme, credential);
        todo!()
    }

    /// The fact, if it is known and `now` is before its deadline (Unix seconds).
    #[must_use]
    pub fn get(&self, key: &FactKey, now: i64) -> Option<Arc<Subject>> {
        let _ = (key, now);
        todo!()
    }

    /// Remembers a fact until `deadline` (Unix seconds), which the caller computes from when verifying BEGAN:
    /// min(the token's expiry, begin + max_age).
    pub fn insert(&self, key: FactKey, subject: Arc<Subject>, deadline: i64) {
        let _ = (key, subject, deadline);
        todo!()
    }
}
