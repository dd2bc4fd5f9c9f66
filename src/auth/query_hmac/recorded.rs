//! A request that was recorded: see `auth/recorded.rs`.

use super::request::{self, Claim};
use super::timestamp::SECOND;
use super::{Macs, QueryHmac};
use crate::auth::AuthError;
use crate::auth::recorded::{Presented, Trial};
use crate::inbound::Inbound;

impl QueryHmac {
    /// What the request says of itself.
    pub(in crate::auth) fn presented(&self, inbound: &Inbound) -> Option<Presented> {
        let signed = match request::claim(inbound.query()) {
            Claim::Whole => request::read(inbound.path(), inbound.query()?)?,
            Claim::None | Claim::Part => return None,
        };
        Some(Presented { key: Some(signed.key), time: signed.time.map(|micros| micros.div_euclid(SECOND)) })
    }

    /// The request's signature and its key.
    pub(in crate::auth) async fn trial(&self, inbound: &Inbound) -> Result<Option<Trial>, AuthError> {
        let Some(signed) = request::read(inbound.path(), inbound.query().unwrap_or_default()) else { return Ok(None) };
        let Some(tag) = signed.tag else { return Ok(None) };
        let key = self.rules.keys.find(&signed.key, &self.stores).await?;
        let states = key.map(|key| self.rules.keys.states(Some(&key)).to_vec());
        Ok(states.map(|states| Trial::new(move |text| Macs::begin(&states, std::iter::once(text)).match_any(&tag))))
    }
}
