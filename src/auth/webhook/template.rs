//! What a vendor signs: a text with places in it, such as `v0:{timestamp}:{body}`.
//!
//! Whoever writes such a text must see to it that its parts cannot be moved across their borders. Where a fixed text stands after a
//! part (before it, behind the body), the part may not hold the byte that begins it. Where two parts touch, `check` warns.

use http::{HeaderMap, HeaderName, Method};

use super::header::one;
use crate::auth::Refusal;
use crate::inbound::Inbound;

/// The text, around its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    before: Vec<Part>,
    after: Vec<Part>,
    loose: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Vec<u8>),
    /// A place, and the byte that its value must not hold.
    Value(Place, Option<u8>),
}

/// What may be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Body,
    Timestamp,
    Id,
    Method,
    Host,
    Path,
    Query,
    Target,
    Url,
    Header(HeaderName),
}

/// What is filled in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head<'a> {
    pub method: &'a Method,
    /// As sent.
    pub host: &'a str,
    /// As sent.
    pub path: &'a str,
    /// As sent.
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
}

impl<'a> Head<'a> {
    pub(super) fn of(inbound: &'a Inbound) -> Self {
        // A host that was cleaned is ASCII.
        let host = inbound.host().raw.to_str().unwrap_or_default();
        Self { method: inbound.method(), host, path: inbound.path(), query: inbound.query(), headers: inbound.headers() }
    }
}

/// What the signature's own headers say.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Said<'a> {
    pub timestamp: Option<&'a str>,
    pub id: Option<&'a str>,
}

impl Place {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "body" => Self::Body,
            "timestamp" => Self::Timestamp,
            "id" => Self::Id,
            "method" => Self::Method,
            "host" => Self::Host,
            "path" => Self::Path,
            "query" => Self::Query,
            "target" => Self::Target,
            "url" => Self::Url,
            _ => Self::Header(HeaderName::from_bytes(name.strip_prefix("header:")?.as_bytes()).ok()?),
        })
    }

    /// Whether its own form says where it ends: so many digits, a moment, one of the methods.
    fn ends_by_itself(&self) -> bool {
        match self {
            Self::Body | Self::Timestamp | Self::Method => true,
            Self::Id | Self::Host | Self::Path | Self::Query | Self::Target | Self::Url | Self::Header(_) => false,
        }
    }
}

impl Template {
    /// Reads a template; says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = split(text)?;
        let mut bodies = parts.iter().enumerate().filter(|(_, part)| matches!(part, Part::Value(Place::Body, _))).map(|(at, _)| at);
        let body = match (bodies.next(), bodies.next()) {
            (Some(at), None) => at,
            (None, _) => return Err("the body is not signed: it holds no {body}".to_owned()),
            (Some(_), Some(_)) => return Err("it holds {body} twice".to_owned()),
        };
        let mut after = parts.split_off(body);
        after.remove(0);
        let mut loose = false;
        // Before the body a part ends where the next text begins; behind it, a part begins where the text before it ends.
        let ends: Vec<Option<u8>> = parts.iter().skip(1).map(|next| edge(next, false)).chain([None]).collect();
        let begins: Vec<Option<u8>> = std::iter::once(None).chain(after.iter().map(|last| edge(last, true))).collect();
        for (part, border) in parts.iter_mut().zip(ends).chain(after.iter_mut().zip(begins)) {
            if let Part::Value(place, forbidden) = part {
                *forbidden = border.filter(|_| !place.ends_by_itself());
                loose |= border.is_none() && !place.ends_by_itself();
            }
        }
        Ok(Self { before: parts, after, loose })
    }

    /// Whether two parts touch, so that bytes could be moved from one to the other.
    pub(super) fn is_loose(&self) -> bool {
        self.loose
    }

    fn holds(&self, places: &[Place]) -> bool {
        self.before.iter().chain(&self.after).any(|part| matches!(part, Part::Value(place, _) if places.contains(place)))
    }

    pub(super) fn uses_timestamp(&self) -> bool {
        self.holds(&[Place::Timestamp])
    }

    pub(super) fn uses_id(&self) -> bool {
        self.holds(&[Place::Id])
    }

    pub(super) fn covers_path(&self) -> bool {
        self.holds(&[Place::Path, Place::Target, Place::Url])
    }

    pub(super) fn covers_query(&self) -> bool {
        self.holds(&[Place::Query, Place::Target, Place::Url])
    }

    /// The headers that are signed.
    pub(super) fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.before.iter().chain(&self.after).filter_map(|part| match part {
            Part::Value(Place::Header(name), _) => Some(name),
            Part::Value(..) | Part::Literal(_) => None,
        })
    }

    /// What is signed before the body, and behind it.
    pub(super) fn fill(&self, head: Head<'_>, said: Said<'_>) -> Result<(Vec<u8>, Vec<u8>), Refusal> {
        Ok((fill(&self.before, head, said)?, fill(&self.after, head, said)?))
    }
}

/// One part that was filled in, and what it is.
pub(super) type NamedPart = (String, Vec<u8>);

impl Template {
    /// As [`Template::fill`], part by part.
    pub(super) fn parts(&self, head: Head<'_>, said: Said<'_>) -> Result<(Vec<NamedPart>, Vec<NamedPart>), Refusal> {
        let one = |part: &Part| Ok((part.name(), fill(std::slice::from_ref(part), head, said)?));
        let each = |parts: &[Part]| parts.iter().map(one).collect::<Result<Vec<_>, Refusal>>();
        Ok((each(&self.before)?, each(&self.after)?))
    }
}

impl Part {
    fn name(&self) -> String {
        match self {
            Self::Literal(_) => "fixed text".to_owned(),
            Self::Value(Place::Header(name), _) => format!("header {name}"),
            Self::Value(Place::Body, _) => "body".to_owned(),
            Self::Value(Place::Timestamp, _) => "timestamp".to_owned(),
            Self::Value(Place::Id, _) => "id".to_owned(),
            Self::Value(Place::Method, _) => "method".to_owned(),
            Self::Value(Place::Host, _) => "host".to_owned(),
            Self::Value(Place::Path, _) => "path".to_owned(),
            Self::Value(Place::Query, _) => "query".to_owned(),
            Self::Value(Place::Target, _) => "request target".to_owned(),
            Self::Value(Place::Url, _) => "url".to_owned(),
        }
    }
}

/// The byte with which a fixed text begins, or ends.
fn edge(part: &Part, last: bool) -> Option<u8> {
    match part {
        Part::Literal(text) if last => text.last().copied(),
        Part::Literal(text) => text.first().copied(),
        Part::Value(..) => None,
    }
}

fn split(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        literal.push_str(before);
        if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
            literal.extend(from.chars().next());
            rest = after;
            continue;
        }
        let inner =
            from.strip_prefix('{').and_then(|inner| inner.split_once('}')).ok_or("it holds a single brace; write {{ or }} for the character")?;
        let place = Place::named(inner.0).ok_or_else(|| {
            format!("there is no {{{}}}; there are body, timestamp, id, method, host, path, query, target, url and header:NAME", inner.0)
        })?;
        if !literal.is_empty() {
            parts.push(Part::Literal(std::mem::take(&mut literal).into_bytes()));
        }
        parts.push(Part::Value(place, None));
        rest = inner.1;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(Part::Literal(literal.into_bytes()));
    }
    Ok(parts)
}

fn fill(parts: &[Part], head: Head<'_>, said: Said<'_>) -> Result<Vec<u8>, Refusal> {
    let mut filled = Vec::new();
    for part in parts {
        let (place, forbidden) = match part {
            Part::Literal(text) => {
                filled.extend_from_slice(text);
                continue;
            }
            Part::Value(place, forbidden) => (place, forbidden),
        };
        let start = filled.len();
        let query = head.query.map(|query| ["?", query].concat()).unwrap_or_default();
        match place {
            Place::Body => {}
            Place::Timestamp => filled.extend_from_slice(said.timestamp.ok_or(Refusal::Malformed("there is no timestamp"))?.as_bytes()),
            Place::Id => filled.extend_from_slice(said.id.ok_or(Refusal::Malformed("there is no id"))?.as_bytes()),
            Place::Method => filled.extend_from_slice(head.method.as_str().as_bytes()),
            Place::Host => filled.extend_from_slice(head.host.as_bytes()),
            Place::Path => filled.extend_from_slice(head.path.as_bytes()),
            Place::Query => filled.extend_from_slice(head.query.unwrap_or_default().as_bytes()),
            Place::Target => filled.extend_from_slice([head.path, &query].concat().as_bytes()),
            Place::Url => filled.extend_from_slice(["https://", head.host, head.path, &query].concat().as_bytes()),
            Place::Header(name) => {
                let value = one(head.headers, name)?.ok_or(Refusal::Malformed("a header that is signed is not there"))?;
                filled.extend_from_slice(value);
            }
        }
        if forbidden.is_some_and(|forbidden| filled.iter().skip(start).any(|byte| *byte == forbidden)) {
            return Err(Refusal::Malformed("a part of what is signed holds the byte that ends it"));
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn filled(template: &str) -> Result<String, Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert("x-a", HeaderValue::from_static("va:lue"));
        let head = Head { method: &Method::POST, host: "h.example:8443", path: "/p/%41", query: Some("q=1"), headers: &headers };
        let (before, after) = Template::parse(template).unwrap().fill(head, Said { timestamp: Some("12"), id: Some("i.d") })?;
        Ok(format!("{}<body>{}", String::from_utf8(before).unwrap(), String::from_utf8(after).unwrap()))
    }

    #[test]
    fn places_are_filled_with_what_was_sent() {
        for (template, expected) in [
            ("{body}", "<body>"),
            ("v0:{timestamp}:{body}", "v0:12:<body>"),
            ("{method} {path} {query} {host}|{body}|{header:X-A}", "POST /p/%41 q=1 h.example:8443|<body>|va:lue"),
            ("{target}\n{body}\n{url}", "/p/%41?q=1\n<body>\nhttps://h.example:8443/p/%41?q=1"),
            ("{{{timestamp}}}{body}}}", "{12}<body>}"),
            ("{id}{timestamp}{body}", "i.d12<body>"),
        ] {
            assert_eq!(filled(template).as_deref(), Ok(expected), "{template}");
        }
        assert!(filled("{header:x-none}.{body}").is_err());
    }

    #[test]
    fn a_part_that_holds_its_own_border_is_refused() {
        for (template, good) in [
            ("{id}.{body}", false),
            ("{id}:{body}", true),
            ("{body}.{id}", false),
            ("{header:x-a}:{body}", false),
            ("{header:x-a}|{body}", true),
            ("{host}:{body}", false),
            ("{timestamp}1{body}", true),
        ] {
            assert_eq!(filled(template).is_ok(), good, "{template}");
        }
        for (template, loose) in [
            ("{body}", false),
            ("{timestamp}{body}", false),
            ("{body}{timestamp}", false),
            ("{id}{body}", true),
            ("{id}{timestamp}{body}", true),
            ("{id}.{timestamp}.{body}", false),
            ("{method}{path}\n{body}", false),
            ("{url}{body}", true),
            ("{body}{id}", true),
            ("{body}.{id}", false),
        ] {
            assert_eq!(Template::parse(template).unwrap().is_loose(), loose, "{template}");
        }
    }

    #[test]
    fn a_template_signs_the_body_once_and_names_what_there_is() {
        for text in [
            "",
            "x",
            "{timestamp}",
            "{body}{body}",
            "{bodY}",
            "{body",
            "body}",
            "{body}{",
            "{body}}",
            "{header:}{body}",
            "{header:a b}{body}",
            "{}{body}",
        ] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
        let covers = |text: &str| {
            let template = Template::parse(text).unwrap();
            (template.covers_path(), template.covers_query(), template.uses_timestamp(), template.uses_id())
        };
        assert_eq!(covers("{body}"), (false, false, false, false));
        assert_eq!(covers("{path}\n{body}\n{timestamp}"), (true, false, true, false));
        assert_eq!(covers("{query}\n{id}\n{body}"), (false, true, false, true));
        assert_eq!(covers("{target}\n{body}"), (true, true, false, false));
        assert_eq!(covers("{body}\n{url}"), (true, true, false, false));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "(\\{body\\}|\\{|\\}|timestamp|header:|\\PC){0,20}") {
            let _ = Template::parse(&text);
        }

        #[test]
        fn texts_that_are_not_loose_tell_their_parts_apart(id in "[a-z.:]{1,6}", other in "[a-z.:]{1,6}", body in "[a-z.:]{0,6}", second in "[a-z.:]{0,6}") {
            for template in ["{id}.{timestamp}:{body}", "{body}:{timestamp}.{id}"] {
                let template = Template::parse(template).unwrap();
                let whole = |id: &str, body: &str| {
                    let head = Head { method: &Method::POST, host: "h", path: "/", query: None, headers: &HeaderMap::new() };
                    let (before, after) = template.fill(head, Said { timestamp: Some("1790000000"), id: Some(id) }).ok()?;
                    Some([before.as_slice(), body.as_bytes(), &after].concat())
                };
                if let (Some(one), Some(two)) = (whole(&id, &body), whole(&other, &second)) {
                    prop_assert_eq!(one == two, id == other && body == second);
                }
            }
        }
    }
}
