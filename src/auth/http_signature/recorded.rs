//! A request that was recorded: see `auth/recorded.rs`.

use super::HttpSignature;
use super::document::{self, Head};
use super::request::{self, Signed};
use crate::auth::recorded::{Presented, Trial};
use crate::auth::{AuthError, Refusal};
use crate::inbound::Inbound;

impl HttpSignature {
    /// What the request says of itself.
    pub(in crate::auth) fn presented(&self, inbound: &mut Inbound) -> Option<Presented> {
        let signed = self.read(inbound).ok()??;
        Some(Presented { key: Some(signed.key), time: signed.times.signed.first().copied() })
    }

    /// The request's signature and its key.
    pub(in crate::auth) async fn trial(&self, inbound: &mut Inbound) -> Result<Option<Trial>, AuthError> {
        let Some(signed) = self.read(inbound)?.filter(|signed| signed.rsa.is_none()) else { return Ok(None) };
        let algorithm = self.rules.algorithm(&signed)?;
        let key = self.rules.keys.find(&signed.key, &self.stores).await?;
        let seeds = key.map(|key| self.rules.keys.states(Some(&key)).to_vec());
        Ok(seeds.map(|seeds| Trial::new(move |text| algorithm.verify(&seeds, &[text.to_vec()], &signed.tag))))
    }

    fn read(&self, inbound: &mut Inbound) -> Result<Option<Signed>, Refusal> {
        let length = document::length(inbound);
        let head = Head::of(inbound, length);
        let claimed = request::claimed(&head, self.rules.dialect)?;
        claimed.map(|claimed| request::read(&head, self.rules.dialect, claimed)).transpose()
    }
}
