//! The claim references: the one thing on the forge that is compare-and-swap.
//!
//! `refs/bzzz/claims/<number>` points at a commit whose message is a [`LeaseRecord`] in JSON, whose parent is the
//! lease before, and whose tree is empty.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::task::{Epoch, NodeId, RepoId, Sha, TaskId};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsError {
    /// No answer, a time-out, an error in the middle: the write may have happened. Read the reference.
    #[error("{0}")]
    Unclear(String),
    /// The server refuses such writes from this token, or to this namespace; nothing was written.
    #[error("{repo}: the git server refused the claim: {message}")]
    Denied { repo: RepoId, message: String },
    /// A reference can't be made in a repository without commits.
    #[error("{repo}: the repository has no commits yet")]
    EmptyRepository { repo: RepoId },
    /// A local git command failed in a way that nothing here expects.
    #[error("{0}")]
    Failed(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseState {
    Held,
    Released,
    /// The work is published; the open pull request keeps others away.
    Done,
}

/// The message of a lease commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRecord {
    /// The record's format: 1.
    pub v: u32,
    pub task: TaskId,
    pub node: NodeId,
    pub epoch: Epoch,
    /// Random, so that no two lease commits are ever identical: identical ones would all "win".
    pub nonce: String,
    pub ttl_s: u64,
    pub state: LeaseState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenLease {
    pub sha: Sha,
    /// `None` when the commit's message is not a lease record that this version reads.
    pub record: Option<LeaseRecord>,
}

/// The branch update that goes with a lease update, both or neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchUpdate {
    /// What the branch must be at now; `None`: it must not exist.
    pub from: Option<Sha>,
    pub to: Sha,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swap {
    Done,
    /// The server compared and refused: a reference is not at the value that was named.
    Refused,
}

#[async_trait]
pub trait Claims: Send + Sync {
    /// The task's claim reference as it is on the server now.
    async fn read(&self, task: &TaskId) -> Result<Option<SeenLease>, ClaimsError>;

    /// The claim references of a repository, each with its issue's number, as far as their list is not too long.
    async fn list(&self, repo: &RepoId) -> Result<Vec<(u64, Sha)>, ClaimsError>;

    /// The claims of these issues as they are on the server now, brought at once; those that are not there are left out.
    async fn read_all(&self, repo: &RepoId, numbers: &[u64]) -> Result<Vec<(u64, SeenLease)>, ClaimsError>;

    /// The task's branch as it is on the server now.
    async fn read_branch(&self, task: &TaskId) -> Result<Option<Sha>, ClaimsError>;

    /// Writes a lease commit on top of `previous` on this host only, and returns its id.
    async fn draft(&self, previous: Option<&Sha>, record: &LeaseRecord) -> Result<Sha, ClaimsError>;

    /// Moves the claim reference from exactly `from` (`None`: it must not exist) to the drafted `to`, and the task's
    /// branch with it where `branch` says so, in one atomic push.
    async fn swap(
        &self,
        task: &TaskId,
        from: Option<&Sha>,
        to: &Sha,
        branch: Option<&BranchUpdate>,
    ) -> Result<Swap, ClaimsError>;

    /// Deletes the claim reference if it is at `from`. Only for closed issues: epochs begin again after it.
    async fn delete(&self, task: &TaskId, from: &Sha) -> Result<Swap, ClaimsError>;

    /// Creates, swaps and deletes a reference of this node's, to see that the server lets it.
    async fn probe(&self, repo: &RepoId, node: &NodeId) -> Result<(), ClaimsError>;
}
