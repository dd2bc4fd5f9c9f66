//! Times as texts, as SQLite keeps them.
//!
//! ```text
//! 2026-11-22 10:45:00            a blank or a T between date and time; without a zone it is UTC
//! 2026-11-22 10:45:00.123456     fractions are cut off
//! 2026-11-22 10:45:00+02:00      Z, +HH, +HHMM, +HH:MM
//! 1795344300                     Unix seconds
//! ```

use time::{Date, Month, Time, UtcOffset};

use crate::types::LAST_SECOND;

/// Unix seconds of `text`; `None` for any other form.
pub(super) fn parse(text: &str) -> Option<i64> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok().filter(|seconds| (0..=LAST_SECOND).contains(seconds));
    }
    let (date, rest) = text.split_once([' ', 'T'])?;
    let mut parts = date.split('-');
    let (year, month, day) = (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    if parts.next().is_some() {
        return None;
    }
    let at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at_checked(at)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut parts = clock.split(':');
    let (hour, minute, second) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    if parts.next().is_some() {
        return None;
    }
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date = Date::from_calendar_date(i32::from(year), month, u8::try_from(day).ok()?).ok()?;
    let time = Time::from_hms(u8::try_from(hour).ok()?, u8::try_from(minute).ok()?, u8::try_from(second).ok()?).ok()?;
    let seconds = date.with_time(time).assume_utc().unix_timestamp();
    Some(seconds.saturating_sub(i64::from(offset(zone)?.whole_seconds())))
}

fn offset(zone: &str) -> Option<UtcOffset> {
    let (sign, hours) = match zone {
        "" | "Z" | "z" => return Some(UtcOffset::UTC),
        zone => zone.strip_prefix('+').map(|rest| (1, rest)).or_else(|| zone.strip_prefix('-').map(|rest| (-1, rest)))?,
    };
    let (hours, minutes) = match hours.split_once(':') {
        Some(both) => both,
        None => hours.split_at_checked(2)?,
    };
    let minutes = if minutes.is_empty() && !zone.contains(':') { 0 } else { digits(minutes, 2)? };
    UtcOffset::from_hms(sign * i8::try_from(digits(hours, 2)?).ok()?, sign * i8::try_from(minutes).ok()?, 0).ok()
}

fn digits(text: &str, count: usize) -> Option<u16> {
    (text.len() == count && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read_in_their_few_forms() {
        for (text, seconds) in [
            ("1970-01-01 00:00:00", 0),
            ("2026-11-22 10:45:00", 1_795_344_300),
            ("2026-11-22T10:45:00", 1_795_344_300),
            ("2026-11-22 10:45:00.999999", 1_795_344_300),
            ("2026-11-22 10:45:00Z", 1_795_344_300),
            ("2026-11-22 10:45:00.5z", 1_795_344_300),
            ("2026-11-22 12:45:00+02:00", 1_795_344_300),
            ("2026-11-22 12:45:00+02", 1_795_344_300),
            ("2026-11-22 05:15:00-0530", 1_795_344_300),
            ("1795344300", 1_795_344_300),
            ("2024-02-29 23:59:59", 1_709_251_199),
            ("9999-12-31 23:59:59", LAST_SECOND),
            ("0001-01-01 00:00:00", -62_135_596_800),
        ] {
            assert_eq!(parse(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_time() {
        for text in [
            "",
            " ",
            "never",
            "2026-11-22",
            "2026-11-22 10:45",
            "2026-11-22 10:45:00.",
            "2026-11-22 10:45:00 ",
            "2026-11-22 10:45:00 UTC",
            "2026-11-22 10:45:00+2",
            "2026-11-22 10:45:00+02:",
            "2026-11-22 10:45:00+26:00",
            "2026-11-22 10:45:00ZZ",
            "2026-11-22  10:45:00",
            "2026-13-01 00:00:00",
            "2026-02-29 00:00:00",
            "2026-11-22 24:00:00",
            "2026-11-22 10:45:60",
            "0000-00-00 00:00:00",
            "+2026-11-22 10:45:00",
            "22.11.2026 10:45:00",
            "-1",
            "1e9",
            "99999999999999999999",
            "253402300800",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[0-9TZ:. +-]{0,32}") {
            let _ = parse(&text);
        }
    }
}
