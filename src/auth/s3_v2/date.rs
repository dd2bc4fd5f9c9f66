//! `Date` and `x-amz-date`: `Tue, 27 Mar 2007 19:36:42 GMT`, or with `+0000`.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// No date is longer.
const LONGEST: usize = 40;

/// Unix seconds of a date; `None` if it is not one of RFC 5322's.
pub(super) fn parse(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok().filter(|text| text.len() <= LONGEST && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()))?;
    OffsetDateTime::parse(text, &Rfc2822).ok().map(OffsetDateTime::unix_timestamp)
}

/// The date of `seconds` as a client writes it; `None` where it cannot be written.
pub(super) fn format(seconds: i64) -> Option<String> {
    let moment = OffsetDateTime::from_unix_timestamp(seconds).ok().filter(|moment| (1900..=9999).contains(&moment.year()))?;
    moment.format(&Rfc2822).ok().map(|text| text.replace("+0000", "GMT"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_date_is_read_with_any_zone() {
        for text in [
            "Tue, 27 Mar 2007 19:36:42 +0000",
            "Tue, 27 Mar 2007 19:36:42 GMT",
            "Tue, 27 Mar 2007 20:36:42 +0100",
            "Tue, 27 Mar 2007 14:36:42 -0500",
            "27 Mar 2007 19:36:42 +0000",
        ] {
            assert_eq!(parse(text.as_bytes()), Some(1_175_024_202), "{text}");
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
            "1175024202",
            "Tue, 27 Mar 2007",
            "Tue, 27 Mar 2007 19:36:42",
            "Tue, 32 Mar 2007 19:36:42 GMT",
            "Tue, 27 Mar 2007 25:36:42 GMT",
            "Tue, 27 Mar 2007 19:36:42 GMT GMT",
            "Tue, 27 Mar 2007 19:36:42 +00000",
            "2007-03-27T19:36:42Z",
            "20070327T193642Z",
            "Tue, 27 Mar 2007\t19:36:42 GMT",
            "Tue, 27 Mar 2007 19:36:42 GMT                              ",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
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
