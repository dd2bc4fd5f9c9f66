//! What a signature may cover, and its value in a request: RFC 9421 section 2.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sfv::{BareItem, Item};

use crate::auth::Refusal;
use crate::auth::signing::unescape;
use crate::inbound::Inbound;

/// All but those that a form's encoding leaves as they are.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_');

pub(super) const SIGNATURE: HeaderName = HeaderName::from_static("signature");
pub(super) const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// The request as it will be forwarded.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub method: &'a Method,
    /// Lower case, without the port of `https`.
    pub authority: String,
    /// As the client sent it.
    pub host: &'a HeaderValue,
    /// As sent.
    pub path: &'a str,
    /// As sent, without `?`.
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
    /// Of the body, where it is known.
    pub length: Option<u64>,
}

impl<'a> Message<'a> {
    pub(super) fn of(inbound: &'a Inbound, length: Option<u64>) -> Self {
        Self {
            method: inbound.method(),
            authority: authority(&inbound.host().name, inbound.host().port),
            host: &inbound.host().raw,
            path: inbound.path(),
            query: inbound.query(),
            headers: inbound.headers(),
            length,
        }
    }

    fn target(&self) -> String {
        self.query.map_or_else(|| self.path.to_owned(), |query| format!("{}?{query}", self.path))
    }

    /// Whether a header is sent under another spelling that an application folds into `name`. It would be read, and is not covered.
    fn has_alias(&self, name: &HeaderName) -> bool {
        let folded = |byte: u8| if byte.is_ascii_alphanumeric() { byte } else { b'-' };
        let is_alias = |other: &HeaderName| other != name && other.as_str().bytes().map(folded).eq(name.as_str().bytes().map(folded));
        self.headers.keys().any(is_alias)
    }

    /// The value of a field: its lines without blanks at either end, joined by a comma.
    fn field(&self, name: &HeaderName) -> Result<Vec<u8>, Refusal> {
        if self.has_alias(name) {
            return Err(Refusal::Malformed("a header that could be taken for a signed one"));
        }
        let lines: Vec<&[u8]> = self.headers.get_all(name).iter().map(|line| line.as_bytes().trim_ascii()).collect();
        let value = match (lines.is_empty(), self.length) {
            (false, _) => lines.join(&b", "[..]),
            // Both are taken off the headers of every request, and written anew for the application, with these values.
            (true, _) if name == header::HOST => self.host.as_bytes().to_vec(),
            (true, Some(length)) if name == header::CONTENT_LENGTH => length.to_string().into_bytes(),
            (true, _) => return Err(Refusal::Malformed("a header that the signature covers is not there")),
        };
        if value.iter().all(|byte| *byte == b'\t' || (b' '..=b'~').contains(byte)) {
            Ok(value)
        } else {
            Err(Refusal::Malformed("a header that the signature covers holds more than ASCII"))
        }
    }
}

/// The host as RFC 9421 section 2.2.3 wants it.
pub(super) fn authority(name: &str, port: Option<u16>) -> String {
    match port {
        None | Some(443) => name.to_owned(),
        Some(port) => format!("{name}:{port}"),
    }
}

/// One covered component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Component {
    what: What,
    /// As it stands in the signature base, in quotation marks and with its parameter.
    identifier: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Method,
    TargetUri,
    Authority,
    Scheme,
    RequestTarget,
    Path,
    Query,
    /// One parameter of the query; the name as the client wrote it.
    QueryParam(String),
    Field(HeaderName),
}

impl Component {
    /// Whether it is `@method`.
    pub(super) fn is_method(&self) -> bool {
        self.what == What::Method
    }

    /// The component without parameters that is called `name`.
    pub(super) fn named(name: &str) -> Result<Self, Refusal> {
        let what = match name {
            "@method" => What::Method,
            "@target-uri" => What::TargetUri,
            "@authority" => What::Authority,
            "@scheme" => What::Scheme,
            "@request-target" => What::RequestTarget,
            "@path" => What::Path,
            "@query" => What::Query,
            name if name.starts_with('@') => return Err(Refusal::Malformed("a component that a request does not have, or one that is not known")),
            name => match HeaderName::from_lowercase(name.as_bytes()) {
                // A signature over signatures would be one over itself.
                Ok(name) if name != SIGNATURE && name != SIGNATURE_INPUT => What::Field(name),
                Ok(_) | Err(_) => return Err(Refusal::Malformed("a component that cannot be signed")),
            },
        };
        Ok(Self { what, identifier: format!("\"{name}\"") })
    }

    /// Reads a component's identifier. All parameters are refused (`sf`, `key`, `bs`, `tr`, `req`, and those nobody knows) but the
    /// name of `@query-param`: each would let a signature cover less, or something else, than its name says.
    pub(super) fn read(item: &Item) -> Result<Self, Refusal> {
        let BareItem::String(name) = &item.bare_item else { return Err(Refusal::Malformed("a component whose name is not a string")) };
        let mut params = item.params.iter();
        match (name.as_str(), params.next(), params.next()) {
            ("@query-param", Some((key, BareItem::String(parameter))), None) if key.as_str() == "name" => {
                let parameter = parameter.as_str().to_owned();
                // What has one encoding has no character that would need to be escaped in a string.
                if encode(&decode(&parameter)?) != parameter {
                    return Err(Refusal::Malformed("the name of a query parameter is not in its one encoding"));
                }
                Ok(Self { identifier: format!("\"@query-param\";name=\"{parameter}\""), what: What::QueryParam(parameter) })
            }
            (name, None, _) => Self::named(name),
            (_, Some(_), _) => Err(Refusal::Malformed("a component with a parameter that is not accepted")),
        }
    }

    /// As it stands in the signature base.
    pub(super) fn identifier(&self) -> &str {
        &self.identifier
    }

    /// What the log calls it.
    pub(super) fn part_name(&self) -> String {
        match &self.what {
            What::Field(name) => format!("header {name}"),
            What::QueryParam(name) => format!("query-param {name}"),
            What::Method | What::TargetUri | What::Authority | What::Scheme | What::RequestTarget | What::Path | What::Query => {
                self.identifier.trim_matches('"').to_owned()
            }
        }
    }

    /// The header that it covers, if it is one.
    pub(super) fn header(&self) -> Option<&HeaderName> {
        match &self.what {
            What::Field(name) => Some(name),
            What::Method
            | What::TargetUri
            | What::Authority
            | What::Scheme
            | What::RequestTarget
            | What::Path
            | What::Query
            | What::QueryParam(_) => None,
        }
    }

    /// The value in this request.
    pub(super) fn value(&self, message: &Message<'_>) -> Result<Vec<u8>, Refusal> {
        Ok(match &self.what {
            What::Method => message.method.as_str().as_bytes().to_vec(),
            What::TargetUri => format!("https://{}{}", message.authority, message.target()).into_bytes(),
            What::Authority => message.authority.clone().into_bytes(),
            What::Scheme => b"https".to_vec(),
            What::RequestTarget => message.target().into_bytes(),
            What::Path => message.path.as_bytes().to_vec(),
            What::Query => [b"?", message.query.unwrap_or_default().as_bytes()].concat(),
            What::QueryParam(name) => query_param(message.query.unwrap_or_default(), name)?.into_bytes(),
            What::Field(name) => message.field(name)?,
        })
    }
}

/// The value of the one parameter that is called so, encoded anew: RFC 9421 section 2.2.8.
fn query_param(query: &str, name: &str) -> Result<String, Refusal> {
    let wanted = decode(name)?;
    let mut found = None;
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if decode(key)? == wanted && found.replace(value).is_some() {
            return Err(Refusal::Malformed("a query parameter that the signature covers is there twice"));
        }
    }
    let value = found.ok_or(Refusal::Malformed("a query parameter that the signature covers is not there"))?;
    decode(value).map(|value| encode(&value))
}

fn decode(text: &str) -> Result<String, Refusal> {
    let bytes = unescape(text.replace('+', " ").as_bytes()).and_then(|bytes| String::from_utf8(bytes).ok());
    bytes.ok_or(Refusal::Malformed("the query is not percent-encoded UTF-8"))
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// The bytes that are signed: RFC 9421 section 2.5. `input` is the serialized list of components with its parameters.
pub(super) fn base(components: &[Component], input: &str, message: &Message<'_>) -> Result<Vec<u8>, Refusal> {
    let mut base = Vec::with_capacity(512);
    for component in components {
        base.extend_from_slice(component.identifier.as_bytes());
        base.extend_from_slice(b": ");
        base.extend_from_slice(&component.value(message)?);
        base.push(b'\n');
    }
    base.extend_from_slice(b"\"@signature-params\": ");
    base.extend_from_slice(input.as_bytes());
    Ok(base)
}
