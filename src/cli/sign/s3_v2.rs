//! `--scheme s3-v2`.

use doorward::auth::s3_v2;
use http::HeaderName;

use super::{Signed, Wanted};

/// Headers that are parts of the signature.
pub(super) fn is_own(name: &HeaderName) -> bool {
    name == "date" || name == "content-md5"
}

/// A signed request.
pub(super) fn request(wanted: &Wanted<'_>) -> anyhow::Result<Signed> {
    let Wanted { args, secret, method, uri, headers, body, .. } = *wanted;
    Ok(Signed::Headers(s3_v2::sign::request(&args.key, secret, method, uri, headers, body, wanted.now()?)?))
}

/// A signed URL.
pub(super) fn url(wanted: &Wanted<'_>) -> anyhow::Result<String> {
    Ok(s3_v2::sign::url(&wanted.args.key, wanted.secret, wanted.method, wanted.uri, wanted.expires()?)?)
}
