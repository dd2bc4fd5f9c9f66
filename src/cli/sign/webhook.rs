//! `--scheme webhook`.

use anyhow::Context as _;
use doorward::auth::WithText;
use doorward::auth::webhook::{Preset, sign};

use super::{Signed, Wanted};

/// Well-known senders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum PresetName {
    Github,
    Stripe,
    Slack,
    /// With a secret that begins with whsec_
    StandardWebhooks,
    /// The same under Svix's names of headers
    Svix,
}

/// A signed delivery. What it signs of a request is the body alone; the headers of the command line come unsigned.
pub(super) fn request(wanted: &Wanted<'_>) -> anyhow::Result<WithText<Signed>> {
    let preset = match wanted.args.preset.context("--preset: which sender's deliveries?")? {
        PresetName::Github => Preset::Github,
        PresetName::Stripe => Preset::Stripe,
        PresetName::Slack => Preset::Slack,
        PresetName::StandardWebhooks => Preset::StandardWebhooks,
        PresetName::Svix => Preset::Svix,
    };
    let id = wanted.args.id.clone().unwrap_or_else(|| format!("msg_{}", wanted.since.as_nanos()));
    let (signature, text) = sign::delivery_and_text(preset, wanted.secret, &id, wanted.body, wanted.now()?)?;
    Ok((Signed::Headers([wanted.headers, &signature].concat()), text))
}

/// There is no such thing.
pub(super) fn url() -> anyhow::Result<WithText<String>> {
    anyhow::bail!("--url: this scheme signs no URLs")
}
