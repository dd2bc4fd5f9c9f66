//! One request as one line: JSON for machines, text for a terminal.
//!
//! Whatever a client sent stays inside its field: line breaks, terminal escapes and characters that turn the direction of
//! text are written as escapes in both forms.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::RouteMetrics;

/// One request, for the access log and the metrics. Filled on the way; written when the response has left.
#[derive(Debug)]
pub struct AccessEntry {
    /// When the request's head had arrived.
    pub started: Instant,
    /// The request's id, also sent upstream.
    pub request_id: String,
    /// The client's address; `None` for `unix:`.
    pub peer: Option<SocketAddr>,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: &'static str,
    /// Method.
    pub method: http::Method,
    /// Host, without port; `None` if the request had no usable one.
    pub host: Option<Arc<str>>,
    /// Path without the query.
    pub path: String,
    /// The route's counters and name; `None` if none was found.
    pub route: Option<Arc<RouteMetrics>>,
    /// The scheme's name in the configuration.
    pub scheme: Option<Arc<str>>,
    /// The user's name.
    pub user: Option<String>,
    /// `ok`, or the rejection's code.
    pub code: &'static str,
    /// The rejection's cause, for the operator.
    pub cause: Option<String>,
    /// The response's status; 0 if none was sent.
    pub status: u16,
    /// Body bytes received.
    pub bytes_in: u64,
    /// Body bytes sent.
    pub bytes_out: u64,
    /// From the request's arrival to the verdict of the schemes.
    pub auth: Duration,
    /// From the verdict, or from the end of a body that is signed for the application, to the head of the upstream's response.
    pub upstream: Duration,
    /// Whether the response was cut off before its end.
    pub broken: bool,
}

/// An entry with its times on the clock.
#[derive(Debug)]
pub(super) struct Timed {
    /// When the request's head had arrived.
    pub(super) at: SystemTime,
    /// From then to the end of the response.
    pub(super) total: Duration,
    pub(super) entry: Box<AccessEntry>,
}

#[derive(Serialize)]
struct Json<'a> {
    time: &'a str,
    request_id: &'a str,
    peer: &'a str,
    method: &'a str,
    host: &'a str,
    path: &'a str,
    protocol: &'a str,
    route: Option<&'a str>,
    scheme: Option<&'a str>,
    user: Option<&'a str>,
    code: &'a str,
    cause: Option<&'a str>,
    status: u16,
    bytes_in: u64,
    bytes_out: u64,
    total_ms: f64,
    auth_ms: f64,
    upstream_ms: f64,
    broken: bool,
}

const MOMENT: &[BorrowedFormatItem<'static>] = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Appends one line with its line break.
pub(super) fn write(timed: &Timed, text: bool, out: &mut Vec<u8>) {
    let time = OffsetDateTime::from(timed.at).format(MOMENT).unwrap_or_default();
    let peer = timed.entry.peer.map_or_else(|| "unix".to_owned(), |peer| peer.to_string());
    if text {
        out.extend_from_slice(readable(timed, &time, &peer).as_bytes());
    } else {
        let before = out.len();
        if json(timed, &time, &peer, out).is_err() {
            out.truncate(before);
            return;
        }
    }
    out.push(b'\n');
}

fn json(timed: &Timed, time: &str, peer: &str, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let entry = &timed.entry;
    let line = Json {
        time,
        request_id: &entry.request_id,
        peer,
        method: entry.method.as_str(),
        host: entry.host.as_deref().unwrap_or_default(),
        path: &entry.path,
        protocol: entry.protocol,
        route: entry.route.as_ref().map(|route| &*route.name),
        scheme: entry.scheme.as_deref(),
        user: entry.user.as_deref(),
        code: entry.code,
        cause: entry.cause.as_deref(),
        status: entry.status,
        bytes_in: entry.bytes_in,
        bytes_out: entry.bytes_out,
        total_ms: millis(timed.total),
        auth_ms: millis(entry.auth),
        upstream_ms: millis(entry.upstream),
        broken: entry.broken,
    };
    line.serialize(&mut serde_json::Serializer::with_formatter(out, Escaping))
}

/// Milliseconds with three decimals.
fn millis(duration: Duration) -> f64 {
    let micros = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
    f64::from(micros) / 1000.0
}

/// Whether a character could end a line, move a terminal's cursor or hide other characters.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// JSON that also escapes what JSON itself lets pass: DEL, C1 controls, U+2028 and their like.
struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if fragment.bytes().all(|b| b.is_ascii() && b != 0x7f) {
            return CompactFormatter.write_string_fragment(writer, fragment);
        }
        for c in fragment.chars() {
            if is_unsafe(c) {
                // All of them lie in the first plane.
                write!(writer, "\\u{:04x}", u32::from(c))?;
            } else {
                writer.write_all(c.encode_utf8(&mut [0; 4]).as_bytes())?;
            }
        }
        Ok(())
    }
}

/// `time status METHOD host/path user code times … cause="…"`: fields are separated by spaces and hold none, but for the cause.
fn readable(timed: &Timed, time: &str, peer: &str) -> String {
    let entry = &timed.entry;
    let mut line = String::with_capacity(256);
    let _ = write!(line, "{time} {} {} ", entry.status, entry.method);
    escape(entry.host.as_deref().unwrap_or_default(), &mut line);
    escape(&entry.path, &mut line);
    line.push(' ');
    escape(entry.user.as_deref().unwrap_or("-"), &mut line);
    let _ = write!(line, " {} {}ms", entry.code, millis(timed.total));
    for (name, spent) in [("auth", entry.auth), ("upstream", entry.upstream)] {
        if !spent.is_zero() {
            let _ = write!(line, " {name}={}ms", millis(spent));
        }
    }
    let _ = write!(line, " in={} out={} {} peer={peer}", entry.bytes_in, entry.bytes_out, entry.protocol);
    for (name, value) in
        [("route", entry.route.as_ref().map(|route| &*route.name)), ("scheme", entry.scheme.as_deref()), ("id", Some(&*entry.request_id))]
    {
        if let Some(value) = value {
            let _ = write!(line, " {name}=");
            escape(value, &mut line);
        }
    }
    if entry.broken {
        line.push_str(" broken");
    }
    if let Some(cause) = &entry.cause {
        // A sentence, and the last field: its blanks may stay.
        line.push_str(" cause=\"");
        for word in cause.split_inclusive(' ') {
            let (word, blank) = word.strip_suffix(' ').map_or((word, ""), |word| (word, " "));
            escape(word, &mut line);
            line.push_str(blank);
        }
        line.push('"');
    }
    line
}

fn escape(text: &str, line: &mut String) {
    for c in text.chars() {
        if is_unsafe(c) || c.is_whitespace() {
            let _ = write!(line, "{}", c.escape_unicode());
        } else {
            line.push(c);
        }
    }
}
