//! `x-amz-date`: `20261122T083000Z`, and nothing else.

use time::{Date, Month, OffsetDateTime, Time};

/// Unix seconds; `None` if it is not a moment so written.
pub(super) fn parse(text: &str) -> Option<i64> {
    let digits = |from: usize, to: usize| {
        let part = text.get(from..to).filter(|part| part.bytes().all(|b| b.is_ascii_digit()))?;
        part.parse::<u16>().ok()
    };
    let small = |from: usize| digits(from, from + 2).and_then(|value| u8::try_from(value).ok());
    let marks = (text.len() == 16).then(|| (text.get(8..9), text.get(15..16)))?;
    if marks != (Some("T"), Some("Z")) {
        return None;
    }
    let date = Date::from_calendar_date(i32::from(digits(0, 4)?), Month::try_from(small(4)?).ok()?, small(6)?).ok()?;
    let time = Time::from_hms(small(9)?, small(11)?, small(13)?).ok()?;
    Some(OffsetDateTime::new_utc(date, time).unix_timestamp())
}

/// The moment as a client writes it; `None` where it cannot be written.
pub(super) fn format(seconds: i64) -> Option<String> {
    let moment = OffsetDateTime::from_unix_timestamp(seconds).ok().filter(|moment| (0..=9999).contains(&moment.year()))?;
    let (date, time) = (moment.date(), moment.time());
    Some(format!("{:04}{:02}{:02}T{:02}{:02}{:02}Z", date.year(), u8::from(date.month()), date.day(), time.hour(), time.minute(), time.second()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_moment_is_written_in_one_way() {
        assert_eq!(parse("20150830T123600Z"), Some(1_440_938_160));
        assert_eq!(parse("00000101T000000Z"), Some(-62_167_219_200));
        for text in [
            "",
            "20150830T123600",
            "20150830T123600z",
            "20150830t123600Z",
            "20150830 123600Z",
            "2015-08-30T12:36:00Z",
            "20150830T123660Z",
            "20150830T243600Z",
            "20150831T126000Z",
            "20150229T123600Z",
            "20151330T123600Z",
            "20150800T123600Z",
            "+0150830T123600Z",
            "20150830T+23600Z",
            "20150830T123600Z ",
            " 20150830T123600Z",
            "20150830T123600.5Z",
            "120150830T123600Z",
            "1440938160",
            "nan",
            "inf",
            "-inf",
            "1e18",
            "-9223372036854775808",
            "9223372036854775807",
            "20161231T235960Z",
            "2015083éT12360Z",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,20}", near in "[0-9TZ+é-]{14,18}") {
            let _ = (parse(&text), parse(&near));
        }

        #[test]
        fn what_is_written_is_read_back(seconds in -62_167_219_200..=253_402_300_799_i64) {
            prop_assert_eq!(parse(&format(seconds).unwrap()), Some(seconds));
        }

        #[test]
        fn what_is_read_is_written_so(text in "[0-9]{4}(0[1-9]|1[0-2])[0-3][0-9]T[0-2][0-9][0-5][0-9][0-5][0-9]Z") {
            if let Some(seconds) = parse(&text) {
                prop_assert_eq!(format(seconds), Some(text));
            }
        }
    }
}
