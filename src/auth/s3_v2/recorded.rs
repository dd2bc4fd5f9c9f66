//! A request that was recorded: see `auth/recorded.rs`.

use super::document::Head;
use super::request::{self, Signed};
use super::{Macs, S3V2, Time, query};
use crate::auth::recorded::{Presented, Trial};
use crate::auth::{AuthError, Refusal};
use crate::inbound::Inbound;

impl S3V2 {
    /// What the request says of itself.
    pub(in crate::auth) fn presented(&self, inbound: &Inbound) -> Option<Presented> {
        let signed = self.read(inbound).ok()??;
        let time = match signed.time {
            Time::Signed(at) | Time::Expires(at) => at,
        };
        Some(Presented { key: Some(signed.key), time: Some(time) })
    }

    /// The request's signature and its key.
    pub(in crate::auth) async fn trial(&self, inbound: &Inbound) -> Result<Option<Trial>, AuthError> {
        let Some(signed) = self.read(inbound)? else { return Ok(None) };
        let key = self.rules.keys.find(&signed.key, &self.stores).await?;
        let states = key.map(|key| self.rules.keys.states(Some(&key)).to_vec());
        Ok(states.map(|states| Trial::new(move |text| Macs::begin(&states, std::iter::once(text)).match_any(&signed.tag))))
    }

    fn read(&self, inbound: &Inbound) -> Result<Option<Signed>, Refusal> {
        let (head, unsigned) = (Head::of(inbound), self.rules.allow_unsigned_query);
        match (request::is_mine(inbound.headers()), query::is_mine(inbound.query())) {
            (true, _) => request::read_headers(&head, unsigned).map(Some),
            (false, true) => request::read_url(&head, unsigned).map(Some),
            (false, false) => Ok(None),
        }
    }
}
