//! Header fields over HTTP/2: a cleaned request or a refusal comes out.
//!
//! ```text
//! METHOD LF :authority LF path LF name: value LF … LF LF body
//! ```

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;

use crate::inbound::is_clean;
use crate::serve;

/// Any bytes; those that no HTTP/2 client could send end here.
pub fn run(data: &[u8]) -> bool {
    let Some(request) = read(data).and_then(serve::http2) else { return false };
    let authority = request.uri().authority().map(ToString::to_string);
    let hosts: Vec<HeaderValue> = request.headers().get_all("host").iter().cloned().collect();
    let Ok(inbound) = serve::clean(request, Ok(())) else { return false };
    is_clean(&inbound);
    assert_eq!(Some(inbound.host().raw.to_str().unwrap()), authority.as_deref());
    assert!(hosts.iter().all(|host| *host == inbound.host().raw) && hosts.len() <= 1);
    true
}

fn read(data: &[u8]) -> Option<Request<Full<Bytes>>> {
    let mut lines = data.splitn(4, |b| *b == b'\n');
    let method = Method::from_bytes(lines.next()?).ok()?;
    let (authority, path) = (lines.next()?, lines.next()?);
    let uri = Uri::try_from([b"https://", authority, path].concat()).ok()?;
    let mut request = Request::builder().method(method).uri(uri);
    let mut rest = lines.next()?;
    while let Some(end) = rest.iter().position(|b| *b == b'\n') {
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        rest = after;
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|b| *b == b':')?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
        request = request.header(HeaderName::from_bytes(&line[..colon]).ok()?, value);
    }
    request.body(Full::new(Bytes::copy_from_slice(rest))).ok()
}
