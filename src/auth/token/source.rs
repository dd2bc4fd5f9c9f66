//! Where tokens are looked up.

use std::sync::Arc;

use crate::auth::Subject;
use crate::store::Unavailable;
use crate::store::introspection::Introspection;
use crate::store::token_tables::TokenTable;
use crate::store::tokens::Tokens;

/// One place that knows tokens. All of them give facts of one kind, and remember them.
#[derive(Debug)]
pub(super) enum Source {
    /// Doorward's own store.
    Store(Tokens),
    /// Another server.
    Introspection(Arc<Introspection>),
    /// Another program's table.
    Sql(Arc<TokenTable>),
}

impl Source {
    /// What is known of the bearer of `token`; `None` if the source does not know it.
    pub(super) async fn find(&self, token: &str) -> Result<Option<Arc<Subject>>, Unavailable> {
        match self {
            Self::Store(tokens) => tokens.find(token).await,
            Self::Introspection(server) => server.find(token).await,
            Self::Sql(table) => table.find(token).await,
        }
    }
}
