//! A request that was recorded: see `auth/recorded.rs`.

use http_body::Body as _;

use super::component::{self, Message};
use super::fields::{self, Signed};
use super::{HttpMessageSignature, Keys};
use crate::auth::recorded::{Presented, Trial};
use crate::auth::{AuthError, Refusal};
use crate::inbound::Inbound;

impl HttpMessageSignature {
    /// What the request says of itself: by its first signature that the configuration asks for.
    pub(in crate::auth) fn presented(&self, inbound: &mut Inbound) -> Option<Presented> {
        let signed = self.first(inbound).ok()??;
        Some(Presented { key: signed.params.keyid, time: signed.params.created })
    }

    /// The request's signature and its key.
    pub(in crate::auth) async fn trial(&self, inbound: &mut Inbound) -> Result<Option<Trial>, AuthError> {
        let Some(signed) = self.first(inbound)? else { return Ok(None) };
        let Some(name) = &signed.params.keyid else { return Ok(None) };
        let key = self.keys.find(name, &self.stores).await?;
        Ok(key.map(|key| Trial::new(move |text| Keys::made_by(&key, &signed, text))))
    }

    fn first(&self, inbound: &mut Inbound) -> Result<Option<Signed>, Refusal> {
        if !fields::is_mine(inbound.headers()) {
            return Ok(None);
        }
        let length = inbound.payload().size_hint().exact();
        let message = Message::of(inbound, length);
        let readable = |signed: &Signed| component::base(&signed.components, &signed.input, &message).is_ok();
        let mut all = fields::read(message.headers)?.into_iter().filter(|raw| self.rules.asks_for(raw)).filter_map(|raw| raw.read().ok());
        Ok(all.find(readable))
    }
}
