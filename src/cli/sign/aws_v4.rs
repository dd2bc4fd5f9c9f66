//! `--scheme aws-v4`.

use anyhow::Context as _;
use doorward::auth::WithText;
use doorward::auth::aws_v4::sign::Signer;
use http::HeaderName;

use super::{Signed, Wanted};

/// What this scheme alone asks for.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Options {
    /// For aws-v4: the region that the gate accepts, such as us-east-1
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
    /// For aws-v4: the service that the gate accepts, such as s3
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
}

/// Headers that are parts of the signature, or that a client writes itself.
pub(super) fn is_own(name: &HeaderName) -> bool {
    ["x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "host", "content-length"].contains(&name.as_str())
}

fn signer<'a>(wanted: &Wanted<'a>) -> anyhow::Result<Signer<'a>> {
    let Options { region, service } = &wanted.args.aws;
    let region = region.as_deref().context("--scheme aws-v4 needs --region")?;
    let service = service.as_deref().context("--scheme aws-v4 needs --service")?;
    Ok(Signer { key: &wanted.args.key, secret: wanted.secret, region, service })
}

/// A signed request.
pub(super) fn request(wanted: &Wanted<'_>) -> anyhow::Result<WithText<Signed>> {
    let Wanted { method, uri, headers, body, .. } = *wanted;
    let (headers, text) = signer(wanted)?.request_and_text(method, uri, headers, body, wanted.now()?)?;
    Ok((Signed::Headers(headers), text))
}

/// A signed URL.
pub(super) fn url(wanted: &Wanted<'_>) -> anyhow::Result<WithText<String>> {
    Ok(signer(wanted)?.url_and_text(wanted.method, wanted.uri, wanted.now()?, wanted.args.expires_in.0.as_secs())?)
}
