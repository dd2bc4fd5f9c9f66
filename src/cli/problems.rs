//! Printing what is wrong with a configuration.

use std::path::Path;

use doorward::config::{self, Loaded, Located};
use doorward::types::Severity;

/// Exit code of `check` and `run` for a configuration that would not start.
pub const BAD_CONFIGURATION: u8 = 2;

/// Reads the configuration, or prints all its mistakes.
#[allow(clippy::print_stderr, reason = "a command line prints")]
pub fn load(path: &Path) -> Option<Loaded> {
    match config::load(path) {
        Ok(loaded) => Some(loaded),
        Err(error) => {
            eprintln!("{error}");
            None
        }
    }
}

/// Prints problems, one a line; says whether any of them is an error.
#[allow(clippy::print_stderr, reason = "a command line prints")]
pub fn print(problems: &[Located]) -> bool {
    for problem in problems {
        eprintln!("{problem}");
    }
    problems.iter().any(|located| located.problem.severity == Severity::Error)
}
