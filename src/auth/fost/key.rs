//! The keys of this scheme: HMAC-SHA1, and they may name users.

use hmac::Hmac;
use sha1::Sha1;

use crate::auth::signing::{self, Manner};

/// The raw HMAC-SHA1 that a request bears.
pub(super) type Tag = [u8; 20];

/// One MAC, waiting for its document.
pub(super) type State = Hmac<Sha1>;

pub(super) type Keyring = signing::Keyring<State>;
pub(super) type Macs = signing::Macs<State>;
pub(super) type PreparedKey = signing::PreparedKey<State>;

/// A key without a user stands for its own name.
pub(super) const MANNER: Manner = Manner { prefix: "", names_users: true, algorithms: &["hmac-sha1"] };
