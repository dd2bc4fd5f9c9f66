//! What a mapped header tells: an attribute of the identity, or a claim.

use http::HeaderValue;
use serde_json::Value;

use super::Unstampable;
use super::encoding::Encoding;
use crate::auth::{Subject, claim};

/// What a mapped header tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attribute {
    User,
    Email,
    Groups,
    Scopes,
    Claim(String),
}

impl Attribute {
    pub(super) fn named(text: &str) -> Self {
        match text {
            "user" => Self::User,
            "email" => Self::Email,
            "groups" => Self::Groups,
            "scopes" => Self::Scopes,
            path => Self::Claim(path.to_owned()),
        }
    }

    /// `None` where the identity has no such attribute.
    pub(super) fn write(&self, subject: &Subject, encoding: Encoding) -> Result<Option<HeaderValue>, Unstampable> {
        let list = |list: &[String]| match list {
            [] => Ok(None),
            list => encoding.list(list.iter().map(String::as_str)).map(Some),
        };
        match self {
            Self::User => encoding.value(&subject.user).map(Some),
            Self::Email => subject.email.as_deref().filter(|email| !email.is_empty()).map(|email| encoding.value(email)).transpose(),
            Self::Groups => list(&subject.groups),
            Self::Scopes => list(&subject.scopes),
            Self::Claim(path) => match claim(&subject.claims, path) {
                Some(Value::Array(elements)) => list(&elements.iter().map(scalar).collect::<Result<Vec<_>, _>>()?),
                None | Some(Value::Null) => Ok(None),
                Some(Value::String(text)) if text.is_empty() => Ok(None),
                Some(value) => encoding.value(&scalar(value)?).map(Some),
            },
        }
    }
}

fn scalar(value: &Value) -> Result<String, Unstampable> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(Unstampable("a claim is neither a value nor a list of values")),
    }
}
