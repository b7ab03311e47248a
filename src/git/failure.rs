//! A failed git command as the ports' errors.

use bzzz_actors::ports::code::CodeError;

use super::command::GitError;
use super::remote::{Failure, failure_of};

/// For commands on this host, and for those that failed before a server could answer.
pub(super) fn code_error(error: GitError) -> CodeError {
    let text = error.to_string();
    match error {
        GitError::TimedOut { .. } | GitError::Starved { .. } | GitError::Io { .. } => {
            CodeError::Unavailable(text)
        }
        GitError::Failed { .. } if failure_of(&text) == Failure::Passing => CodeError::Unavailable(text),
        GitError::Failed { .. } | GitError::NotStarted { .. } | GitError::TooMuchOutput { .. } => {
            CodeError::Failed(text)
        }
    }
}

/// For the data folder.
pub(super) fn disk_error(error: std::io::Error) -> CodeError {
    CodeError::Unavailable(format!("the data folder can't be written: {error}"))
}
