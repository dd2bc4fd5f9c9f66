//! Users of an htpasswd file, which is watched while it is in use.
//!
//! ```text
//! load ── read, every line right? ──> Table ── in service until another one is read ──> find
//! every second: other bytes, the same in two looks ──> load; what cannot be used is said once, and the old one stays
//! ```
//!
//! Files are told apart by their contents: it works for renamed, linked and mounted files, and for those that a program
//! writes anew in place.

mod follow;
mod table;

#[cfg(test)]
mod tests;

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use super::health::{Health, SourceStatus};
use super::sources::{Mark, Sources};
use crate::types::{Report, unix_now};

use follow::State;
pub use table::{Fault, Table};

/// An htpasswd file.
#[derive(Debug)]
pub struct Htpasswd {
    name: String,
    path: PathBuf,
    mark: Mark,
    table: ArcSwap<Table>,
    health: Health,
    /// Whether somebody looks after it.
    followed: AtomicBool,
    state: Mutex<State>,
}

impl Htpasswd {
    /// The file at `path`, read now, and looked after on `aux` from now on. The one that is there among `files`, or a new one.
    /// Reports under `users`, every line that is wrong, and returns `None` then.
    pub fn open(files: &Sources<Self>, path: &Path, aux: &Handle, report: &mut Report) -> Option<Arc<Self>> {
        let table = match load(path) {
            Ok(table) => Arc::new(table),
            Err(faults) => {
                for fault in faults {
                    report.error("users", &fault.at(path), fault.remedy);
                }
                return None;
            }
        };
        warn(path, &table, report);
        let mark = Sha256::new_with_prefix("htpasswd\0").chain_update(path.as_os_str().as_encoded_bytes()).finalize().into();
        let file = files.get(mark, || Self::new(path, mark, Arc::clone(&table)));
        file.put(table);
        file.follow(aux);
        Some(file)
    }

    fn new(path: &Path, mark: Mark, table: Arc<Table>) -> Self {
        let name = format!("htpasswd {}", path.display());
        Self {
            health: Health::new(&name),
            name,
            path: path.to_owned(),
            mark,
            table: ArcSwap::new(table),
            followed: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// The users as they are now.
    pub(super) fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// What tells it from other sources.
    pub(super) fn mark(&self) -> &Mark {
        &self.mark
    }

    /// For logs.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// How the file is: when it could last be read.
    #[must_use]
    pub fn status(&self) -> SourceStatus {
        self.health.status(unix_now())
    }
}

impl Fault {
    /// The problem with its place.
    fn at(&self, path: &Path) -> String {
        match self.line {
            0 => format!("{}: {}", path.display(), self.problem),
            line => format!("{}:{line}: {}", path.display(), self.problem),
        }
    }
}

/// What the file says now.
fn load(path: &Path) -> Result<Table, Vec<Fault>> {
    Table::read(&content(path)?)
}

/// The file's bytes, no more of them than one too many.
fn content(path: &Path) -> Result<Vec<u8>, Vec<Fault>> {
    let broken = |error: std::io::Error| vec![Fault::of_file(format!("cannot be read: {error}"), "check the path and its permissions")];
    // To open something else, such as a pipe, might take for ever.
    if !std::fs::metadata(path).map_err(broken)?.is_file() {
        return Err(vec![Fault::of_file("is no file", "name the file that htpasswd writes")]);
    }
    let mut bytes = Vec::new();
    let most = u64::try_from(table::MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)).map_err(broken)?;
    Ok(bytes)
}

/// Weak choices that let it be used all the same.
fn warn(path: &Path, table: &Table, report: &mut Report) {
    let mode = std::fs::metadata(path).as_ref().map_or(0, Metadata::mode);
    if mode & 0o022 != 0 {
        let problem = format!("{}: others than its owner may write to the file, and so make themselves users", path.display());
        report.warn("users", &problem, "chmod 640 the file");
    }
    if mode & 0o004 != 0 {
        let problem = format!("{}: everybody on this machine may read the file, and guess passwords at leisure", path.display());
        report.warn("users", &problem, "chmod 640 the file");
    }
    if !table.weak().is_empty() {
        let lines: Vec<String> = table.weak().iter().take(10).map(usize::to_string).collect();
        let more = if table.weak().len() > 10 { " …" } else { "" };
        let problem = format!(
            "{}: {} of {} passwords are kept as {{SHA}} or MD5, which are guessed by the billion: lines {}{more}",
            path.display(),
            table.weak().len(),
            table.len(),
            lines.join(", ")
        );
        report.warn("users", &problem, "let these users set new passwords, with: htpasswd -B -C 10 FILE NAME");
    }
    if table.len() == 0 {
        report.warn("users", &format!("{}: the file names no user", path.display()), "add one with: htpasswd -B -C 10 FILE NAME");
    }
}
