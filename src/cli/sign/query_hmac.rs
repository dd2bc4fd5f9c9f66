//! `--scheme query-hmac`.

use anyhow::{bail, ensure};
use doorward::auth::{WithText, query_hmac};

use super::{Signed, Wanted};

/// A signed request, which is a URL.
pub(super) fn request(wanted: &Wanted<'_>) -> anyhow::Result<WithText<Signed>> {
    let Wanted { args, secret, uri, headers, body, since, .. } = *wanted;
    ensure!(headers.is_empty(), "--header: this scheme signs no headers");
    let (url, text) = query_hmac::sign::url_and_text(&args.key, secret, uri, body, i64::try_from(since.as_micros())?)?;
    Ok((Signed::Url(url), text))
}

/// There is no other URL.
pub(super) fn url() -> anyhow::Result<WithText<String>> {
    bail!("--url: every request of this scheme is a URL, which is good once; leave --url out")
}
