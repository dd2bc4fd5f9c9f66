//! Moments as people write them: `2027-01-31T12:00:00Z`, `2027-01-31`.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::Number;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

/// The last second of the year 9999, in Unix time. A date beyond it is a mistake, such as milliseconds.
pub const LAST_SECOND: i64 = 253_402_300_799;

/// A NumericDate (RFC 7519 section 2) in whole Unix seconds, fractions by `round`; `None` before 1970 and after the year 9999.
#[must_use]
pub fn whole_seconds(number: &Number, round: fn(f64) -> f64) -> Option<i64> {
    let seconds = match (number.as_i64(), number.as_u64()) {
        (Some(seconds), _) => seconds,
        (None, Some(_)) => return None,
        (None, None) => {
            let seconds = round(number.as_f64()?);
            // Within these bounds every whole f64 is an i64; NaN is within none.
            if !(0.0..=LAST_SECOND as f64).contains(&seconds) {
                return None;
            }
            seconds as i64
        }
    };
    (0..=LAST_SECOND).contains(&seconds).then_some(seconds)
}

/// A point of time: RFC 3339 with its zone, or a date, which is its first moment in UTC. Unix seconds; a fraction is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

impl std::str::FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(date) = Date::parse(text, format_description!("[year]-[month]-[day]")) {
            return Ok(Self(date.midnight().assume_utc().unix_timestamp()));
        }
        OffsetDateTime::parse(text, &Rfc3339)
            .map(|moment| Self(moment.unix_timestamp()))
            .map_err(|_| format!("{text:?} is no moment; write \"2027-01-31T12:00:00Z\", or \"2027-01-31\" for the beginning of that day in UTC"))
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MomentVisitor)
    }
}

/// Takes a text, and also what TOML writes without quotes.
struct MomentVisitor;

impl<'de> Visitor<'de> for MomentVisitor {
    type Value = Moment;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a moment, such as \"2027-01-31T12:00:00Z\" or \"2027-01-31\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Moment, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Moment, A::Error> {
        let written = toml::value::Datetime::deserialize(de::value::MapAccessDeserializer::new(map))?;
        written.to_string().parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_a_zone_or_is_the_beginning_of_a_day() {
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("1970-01-02", 86_400),
            ("1969-12-31T23:59:59Z", -1),
            ("2027-01-31T12:00:00Z", 1_801_396_800),
            ("2027-01-31T14:00:00.9+02:00", 1_801_396_800),
            ("9999-12-31", 253_402_214_400),
        ] {
            assert_eq!(text.parse(), Ok(Moment(seconds)), "{text}");
        }
        for text in
            ["", "now", "2027", "2027-1-31", "2027-02-30", "2027-01-31T12:00:00", "2027-01-31 ", "31.1.2027", "1801396800", "+12027-01-01", "nan"]
        {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }

    #[test]
    fn toml_may_leave_the_quotes_out() {
        #[derive(Debug, Deserialize)]
        struct File {
            at: Moment,
        }
        for text in ["\"2027-01-31\"", "2027-01-31", "2027-01-31T00:00:00Z", "2027-01-31T02:00:00+02:00"] {
            assert_eq!(toml::from_str::<File>(&format!("at = {text}")).unwrap().at, Moment(1_801_353_600), "{text}");
        }
        for text in ["7", "true", "2027-01-31T00:00:00", "12:00:00", "[]", "{}", "{ a = 1 }"] {
            assert!(toml::from_str::<File>(&format!("at = {text}")).is_err(), "{text}");
        }
    }
}
