//! Key sets of issuers: fetched, refreshed, rotated.

/// All key sets of the process, by source, so that a reload keeps what was fetched.
#[derive(Debug)]
pub struct KeySets {}

impl KeySets {
    /// Without any set yet. Fetches run on `aux`.
    #[must_use]
    pub fn new(aux: tokio::runtime::Handle) -> Self {
        let _ = aux;
        Self {}
    }
}
