//! Opaque bearer tokens.

use std::sync::Arc;

use serde::Deserialize;

use super::{AuthError, Challenge, CredentialNames, Identity, Refusal};
use crate::inbound::{Conn, Inbound};
use crate::store::Stores;
use crate::types::Report;

/// `[auth.NAME.token]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {}

/// The scheme.
#[derive(Debug)]
pub struct Token {}

impl Token {
    /// Builds the scheme; reports what is wrong with the settings and returns `None` then.
    pub fn build(name: &str, settings: Settings, stores: &Arc<Stores>, report: &mut Report) -> Option<Self> {
        let _ = (name, settings, stores, report);
        todo!()
    }

    /// Whether the request bears a credential of this scheme, and whose.
    pub async fn authenticate(&self, conn: &Conn, inbound: &mut Inbound) -> Result<Option<Identity>, AuthError> {
        let _ = (conn, inbound);
        todo!()
    }

    /// How to ask for this scheme's credential.
    pub fn challenge(&self, why: &Refusal) -> Challenge {
        let _ = why;
        todo!()
    }

    /// Where this scheme's credentials travel.
    pub fn credentials(&self) -> CredentialNames {
        todo!()
    }
}
