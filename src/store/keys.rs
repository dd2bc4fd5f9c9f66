//! API keys: names with a shared secret.

use std::sync::Arc;

use super::Unavailable;
use crate::types::{PathPattern, Secret};

/// A key that may sign requests.
#[derive(Debug)]
pub struct ApiKey {
    /// Its name, as clients send it.
    pub name: String,
    /// The shared secret.
    pub secret: Secret,
    /// A second secret that is accepted while keys are being changed.
    pub next_secret: Option<Secret>,
    /// Whom the key stands for; the key's own name without it.
    pub user: Option<String>,
    /// Whether it may act for other users.
    pub impersonate: bool,
    /// Which paths it may call; empty: all.
    pub paths: Vec<PathPattern>,
}

/// API keys in the store, remembered for `cache.max_age`.
#[derive(Debug)]
pub struct Keys {}

impl Keys {
    /// The key `name`, unless there is none or it was revoked.
    pub async fn find(&self, name: &str) -> Result<Option<Arc<ApiKey>>, Unavailable> {
        let _ = name;
        todo!()
    }
}
