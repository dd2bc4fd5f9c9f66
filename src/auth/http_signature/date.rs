//! `Date` and `X-Date`: an HTTP-date in any of its three forms (RFC 9110 section 5.6.7), or with `+0000` for `GMT`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// No date is longer.
const LONGEST: usize = 40;

/// Unix seconds of a date; `None` if it is none, or before 1970.
pub(super) fn parse(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok().filter(|text| text.len() <= LONGEST && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()))?;
    let seconds = match httpdate::parse_http_date(text) {
        Ok(moment) => i64::try_from(moment.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok(),
        Err(_) => OffsetDateTime::parse(text, &Rfc2822).ok().map(OffsetDateTime::unix_timestamp),
    };
    seconds.filter(|seconds| *seconds >= 0)
}

/// The date of `seconds` as a client writes it; `None` where it cannot be written.
pub(super) fn format(seconds: i64) -> Option<String> {
    let since = u64::try_from(seconds).ok().filter(|seconds| *seconds < 253_402_300_800)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(since)).map(httpdate::fmt_http_date)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_date_is_read_in_each_of_its_forms() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 06 Nov 1994 09:49:37 +0100",
        ] {
            assert_eq!(parse(text.as_bytes()), Some(784_111_777), "{text}");
        }
    }

    #[test]
    fn a_moment_that_does_not_exist_is_no_date() {
        for text in [
            "",
            "nan",
            "inf",
            "-inf",
            "1e18",
            "-9223372036854775808",
            "9223372036854775807",
            "784111777",
            "wrong date",
            "Sun, 06 Nov 1994",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "1994-11-06T08:49:37Z",
            "Sun, 06 Nov 99999 08:49:37 GMT",
            "Sun, 06 Nov 1994\t08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT                              ",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!((format(-1), format(i64::MIN), format(i64::MAX)), (None, None, None));
    }

    /// A second that was put in counts as the one before it, or as none: never as another.
    #[test]
    fn a_leap_second_moves_no_clock() {
        for text in ["Sat, 31 Dec 2016 23:59:60 GMT", "Sat, 31 Dec 2016 23:59:60 +0000", "Sun, 01 Jan 2017 00:59:60 +0100"] {
            assert!(parse(text.as_bytes()).is_none_or(|seconds| seconds == 1_483_228_799), "{text}: {:?}", parse(text.as_bytes()));
        }
        assert_eq!(parse(b"Sun, 22 Nov 2026 06:00:60 GMT"), None, "none was ever put in there");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), text in "[A-Za-z0-9,:+ ()-]{0,40}") {
            let _ = (parse(&bytes), parse(text.as_bytes()));
        }

        #[test]
        fn what_is_written_is_read_back(seconds in 0..=253_402_300_799_i64) {
            prop_assert_eq!(parse(format(seconds).unwrap().as_bytes()), Some(seconds));
        }
    }
}
