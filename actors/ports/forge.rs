//! The forge's conversation side: issues, comments, labels, pull requests. Its git side is [`super::code`] and
//! [`super::claims`].

use std::time::Duration;

use async_trait::async_trait;

use crate::task::{Issue, RepoId, Sha, TaskId};

/// Why a call to the forge did not succeed. The text of each names the call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForgeError {
    #[error("{call}: the forge refused the token (401): set a valid one in forge.token_file")]
    Unauthorized { call: String },
    /// `permission` is the fine-grained permission that the call needs, such as `issues: write`.
    #[error("{call}: the token may not do this (403): it needs the permission {permission}. {message}")]
    Forbidden { call: String, permission: String, message: String },
    #[error("{call}: not found (404): the repository or issue does not exist, or the token may not see it")]
    NotFound { call: String },
    #[error("{call}: the forge found the request invalid (422): {message}")]
    Invalid { call: String, message: String },
    /// What was found can't be worked with as it is.
    #[error("{call}: {problem}")]
    Unsuitable { call: String, problem: String },
    /// Not before `retry_after` from now.
    #[error("{call}: rate limit reached, again in {} s", retry_after.as_secs())]
    RateLimited { call: String, retry_after: Duration },
    /// 5xx, a dropped connection, a time-out. Whether the call had its effect is unknown.
    #[error("{call}: the forge is not available: {problem}")]
    Unavailable { call: String, problem: String },
    /// An answer that is not what the interface says: HTML, half a body, another shape. Effect unknown too.
    #[error("{call}: the forge's answer can't be read: {problem}")]
    Malformed { call: String, problem: String },
}

impl ForgeError {
    /// Whether the same call may succeed later. A token that is refused is one that expired and is about to be
    /// replaced: work that is under way waits for that.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unauthorized { .. }
            | Self::RateLimited { .. }
            | Self::Unavailable { .. }
            | Self::Malformed { .. } => true,
            Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Invalid { .. }
            | Self::Unsuitable { .. } => false,
        }
    }

    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    pub id: RepoId,
    pub default_branch: String,
    /// The token may push; false also when the forge does not say.
    pub can_push: bool,
    pub archived: bool,
    /// What most of it is written in, as the forge names it.
    pub language: Option<String>,
}

/// A listing of issues, and when the forge may be asked again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueList {
    pub issues: Vec<Issue>,
    /// False when the forge said that nothing changed since the last listing (304).
    pub changed: bool,
    /// The least time until the next listing that the forge asked for (`x-poll-interval`), if it did.
    pub not_before: Option<Duration>,
}

/// That somebody put a label on an issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSetting {
    pub by: String,
    /// RFC 3339, in UTC.
    pub at: String,
    /// Who gave the issue another title since; `None` stands for an account that is gone.
    pub renamed_by: Vec<Option<String>>,
}

/// That somebody changed an issue's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// `None`: the account is gone.
    pub by: Option<String>,
    /// RFC 3339, in UTC.
    pub at: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    pub id: u64,
    pub author: String,
    /// By the account that this node speaks as.
    pub is_own: bool,
    /// The author has to do with the repository: OWNER, MEMBER or COLLABORATOR. It may be no more than the right to
    /// read; without it there is none to triage either.
    pub from_maintainer: bool,
    pub body: String,
    /// RFC 3339.
    pub created_at: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPullRequest {
    pub head: String,
    pub base: String,
    pub title: String,
    pub body: String,
    pub draft: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullRequestState {
    Open,
    Merged,
    Closed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    pub number: u64,
    pub url: String,
    pub head: String,
    pub head_sha: String,
    pub state: PullRequestState,
    /// RFC 3339, in UTC; `None` while it is open, or where the forge does not say.
    pub ended_at: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CiState {
    Pending,
    Passed,
    Failed,
}

/// What one job of the forge's continuous integration says of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CiCheck {
    pub name: String,
    pub state: CiState,
}

const MARKER_HEAD: &str = "<!-- bzzz:";

/// The hidden mark by which a node finds its own comment again. A body that holds any such mark is a node's.
pub fn comment_marker(marker: &str) -> String {
    format!("{MARKER_HEAD}{marker} -->")
}

/// Whether a body holds a mark that begins so.
pub fn has_marker(body: &str, beginning: &str) -> bool {
    body.contains(&format!("{MARKER_HEAD}{beginning}"))
}

/// A secret in a text that goes out is left out of it.
/// Every call is bounded in time by its adapter. An error's doc says whether the effect may have happened.
#[async_trait]
pub trait Forge: Send + Sync {
    /// Whether the labels of the repository's issues are this account's to set. Where they are not, they don't tell how the
    /// nodes' work on an issue ended.
    fn may_label(&self, _repo: &RepoId) -> bool {
        true
    }

    /// The account that the token belongs to.
    async fn login(&self) -> Result<String, ForgeError>;

    async fn repository(&self, repo: &RepoId) -> Result<Repository, ForgeError>;

    /// All open issues with `label`, oldest first, without pull requests. Conditional on what the last listing saw:
    /// asking again while nothing changed costs no quota.
    async fn open_issues(&self, repo: &RepoId, label: &str) -> Result<IssueList, ForgeError>;

    async fn issue(&self, task: &TaskId) -> Result<Issue, ForgeError>;

    /// Who put `label` on the issue: the last one who did since it was taken off last. `None` when the forge does not
    /// say, or the label is not there.
    async fn label_setting(&self, task: &TaskId, label: &str) -> Result<Option<LabelSetting>, ForgeError>;

    /// The last change of the issue's body; `None` when it stands as it was written first.
    async fn last_edit(&self, task: &TaskId) -> Result<Option<Edit>, ForgeError>;

    /// Whether the account may sort the repository's issues (GitHub's role "triage") or more.
    ///
    /// # Errors
    /// `Forbidden` when the token may not know.
    async fn may_triage(&self, repo: &RepoId, login: &str) -> Result<bool, ForgeError>;

    /// The issue's comments, oldest first.
    async fn comments(&self, task: &TaskId) -> Result<Vec<Comment>, ForgeError>;

    /// Leaves exactly one comment that carries the hidden `marker`: creates it, or gives the one there this body.
    async fn put_comment(&self, task: &TaskId, marker: &str, body: &str) -> Result<(), ForgeError>;

    /// Idempotent: adding a label that is there or removing one that is not succeeds.
    async fn change_labels(&self, task: &TaskId, add: &[&str], remove: &[&str]) -> Result<(), ForgeError>;

    /// Assigns the issue to the token's account.
    async fn assign(&self, task: &TaskId) -> Result<(), ForgeError>;

    /// The newest pull request from `head`, whatever its state: a branch of the repository, or of the fork that the adapter
    /// works from.
    async fn find_pull_request(&self, repo: &RepoId, head: &str) -> Result<Option<PullRequest>, ForgeError>;

    /// Opens a pull request, or finds the open one of the same head: never a second one. A draft is an ordinary one where
    /// the forge has no drafts.
    async fn open_pull_request(
        &self,
        repo: &RepoId,
        pull_request: &NewPullRequest,
    ) -> Result<PullRequest, ForgeError>;

    /// Assigns the pull request to the account too. One that the forge does not let have it is left out in silence.
    async fn assign_pull_request(&self, repo: &RepoId, number: u64, login: &str) -> Result<(), ForgeError>;

    async fn pull_request(&self, repo: &RepoId, number: u64) -> Result<PullRequest, ForgeError>;

    /// What continuous integration says of a commit so far; empty when it says nothing.
    async fn ci_checks(&self, repo: &RepoId, commit: &Sha) -> Result<Vec<CiCheck>, ForgeError>;
}
