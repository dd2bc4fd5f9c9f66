//! What should have been signed, by its parts.

use super::Dialect;
use super::request::Signed;
use crate::auth::signing::{Parts, header_line};

/// The first of the readings; the digests of the others stand beside it.
pub(super) fn parts(signed: &Signed, dialect: Dialect) -> Parts {
    let mut readings = signed.readings.iter();
    let text = readings.next().map(Vec::as_slice).unwrap_or_default();
    let mut parts = Parts::default().lines(text, |at, line| match (dialect, at) {
        (Dialect::ApisixV1, 0) => "method".into(),
        (Dialect::ApisixV1, 1) => "path".into(),
        (Dialect::ApisixV1, 2) => "query".into(),
        (Dialect::ApisixV1, 3) | (Dialect::Apisix, 0) => "key".into(),
        (Dialect::ApisixV1, 4) => "date".into(),
        (Dialect::Draft | Dialect::Kong | Dialect::Apisix | Dialect::ApisixV1, _) => match header_line(line) {
            Some(name) if name.starts_with(['(', '@']) => name.into(),
            Some(name) => format!("header {name}").into(),
            None => "request line".into(),
        },
    });
    for other in readings {
        parts.or(other);
    }
    parts
}
