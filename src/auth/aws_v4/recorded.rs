//! A request that was recorded: see `auth/recorded.rs`.

use hmac::Mac as _;
use http_body::Body as _;
use sha2::{Digest as _, Sha256};

use super::canonical::Head;
use super::request::{Signed, string_to_sign};
use super::secret::{Plain, signing_key};
use super::{AwsV4, query, request};
use crate::auth::recorded::{Presented, Trial};
use crate::auth::{AuthError, Refusal};
use crate::inbound::Inbound;

impl AwsV4 {
    /// What the request says of itself.
    pub(in crate::auth) fn presented(&self, inbound: &mut Inbound) -> Option<Presented> {
        let signed = self.read(inbound).ok()??;
        Some(Presented { key: Some(signed.key), time: Some(signed.time.signed) })
    }

    /// The request's signature and its key. What is tried is the canonical request.
    pub(in crate::auth) async fn trial(&self, inbound: &mut Inbound) -> Result<Option<Trial>, AuthError> {
        let Some(signed) = self.read(inbound)? else { return Ok(None) };
        let Some(key) = self.rules.keys.find(&signed.key, &self.stores).await? else { return Ok(None) };
        let scope = self.rules.scope(&signed.stamp);
        let states: Vec<Plain> = self.rules.keys.states(Some(&key)).iter().filter_map(|secret| signing_key(secret, &scope)).collect();
        let before = string_to_sign(&signed.stamp, &scope, b"");
        Ok(Some(Trial::new(move |text| {
            let document = format!("{before}{}", request::hex(&Sha256::digest(text)));
            states.iter().fold(false, |good, state| state.clone().chain_update(&document).verify_slice(&signed.tag).is_ok() | good)
        })))
    }

    fn read(&self, inbound: &mut Inbound) -> Result<Option<Signed>, Refusal> {
        let length = inbound.payload().size_hint().exact();
        let head = Head::of(inbound, length);
        match (request::is_mine(inbound.headers()), query::is_mine(inbound.query())) {
            (true, _) => request::read_headers(&head, &self.rules).map(Some),
            (false, true) => request::read_url(&head, &self.rules).map(Some),
            (false, false) => Ok(None),
        }
    }
}
