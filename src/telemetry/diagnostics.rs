//! What Doorward says about itself: tracing events on standard error.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use super::Format;
use crate::types::Report;

/// Reads `log.level`.
pub(super) fn level(text: &str, report: &mut Report) -> Option<LevelFilter> {
    match text {
        "error" => Some(LevelFilter::ERROR),
        "warn" => Some(LevelFilter::WARN),
        "info" => Some(LevelFilter::INFO),
        "debug" => Some(LevelFilter::DEBUG),
        "trace" => Some(LevelFilter::TRACE),
        _ => {
            report.error("level", &format!("{text:?} is not a level"), "write one of \"error\", \"warn\", \"info\", \"debug\", \"trace\"");
            None
        }
    }
}

/// Sends events to standard error. If the process has a subscriber already, that one stays.
pub(super) fn install(format: Format, level: LevelFilter) {
    // Libraries may print what they handle, credentials included, at their lower levels: only our own modules follow the setting.
    let filter = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("doorward", level);
    let terminal = std::io::stderr().is_terminal();
    let layer = if format.is_text(terminal) {
        fmt::layer().with_writer(std::io::stderr).with_ansi(terminal).with_target(false).boxed()
    } else {
        fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false).with_writer(std::io::stderr).boxed()
    };
    if tracing_subscriber::registry().with(layer.with_filter(filter)).try_init().is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            // Where, but not what: a panic's text may quote the bytes that it stumbled over.
            let place = panic.location().map(ToString::to_string);
            tracing::error!(place, "a bug ended a task; please report it with this place");
        }));
    }
}
