//! `[auth.NAME.jwt]`: what may stand there, and how entries of `issuers` take over from it what they leave out.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use crate::auth::bearer::one_or_many;
use crate::auth::sender;
use crate::types::{ByteSize, HumanDuration, Secret};

/// `[auth.NAME.jwt]`, and an entry of its `issuers`. What is `None` has the default that the documentation names.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Several issuers, instead of the one of the next lines. A text is an issuer that is found by discovery.
    pub issuers: Vec<Entry>,
    /// What `iss` must be. Without another source of keys, its metadata names the key set.
    pub issuer: Option<String>,
    /// `false` for tokens of a shared secret or one public key that name no issuer.
    pub issuer_check: Option<bool>,
    /// A JWK set's URL.
    pub jwks_url: Option<String>,
    /// A JWK set in a file, which is watched.
    pub jwks_file: Option<PathBuf>,
    /// A public key: `BEGIN PUBLIC KEY`.
    pub public_key_file: Option<PathBuf>,
    /// A shared secret, in place.
    pub secret: Option<Secret>,
    /// A shared secret, in a file.
    pub secret_file: Option<PathBuf>,
    /// A shared secret, in the environment.
    pub secret_env: Option<String>,
    /// Certificate authorities to trust for the issuer, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Doorward's own token for the issuer: Kubernetes shows its keys to service accounts.
    pub bearer_token_file: Option<PathBuf>,
    /// `aud` must be or hold one of these.
    #[serde(deserialize_with = "one_or_many")]
    pub audience: Option<Vec<String>>,
    /// `false` for tokens that name no audience.
    pub audience_check: Option<bool>,
    /// The algorithms that are accepted.
    pub algorithms: Option<Vec<String>>,
    /// What `azp` and `client_id` must be.
    #[serde(deserialize_with = "one_or_many")]
    pub authorized_parties: Option<Vec<String>>,
    /// `access`, `rfc9068` or `any`.
    pub token_type: Option<String>,
    /// The claim that is the user's name; nested by dots.
    pub user_claim: Option<String>,
    /// The claim that is the e-mail address.
    pub email_claim: Option<String>,
    /// The claim that lists the groups.
    pub groups_claim: Option<String>,
    /// Claims that must be there.
    pub required_claims: Option<Vec<String>>,
    /// How far clocks may differ.
    pub leeway: Option<HumanDuration>,
    /// Accepted values of the header's `typ`; "" for none.
    pub typ: Option<Vec<String>>,
    /// Longer tokens are refused before they are decoded.
    pub max_token_bytes: Option<ByteSize>,
    /// A list of `jti` whose tokens are not accepted any more, one a line. It is watched.
    pub revoked_file: Option<PathBuf>,
    /// Words before the token in `Authorization`.
    #[serde(deserialize_with = "one_or_many")]
    pub prefix: Option<Vec<String>>,
    /// Another header that holds the token.
    pub header: Option<String>,
    /// A cookie that holds the token.
    pub cookie: Option<String>,
    /// `access_token`, if tokens may stand in the query.
    pub query_parameter: Option<String>,
    /// How a refusal is told: `oauth2` or `flask-jwt`.
    pub error_format: Option<String>,
    /// Whether senders prove that they hold the key that their token is bound to (RFC 9449).
    pub dpop: Option<sender::Settings>,
}

/// One of `issuers`: an issuer's name, or a table.
#[derive(Debug, Clone)]
pub struct Entry(pub Settings);

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrTable;
        impl<'de> Visitor<'de> for NameOrTable {
            type Value = Entry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an issuer's name, or a table with issuer = \"…\"")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Entry, E> {
                Ok(Entry(Settings { issuer: Some(name.to_owned()), ..Settings::default() }))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Entry, A::Error> {
                Settings::deserialize(de::value::MapAccessDeserializer::new(map)).map(Entry)
            }
        }
        deserializer.deserialize_any(NameOrTable)
    }
}

/// Keys that say where one issuer's keys are, or who it is. Beside `issuers` they would be nobody's.
pub(super) const OF_ONE_ISSUER: [&str; 9] =
    ["issuer", "jwks_url", "jwks_file", "public_key_file", "secret", "secret_file", "secret_env", "ca_file", "bearer_token_file"];

/// Keys that are the scheme's, and an issuer of several cannot have otherwise.
pub(super) const OF_THE_SCHEME: [&str; 9] =
    ["issuers", "max_token_bytes", "revoked_file", "prefix", "header", "cookie", "query_parameter", "error_format", "dpop"];

impl Settings {
    /// Those of [`OF_ONE_ISSUER`] that are given.
    pub(super) fn given_of_one_issuer(&self) -> impl Iterator<Item = &'static str> {
        let given = [
            self.issuer.is_some(),
            self.jwks_url.is_some(),
            self.jwks_file.is_some(),
            self.public_key_file.is_some(),
            self.secret.is_some(),
            self.secret_file.is_some(),
            self.secret_env.is_some(),
            self.ca_file.is_some(),
            self.bearer_token_file.is_some(),
        ];
        OF_ONE_ISSUER.into_iter().zip(given).filter(|(_, given)| *given).map(|(key, _)| key)
    }

    /// Those of [`OF_THE_SCHEME`] that are given.
    pub(super) fn given_of_the_scheme(&self) -> impl Iterator<Item = &'static str> {
        let given = [
            !self.issuers.is_empty(),
            self.max_token_bytes.is_some(),
            self.revoked_file.is_some(),
            self.prefix.is_some(),
            self.header.is_some(),
            self.cookie.is_some(),
            self.query_parameter.is_some(),
            self.error_format.is_some(),
            self.dpop.is_some(),
        ];
        OF_THE_SCHEME.into_iter().zip(given).filter(|(_, given)| *given).map(|(key, _)| key)
    }

    /// The rules for the issuer of `entry`: what it leaves out is as it is here.
    pub(super) fn of_entry(&self, entry: &Self) -> Self {
        let (own, ours) = (entry.clone(), self.clone());
        Self {
            issuer_check: own.issuer_check.or(ours.issuer_check),
            // An audience of its own is one that is checked.
            audience_check: own.audience_check.or(if own.audience.is_some() { None } else { ours.audience_check }),
            audience: own.audience.or(ours.audience),
            algorithms: own.algorithms.or(ours.algorithms),
            authorized_parties: own.authorized_parties.or(ours.authorized_parties),
            token_type: own.token_type.or(ours.token_type),
            user_claim: own.user_claim.or(ours.user_claim),
            email_claim: own.email_claim.or(ours.email_claim),
            groups_claim: own.groups_claim.or(ours.groups_claim),
            required_claims: own.required_claims.or(ours.required_claims),
            leeway: own.leeway.or(ours.leeway),
            typ: own.typ.or(ours.typ),
            error_format: ours.error_format,
            revoked_file: ours.revoked_file,
            ..own
        }
    }

    /// Whether the tokens are Flask-JWT's: that changes what is left out.
    pub(super) fn is_flask(&self) -> bool {
        self.error_format.as_deref() == Some("flask-jwt")
    }
}
