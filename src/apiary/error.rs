//! What can go wrong with an apiary itself, as its user is told.

use std::path::PathBuf;

/// Each says what failed, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ApiaryError {
    #[error("the apiary needs git with its http-backend: {problem}; install git (Debian: apt install git)")]
    GitMissing { problem: String },
    #[error("the apiary's {what} can't listen on port {port}: {source}; choose another port, or 0 for any")]
    Listen { what: &'static str, port: u16, source: std::io::Error },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{} is used by another apiary: stop that one, or choose another folder", path.display())]
    InUse { path: PathBuf },
    #[error("{} is not the state of an apiary: {problem}; move it away to begin anew", path.display())]
    State { path: PathBuf, problem: String },
    #[error("the model script {} can't be used: {problem}", path.display())]
    Script { path: PathBuf, problem: String },
    #[error("the apiary's servers did not start: {problem}")]
    Servers { problem: String },
    /// A call of the seeding interface that does not fit what is there.
    #[error("{0}")]
    Refused(String),
    /// A git command on one of the apiary's repositories failed.
    #[error("{repository}: {problem}")]
    Git { repository: String, problem: String },
}
