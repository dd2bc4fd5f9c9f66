//! `timestamp`: seconds since 1970, written as a decimal number. Counted here in whole microseconds, so that no rounding, no
//! `nan` and no `inf` can come between two of them.

/// Microseconds.
pub(super) const SECOND: i64 = 1_000_000;

/// No moment lies further away, in seconds; nor is any exponent needed to write one.
const FURTHEST: i64 = 1_000_000_000_000;

/// Most digits: enough for any moment and for what a client's floating point adds, few enough for an `i128`.
const MOST_DIGITS: usize = 25;

/// Microseconds of `text`: digits, perhaps a fraction, perhaps an exponent. `None` for everything else, for signs and blanks too, and
/// beyond 1e12 s. What is finer than a microsecond is cut off.
pub(super) fn parse(text: &str) -> Option<i64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, small(exponent)?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, ""), |(whole, fraction)| (whole, fraction));
    if whole.is_empty() && fraction.is_empty() || whole.len() + fraction.len() > MOST_DIGITS {
        return None;
    }
    let digits = whole
        .bytes()
        .chain(fraction.bytes())
        .try_fold(0_i128, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i128::from(digit - b'0')))?;
    let scale = 6 + exponent - i32::try_from(fraction.len()).ok()?;
    let power = 10_i128.checked_pow(scale.unsigned_abs())?;
    let micros = if scale < 0 { digits / power } else { digits.checked_mul(power)? };
    i64::try_from(micros).ok().filter(|micros| *micros <= FURTHEST * SECOND)
}

/// An exponent from -12 to 12.
fn small(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let plain = (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    text.parse::<i32>().ok().filter(|exponent| plain && (-12..=12).contains(exponent))
}

/// The timestamp of `micros` as a client writes it.
pub(super) fn format(micros: i64) -> String {
    format!("{}.{:06}", micros.div_euclid(SECOND), micros.rem_euclid(SECOND))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_timestamp_is_a_decimal_number_of_seconds() {
        for (text, micros) in [
            ("1426118400.25", 1_426_118_400_250_000),
            ("1426118400", 1_426_118_400_000_000),
            ("1426118400.", 1_426_118_400_000_000),
            (".5", 500_000),
            ("0", 0),
            ("007", 7_000_000),
            ("1426118400.1234567891234", 1_426_118_400_123_456),
            ("1.4261184e9", 1_426_118_400_000_000),
            ("1.4261184E+09", 1_426_118_400_000_000),
            ("14261184000e-1", 1_426_118_400_000_000),
            ("1e12", 1_000_000_000_000_000_000),
            ("1e-12", 0),
            ("0e12", 0),
        ] {
            assert_eq!(parse(text), Some(micros), "{text}");
        }
    }

    #[test]
    fn what_is_no_finite_decimal_number_is_no_timestamp() {
        for text in [
            "",
            ".",
            "e",
            "e5",
            ".e5",
            "1e",
            "1e+",
            "1e5.5",
            "nan",
            "1e18",
            "-9223372036854775808",
            "9223372036854775807",
            "NaN",
            "inf",
            "-inf",
            "infinity",
            "Infinity",
            "0x10",
            "0b1",
            "1_000",
            "1,5",
            "-1",
            "+1",
            " 1",
            "1 ",
            "1\n",
            "1e13",
            "1e-13",
            "1e012",
            "1e999999999999",
            "1e-999999999999",
            "1e+-5",
            "1000000000000.000001",
            "9e12",
            "99999999999999999999999999",
            "0.00000000000000000000000001",
            "1.2.3",
            "1e5e5",
            "١",
            "１",
            "1\u{0}",
            "1426118400.25f",
            "1d",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,40}", number in "[0-9.eE+-]{0,40}") {
            let _ = (parse(&text), parse(&number));
        }

        #[test]
        fn what_is_written_is_read_back(micros in 0..1_000_000_000_000_000_000_i64) {
            prop_assert_eq!(parse(&format(micros)), Some(micros));
        }

        #[test]
        fn no_number_makes_the_writer_panic(micros: i64) {
            prop_assert!(format(micros).contains('.'));
        }
    }
}
