//! `--scheme fost`.

use std::io::Write as _;

use doorward::auth::{WithText, fost};

use super::{Signed, Wanted};

/// A signed request.
pub(super) fn request(wanted: &Wanted<'_>) -> anyhow::Result<WithText<Signed>> {
    if !wanted.body.is_empty() && wanted.uri.query().is_some_and(|query| !query.is_empty()) {
        let note = "note: the signature covers the body and not the query; Doorward refuses that unless allow_unsigned_query = true";
        writeln!(std::io::stderr(), "{note}")?;
    }
    let Wanted { args, secret, method, uri, headers, body, .. } = *wanted;
    let (headers, text) = fost::sign::request_and_text(&args.key, secret, method, uri, headers, body, wanted.now()?)?;
    Ok((Signed::Headers(headers), text))
}

/// A signed URL.
pub(super) fn url(wanted: &Wanted<'_>) -> anyhow::Result<WithText<String>> {
    Ok(fost::sign::url_and_text(&wanted.args.key, wanted.secret, wanted.uri, wanted.expires()?)?)
}
