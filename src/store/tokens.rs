//! Opaque tokens that Doorward gave out. Only their SHA-256 is stored.

use std::sync::Arc;

use super::Unavailable;
use super::facts::Subject;

/// Tokens in the store, remembered for `cache.max_age`.
#[derive(Debug)]
pub struct Tokens {}

impl Tokens {
    /// What is known of the bearer of `token`; `None` if it is unknown, revoked, or its user is disabled. The caller
    /// judges `Subject::expires`.
    pub async fn find(&self, token: &str) -> Result<Option<Arc<Subject>>, Unavailable> {
        let _ = token;
        todo!()
    }
}
