//! `--scheme http-signature`.

use doorward::auth::WithText;
use doorward::auth::http_signature::{Algorithm, Dialect, sign};
use http::HeaderName;

use super::{Signed, Wanted};

/// Whose spelling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum DialectName {
    /// draft-cavage-http-signatures-12
    #[default]
    Draft,
    /// Kong's hmac-auth
    Kong,
    /// APISIX's hmac-auth, since 3.11
    Apisix,
    /// APISIX's hmac-auth, before 3.11
    ApisixV1,
}

/// The hash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "verbatim")]
pub(super) enum AlgorithmName {
    #[value(name = "hmac-sha1")]
    Sha1,
    #[default]
    #[value(name = "hmac-sha256")]
    Sha256,
    #[value(name = "hmac-sha384")]
    Sha384,
    #[value(name = "hmac-sha512")]
    Sha512,
}

/// Headers that are parts of the signature.
pub(super) fn is_own(name: &HeaderName) -> bool {
    ["date", "host", "digest", "signature"].iter().any(|own| name == own) || name.as_str().starts_with("x-hmac-")
}

/// A signed request.
pub(super) fn request(wanted: &Wanted<'_>) -> anyhow::Result<WithText<Signed>> {
    let Wanted { args, secret, method, uri, headers, body, .. } = *wanted;
    let dialect = match args.dialect {
        DialectName::Draft => Dialect::Draft,
        DialectName::Kong => Dialect::Kong,
        DialectName::Apisix => Dialect::Apisix,
        DialectName::ApisixV1 => Dialect::ApisixV1,
    };
    let algorithm = match args.algorithm {
        AlgorithmName::Sha1 => Algorithm::HmacSha1,
        AlgorithmName::Sha256 => Algorithm::HmacSha256,
        AlgorithmName::Sha384 => Algorithm::HmacSha384,
        AlgorithmName::Sha512 => Algorithm::HmacSha512,
    };
    let manner = sign::Manner { dialect, algorithm };
    let (headers, text) = sign::request_and_text(manner, (&args.key, secret), method, uri, headers, body, wanted.now()?)?;
    Ok((Signed::Headers(headers), text))
}

/// There is no such thing.
pub(super) fn url() -> anyhow::Result<WithText<String>> {
    anyhow::bail!("--url: this scheme signs no URLs")
}
