//! The difference between what should have been signed and what was, in words.

use doorward::auth::{Trial, visible};

use super::draft::Draft;
use super::mistakes::{self, Mistake};

/// As many mistakes are looked for in one string.
const MOST: usize = 4;
/// Strings longer than this are not tried with two mistakes at once.
const LONGEST_FOR_PAIRS: usize = 64 << 10;
/// Bytes of a line that are shown.
const SHOWN: usize = 160;

/// What a client did wrong.
pub(super) fn words(mistake: &Mistake) -> String {
    format!("the client {}; it verifies once the client {}", mistake.did, mistake.instead)
}

/// Whether `theirs` is what should have been signed, and if not, how it differs: one sentence each, the first difference first.
pub(super) fn explain(ours: &Draft<'_>, theirs: &[u8]) -> Vec<String> {
    let mut draft = ours.clone();
    let mut said = Vec::new();
    for _ in 0..MOST {
        let text = draft.text();
        if text == theirs {
            return said;
        }
        let Some((mistake, next)) = best(&draft, &text, theirs) else {
            said.push(difference(&draft, &text, theirs));
            return said;
        };
        said.push(words(mistake));
        draft = next;
    }
    let text = draft.text();
    if text != theirs {
        said.push(difference(&draft, &text, theirs));
    }
    said
}

/// The mistake that explains the first difference: with it both are alike beyond the part in which that is.
fn best<'a>(draft: &Draft<'a>, text: &[u8], theirs: &[u8]) -> Option<(&'static Mistake, Draft<'a>)> {
    let first = common(text, theirs);
    let parts = draft.parts_up_to(first);
    let mut found: Option<(usize, &'static Mistake, Draft<'a>)> = None;
    for mistake in mistakes::all() {
        let mut next = draft.clone();
        if !(mistake.make)(&mut next) {
            continue;
        }
        let text = next.text();
        let alike = if text == theirs { usize::MAX } else { common(&text, theirs) };
        if alike > first && alike >= next.length_of(parts) && found.as_ref().is_none_or(|(most, ..)| alike > *most) {
            found = Some((alike, mistake, next));
        }
    }
    found.map(|(_, mistake, next)| (mistake, next))
}

/// The mistakes with which the signature of the request would be the client's: one, or two at once.
pub(super) fn guess(ours: &Draft<'_>, trial: &Trial) -> Vec<&'static Mistake> {
    let mut made = Vec::new();
    for mistake in mistakes::all() {
        let mut draft = ours.clone();
        if (mistake.make)(&mut draft) {
            let text = draft.text();
            if trial.signed(&text) {
                return vec![mistake];
            }
            made.push((mistake, draft, text.len()));
        }
    }
    for (one, draft, length) in &made {
        if *length > LONGEST_FOR_PAIRS {
            break;
        }
        for (other, ..) in &made {
            let mut both = draft.clone();
            if (other.make)(&mut both) && trial.signed(&both.text()) {
                return vec![one, other];
            }
        }
    }
    Vec::new()
}

/// Where two strings begin to differ, and how they go on there.
fn difference(draft: &Draft<'_>, ours: &[u8], theirs: &[u8]) -> String {
    let at = common(ours, theirs);
    let line = ours.iter().take(at).filter(|b| **b == b'\n').count().saturating_add(1);
    let part = draft.part_at(at).map_or_else(|| "behind its end".to_owned(), |part| format!("in: {part}"));
    format!("differs at byte {}, line {line} ({part}): the server has {}, the client has {}", at.saturating_add(1), rest(ours, at), rest(theirs, at))
}

/// What stands there, to the end of the line.
fn rest(text: &[u8], at: usize) -> String {
    let rest = text.get(at..).unwrap_or_default();
    let line = rest.split_inclusive(|b| *b == b'\n').next().unwrap_or_default();
    match line.get(..SHOWN) {
        _ if line.is_empty() => "nothing more".to_owned(),
        Some(cut) if cut.len() < line.len() => format!("\"{}\"…", visible(cut)),
        Some(_) | None => format!("\"{}\"", visible(line)),
    }
}

/// How many bytes are alike from the beginning.
fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}
