//! `--scheme http-signature`.

use anyhow::{bail, ensure};
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

/// The hash, or what an RSA key signs with.
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
    /// RSASSA-PKCS1-v1_5: the default of a private key
    #[value(name = "rsa-sha256")]
    RsaSha256,
    /// RSASSA-PSS, with a private key
    #[value(name = "hs2019")]
    Hs2019,
}

/// What a private key begins with, and a secret does not.
const PEM: &[u8] = b"-----BEGIN ";

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
    if secret.expose().starts_with(PEM) {
        ensure!(dialect == Dialect::Draft, "--dialect: only the draft's own knows private keys");
        let pss = match args.algorithm {
            AlgorithmName::Sha256 | AlgorithmName::RsaSha256 => false,
            AlgorithmName::Hs2019 => true,
            AlgorithmName::Sha1 | AlgorithmName::Sha384 | AlgorithmName::Sha512 => {
                bail!("--algorithm: a private key signs with rsa-sha256 or hs2019")
            }
        };
        let (headers, text) = sign::request_by_rsa((&args.key, secret, pss), method, uri, headers, body, wanted.now()?)?;
        return Ok((Signed::Headers(headers), text));
    }
    let algorithm = match args.algorithm {
        AlgorithmName::RsaSha256 | AlgorithmName::Hs2019 => bail!("--algorithm: the file holds no private key"),
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
