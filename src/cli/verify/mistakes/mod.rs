//! What clients get wrong, each with the change that makes of our canonical string what such a client signs.

mod body;
mod dates;
mod lines;
mod target;

#[cfg(test)]
mod tests;

use super::draft::Draft;

/// One way to get it wrong.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mistake {
    /// Whether a log or a person would name it so: `the client …`.
    pub did: &'static str,
    /// What it should do: `once it …`.
    pub instead: &'static str,
    /// Makes the client's string; `false` where that is the same as ours.
    pub make: fn(&mut Draft<'_>) -> bool,
}

const fn mistake(did: &'static str, instead: &'static str, make: fn(&mut Draft<'_>) -> bool) -> Mistake {
    Mistake { did, instead, make }
}

/// All of them, the commonest first.
pub(super) fn all() -> impl Iterator<Item = &'static Mistake> {
    target::MISTAKES.iter().chain(lines::MISTAKES).chain(body::MISTAKES).chain(dates::MISTAKES)
}
