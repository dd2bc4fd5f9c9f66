//! The text of an htpasswd file, read as a whole or not at all. Pure.
//!
//! ```text
//! NAME:HASH[:anything]     lines end in LF or CR LF; empty ones, and those that begin with #, say nothing
//! ```

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::store::passwords::hash::{self, Form, Kind, Reading};
use crate::store::users::User;
use crate::types::{Secret, valid_user_name};

/// The longest file that is read.
pub(super) const MAX_BYTES: usize = 4 * 1024 * 1024;
const MAX_USERS: usize = 50_000;
const MAX_LINE_BYTES: usize = 1024;
/// So many lines are named one by one.
const MAX_FAULTS: usize = 20;

/// The users of one file.
#[derive(Debug)]
pub struct Table {
    /// Their hashes, by name.
    users: HashMap<String, Secret>,
    usual: Kind,
    /// Lines whose hash is weak.
    weak: Vec<usize>,
    fingerprint: [u8; 32],
}

/// What is wrong with a line. Says nothing of what stands in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Counted from 1; 0 for the file as a whole.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: &'static str,
}

impl Fault {
    pub(super) fn of_file(problem: impl Into<String>, remedy: &'static str) -> Self {
        Self { line: 0, problem: problem.into(), remedy }
    }
}

impl Table {
    /// Reads it. Every line that is wrong is named, up to a number of them.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Vec<Fault>> {
        if bytes.len() > MAX_BYTES {
            return Err(vec![Fault::of_file("the file is longer than 4 MiB", "keep so many users in a database")]);
        }
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Err(vec![Fault::of_file("the file is not UTF-8", "write it anew with htpasswd, names in UTF-8")]);
        };
        let mut reader = Reader::default();
        for (number, line) in (1..).zip(text.split('\n')) {
            if let Err((problem, remedy)) = reader.take(number, line.strip_suffix('\r').unwrap_or(line)) {
                reader.faults.push(Fault { line: number, problem, remedy });
            }
            if reader.faults.len() > MAX_FAULTS {
                break;
            }
        }
        if !reader.faults.is_empty() {
            return Err(reader.faults);
        }
        let Reader { users, kinds, weak, .. } = reader;
        // Of kinds that are as common as each other the one that was there first.
        let usual = kinds.iter().max_by_key(|(_, (count, first))| (*count, std::cmp::Reverse(*first))).map_or(Kind::OF_HTPASSWD, |(kind, _)| *kind);
        let users = users.into_iter().map(|(name, (hash, _))| (name, hash)).collect();
        Ok(Self { users, usual, weak, fingerprint: Sha256::digest(bytes).into() })
    }

    /// The user of exactly this name.
    pub(in crate::store) fn find(&self, name: &str) -> Option<User> {
        let hash = self.users.get(name)?;
        Some(User { name: name.to_owned(), password_hash: hash.clone(), email: None, groups: Vec::new(), disabled: false })
    }

    /// The text of a user's hash; empty where there is no such user.
    pub(in crate::store) fn hash_of(&self, name: &str) -> &[u8] {
        self.users.get(name).map(Secret::expose).unwrap_or_default()
    }

    /// The kind that most of its hashes are of.
    pub(in crate::store) fn usual(&self) -> Kind {
        self.usual
    }

    /// Lines whose hashes are guessed by the billion.
    pub(super) fn weak(&self) -> &[usize] {
        &self.weak
    }

    /// How many users there are.
    pub(super) fn len(&self) -> usize {
        self.users.len()
    }

    /// SHA-256 of the file.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }
}

#[derive(Default)]
struct Reader {
    /// Hash and line.
    users: HashMap<String, (Secret, usize)>,
    /// How often each kind was seen, and in which line first.
    kinds: HashMap<Kind, (usize, usize)>,
    weak: Vec<usize>,
    faults: Vec<Fault>,
}

impl Reader {
    fn take(&mut self, number: usize, line: &str) -> Result<(), (String, &'static str)> {
        let wrong = |problem: &str, remedy| Err((problem.to_owned(), remedy));
        if line.trim().is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if line.len() > MAX_LINE_BYTES {
            return wrong("the line is longer than 1024 bytes", "write NAME:HASH, as htpasswd does");
        }
        let Some((name, rest)) = line.split_once(':') else {
            return wrong("there is no colon between a name and a hash", "write NAME:HASH, as htpasswd does");
        };
        if !valid_user_name(name) {
            return wrong(
                "the name is empty, longer than 255 bytes, or has blanks at an end, control characters or invisible ones",
                "give the user another name, or remove the line",
            );
        }
        // Other programs keep remarks behind a second colon.
        let hash = rest.split(':').next().unwrap_or_default().trim_end();
        let kind = match hash::read(Form::Htpasswd, hash) {
            Ok(Reading::Hash(hash)) => hash.kind(),
            Ok(Reading::None(why)) => return wrong(&format!("of the password: {why}"), REMEDY),
            Err(why) => return wrong(&format!("of the password's hash: {why}"), REMEDY),
        };
        if let Some((_, first)) = self.users.get(name) {
            return wrong(&format!("the user stands in line {first} already"), "keep the line that is right");
        }
        if self.users.len() >= MAX_USERS {
            return wrong("there are more than 50,000 users", "keep so many users in a database");
        }
        if kind.is_weak() {
            self.weak.push(number);
        }
        self.kinds.entry(kind).or_insert((0, number)).0 += 1;
        self.users.insert(name.to_owned(), (Secret::new(hash), number));
        Ok(())
    }
}

const REMEDY: &str = "give the user a new password with: htpasswd -B -C 10 FILE NAME";
