//! `--scheme http-message-signature`.

use anyhow::bail;
use doorward::auth::WithText;
use doorward::auth::http_message_signature::sign::{Signer, Terms, nonce};
use http::HeaderName;

use super::{Signed, Wanted};

/// What a private key begins with, and a secret does not.
const PEM: &[u8] = b"-----BEGIN ";

/// Arguments of this scheme alone.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Of --scheme http-message-signature")]
pub(super) struct Options {
    /// What the signature is called in the two header fields
    #[arg(long, value_name = "LABEL", default_value = "sig1")]
    label: String,
    /// What the signature is made for
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Add a nonce: the request is then good once, whatever its method
    #[arg(long)]
    nonce: bool,
    /// How an RSA key signs: rsa-pss-sha512 or rsa-v1_5-sha256 [default: rsa-pss-sha512]
    #[arg(long, value_name = "NAME")]
    alg: Option<String>,
}

impl Options {
    /// Whether none is given that another scheme would pass over.
    pub(super) fn is_unused(&self) -> bool {
        self.tag.is_none() && self.alg.is_none() && !self.nonce
    }
}

/// A signed request.
pub(super) fn request(wanted: &Wanted<'_>) -> anyhow::Result<WithText<Signed>> {
    let options = &wanted.args.message;
    let signer = if wanted.secret.expose().starts_with(PEM) {
        Signer::private_key(wanted.secret, options.alg.as_deref())?
    } else if options.alg.as_deref().is_some_and(|alg| alg != "hmac-sha256") {
        bail!("--alg: the file holds no private key; a secret signs with hmac-sha256");
    } else {
        Signer::secret(wanted.secret.clone())?
    };
    let nonce = if options.nonce { Some(nonce()?) } else { None };
    let terms = Terms {
        keyid: &wanted.args.key,
        created: wanted.now()?,
        expires: None,
        nonce: nonce.as_deref(),
        tag: options.tag.as_deref(),
        label: &options.label,
    };
    let (headers, text) = signer.request_and_text(&terms, wanted.method, wanted.uri, wanted.headers, wanted.body)?;
    Ok((Signed::Headers(headers), text))
}

/// There is no such thing.
pub(super) fn url() -> anyhow::Result<WithText<String>> {
    bail!("--url: this scheme signs requests alone")
}

/// Headers that are parts of the signature.
pub(super) fn is_own(name: &HeaderName) -> bool {
    ["content-digest", "signature", "signature-input"].contains(&name.as_str())
}
