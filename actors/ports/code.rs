//! The way of the code in and out: a mirror of each repository on the host, and the import of what a sandbox made.

use std::path::PathBuf;

use async_trait::async_trait;

use crate::task::{Base, PathPattern, RepoId, Sha, TaskId};

use super::sandbox::WorkBundle;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// The git server does not answer, or the disk is full: may pass.
    #[error("{0}")]
    Unavailable(String),
    #[error("{repo}: the token may not read or write it: {message}")]
    Denied { repo: RepoId, message: String },
    #[error("{repo}: the repository has no commits yet: push a first one, then label the issue again")]
    EmptyRepository { repo: RepoId },
    /// What the sandbox made breaks a rule of the import; the text is meant for the model.
    #[error("{0}")]
    Refused(String),
    /// A git command failed in a way that nothing here expects.
    #[error("{0}")]
    Failed(String),
}

impl CodeError {
    /// Whether the same call may succeed later. A token that is refused is one that is about to be replaced: that it
    /// may push at all was looked at before the first task.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Denied { .. })
    }
}

/// What a sandbox's import needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeIn {
    /// A tar of one folder `.git`, a repository that has `base` and some history.
    pub archive: PathBuf,
    pub base: Sha,
    /// Work done before: a bundle with the prerequisite `base`, and the commit in it whose tree is to be checked out.
    pub changes: Option<(PathBuf, Sha)>,
}

/// What the import of a bundle found in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedTree {
    pub tree: Sha,
    pub files: u32,
    pub insertions: u32,
    pub deletions: u32,
    /// The diff against the base, bounded; the last line says what was left out.
    pub diff: String,
}

/// A task's branch on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    pub commit: Sha,
    /// The newest commit of the branch to work from that it builds on; or why it can't be gone on from.
    pub base: Result<Base, String>,
}

#[async_trait]
pub trait Code: Send + Sync {
    /// Fetches `branch` into the mirror and returns its tip.
    async fn refresh(&self, repo: &RepoId, branch: &str) -> Result<Base, CodeError>;

    /// A file of a commit as text; `None` when it is not there.
    ///
    /// # Errors
    /// `Refused` when it is longer than 64 KiB, not a regular file, or not UTF-8.
    async fn read_file(&self, repo: &RepoId, commit: &Sha, path: &str) -> Result<Option<String>, CodeError>;

    /// What a sandbox needs to stand at `base`, or at `tree` when the task has already produced one.
    async fn code_in(&self, task: &TaskId, base: &Sha, tree: Option<&Sha>) -> Result<CodeIn, CodeError>;

    /// Checks a bundle, also for secrets that the base does not have, and takes its tree into the task's object store. Where
    /// `paths` names any, nothing else may be changed. `Refused` says what is wrong with it.
    async fn import(
        &self,
        task: &TaskId,
        base: &Sha,
        bundle: WorkBundle,
        paths: &[PathPattern],
    ) -> Result<ImportedTree, CodeError>;

    /// The task's branch as it is on the server now, and where it begins on the branch whose tip is `newest`.
    async fn pushed(&self, task: &TaskId, newest: &Base) -> Result<Option<Pushed>, CodeError>;

    /// Takes the tree of `pushed`, the tip of the task's branch, into the task's object store as the work done so far on
    /// `base`, after the checks of [`Self::import`]: whoever may push may have made it.
    async fn inherit(
        &self,
        task: &TaskId,
        base: &Sha,
        pushed: &Sha,
        paths: &[PathPattern],
    ) -> Result<ImportedTree, CodeError>;

    /// Makes the commit that will be published: the host's author, this message, parent `base`. The same arguments
    /// give the same commit. A secret in the message is left out of it.
    async fn commit(&self, task: &TaskId, base: &Sha, tree: &Sha, message: &str) -> Result<Sha, CodeError>;

    /// What of a secret is in a text that is to be published, in words that follow "holds"; never the secret itself.
    fn secret_in(&self, text: &str) -> Option<String>;

    /// Forgets the task's object store.
    async fn forget(&self, task: &TaskId) -> Result<(), CodeError>;
}
