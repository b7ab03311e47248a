//! Repositories that are worked on from outside: where their branches and claims are kept instead.

use std::sync::Arc;

use bzzz_actors::task::RepoId;
use serde::{Deserialize, Serialize};

/// A repository that the token may not push to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fork {
    /// Where the issues are, and where pull requests go to.
    pub name: RepoId,
    /// Its fork, which branches are pushed to; the same on all nodes.
    pub branches: RepoId,
    /// The same on all nodes; may hold the claims of many repositories.
    pub claims: RepoId,
}

/// What is known of all of them. A repository that is not among them keeps its branches and claims itself.
#[derive(Debug, Clone, Default)]
pub struct Forks(Arc<[Fork]>);

impl Forks {
    pub fn new(forks: &[Fork]) -> Self {
        Self(forks.into())
    }

    pub fn of(&self, repo: &RepoId) -> Option<&Fork> {
        self.0.iter().find(|fork| fork.name.is_same(repo))
    }

    /// The one whose branches are kept in `repo`.
    pub fn kept_in(&self, repo: &RepoId) -> Option<&Fork> {
        self.0.iter().find(|fork| fork.branches.is_same(repo))
    }

    pub fn branches<'a>(&'a self, repo: &'a RepoId) -> &'a RepoId {
        self.of(repo).map_or(repo, |fork| &fork.branches)
    }
}
