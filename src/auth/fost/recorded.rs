//! A request that was recorded: see `auth/recorded.rs`.

use super::key::Macs;
use super::request::Head;
use super::{Fost, request, url};
use crate::auth::AuthError;
use crate::auth::recorded::{Presented, Trial};
use crate::inbound::Inbound;

impl Fost {
    /// What the request says of itself.
    pub(in crate::auth) fn presented(&self, inbound: &Inbound) -> Option<Presented> {
        let head = Head::of(inbound);
        if request::is_mine(inbound.headers()) {
            let signed = request::read(&head).ok()?;
            return Some(Presented { key: Some(signed.key), time: Some(signed.seconds) });
        }
        let signed = url::is_mine(inbound.query()).then(|| url::read(&head).ok())??;
        Some(Presented { key: Some(signed.key), time: signed.expires })
    }

    /// The request's signature and its key.
    pub(in crate::auth) async fn trial(&self, inbound: &Inbound) -> Result<Option<Trial>, AuthError> {
        let head = Head::of(inbound);
        let (name, tag) = if request::is_mine(inbound.headers()) {
            let signed = request::read(&head)?;
            (signed.key, signed.tag)
        } else {
            let signed = url::read(&head)?;
            (signed.key, signed.tag)
        };
        let key = self.rules.keys.find(&name, &self.stores).await?;
        let states = key.map(|key| self.rules.states(Some(&key)).to_vec());
        Ok(states.map(|states| Trial::new(move |text| Macs::begin(&states, std::iter::once(text)).match_any(&tag))))
    }
}
