//! May this identity do this? The only place that makes a [`Permit`].

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Identity;
use crate::inbound::Inbound;
use crate::types::Report;

/// `[route.require]`: every line must hold; a list is any-of.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Users, by exact name.
    pub users: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// OAuth scopes.
    pub scopes: Vec<String>,
    /// Claims by dotted path; each must have, or hold in its list, one of the values.
    pub claims: BTreeMap<String, Vec<serde_json::Value>>,
    /// Query parameters: only these values, and only once.
    pub query: BTreeMap<String, Vec<String>>,
}

/// A route's policy.
#[derive(Debug)]
pub struct Policy {}

/// Proof that policy was asked and said yes. Forwarding takes one by value; only [`Policy::authorize`] makes one.
#[derive(Debug)]
pub struct Permit {
    identity: Option<Identity>,
}

impl Permit {
    /// Whom the request is forwarded for; `None` on a public route.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }
}

/// Why policy said no. The log is told the line of `require` that did not hold; the client is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// A line of `require` does not hold; names the line, such as `groups`.
    #[error("require.{0} does not hold")]
    Require(&'static str),
    /// The token lacks a scope; holds the scopes that the route asks for, separated by spaces (RFC 6750 section 3.1).
    #[error("the token has none of the scopes {0:?}")]
    Scope(String),
}

impl Policy {
    /// Builds a policy. `public` routes may only have `query`.
    pub fn build(settings: Settings, public: bool, report: &mut Report) -> Option<Self> {
        let _ = (settings, public, report);
        todo!()
    }

    /// Judges `identity` on this request. `identity` is `None` on a public route alone.
    pub fn authorize(&self, identity: Option<Identity>, inbound: &Inbound) -> Result<Permit, Denied> {
        let _ = inbound;
        Ok(Permit { identity })
    }
}
