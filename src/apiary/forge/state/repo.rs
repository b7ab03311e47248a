//! A repository: its settings, labels, and what hangs on it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::issue::{Association, Comment, Issue, IssueState};
use super::pull::Pull;
use super::{RepoKey, User};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Label {
    pub(crate) id: u64,
    pub(crate) name: String,
    /// Six hexadecimal digits.
    pub(crate) color: String,
    pub(crate) description: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusState {
    Error,
    Failure,
    Pending,
    Success,
}

/// A commit status: what a continuous integration says of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) id: u64,
    pub(crate) sha: String,
    pub(crate) state: StatusState,
    pub(crate) context: String,
    pub(crate) description: Option<String>,
    pub(crate) target_url: Option<String>,
    pub(crate) creator: String,
    pub(crate) created_at: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Repo {
    pub(crate) id: u64,
    pub(crate) owner: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) default_branch: String,
    pub(crate) private: bool,
    /// Pull requests can't be drafts, as in private repositories of some of GitHub's plans.
    #[serde(default)]
    pub(crate) refuses_drafts: bool,
    pub(crate) archived: bool,
    pub(crate) has_issues: bool,
    /// The repository that this one was forked from.
    pub(crate) fork_of: Option<RepoKey>,
    /// Logins, in lower case, of those who may write; the owner is always one.
    pub(crate) collaborators: BTreeSet<String>,
    /// Logins, in lower case, of those who may sort issues and not write.
    #[serde(default)]
    pub(crate) triagers: BTreeSet<String>,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    pub(crate) pushed_at: String,
    pub(crate) last_number: u64,
    /// By their names in lower case.
    pub(crate) labels: BTreeMap<String, Label>,
    /// By their numbers, pull requests included.
    pub(crate) issues: BTreeMap<u64, Issue>,
    pub(crate) pulls: BTreeMap<u64, Pull>,
    /// By their ids, so oldest first.
    pub(crate) comments: BTreeMap<u64, Comment>,
    pub(crate) statuses: Vec<Status>,
}

impl Repo {
    pub(crate) fn new(id: u64, owner: &User, name: &str, default_branch: &str, now: &str) -> Self {
        Self {
            id,
            owner: owner.login.clone(),
            name: name.to_owned(),
            description: None,
            default_branch: default_branch.to_owned(),
            private: false,
            refuses_drafts: false,
            archived: false,
            has_issues: true,
            fork_of: None,
            collaborators: BTreeSet::from([owner.login.to_lowercase()]),
            triagers: BTreeSet::new(),
            created_at: now.to_owned(),
            updated_at: now.to_owned(),
            pushed_at: now.to_owned(),
            last_number: 0,
            labels: BTreeMap::new(),
            issues: BTreeMap::new(),
            pulls: BTreeMap::new(),
            comments: BTreeMap::new(),
            statuses: Vec::new(),
        }
    }

    pub(crate) fn key(&self) -> RepoKey {
        RepoKey::new(&self.owner, &self.name)
    }

    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    pub(crate) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    pub(crate) fn may_write(&self, login: &str) -> bool {
        self.collaborators.contains(&login.to_lowercase())
    }

    pub(crate) fn may_triage(&self, login: &str) -> bool {
        self.may_write(login) || self.triagers.contains(&login.to_lowercase())
    }

    /// What `login` is to this repository.
    pub(crate) fn association(&self, login: &str) -> Association {
        if self.owner.eq_ignore_ascii_case(login) {
            Association::Owner
        } else if self.may_triage(login) {
            Association::Collaborator
        } else if self.pulls.values().any(|p| p.merged_at.is_some() && self.is_author(p.number, login)) {
            Association::Contributor
        } else {
            Association::None
        }
    }

    fn is_author(&self, number: u64, login: &str) -> bool {
        self.issues.get(&number).is_some_and(|i| i.author.eq_ignore_ascii_case(login))
    }

    /// GitHub assigns those who may write and those who wrote on the issue; anyone else it ignores in silence.
    pub(crate) fn may_be_assigned(&self, number: u64, login: &str) -> bool {
        let commented = |c: &Comment| c.issue == number && c.author.eq_ignore_ascii_case(login);
        self.may_write(login) || self.is_author(number, login) || self.comments.values().any(commented)
    }

    pub(crate) fn label(&self, name: &str) -> Option<&Label> {
        self.labels.get(&name.to_lowercase())
    }

    /// Open issues and pull requests, counted together as GitHub does.
    pub(crate) fn open_issues_count(&self) -> usize {
        self.issues.values().filter(|i| i.state == IssueState::Open).count()
    }

    pub(crate) fn comments_of(&self, number: u64) -> impl Iterator<Item = &Comment> {
        self.comments.values().filter(move |c| c.issue == number)
    }

    /// The newest status of each context on a commit, newest first.
    pub(crate) fn latest_statuses(&self, sha: &str) -> Vec<&Status> {
        let mut contexts = BTreeSet::new();
        let of_commit = self.statuses.iter().rev().filter(|s| s.sha == sha);
        of_commit.filter(|s| contexts.insert(s.context.clone())).collect()
    }
}
