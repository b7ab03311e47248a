//! Merging two commits without a working tree.

use super::Repository;
use crate::apiary::git::GitError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Merged {
    /// The tree of the result.
    Clean(String),
    Conflict,
}

impl Repository {
    /// What merging `other` into `one` gives; nothing is moved.
    pub(crate) async fn try_merge(&self, one: &str, other: &str) -> Result<Merged, GitError> {
        let ran = self.git(["merge-tree", "--write-tree", "--no-messages", one, other]).run().await?;
        match ran.status.code() {
            Some(0) => Ok(Merged::Clean(String::from_utf8_lossy(&ran.stdout).trim().to_owned())),
            Some(1) => Ok(Merged::Conflict),
            _ => {
                Err(GitError::Failed { command: "merge-tree".into(), status: ran.status, stderr: ran.stderr })
            }
        }
    }
}
