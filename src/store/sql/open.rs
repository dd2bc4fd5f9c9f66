//! Opening the database: the file and its permissions, or the server.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tokio::runtime::Handle;

use super::link::{Failed, Link};
use super::place::Place;
use super::{DEADLINE, Db};

/// How many connections to a server there are at most, unless the configuration says otherwise.
pub const CONNECTIONS: u32 = 8;

/// Why the database was not opened: what is wrong and what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{problem}; {remedy}")]
pub struct OpenError {
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl OpenError {
    pub(super) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into() }
    }
}

impl Db {
    /// Opens the database that `url` names, and waits until it can be asked. See [`Db::at`] and [`Db::prepare`].
    pub async fn open(url: &str, aux: &Handle) -> Result<Self, OpenError> {
        let db = Self::at(Place::parse(url, None)?, None, CONNECTIONS, aux);
        db.prepare().await?;
        Ok(db)
    }

    /// The database at `place`, without going there: that is done when it is first asked, and again whenever it was lost.
    /// `password_file` is read anew each time; to a server there are `connections` at most.
    #[must_use]
    pub fn at(place: Place, password_file: Option<PathBuf>, connections: u32, aux: &Handle) -> Self {
        // The connections belong to this runtime, whoever calls.
        let _entered = aux.enter();
        Self { link: Link::new(place, password_file, connections), aux: aux.clone() }
    }

    /// Opens the database now and brings its tables up to date. A file is created if it is missing, readable by its owner alone; its
    /// folder is not. A database of another program or of a newer Doorward is refused and left as it is.
    pub async fn prepare(&self) -> Result<(), OpenError> {
        match self.first_answer().await {
            Ok(()) => Ok(()),
            Err(Failed::Refused(why)) => Err(why),
            Err(Failed::Unreachable(cause)) => Err(self.cannot_be_opened(&cause)),
        }
    }

    /// As [`Db::prepare`], but a server that does not answer is no mistake: what needs it waits for it, and it is found when it comes.
    pub async fn prepare_if_there(&self) -> Result<(), OpenError> {
        match self.first_answer().await {
            Err(Failed::Refused(why)) => Err(why),
            Err(Failed::Unreachable(cause)) if self.link.place.file().is_some() => Err(self.cannot_be_opened(&cause)),
            Err(Failed::Unreachable(_)) | Ok(()) => Ok(()),
        }
    }

    async fn first_answer(&self) -> Result<(), Failed> {
        let link = self.link.clone();
        match self.aux.spawn(async move { tokio::time::timeout(DEADLINE * 2, link.ready()).await }).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(Failed::Unreachable("another process keeps it locked, or it is slow".into())),
            Err(broken) => Err(Failed::Unreachable(broken.to_string().into())),
        }
    }

    fn cannot_be_opened(&self, cause: &str) -> OpenError {
        let place = &self.link.place;
        let remedy = match place.file() {
            Some(_) => "see that it is a database of Doorward's, and not locked",
            None => "see that it runs, and that the name, the password and the certificates are right",
        };
        OpenError::new(format!("the database {place} cannot be opened: {cause}"), remedy)
    }
}

impl Place {
    /// Whether there could be a database. Opens and creates nothing, and connects to nothing.
    pub fn check(&self) -> Result<(), OpenError> {
        match self.file().and_then(Path::parent) {
            Some(folder) if !folder.is_dir() => Err(no_folder(folder)),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether it is a file that others than its owner may read.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        self.file().and_then(|file| std::fs::metadata(file).ok()).is_some_and(|meta| meta.mode() & 0o077 != 0)
    }
}

/// Creates the file before SQLite does, which would make it readable by all. The WAL files take its permissions over.
pub(super) fn create(file: &Path) -> Result<(), OpenError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(no_folder(file.parent().unwrap_or(file))),
        Err(error) => Err(OpenError::new(
            format!("the database {} cannot be created: {error}", file.display()),
            "let the user that runs Doorward write to its folder",
        )),
    }
}

fn no_folder(folder: &Path) -> OpenError {
    OpenError::new(format!("the folder {} does not exist", folder.display()), "create it, writable by the user that runs Doorward")
}
