//! What the configuration says, and the rules made of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::secret::Prefixed;
use crate::auth::signing::{KeySettings, Keyring, Manner};
use crate::types::{ByteSize, HumanDuration, Report};

/// A key without a user stands for its own name.
const MANNER: Manner = Manner { prefix: "", names_users: false, algorithms: &["hmac-sha256"] };

/// `[auth.NAME.aws-v4]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The region that signatures are made for, such as `us-east-1`. Required.
    pub region: String,
    /// The service that they are made for, such as `s3` or `execute-api`. Required.
    pub service: String,
    /// How often paths are escaped; by the service without it.
    pub path_escapes: Option<PathEscapes>,
    /// How far a date may be from this machine's clock, either way.
    pub max_skew: HumanDuration,
    /// How long a signed URL may be good.
    pub max_expiry: HumanDuration,
    /// The longest body of a request that does not say its hash.
    pub max_body: ByteSize,
    /// Whether a body may come that is not signed.
    pub allow_unsigned_payload: bool,
    /// Whether a request may bear a session token of Amazon's. It says nothing here: the key alone decides.
    pub allow_session_token: bool,
    /// Keys by name. They win over keys of the same name in the store.
    pub keys: BTreeMap<String, KeySettings>,
}

/// How often a path is escaped before it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PathEscapes {
    /// As sent: S3.
    Once,
    /// Once more than it is sent: all other services.
    Twice,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            region: String::new(),
            service: String::new(),
            path_escapes: None,
            max_skew: HumanDuration::from_secs(15 * 60),
            max_expiry: HumanDuration::from_secs(7 * 24 * 3600),
            max_body: ByteSize(64 << 20),
            allow_unsigned_payload: false,
            allow_session_token: false,
            keys: BTreeMap::new(),
        }
    }
}

/// All that verifying needs, but for keys that are in the store.
#[derive(Debug)]
pub(super) struct Rules {
    pub name: Arc<str>,
    pub region: String,
    pub service: String,
    /// Whether a path is escaped once more than it was sent.
    pub twice: bool,
    /// Seconds.
    pub max_skew: i64,
    /// Seconds.
    pub max_expiry: i64,
    pub max_body: u64,
    pub allow_unsigned_payload: bool,
    pub allow_session_token: bool,
    pub keys: Keyring<Prefixed>,
}

impl Rules {
    pub(super) fn build(name: &str, settings: Settings, store_has_keys: bool, report: &mut Report) -> Option<Self> {
        let mut sound = true;
        let words = [("region", &settings.region, "us-east-1"), ("service", &settings.service, "s3")];
        for (key, value, example) in words {
            if value.is_empty() || !value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
                let problem = "a signature is made for one region and one service, and this one is not named";
                report.error(key, problem, &format!("write what the clients sign for, such as {key} = \"{example}\""));
                sound = false;
            }
        }
        let [max_skew, max_expiry] = [settings.max_skew, settings.max_expiry].map(|limit| i64::try_from(limit.0.as_secs()).unwrap_or(i64::MAX));
        for (key, limit, remedy) in [("max_skew", max_skew, "write at least \"1s\""), ("max_expiry", max_expiry, "write \"1h\", or \"7d\"")] {
            if limit == 0 {
                report.error(key, "dates count whole seconds", remedy);
                sound = false;
            }
        }
        if settings.max_skew.0 > Duration::from_secs(15 * 60) {
            report.warn("max_skew", "a signature that was overheard stays good for long", "set the clocks right and write \"15m\"");
        }
        if settings.allow_unsigned_payload {
            report.warn(
                "allow_unsigned_payload",
                "whoever holds a request back can change its body",
                "leave it out, and let the clients sign bodies",
            );
        }
        if settings.allow_session_token {
            report.warn("allow_session_token", "the token is not checked: it stays good when Amazon's has expired", "leave it out");
        }
        let keys = Keyring::build(settings.keys, (name, "aws-v4"), MANNER, store_has_keys, report).filter(|_| sound)?;
        let of_s3 = matches!(settings.service.as_str(), "s3" | "s3express" | "s3-outposts" | "s3-object-lambda");
        let escapes = settings.path_escapes.unwrap_or(if of_s3 { PathEscapes::Once } else { PathEscapes::Twice });
        Some(Self {
            name: name.into(),
            region: settings.region,
            service: settings.service,
            twice: escapes == PathEscapes::Twice,
            max_skew,
            max_expiry,
            max_body: settings.max_body.0,
            allow_unsigned_payload: settings.allow_unsigned_payload,
            allow_session_token: settings.allow_session_token,
            keys,
        })
    }
}
