//! `--scheme query-hmac`.

use anyhow::{bail, ensure};
use doorward::auth::query_hmac;

use super::{Signed, Wanted};

/// A signed request, which is a URL.
pub(super) fn request(wanted: &Wanted<'_>) -> anyhow::Result<Signed> {
    let Wanted { args, secret, uri, headers, body, since, .. } = *wanted;
    ensure!(headers.is_empty(), "--header: this scheme signs no headers");
    Ok(Signed::Url(query_hmac::sign::url(&args.key, secret, uri, body, i64::try_from(since.as_micros())?)?))
}

/// There is no other URL.
pub(super) fn url() -> anyhow::Result<String> {
    bail!("--url: every request of this scheme is a URL, which is good once; leave --url out")
}
