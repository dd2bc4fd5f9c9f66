//! All SQL of Doorward's own store.

/// The database.
#[derive(Debug, Clone)]
pub struct Db {}
