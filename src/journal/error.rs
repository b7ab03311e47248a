//! Why a journal can't be opened, and what an SQLite error means for its callers.

use std::io;
use std::path::{Path, PathBuf};

use bzzz_actors::ports::journal::{JournalError, Seq};
use rusqlite::ErrorCode;

use crate::trail::KeyError;

#[derive(Debug, thiserror::Error)]
pub enum JournalOpenError {
    #[error("{}: can't be used as the data folder: {source}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    /// `holder` is the other node's process id, if its lock file says it.
    #[error(
        "{}: another node works with this data folder{}; stop it, or give this node a folder of its own (node.data_dir)",
        path.display(),
        holder.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    Locked { path: PathBuf, holder: Option<u32> },
    #[error("{}: there is no journal here", path.display())]
    Missing { path: PathBuf },
    #[error(
        "{}: the journal has format {found}, written by a newer bzzz; this one reads up to {known}: use the newer one",
        path.display()
    )]
    NewerFormat { path: PathBuf, found: i64, known: i64 },
    #[error("{}: the journal has the format of an older bzzz: start a node with it once, which adds what it lacks", path.display())]
    OlderFormat { path: PathBuf },
    #[error("{}: is not the journal of a node; it was not touched: move it away, or name another data folder", path.display())]
    NotAJournal { path: PathBuf },
    /// Nothing was repaired or thrown away.
    #[error("{}: the journal is damaged: {why}; restore the data folder from a copy", path.display())]
    Damaged { path: PathBuf, why: String },
    /// Nothing was repaired or thrown away.
    #[error(
        "{}: tampered or lost: {why}; bring the data folder back as it was when it was last used, or move it away whole and \
         start as a new node",
        path.display()
    )]
    Tampered { path: PathBuf, why: String },
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The disk is full, does not read, or is not writable.
    #[error("{}: the journal can't be opened: {why}", path.display())]
    Unavailable { path: PathBuf, why: String },
}

impl JournalOpenError {
    pub(super) fn of(path: &Path, error: &rusqlite::Error) -> Self {
        let (path, why) = (path.to_owned(), error.to_string());
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotAJournal { path },
            _ if is_damage(error) => Self::Damaged { path, why },
            _ => Self::Unavailable { path, why },
        }
    }
}

/// The first thing that is wrong with a journal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct VerifyError {
    /// The entry that is not what it was when it was recorded; 0: the file as a whole.
    pub seq: Seq,
    pub why: String,
}

impl std::fmt::Display for VerifyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of_file = if self.seq == Seq(0) { "the journal is damaged: " } else { "" };
        write!(f, "{of_file}{}", self.place_and_why())
    }
}

impl VerifyError {
    pub(super) fn place_and_why(&self) -> String {
        match self.seq {
            Seq(0) => self.why.clone(),
            Seq(seq) => format!("entry {seq}: {}", self.why),
        }
    }
}

/// The journal's error for an error of SQLite on the file `path`.
pub(super) fn journal_error(path: &Path, error: &rusqlite::Error) -> JournalError {
    let text = format!("{}: {error}", path.display());
    if is_damage(error) { JournalError::Damaged(text) } else { JournalError::Unavailable(text) }
}

/// Whether the file's content is wrong, as against a disk that is full or does not answer.
fn is_damage(error: &rusqlite::Error) -> bool {
    use ErrorCode::{ConstraintViolation, DatabaseCorrupt, NotADatabase, TypeMismatch};
    match error.sqlite_error_code() {
        Some(code) => matches!(code, DatabaseCorrupt | NotADatabase | ConstraintViolation | TypeMismatch),
        // Not from SQLite itself: a column does not hold what it should.
        None => true,
    }
}
