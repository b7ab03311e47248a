//! Pull requests: what they have besides their issue.

use serde::{Deserialize, Serialize};

use super::RepoKey;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    pub id: u64,
    pub number: u64,
    /// The repository of the branch: this one, or a fork of it.
    pub head_repo: RepoKey,
    pub head_ref: String,
    /// Follows the branch while the pull request is open.
    pub head_sha: String,
    pub base_ref: String,
    /// Where the base branch was when the head was last seen.
    pub base_sha: String,
    pub draft: bool,
    pub merged_at: Option<String>,
    pub merged_by: Option<String>,
    pub merge_commit_sha: Option<String>,
    pub reviews: Vec<Review>,
    pub review_comments: Vec<ReviewComment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReviewState {
    Approved,
    ChangesRequested,
    Commented,
    Pending,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    pub id: u64,
    pub author: String,
    pub body: String,
    pub state: ReviewState,
    pub commit_id: String,
    pub submitted_at: String,
}

/// A comment on a line of the diff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewComment {
    pub id: u64,
    pub review: Option<u64>,
    pub in_reply_to: Option<u64>,
    pub author: String,
    pub body: String,
    pub path: String,
    pub line: u64,
    pub commit_id: String,
    pub created_at: String,
    pub updated_at: String,
}
