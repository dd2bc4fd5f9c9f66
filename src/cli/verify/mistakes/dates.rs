//! The moment, written in another way than the one that is sent.

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::super::draft::{Draft, Facts, split_at};
use super::{Mistake, mistake};

const SENT: &str = "signs the date as it is sent";

type Format = &'static [BorrowedFormatItem<'static>];
const HTTP: Format = format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
const ISO: Format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
const BLANK: Format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
const COMPACT: Format = format_description!("[year][month][day]T[hour][minute][second]Z");
const DAY: Format = format_description!("[year][month][day]");

pub(super) const MISTAKES: &[Mistake] = &[
    mistake("signed the date in another format: as HTTP has it, Sun, 22 Nov 2026 06:00:00 GMT", SENT, |d| date(d, |facts| formatted(facts, HTTP))),
    mistake("signed the date in another format: 2026-11-22T06:00:00Z", SENT, |d| date(d, |facts| formatted(facts, ISO))),
    mistake("signed the date in another format: 2026-11-22 06:00:00", SENT, |d| date(d, |facts| formatted(facts, BLANK))),
    mistake("signed the date in another format: 20261122T060000Z", SENT, |d| date(d, |facts| formatted(facts, COMPACT))),
    mistake("signed the day alone: 20261122", SENT, |d| date(d, |facts| formatted(facts, DAY))),
    mistake("signed the date in another format: seconds since 1970", SENT, |d| date(d, |facts| facts.time.map(|time| time.to_string()))),
    mistake("signed the date in another format: milliseconds since 1970", SENT, |d| {
        date(d, |facts| facts.time.map(|time| time.saturating_mul(1000).to_string()))
    }),
    mistake("left the date out", SENT, |d| date(d, |_| Some(String::new()))),
];

fn formatted(facts: &Facts, format: Format) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(facts.time?).ok()?.format(format).ok()
}

/// Changes each part that is a date.
fn date(d: &mut Draft<'_>, write: impl Fn(&Facts) -> Option<String>) -> bool {
    d.each(|facts, piece| {
        let header = piece.name.strip_prefix("header ");
        if !["timestamp", "date"].contains(&piece.name.as_str()) && !header.is_some_and(|name| ["date", "x-date", "x-amz-date"].contains(&name)) {
            return None;
        }
        let written = write(facts)?;
        match split_at(&piece.bytes, b':').filter(|(name, _)| header.is_some_and(|header| name.eq_ignore_ascii_case(header.as_bytes()))) {
            Some((name, value)) => {
                let blank = if value.starts_with(b" ") { " " } else { "" };
                Some([name, b":", blank.as_bytes(), written.as_bytes()].concat())
            }
            None => Some(written.into_bytes()),
        }
    })
}
