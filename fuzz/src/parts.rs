//! A request in parts, as targets that sign take it.

use doorward::auth::Access;

use crate::{scheme, serve};

/// `METHOD LF TARGET LF name: value LF … LF LF body`.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    pub method: &'a str,
    pub target: &'a str,
    pub headers: Vec<(&'a str, &'a str)>,
    pub body: &'a str,
}

impl<'a> Parts<'a> {
    /// The first value of a header; the host is `a`.
    pub(crate) fn value(&self, name: &str) -> Option<&'a str> {
        let sent = self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| *value);
        sent.or_else(|| (name == "host").then_some("a"))
    }

    /// The request in bytes, with `more` lines of its head.
    pub(crate) fn request(&self, target: &str, more: &str) -> String {
        let mut raw = format!("{} {target} HTTP/1.1\r\nHost: a\r\n{more}", self.method);
        for (name, value) in &self.headers {
            raw += &format!("{name}: {value}\r\n");
        }
        if !self.body.is_empty() {
            raw += &format!("Content-Length: {}\r\n", self.body.len());
        }
        format!("{raw}\r\n{}", self.body)
    }
}

pub(crate) fn read(text: &str) -> Option<Parts<'_>> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.split('\n');
    let (method, target) = (lines.next()?, lines.next()?);
    let headers: Option<Vec<_>> = lines.map(|line| line.split_once(':').map(|(name, value)| (name, value.trim_matches([' ', '\t'])))).collect();
    // Anything that would end the line or the target early would make another request of it.
    let whole = !head.contains('\r') && !method.contains(' ') && target.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    Some(Parts { method, target, headers: headers?, body }).filter(|_| whole)
}

/// Sends one request; the user whom it was accepted for. A body that is verified on its way is read to its end first.
pub(crate) fn user(access: &Access, raw: &[u8]) -> Option<String> {
    use http_body_util::BodyExt as _;
    let found = std::cell::Cell::new(None);
    serve::http1(raw, async |_, request, head| {
        let Ok(mut inbound) = serve::clean(request, head) else { return };
        let Some(identity) = scheme::who(access, &mut inbound).await else { return };
        if inbound.into_parts().payload.collect().await.is_ok() {
            found.set(Some(identity.subject.user.clone()));
        }
    });
    found.take()
}
