//! Why a request is refused before anybody asks who sent it.

use crate::payload::PayloadError;

/// Why a request was refused before anything else looked at it.
#[derive(Debug, thiserror::Error)]
pub enum Unclean {
    /// 405, and the connection is closed.
    #[error("the method is not let through")]
    Method,
    /// 400.
    #[error("ambiguous target: {0}")]
    Target(&'static str),
    /// 400.
    #[error("ambiguous host: {0}")]
    Host(&'static str),
    /// 400.
    #[error("ambiguous header: {0}")]
    Header(&'static str),
    /// 400.
    #[error("ambiguous framing: {0}")]
    Framing(&'static str),
    /// 417.
    #[error("an expectation other than 100-continue")]
    Expectation,
    /// 431.
    #[error("more header lines than allowed")]
    TooManyHeaders,
    /// 431.
    #[error("a head longer than allowed")]
    HeadTooLarge,
    /// 413.
    #[error(transparent)]
    Payload(#[from] PayloadError),
}
