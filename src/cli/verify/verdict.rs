//! What is said of a recorded request.

use std::io::Write;

use doorward::auth::{AuthError, Refusal, SignedText, Trial, visible};

use super::draft::{Draft, Facts};
use super::explain::{explain, guess, words};

/// The longest text that is shown whole, in bytes.
const SHOWN: usize = 64 << 10;

/// A request that was judged.
#[derive(Debug)]
pub(super) struct Judged {
    pub notes: Vec<String>,
    pub outcome: Outcome,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It verifies.
    Good { user: String },
    /// It is not by the key that was asked for.
    OtherKey,
    /// It is refused, and not because of what was signed.
    Refused(String),
    /// The signature does not match.
    Unlike { text: Box<SignedText>, facts: Box<Facts>, trial: Option<Trial>, theirs: Option<Vec<u8>> },
}

impl Outcome {
    pub(super) fn of(error: AuthError, facts: Facts, trial: Option<Trial>, theirs: Option<Vec<u8>>) -> Self {
        match error {
            AuthError::Refused(Refusal::Mismatch(ref text)) | AuthError::RefusedAs(Refusal::Mismatch(ref text), _) => {
                Self::Unlike { text: text.clone(), facts: Box::new(facts), trial, theirs }
            }
            AuthError::Refused(_) | AuthError::RefusedAs(..) | AuthError::Unavailable(_) | AuthError::Payload(_) => Self::Refused(error.to_string()),
        }
    }
}

impl Judged {
    /// Prints it; whether the request verifies.
    pub(super) fn print(&self, out: &mut impl Write) -> anyhow::Result<bool> {
        for note in &self.notes {
            writeln!(out, "note: {note}")?;
        }
        match &self.outcome {
            Outcome::Good { user } => writeln!(out, "it verifies: the request stands for {}", user.escape_debug())?,
            Outcome::OtherKey => writeln!(out, "it does not verify: it is signed by another key")?,
            Outcome::Refused(why) => writeln!(out, "it does not verify: {why}")?,
            Outcome::Unlike { text, facts, trial, theirs } => {
                writeln!(out, "it does not verify: {}", text.why)?;
                unlike(text, facts, trial.as_ref(), theirs.as_deref(), out)?;
            }
        }
        Ok(matches!(self.outcome, Outcome::Good { .. }))
    }
}

fn unlike(text: &SignedText, facts: &Facts, trial: Option<&Trial>, theirs: Option<&[u8]>, out: &mut impl Write) -> anyhow::Result<()> {
    let ours = Draft::of(text, facts);
    let bytes = ours.text();
    let digest: String = text.digest.iter().map(|byte| format!("{byte:02x}")).collect();
    writeln!(out, "\nwhat should have been signed: {} bytes, SHA-256 {digest}", bytes.len())?;
    for piece in &ours.pieces {
        writeln!(out, "  {:<24} {}", piece.name, shown(&[piece.bytes.as_slice(), &piece.end].concat()))?;
    }
    if !text.others.is_empty() {
        writeln!(out, "  ({} other way(s) to write it would have been taken too)", text.others.len())?;
    }
    writeln!(out)?;
    if let Some(theirs) = theirs {
        return compared(text, &ours, theirs, trial, out);
    }
    let Some(trial) = trial else {
        writeln!(out, "no key of that name is in the configuration or the store")?;
        return Ok(());
    };
    match guess(&ours, trial).as_slice() {
        [] => {
            writeln!(out, "none of the usual mistakes makes this signature. Compare the string that the client signs: --theirs FILE.")?;
            writeln!(out, "If the two are alike, the client signs with another secret, or with another algorithm.")?;
        }
        [one] => writeln!(out, "{}", words(one))?,
        several => {
            writeln!(out, "the client made {} mistakes at once:", several.len())?;
            for mistake in several {
                writeln!(out, "  {}", words(mistake))?;
            }
        }
    }
    Ok(())
}

fn compared(text: &SignedText, ours: &Draft<'_>, theirs: &[u8], trial: Option<&Trial>, out: &mut impl Write) -> anyhow::Result<()> {
    use sha2::Digest as _;
    let taken = text.others.contains(&sha2::Sha256::digest(theirs).into());
    let said = if taken { Vec::new() } else { explain(ours, theirs) };
    if said.is_empty() {
        writeln!(out, "the client signs the right string: so it signs with another secret, or with another algorithm")?;
        return Ok(());
    }
    if trial.is_some_and(|trial| !trial.signed(theirs)) {
        writeln!(out, "note: the signature of the request was not made of that string with this key; the secret may differ too")?;
    }
    for (at, sentence) in said.iter().enumerate() {
        writeln!(out, "{}{sentence}", if at == 0 { "first difference: " } else { "then: " })?;
    }
    Ok(())
}

fn shown(bytes: &[u8]) -> String {
    match bytes.get(..SHOWN) {
        Some(cut) if cut.len() < bytes.len() => format!("{}… ({} bytes)", visible(cut), bytes.len()),
        Some(_) | None => visible(bytes),
    }
}

/// What time it is judged at, and how far that is from now.
pub(super) fn how_far(at: i64, now: i64, asked: bool) -> String {
    let whose = if asked { "the moment that was asked for" } else { "the moment that the request says" };
    let away = now.saturating_sub(at);
    let when = super::super::table::date(at);
    match away {
        0 => format!("judged at {when}, which is now"),
        1.. => format!("judged at {when}, {whose}: {} s ago; a server would judge it by its clock", away),
        _ => format!("judged at {when}, {whose}: {} s ahead of this machine's clock; a server would judge it by its clock", away.unsigned_abs()),
    }
}
