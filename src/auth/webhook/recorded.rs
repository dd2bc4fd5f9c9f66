//! A request that was recorded: see `auth/recorded.rs`.

use std::sync::Arc;

use super::Webhook;
use super::template::Head;
use crate::auth::AuthError;
use crate::auth::recorded::{Presented, Trial};
use crate::inbound::Inbound;

impl Webhook {
    /// What the delivery says of itself. There are no keys with names.
    pub(in crate::auth) fn presented(&self, inbound: &Inbound) -> Option<Presented> {
        let delivery = self.rules.read(Head::of(inbound)).ok()?;
        Some(Presented { key: None, time: delivery.time })
    }

    /// The delivery's signatures and the sender's secrets.
    pub(in crate::auth) fn trial(&self, inbound: &Inbound) -> Result<Option<Trial>, AuthError> {
        let delivery = self.rules.read(Head::of(inbound))?;
        let rules = Arc::clone(&self.rules);
        Ok(Some(Trial::new(move |text| rules.made(&delivery, text))))
    }
}
