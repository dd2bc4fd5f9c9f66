//! Key sets of issuers: fetched, refreshed, rotated.

/// All key sets of the process, by source, so that a reload keeps what was fetched.
#[derive(Debug)]
pub struct KeySets {}
