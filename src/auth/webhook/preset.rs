//! The forms of well-known senders, and of one's own.
//!
//! | | signature | signed | moment |
//! | --- | --- | --- | --- |
//! | `github` | `X-Hub-Signature-256: sha256=HEX` | `{body}` | none |
//! | `stripe` | `Stripe-Signature: t=SECONDS,v1=HEX,…` | `{timestamp}.{body}` | `t` |
//! | `slack` | `X-Slack-Signature: v0=HEX` | `v0:{timestamp}:{body}` | `X-Slack-Request-Timestamp` |
//! | `standard-webhooks` | `webhook-signature: v1,BASE64 v1a,BASE64` | `{id}.{timestamp}.{body}` | `webhook-timestamp` |
//! | `svix` | the same, named `svix-…` | | |

use http::HeaderName;
use serde::Deserialize;

use super::header::{Encoding, Layout, Made, TimestampFormat};
use super::secrets::SecretEncoding;
use super::template::Template;
use crate::auth::signing::Algorithm;
use crate::types::Report;

/// Well-known senders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// GitHub, Gitea and others that copied it.
    Github,
    /// Stripe.
    Stripe,
    /// Slack.
    Slack,
    /// All that follow the specification Standard Webhooks.
    StandardWebhooks,
    /// The same under the names that Svix gave the headers.
    Svix,
}

/// `[auth.NAME.webhook.template]`: a sender's own form.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateSettings {
    /// The header that holds the signature.
    pub signature_header: String,
    /// What stands before the signature there.
    #[serde(default)]
    pub prefix: String,
    /// The field of the header that is the signature, where it is a list of `name=value`.
    pub field: Option<String>,
    /// How the signature's bytes are written.
    #[serde(default)]
    pub encoding: Encoding,
    /// What is signed.
    pub signed: String,
    /// The header that holds the moment.
    pub timestamp_header: Option<String>,
    /// The field of the signature's header that holds the moment.
    pub timestamp_field: Option<String>,
    /// How the moment is written.
    #[serde(default)]
    pub timestamp_format: TimestampFormat,
    /// The header that holds the delivery's id.
    pub id_header: Option<String>,
    /// How the signature is made.
    #[serde(default)]
    pub algorithm: Way,
    /// How the secret is written.
    #[serde(default)]
    pub secret_encoding: SecretEncoding,
}

/// How a signature is made.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Way {
    /// For old senders only.
    #[serde(rename = "hmac-sha1")]
    HmacSha1,
    /// The usual one.
    #[default]
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    /// The same with SHA-384.
    #[serde(rename = "hmac-sha384")]
    HmacSha384,
    /// The same with SHA-512.
    #[serde(rename = "hmac-sha512")]
    HmacSha512,
    /// With a private key.
    #[serde(rename = "ed25519")]
    Ed25519,
}

/// Where everything stands in a delivery.
#[derive(Debug)]
pub(super) struct Form {
    pub signature_header: HeaderName,
    pub layout: Layout,
    pub encoding: Encoding,
    pub made: Made,
    /// Of those that are made with a secret.
    pub algorithm: Algorithm,
    pub signed: Template,
    pub timestamp: Option<(Place, TimestampFormat)>,
    pub id_header: Option<HeaderName>,
    pub secret_encoding: SecretEncoding,
}

/// Where the moment stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Header(HeaderName),
    /// In the signature's header.
    Field,
}

impl Form {
    /// The headers that are signed, or hold what is.
    pub(super) fn covered(&self) -> Vec<HeaderName> {
        let timestamp = self.timestamp.iter().filter_map(|(place, _)| match place {
            Place::Header(name) => Some(name),
            Place::Field => None,
        });
        self.signed.headers().chain(timestamp).chain(&self.id_header).cloned().collect()
    }
}

impl Preset {
    /// The same as a template would say it.
    fn settings(self) -> TemplateSettings {
        let form = |header: &str, signed: &str, timestamp: Option<&str>| TemplateSettings {
            signature_header: header.to_owned(),
            prefix: String::new(),
            field: None,
            encoding: Encoding::Hex,
            signed: signed.to_owned(),
            timestamp_header: timestamp.map(str::to_owned),
            timestamp_field: None,
            timestamp_format: TimestampFormat::Unix,
            id_header: None,
            algorithm: Way::HmacSha256,
            secret_encoding: SecretEncoding::Text,
        };
        let standard = |brand: &str| TemplateSettings {
            encoding: Encoding::Base64,
            id_header: Some(format!("{brand}-id")),
            secret_encoding: SecretEncoding::Base64,
            ..form(&format!("{brand}-signature"), "{id}.{timestamp}.{body}", Some(&format!("{brand}-timestamp")))
        };
        match self {
            Self::Github => TemplateSettings { prefix: "sha256=".to_owned(), ..form("x-hub-signature-256", "{body}", None) },
            Self::Slack => {
                TemplateSettings { prefix: "v0=".to_owned(), ..form("x-slack-signature", "v0:{timestamp}:{body}", Some("x-slack-request-timestamp")) }
            }
            Self::Stripe => TemplateSettings {
                field: Some("v1".to_owned()),
                timestamp_field: Some("t".to_owned()),
                ..form("stripe-signature", "{timestamp}.{body}", None)
            },
            Self::StandardWebhooks => standard("webhook"),
            Self::Svix => standard("svix"),
        }
    }

    /// Its form.
    pub(super) fn form(self) -> Option<Form> {
        let mut form = self.settings().build(&mut Report::default())?;
        if matches!(self, Self::StandardWebhooks | Self::Svix) {
            form.layout = Layout::Versions;
        }
        Some(form)
    }

    /// Another header that carries this sender's credential, and is not looked at.
    pub(super) fn other_header(self) -> Option<HeaderName> {
        match self {
            Self::Github => Some(HeaderName::from_static("x-hub-signature")),
            Self::Stripe | Self::Slack | Self::StandardWebhooks | Self::Svix => None,
        }
    }
}

impl TemplateSettings {
    /// The form; reports each mistake and returns `None` then.
    pub(super) fn build(self, report: &mut Report) -> Option<Form> {
        let signed = Template::parse(&self.signed).map_err(|problem| report.error("signed", &problem, "write such as \"{timestamp}.{body}\"")).ok();
        let signature_header = header("signature_header", &self.signature_header, report);
        let timestamp = self.timestamp_header.as_deref().map(|name| header("timestamp_header", name, report));
        let id = self.id_header.as_deref().map(|name| header("id_header", name, report));
        let mut sound = timestamp != Some(None) && id != Some(None);
        let mut mistake = |wrong: bool, key: &str, problem: &str, remedy: &str| {
            if wrong {
                report.error(key, problem, remedy);
                sound = false;
            }
        };
        let fields = self.field.is_some();
        mistake(fields && !self.prefix.is_empty(), "prefix", "a list of fields has no prefix", "keep one of prefix and field");
        mistake(self.timestamp_field.is_some() && !fields, "timestamp_field", "the header is no list of fields", "write field, or timestamp_header");
        mistake(
            self.timestamp_field.is_some() && timestamp.is_some(),
            "timestamp_field",
            "the moment stands in two places",
            "keep one of timestamp_field and timestamp_header",
        );
        if let Some(signed) = &signed {
            let dated = timestamp.is_some() || self.timestamp_field.is_some();
            mistake(signed.uses_timestamp() && !dated, "signed", "{timestamp} stands nowhere", "write timestamp_header, or timestamp_field");
            mistake(
                !signed.uses_timestamp() && dated,
                "signed",
                "the moment is not signed",
                "write {timestamp} where the sender signs it, or leave out where it stands",
            );
            mistake(signed.uses_id() != id.is_some(), "signed", "{id} and id_header go together", "write both or none");
        }
        let (Some(signed), Some(signature_header), true) = (signed, signature_header, sound) else { return None };
        if signed.is_loose() {
            report.warn(
                "signed",
                "two parts touch: whoever holds a delivery back can move bytes from one to the other",
                "ask the sender for a separator",
            );
        }
        let (made, algorithm) = self.algorithm.split(report);
        let place = if self.timestamp_field.is_some() { Some(Place::Field) } else { timestamp.flatten().map(Place::Header) };
        let layout = match self.field {
            Some(signature) => Layout::Fields { signature, timestamp: self.timestamp_field },
            None => Layout::Prefix(self.prefix),
        };
        Some(Form {
            signature_header,
            layout,
            encoding: self.encoding,
            made,
            algorithm,
            signed,
            timestamp: place.map(|place| (place, self.timestamp_format)),
            id_header: id.flatten(),
            secret_encoding: self.secret_encoding,
        })
    }
}

impl Way {
    fn split(self, report: &mut Report) -> (Made, Algorithm) {
        match self {
            Self::HmacSha1 => {
                report.warn("algorithm", "hmac-sha1 is for senders that know nothing else", "ask the sender for SHA-256");
                (Made::Mac, Algorithm::HmacSha1)
            }
            Self::HmacSha256 => (Made::Mac, Algorithm::HmacSha256),
            Self::HmacSha384 => (Made::Mac, Algorithm::HmacSha384),
            Self::HmacSha512 => (Made::Mac, Algorithm::HmacSha512),
            Self::Ed25519 => (Made::Ed25519, Algorithm::HmacSha256),
        }
    }
}

fn header(key: &str, name: &str, report: &mut Report) -> Option<HeaderName> {
    let parsed = HeaderName::from_bytes(name.as_bytes()).ok();
    if parsed.is_none() {
        report.error(key, "this is not the name of a header", "write a name such as \"X-Signature\"");
    }
    parsed
}
