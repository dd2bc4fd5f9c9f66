//! Reading what a query says of itself, and writing it again as it was signed.
//!
//! ```text
//! sent    q=a+b&%C3%A9=%c3%bc~*&timestamp=1426118400.25&apikey=KEY&signature=NShtDd…=
//! signed  q=a+b&%C3%A9=%C3%BC~%2A&timestamp=1426118400.25&apikey=KEY
//! ```

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Macs, State, timestamp};
use crate::auth::signing;

/// The query parameters of the form; none of them reaches the application.
pub(super) const PARAMETERS: &[&str] = &["apikey", "timestamp", "signature"];

/// All but what Python's `quote_plus` leaves alone; a blank becomes `+` afterwards.
const QUOTED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b' ');

/// How much of the credential a query bears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// Neither `apikey` nor `signature`.
    None,
    /// Not all three parameters.
    Part,
    /// All three, well or not.
    Whole,
}

/// Whose query it is, by the names of its parameters alone, however they are spelt.
pub(super) fn claim(query: Option<&str>) -> Claim {
    let names = || query.into_iter().flat_map(|query| query.split('&')).filter_map(|part| form(part.split('=').next()?));
    let [key, time, signature] = ["apikey", "timestamp", "signature"].map(|wanted| names().any(|name| name == wanted));
    match (key, time, signature) {
        (true, true, true) => Claim::Whole,
        (false, _, false) => Claim::None,
        _ => Claim::Part,
    }
}

/// A signed query, read but not believed.
#[derive(Debug)]
pub(super) struct Signed {
    pub key: String,
    /// Microseconds; `None` if it is not a number.
    pub time: Option<i64>,
    /// `None` if it is not of a signature's form.
    pub tag: Option<[u8; 32]>,
    /// What the signature does not cover, or covers in two spellings.
    pub flaw: Option<&'static str>,
    /// All that is signed, but for the body.
    pub message: Vec<u8>,
}

impl Signed {
    /// The MACs to feed with the body.
    pub(super) fn begin(&self, states: &[State]) -> Macs {
        Macs::begin(states, std::iter::once(self.message.as_slice()))
    }
}

/// Reads what a query says of itself; `None` if one of the three parameters is missing or empty.
pub(super) fn read(path: &str, query: &str) -> Option<Signed> {
    let mut form = Form::default();
    query.split('&').for_each(|part| form.take(part));
    if query.contains(';') || !query.is_ascii() {
        form.flaw = Some("a query that applications split or decode in different ways");
    }
    let message = message(path, &form);
    let (key, time, signature) = (form.key?, form.time?, form.signature?);
    if !signing::can_be_a_name(&key) {
        form.flaw = Some("the key's name");
    }
    let tag = signing::tag(&signature.replace(' ', "+"));
    if tag.is_none() {
        form.flaw = Some("the signature is not the base64 of 32 bytes");
    }
    Some(Signed { time: timestamp::parse(&time), key, tag, flaw: form.flaw, message })
}

/// The signed bytes, but for the body. The signer makes them too.
pub(super) fn message(path: &str, form: &Form) -> Vec<u8> {
    [path.as_bytes(), b"?", form.signed.as_bytes()].concat()
}

/// A query while it is read.
#[derive(Debug, Default)]
pub(super) struct Form {
    key: Option<String>,
    time: Option<String>,
    signature: Option<String>,
    pub(super) flaw: Option<&'static str>,
    /// The pairs that are signed, written again.
    pub(super) signed: String,
}

impl Form {
    pub(super) fn take(&mut self, part: &str) {
        let (sent, value) = part.split_once('=').unwrap_or((part, ""));
        let (Some(name), Some(value)) = (form(sent), form(value)) else {
            self.flaw = Some("a parameter that does not decode to UTF-8");
            return;
        };
        if value.is_empty() {
            self.flaw = Some("a parameter without a value, which the signature does not cover");
            return;
        }
        let place = match name.as_str() {
            "apikey" => Some(&mut self.key),
            "timestamp" => Some(&mut self.time),
            "signature" => Some(&mut self.signature),
            _ => None,
        };
        // Under another spelling it would not be taken from what the application sees.
        if place.is_some() && sent != name {
            self.flaw = Some("apikey, timestamp or signature is escaped");
        }
        if name != "signature" {
            let border = if self.signed.is_empty() { "" } else { "&" };
            self.signed.push_str(border);
            self.signed.push_str(&quoted(&name));
            self.signed.push('=');
            self.signed.push_str(&quoted(&value));
        }
        if place.is_some_and(|place| place.replace(value).is_some()) {
            self.flaw = Some("apikey, timestamp or signature is there twice");
        }
    }
}

/// A word of a form, decoded; `None` for a broken escape and for what is not UTF-8: it has no one way to be written again.
fn form(word: &str) -> Option<String> {
    String::from_utf8(signing::unescape(word.replace('+', " ").as_bytes())?).ok()
}

/// As Python's `quote_plus`.
pub(super) fn quoted(word: &str) -> String {
    utf8_percent_encode(word, QUOTED).to_string().replace(' ', "+")
}
