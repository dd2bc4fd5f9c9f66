//! `X-FOST-Timestamp`: UTC, `YYYY-MM-DD HH:MM:SS` or with `T`; more may follow the 19th character.

use time::{Date, Month};

/// Unix seconds of a timestamp; `None` if its first 19 characters are not a moment that exists. Never panics. What follows
/// (a fraction, `Z`) is signed like the rest but says nothing: clocks are compared in whole seconds.
pub(super) fn parse(value: &[u8]) -> Option<i64> {
    let &[y1, y2, y3, y4, b'-', mo1, mo2, b'-', d1, d2, b' ' | b'T', h1, h2, b':', mi1, mi2, b':', s1, s2, ..] = value else {
        return None;
    };
    let month = Month::try_from(number(&[mo1, mo2])?).ok()?;
    let year = u16::from(number(&[y1, y2])?) * 100 + u16::from(number(&[y3, y4])?);
    let date = Date::from_calendar_date(i32::from(year), month, number(&[d1, d2])?).ok()?;
    let moment = date.with_hms(number(&[h1, h2])?, number(&[mi1, mi2])?, number(&[s1, s2])?).ok()?;
    Some(moment.assume_utc().unix_timestamp())
}

/// Two ASCII digits; at most 99, so that no sum can overflow.
fn number(digits: &[u8; 2]) -> Option<u8> {
    let [tens, ones] = digits;
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
}

/// The timestamp of `seconds` as a client writes it; `None` outside the years 0 to 9999.
pub(super) fn format(seconds: i64) -> Option<String> {
    let moment = time::OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    let (date, time) = (moment.date(), moment.time());
    (0..=9999).contains(&date.year()).then(|| {
        let (month, day) = (u8::from(date.month()), date.day());
        format!("{:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", date.year(), time.hour(), time.minute(), time.second())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_timestamp_is_read_by_its_first_nineteen_characters() {
        for (text, seconds) in [
            ("2009-01-24 09:36:00", 1_232_789_760),
            ("2009-01-24T09:36:00", 1_232_789_760),
            ("2009-01-24T09:36:00.123456Z", 1_232_789_760),
            ("1970-01-01 00:00:00", 0),
            ("1969-12-31 23:59:59", -1),
            ("2024-02-29 00:00:00", 1_709_164_800),
            ("0000-01-01 00:00:00", -62_167_219_200),
            ("9999-12-31 23:59:59", 253_402_300_799),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(seconds), "{text}");
        }
    }

    #[test]
    fn a_moment_that_does_not_exist_is_no_timestamp() {
        for text in [
            "",
            "nan",
            "inf",
            "-inf",
            "-9223372036854775808",
            "2016-12-31 23:59:60",
            "0",
            "1232789760",
            "1e18",
            "2009-01-24",
            "2009-01-24 09:36",
            "2009-01-24 09:36:0",
            "2009-01-24_09:36:00",
            "2009-01-24t09:36:00",
            "2009/01/24 09:36:00",
            "2009-13-24 09:36:00",
            "2009-00-24 09:36:00",
            "2009-01-00 09:36:00",
            "2009-02-29 09:36:00",
            "2009-01-32 09:36:00",
            "2009-01-24 24:00:00",
            "2009-01-24 09:60:00",
            "2009-01-24 09:36:60",
            "-009-01-24 09:36:00",
            "+009-01-24 09:36:00",
            "12009-01-24 09:36:00",
            " 2009-01-24 09:36:00",
            "２009-01-24 09:36:00",
            "2009-01-24 09:36:\u{0660}0",
            "Sat, 24 Jan 2009 09:36:00 GMT",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn what_is_written_is_read_back(seconds in -62_167_219_200_i64..=253_402_300_799) {
            prop_assert_eq!(parse(format(seconds).unwrap().as_bytes()), Some(seconds));
        }

        #[test]
        fn no_number_makes_the_writer_panic(seconds: i64) {
            if let Some(text) = format(seconds) {
                prop_assert_eq!(text.len(), 19);
            }
        }
    }
}
