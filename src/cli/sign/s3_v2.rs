//! `--scheme s3-v2`.

use doorward::auth::{WithText, s3_v2};
use http::HeaderName;

use super::{Signed, Wanted};

/// Headers that are parts of the signature.
pub(super) fn is_own(name: &HeaderName) -> bool {
    name == "date" || name == "content-md5"
}

/// A signed request.
pub(super) fn request(wanted: &Wanted<'_>) -> anyhow::Result<WithText<Signed>> {
    let Wanted { args, secret, method, uri, headers, body, .. } = *wanted;
    let (headers, text) = s3_v2::sign::request_and_text(&args.key, secret, method, uri, headers, body, wanted.now()?)?;
    Ok((Signed::Headers(headers), text))
}

/// A signed URL.
pub(super) fn url(wanted: &Wanted<'_>) -> anyhow::Result<WithText<String>> {
    Ok(s3_v2::sign::url_and_text(&wanted.args.key, wanted.secret, wanted.method, wanted.uri, wanted.expires()?)?)
}
