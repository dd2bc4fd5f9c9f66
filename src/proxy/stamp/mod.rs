//! Who the application is told to be asking: the user header, mapped headers, and the signatures over them.
//!
//! ```text
//! X-Forwarded-User: alice
//! X-Forwarded-Groups: staff,ops
//! X-Doorward-Signature: v1;t=1790000000;k=2026-11;s=…       over user, method and target
//! X-Doorward-Assertion: eyJ…                                the identity as a JWT
//! Authorization: FOST 2026-11:…                             over user, method, path, and body or query
//! Signature-Input: doorward=(…), Signature: doorward=:…:    over all of the above but the other signatures, method and target
//! ```
//!
//! A name that cannot be told exactly is refused, never cleaned and never left out.

mod assertion;
mod attribute;
mod encoding;
pub mod fost;
mod hmac;
mod keys;
mod message;
mod names;
mod settings;
mod verify;

#[cfg(test)]
mod tests;

use http::{HeaderName, HeaderValue, Method};
use serde_json::{Map, Value};

use self::assertion::Assertions;
use self::attribute::Attribute;
use self::encoding::Encoding;
use self::fost::Fost;
use self::keys::Keys;
use self::settings::Names;
use crate::auth::{Subject, claim, valid_user_name};
use crate::inbound::Lines;
use crate::types::Report;

pub use self::assertion::AssertionError;
pub use self::hmac::{Parsed, SignatureError, parse, verify_hmac};
pub use self::keys::{KeyList, KeySettings};
pub use self::settings::Settings;
pub use self::verify::{Check, Received};

/// The longest body of a signed request, where the configuration does not say.
const MAX_BODY: u64 = 64 << 20;

/// Writes and signs the identity.
#[derive(Debug)]
pub struct IdentityStamp {
    user_header: HeaderName,
    assertion_header: HeaderName,
    encoding: Encoding,
    mapped: Vec<(HeaderName, Attribute)>,
    reserved: Vec<HeaderName>,
    /// What the signatures write, and a client may send for a scheme to read.
    shared: Vec<HeaderName>,
    keys: Keys,
    signs_hmac: bool,
    signs_message: bool,
    fost: Option<Fost>,
    assertions: Option<Assertions>,
    jwks: bytes::Bytes,
}

/// The name cannot be told to the application as configured: 403, never "no header".
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unstampable(pub &'static str);

impl IdentityStamp {
    /// Reads the keys and prepares them.
    pub fn build(settings: Settings, report: &mut Report) -> Option<Self> {
        let names = Names::read(&settings, report);
        let encoding = settings::read_encoding(settings.encoding.as_deref(), report);
        let keys = settings.keys.load(report);
        let kinds = settings::read_signature(settings.signature, report);
        let assertions = match &kinds {
            Some(kinds) if kinds.jwt => settings::read_assertions(settings.issuer, settings.audience, report).map(Some),
            Some(_) => Some(None),
            None => None,
        };
        let (names, encoding, keys, kinds, assertions) = (names?, encoding?, keys?, kinds?, assertions?);
        let shared = kinds.shared_names();
        let distinct = names.are_distinct_from(&shared, report);
        if settings.max_body.is_some() && !kinds.fost {
            report.error("max_body", "only a signature with \"fost\" covers bodies", "leave it out");
            return None;
        }
        let lacks_secret = (kinds.hmac || kinds.fost) && keys.shared.is_empty();
        if lacks_secret {
            let remedy = "add [identity.keys.\"NAME\"] with secret_file = \"PATH\" (at least 32 bytes), or write signature = []";
            let problem =
                if kinds.hmac { "signature = [\"hmac\"], the default, needs a key with a secret" } else { "\"fost\" needs a key with a secret" };
            report.error("keys", problem, remedy);
        }
        let lacks_key = (kinds.jwt || kinds.message) && keys.private.is_empty();
        if lacks_key {
            let problem = if kinds.jwt { "\"jwt\" needs a private key" } else { "\"http-message-signature\" needs a private key" };
            report.error("keys", problem, "add [identity.keys.\"NAME\"] with private_key_file = \"PATH\" (PKCS#8 PEM)");
        }
        let jwks: Vec<Value> = keys.private.iter().filter_map(|(id, key)| key.jwk(id)).collect();
        let max_body = settings.max_body.map_or(MAX_BODY, |size| size.0);
        let first = keys.fost.first().filter(|_| kinds.fost).map(|(id, state)| Fost::new(id.clone(), state.clone(), max_body));
        (distinct && !lacks_secret && !lacks_key).then(|| Self {
            user_header: names.user,
            assertion_header: names.assertion,
            encoding,
            mapped: names.mapped,
            reserved: names.reserved,
            shared,
            signs_hmac: kinds.hmac,
            signs_message: kinds.message,
            keys,
            fost: first,
            assertions,
            jwks: serde_json::json!({ "keys": jwks }).to_string().into(),
        })
    }

    /// Every header name that this stamp may write, and `also_strip`: no client may send one, in any spelling.
    #[must_use]
    pub fn reserved(&self) -> Vec<HeaderName> {
        self.reserved.clone()
    }

    /// Writes the user header, the mapped headers and the signatures behind `lines`, each exactly once. Whoever sends them sends none of
    /// [`Self::reserved`] beside, also none of which nothing is written here.
    /// `host` is what the client asked for, `target` the path and query exactly as sent upstream; `now` is Unix seconds.
    pub fn write(
        &self,
        subject: &Subject,
        (method, host, target): (&Method, &HeaderValue, &str),
        now: i64,
        lines: &mut Lines,
    ) -> Result<(), Unstampable> {
        if !valid_user_name(&subject.user) {
            return Err(Unstampable("the user has no name that an application can be told"));
        }
        let user = self.encoding.value(&subject.user)?;
        if self.signs_hmac {
            let (id, state) = self.keys.shared.first().ok_or(Unstampable("there is no key to sign with"))?;
            let signature = hmac::sign(state, id, method.as_str(), target, user.as_bytes(), now);
            lines.push(&names::SIGNATURE, &signature.ok_or(Unstampable("the signature cannot be written into a header"))?);
        }
        if let Some(assertions) = &self.assertions {
            let key = self.keys.private.first().ok_or(Unstampable("there is no key to sign with"))?;
            lines.push(&self.assertion_header, &assertions.write(key, self.claims(subject), now)?);
        }
        lines.push(&self.user_header, &user);
        let mut mapped = Vec::new();
        for (name, attribute) in &self.mapped {
            if let Some(value) = attribute.write(subject, self.encoding)? {
                lines.push(name, &value);
                mapped.push((name, value));
            }
        }
        if !self.signs_message {
            return Ok(());
        }
        let told = |wanted: &HeaderName| {
            let mut all = std::iter::once((&self.user_header, &user)).chain(mapped.iter().map(|(name, value)| (*name, value)));
            all.find(|(name, _)| *name == wanted).map(|(_, value)| value.as_bytes())
        };
        self.sign_message(&self.stamped(method.as_str(), host.as_bytes(), target, told), now, lines)
    }

    /// Headers that the stamp writes, and that a client may send for a scheme to read. They are taken off every request.
    #[must_use]
    pub fn shared_names(&self) -> Vec<HeaderName> {
        self.shared.clone()
    }

    /// Signs whole requests, where the configuration asks for it.
    #[must_use]
    pub fn fost(&self) -> Option<&Fost> {
        self.fost.as_ref()
    }

    /// Signs the identity headers that were written.
    fn sign_message(&self, stamped: &message::Stamped<'_>, now: i64, lines: &mut Lines) -> Result<(), Unstampable> {
        let key = self.keys.private.first().ok_or(Unstampable("there is no key to sign with"))?;
        let (input, signature) = stamped.sign(key, now).ok_or(Unstampable("the identity could not be signed"))?;
        for (name, value) in [(message::INPUT, input), (message::SIGNATURE, signature)] {
            lines.push(&name, &value.try_into().map_err(|_| Unstampable("the signature cannot be written into a header"))?);
        }
        Ok(())
    }

    /// What a message signature covers: the user header, then the mapped ones that are there.
    fn stamped<'a>(
        &'a self,
        method: &'a str,
        host: &'a [u8],
        target: &'a str,
        value: impl Fn(&HeaderName) -> Option<&'a [u8]>,
    ) -> message::Stamped<'a> {
        let names = std::iter::once(&self.user_header).chain(self.mapped.iter().map(|(name, _)| name));
        let identity = names.filter_map(|name| Some((name.as_str(), value(name)?))).collect();
        message::Stamped { method, host, target, identity }
    }

    /// The public keys as a JWK set (RFC 7517): the body of `/.doorward/jwks.json`.
    #[must_use]
    pub fn jwks(&self) -> &bytes::Bytes {
        &self.jwks
    }

    /// What the assertion says of `subject`, but for issuer, audience and times.
    fn claims(&self, subject: &Subject) -> Map<String, Value> {
        let mut claims = Map::new();
        claims.insert("sub".to_owned(), subject.user.as_str().into());
        if let Some(email) = &subject.email {
            claims.insert("email".to_owned(), email.as_str().into());
        }
        if !subject.groups.is_empty() {
            claims.insert("groups".to_owned(), subject.groups.clone().into());
        }
        for (_, attribute) in &self.mapped {
            match attribute {
                Attribute::Claim(path) if assertion::may_map(path) => {
                    if let Some(value) = claim(&subject.claims, path) {
                        claims.insert(path.clone(), value.clone());
                    }
                }
                Attribute::Scopes if !subject.scopes.is_empty() => {
                    // One string of words, RFC 8693 section 4.2.
                    claims.insert("scope".to_owned(), subject.scopes.join(" ").into());
                }
                Attribute::Claim(_) | Attribute::Scopes | Attribute::User | Attribute::Email | Attribute::Groups => {}
            }
        }
        claims
    }
}
