//! Leaf types that cannot be wrong: once built, they need no further check.
//!
//! Nothing here knows of requests, stores or the network.

mod address;
mod claim;
mod clock;
mod digest;
pub mod json;
mod moment;
mod name;
mod pattern;
mod report;
mod secret;
mod units;

pub use address::AddressBlock;
pub use claim::claim;
pub use clock::Clock;
pub use digest::{Digest, DigestSet};
pub use moment::{LAST_SECOND, Moment, whole_seconds};
pub use name::{is_graphic, valid_user_name};
pub use pattern::{HostPattern, PathPattern};
pub use report::{Problem, Report, Severity};
pub use secret::{Secret, SecretSource};
pub use units::{ByteSize, HumanDuration};

/// Reads a list that leaves the choice open where it is absent. Empty it would do the same, while its writer, or the
/// template that made it, meant the opposite: so it is a mistake.
pub fn some<'de, D: serde::Deserializer<'de>, T: serde::Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let list = <Vec<T> as serde::Deserialize>::deserialize(deserializer)?;
    if list.is_empty() { Err(serde::de::Error::custom("the list is empty; leave the line out where all are meant")) } else { Ok(list) }
}

/// Reads one value, or a list of them that is not empty.
pub fn one_or_more<'de, D: serde::Deserializer<'de>, T: serde::Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged, expecting = "expected a text, or a list of texts")]
    enum OneOrMore<T> {
        One(T),
        More(Vec<T>),
    }
    match <OneOrMore<T> as serde::Deserialize>::deserialize(deserializer)? {
        OneOrMore::One(one) => Ok(vec![one]),
        OneOrMore::More(more) if more.is_empty() => Err(serde::de::Error::custom("the list is empty; leave the line out where none are meant")),
        OneOrMore::More(more) => Ok(more),
    }
}

/// Seconds since the Unix epoch by this machine's clock; 0 if the clock stands before 1970.
#[must_use]
pub fn unix_now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// Milliseconds since 1970.
#[must_use]
pub fn unix_millis() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
