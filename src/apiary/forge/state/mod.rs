//! What the forge remembers apart from git: users, repositories, issues, comments, pull requests. Plain data and its
//! invariants; no HTTP, no git, no clock but the texts it is given.
//!
//! What holds true: issues and pull requests of a repository share one sequence of numbers, every pull request is an
//! issue too, and all ids come from one sequence, so no two things have the same.

mod change;
mod issue;
mod pull;
mod repo;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) use change::NewIssue;
pub(crate) use issue::IssueEvent;
pub use issue::{Association, Comment, Issue, IssueState};
pub use pull::{Pull, Review, ReviewComment, ReviewState};
pub use repo::StatusState;
pub(crate) use repo::{Label, Repo, Status};

/// GitHub's limits, in characters.
pub(crate) const MAX_TITLE: usize = 256;
pub(crate) const MAX_BODY: usize = 65_536;
pub(crate) const MAX_LABEL: usize = 50;
/// GitHub's limits, in things: comments on an issue, statuses of one context on a commit.
pub(crate) const MAX_COMMENTS: usize = 2500;
pub(crate) const MAX_STATUSES: usize = 1000;

/// A repository's `owner/name` in lower case: names are kept as written and compared without case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RepoKey(String);

impl RepoKey {
    pub fn new(owner: &str, name: &str) -> Self {
        Self(format!("{owner}/{name}").to_lowercase())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UserKind {
    User,
    Organization,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) id: u64,
    pub(crate) login: String,
    pub(crate) kind: UserKind,
    pub(crate) created_at: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct ForgeState {
    last_id: u64,
    users: BTreeMap<String, User>,
    repos: BTreeMap<RepoKey, Repo>,
}

impl ForgeState {
    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(crate) fn user(&self, login: &str) -> Option<&User> {
        self.users.get(&login.to_lowercase())
    }

    /// The user with that login, made when there is none.
    pub(crate) fn ensure_user(&mut self, login: &str, kind: UserKind, now: &str) -> &User {
        let id = if self.user(login).is_some() { 0 } else { self.next_id() };
        self.users.entry(login.to_lowercase()).or_insert_with(|| User {
            id,
            login: login.to_owned(),
            kind,
            created_at: now.to_owned(),
        })
    }

    pub(crate) fn repo(&self, key: &RepoKey) -> Option<&Repo> {
        self.repos.get(key)
    }

    pub(crate) fn repo_mut(&mut self, key: &RepoKey) -> Option<&mut Repo> {
        self.repos.get_mut(key)
    }

    pub(crate) fn repos(&self) -> impl Iterator<Item = &Repo> {
        self.repos.values()
    }

    /// Adds a repository; false when there is one of that name.
    pub(crate) fn add_repo(&mut self, repo: Repo) -> bool {
        let key = repo.key();
        if self.repos.contains_key(&key) {
            return false;
        }
        self.repos.insert(key, repo);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_one_whatever_their_case() {
        let mut state = ForgeState::default();
        let first = state.ensure_user("Ann", UserKind::User, "t").id;
        assert_eq!(state.ensure_user("ann", UserKind::User, "t").id, first);
        assert_eq!(state.user("ANN").unwrap().login, "Ann");
        assert_ne!(state.ensure_user("ben", UserKind::User, "t").id, first);
    }
}
