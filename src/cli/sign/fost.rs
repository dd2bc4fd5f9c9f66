//! `--scheme fost`.

use std::io::Write as _;

use doorward::auth::fost;

use super::{Signed, Wanted};

/// A signed request.
pub(super) fn request(wanted: &Wanted<'_>) -> anyhow::Result<Signed> {
    if !wanted.body.is_empty() && wanted.uri.query().is_some_and(|query| !query.is_empty()) {
        let note = "note: the signature covers the body and not the query; Doorward refuses that unless allow_unsigned_query = true";
        writeln!(std::io::stderr(), "{note}")?;
    }
    let Wanted { args, secret, method, uri, headers, body, .. } = *wanted;
    Ok(Signed::Headers(fost::sign::request(&args.key, secret, method, uri, headers, body, wanted.now()?)?))
}

/// A signed URL.
pub(super) fn url(wanted: &Wanted<'_>) -> anyhow::Result<String> {
    Ok(fost::sign::url(&wanted.args.key, wanted.secret, wanted.uri, wanted.expires()?)?)
}
