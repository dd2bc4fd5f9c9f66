//! Where signatures and timestamps stand, and how they are written.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::auth::Refusal;

/// No header holds more signatures than this: each is compared.
const MOST_SIGNATURES: usize = 10;

/// How a header holds its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Layout {
    /// One, behind a fixed text: `sha256=…`.
    Prefix(String),
    /// Any number among named fields: `t=…,v1=…,v1=…`. Others are not looked at.
    Fields { signature: String, timestamp: Option<String> },
    /// Any number, each behind its version: `v1,… v1a,…`. Others are not looked at.
    Versions,
}

/// How the bytes of a signature are written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// In either case.
    #[default]
    Hex,
    /// With padding.
    Base64,
    /// Without padding.
    Base64url,
}

/// How a moment is written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimestampFormat {
    /// Seconds since 1970.
    #[default]
    Unix,
    /// Milliseconds since 1970.
    UnixMs,
    /// `2026-11-22T06:00:00Z`, RFC 3339.
    Rfc3339,
    /// `Sun, 22 Nov 2026 06:00:00 GMT`, RFC 9110.
    HttpDate,
}

/// How a signature was made, as its header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// With a shared secret.
    Mac,
    /// With a private key.
    Ed25519,
}

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub signatures: Vec<(Made, Vec<u8>)>,
    /// Where the header holds the timestamp too.
    pub timestamp: Option<&'a str>,
}

/// The one value of a header, or `None`.
pub(super) fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value.map(|value| value.as_bytes())),
        (_, Some(_)) => Err(Refusal::Malformed("a header of the signature is there more than once")),
    }
}

/// The one value of a header, in visible ASCII.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refusal> {
    let Some(value) = one(headers, name)? else { return Ok(None) };
    let text = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()));
    text.map(Some).ok_or(Refusal::Malformed("a header of the signature is not visible ASCII"))
}

/// Reads the signatures of a header. `made` is how they are made where the header does not say.
pub(super) fn read<'a>(value: &'a str, layout: &Layout, encoding: Encoding, made: Made) -> Result<Found<'a>, Refusal> {
    let malformed = Refusal::Malformed("the signature's header is not of its form");
    let mut found = Found { signatures: Vec::new(), timestamp: None };
    let mut push = |made, text: &str| {
        found.signatures.push((made, encoding.decode(text).ok_or_else(|| malformed.clone())?));
        if found.signatures.len() > MOST_SIGNATURES { Err(Refusal::Malformed("too many signatures")) } else { Ok(()) }
    };
    match layout {
        Layout::Prefix(prefix) => push(made, value.strip_prefix(prefix.as_str()).ok_or_else(|| malformed.clone())?)?,
        Layout::Fields { signature, timestamp } => {
            for field in value.split(',') {
                let (name, value) = field.trim_matches(' ').split_once('=').ok_or_else(|| malformed.clone())?;
                if name == signature {
                    push(made, value)?;
                } else if Some(name) == timestamp.as_deref() && found.timestamp.replace(value).is_some() {
                    return Err(malformed);
                }
            }
        }
        Layout::Versions => {
            for one in value.split(' ') {
                match one.split_once(',').ok_or_else(|| malformed.clone())? {
                    ("v1", signature) => push(Made::Mac, signature)?,
                    ("v1a", signature) => push(Made::Ed25519, signature)?,
                    _ => {}
                }
            }
        }
    }
    if found.signatures.is_empty() { Err(malformed) } else { Ok(found) }
}

impl Encoding {
    /// The bytes, if they are written in this way and no longer than any signature.
    fn decode(self, text: &str) -> Option<Vec<u8>> {
        if text.is_empty() || text.len() > 128 {
            return None;
        }
        match self {
            Self::Hex => unhex(text),
            Self::Base64 => STANDARD.decode(text).ok(),
            Self::Base64url => URL_SAFE_NO_PAD.decode(text).ok(),
        }
    }

    /// Writes the bytes.
    pub(super) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            Self::Base64 => STANDARD.encode(bytes),
            Self::Base64url => URL_SAFE_NO_PAD.encode(bytes),
        }
    }
}

/// The bytes of hexadecimal digits.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect())?
}

impl TimestampFormat {
    /// Unix seconds; `None` if it is not written in this way.
    pub(super) fn read(self, text: &str) -> Option<i64> {
        let digits = |most: usize| {
            let plain = text.len() <= most && text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
            text.parse::<i64>().ok().filter(|_| plain)
        };
        match self {
            Self::Unix => digits(12),
            Self::UnixMs => digits(15).map(|millis| millis.div_euclid(1000)),
            Self::Rfc3339 => OffsetDateTime::parse(text, &Rfc3339).ok().filter(|_| text.len() <= 40).map(OffsetDateTime::unix_timestamp),
            Self::HttpDate => {
                let moment = httpdate::parse_http_date(text).ok()?;
                i64::try_from(moment.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs()).ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields() -> Layout {
        Layout::Fields { signature: "v1".to_owned(), timestamp: Some("t".to_owned()) }
    }

    #[test]
    fn each_layout_is_read_in_its_own_way() {
        let mac = |bytes: &[u8]| (Made::Mac, bytes.to_vec());
        let prefix = Layout::Prefix("sha256=".to_owned());
        assert_eq!(read("sha256=0aFF", &prefix, Encoding::Hex, Made::Mac).unwrap().signatures, [mac(&[10, 255])]);
        let found = read("t=12,v1=0a,v0=zz, v1=0b", &fields(), Encoding::Hex, Made::Mac).unwrap();
        assert_eq!((found.signatures, found.timestamp), (vec![mac(&[10]), mac(&[11])], Some("12")));
        let found = read("v1,AQI= v9,?? v1a,Aw==", &Layout::Versions, Encoding::Base64, Made::Mac).unwrap();
        assert_eq!(found.signatures, [mac(&[1, 2]), (Made::Ed25519, vec![3])]);
        let bare = Layout::Prefix(String::new());
        assert_eq!(read("-_8", &bare, Encoding::Base64url, Made::Ed25519).unwrap().signatures, [(Made::Ed25519, vec![251, 255])]);
    }

    #[test]
    fn what_is_not_of_the_form_is_refused() {
        let prefix = Layout::Prefix("sha256=".to_owned());
        for text in ["", "sha256=", "sha1=0a", "SHA256=0a", "0a", "sha256=0", "sha256=0g", " sha256=0a", "sha256=0a ", "sha256=0a,sha256=0a"] {
            assert!(read(text, &prefix, Encoding::Hex, Made::Mac).is_err(), "{text}");
        }
        for text in ["", "t=1", "v1=", "t=1,v1=zz", "t=1,v1", "t=1,t=1,v1=0a", "t=1,,v1=0a", "v0=0a,t=1", "i'm not even a signature"] {
            assert!(read(text, &fields(), Encoding::Hex, Made::Mac).is_err(), "{text}");
        }
        for text in ["", "v1", "v1,", "v2,AQI=", "v1,AQI=  v1,AQI=", "v1,AQI", "v1,AQJ=", "v1, AQI="] {
            assert!(read(text, &Layout::Versions, Encoding::Base64, Made::Mac).is_err(), "{text}");
        }
        let many = |n: usize| vec!["v1=0a"; n].join(",");
        assert!(read(&many(10), &fields(), Encoding::Hex, Made::Mac).is_ok() && read(&many(11), &fields(), Encoding::Hex, Made::Mac).is_err());
        assert!(read(&format!("sha256={}", "0".repeat(130)), &prefix, Encoding::Hex, Made::Mac).is_err());
    }

    #[test]
    fn a_moment_has_one_form() {
        use TimestampFormat::{HttpDate, Rfc3339, Unix, UnixMs};
        for (format, text, expected) in [
            (Unix, "1531420618", Some(1_531_420_618)),
            (Unix, "0", Some(0)),
            (UnixMs, "1531420618999", Some(1_531_420_618)),
            (Rfc3339, "2018-07-12T18:36:58Z", Some(1_531_420_618)),
            (Rfc3339, "2018-07-12T20:36:58.123456789+02:00", Some(1_531_420_618)),
            (HttpDate, "Thu, 12 Jul 2018 18:36:58 GMT", Some(1_531_420_618)),
            (Unix, "", None),
            (Unix, "-1", None),
            (Unix, "+1", None),
            (Unix, "01", None),
            (Unix, "1.5", None),
            (Unix, "nan", None),
            (Unix, "inf", None),
            (Unix, "-9223372036854775808", None),
            (Unix, "1e18", None),
            (Unix, "1000000000000000000", None),
            (Rfc3339, "2016-12-31T23:59:60Z", Rfc3339.read("2016-12-31T23:59:59Z")),
            (Rfc3339, "2026-11-22T06:00:60Z", None),
            (Unix, "1e9", None),
            (Unix, " 1", None),
            (Unix, "9223372036854775807", None),
            (UnixMs, "9223372036854775807", None),
            (Rfc3339, "2018-07-12T18:36:58", None),
            (Rfc3339, "2018-07-12", None),
            (HttpDate, "1531420618", None),
            (HttpDate, "Thu, 12 Jul 1969 18:36:58 GMT", None),
        ] {
            assert_eq!(format.read(text), expected, "{format:?} {text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_reader_panic(text in "(t=|v1=|v1,|v1a,|,| |[0-9a-f]|\\PC){0,40}") {
            for layout in [Layout::Prefix("v1=".to_owned()), fields(), Layout::Versions] {
                for encoding in [Encoding::Hex, Encoding::Base64, Encoding::Base64url] {
                    let _ = read(&text, &layout, encoding, Made::Mac);
                }
            }
            for format in [TimestampFormat::Unix, TimestampFormat::UnixMs, TimestampFormat::Rfc3339, TimestampFormat::HttpDate] {
                let _ = format.read(&text);
            }
        }

        #[test]
        fn what_is_written_is_read_back(bytes in proptest::collection::vec(any::<u8>(), 1..64)) {
            for encoding in [Encoding::Hex, Encoding::Base64, Encoding::Base64url] {
                prop_assert_eq!(encoding.decode(&encoding.encode(&bytes)), Some(bytes.clone()));
            }
        }
    }
}
