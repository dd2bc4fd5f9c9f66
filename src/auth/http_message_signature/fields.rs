//! Reading `Signature-Input` and `Signature`: RFC 9421 section 4. Nothing of it is believed here.

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Parameters, RefBareItem};

use super::component::{Component, SIGNATURE, SIGNATURE_INPUT};
use super::dictionary::{self, Member};
use crate::auth::Refusal;

/// A signature, read but not believed.
#[derive(Debug)]
pub(super) struct Signed {
    pub components: Vec<Component>,
    pub params: Params,
    /// The list of components with its parameters, in its one serialization: the last line of what is signed.
    pub input: String,
    pub signature: Vec<u8>,
}

impl Signed {
    /// Whether it covers the header `name`.
    pub(super) fn covers(&self, name: &HeaderName) -> bool {
        self.components.iter().any(|component| component.header() == Some(name))
    }

    /// Whether it covers the method.
    pub(super) fn covers_method(&self) -> bool {
        self.components.iter().any(Component::is_method)
    }
}

/// What a signature says of itself: RFC 9421 section 2.3. Times are Unix seconds.
#[derive(Debug, Default)]
pub(super) struct Params {
    pub created: Option<i64>,
    pub expires: Option<i64>,
    pub nonce: Option<String>,
    pub alg: Option<String>,
    pub keyid: Option<String>,
}

/// Whether the request claims to be signed this way. `Signature` alone is another scheme's.
pub(super) fn is_mine(headers: &HeaderMap) -> bool {
    headers.contains_key(SIGNATURE_INPUT)
}

/// A signature whose syntax is right.
#[derive(Debug)]
pub(super) struct Raw {
    input: Member,
    signature: Vec<u8>,
}

/// All signatures of a request, in the order of `Signature-Input`. Both fields name the same ones.
pub(super) fn read(headers: &HeaderMap) -> Result<Vec<Raw>, Refusal> {
    const UNLIKE: Refusal = Refusal::Malformed("Signature-Input and Signature do not name the same signatures");
    let inputs = dictionary::read(headers, &SIGNATURE_INPUT)?.unwrap_or_default();
    let signatures = dictionary::read(headers, &SIGNATURE)?.unwrap_or_default();
    if inputs.is_empty() || inputs.len() != signatures.len() {
        return Err(UNLIKE);
    }
    let raw = |input: Member| {
        let signature = signatures.iter().find(|signature| signature.key == input.key).ok_or(UNLIKE)?;
        let signature = signature.bytes().ok_or(Refusal::Malformed("a signature is not a byte sequence"))?.to_vec();
        if input.is_list { Ok(Raw { input, signature }) } else { Err(Refusal::Malformed("a member of Signature-Input is not a list")) }
    };
    inputs.into_iter().map(raw).collect()
}

impl Raw {
    /// What both fields call it. Not signed.
    pub(super) fn label(&self) -> &str {
        &self.input.key
    }

    /// What its maker made it for.
    pub(super) fn tag(&self) -> Option<&str> {
        self.input.params.get("tag").and_then(BareItem::as_string).map(sfv::StringRef::as_str)
    }

    /// Reads components and parameters. Whatever is not known or not accepted makes the signature unusable.
    pub(super) fn read(self) -> Result<Signed, Refusal> {
        let components: Vec<Component> = self.input.items.iter().map(Component::read).collect::<Result<_, _>>()?;
        if components.iter().enumerate().any(|(at, component)| components.iter().skip(at + 1).any(|other| other == component)) {
            return Err(Refusal::Malformed("a component is covered twice"));
        }
        let params = params(&self.input.params)?;
        Ok(Signed { input: serialized(&components, &self.input.params), components, params, signature: self.signature })
    }
}

fn params(sent: &Parameters) -> Result<Params, Refusal> {
    let mut params = Params::default();
    for (key, value) in sent {
        let text = || value.as_string().map(|text| text.as_str().to_owned());
        let time = || value.as_integer().map(i64::from);
        let is_typed = match key.as_str() {
            "created" => set(&mut params.created, time()),
            "expires" => set(&mut params.expires, time()),
            "nonce" => set(&mut params.nonce, text()),
            "alg" => set(&mut params.alg, text()),
            "keyid" => set(&mut params.keyid, text()),
            "tag" => text().is_some(),
            // Covered by the signature like all others; what it means is between the signer and the application.
            _ => true,
        };
        if !is_typed {
            return Err(Refusal::Malformed("a parameter of a signature is of the wrong type"));
        }
    }
    Ok(params)
}

fn set<T>(param: &mut Option<T>, value: Option<T>) -> bool {
    *param = value;
    param.is_some()
}

/// RFC 8941 section 4.1.1.1, by hand for the identifiers and by the library for the values of parameters.
fn serialized(components: &[Component], params: &Parameters) -> String {
    let list: Vec<&str> = components.iter().map(Component::identifier).collect();
    let mut text = format!("({})", list.join(" "));
    for (key, value) in params {
        text.push(';');
        text.push_str(key.as_str());
        if *value != BareItem::Boolean(true) {
            text.push('=');
            text.push_str(&sfv::ItemSerializer::new().bare_item(RefBareItem::from(value)).finish());
        }
    }
    text
}
