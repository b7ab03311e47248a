//! Keeping pull requests true to the branches, and what follows from a merge.
//!
//! An open pull request follows its head branch. It is closed when that branch or its base goes away or the branch
//! has nothing left to merge, and is merged when its commits turn up on the base.

use std::collections::HashMap;
use std::sync::Arc;

use super::keywords::closes;
use super::repository::Repository;
use super::state::{ForgeState, IssueState, Pull, Repo, RepoKey};
use super::{Forge, clock, repo_path};
use crate::apiary::ApiaryError;
use crate::apiary::git::GitError;

/// The tips of a repository's branches, by their short names.
type Tips = HashMap<String, String>;

/// What became of an open pull request when the branches were looked at.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Moved { head: String, base: String },
    Merged { base: String },
    Closed,
}

impl Forge {
    /// Brings the pull requests that have to do with `key` up to date: those into it, and those from it.
    pub(crate) async fn sync_pulls(&self, key: &RepoKey) -> Result<(), GitError> {
        let _one_at_a_time = self.syncing.lock().await;
        let mut tips: HashMap<RepoKey, Tips> = HashMap::new();
        for (base_key, pull) in self.store.read(|state| open_pulls(state, key)) {
            for repo in [&base_key, &pull.head_repo] {
                if !tips.contains_key(repo) {
                    tips.insert(repo.clone(), self.tips(repo).await?);
                }
            }
            let head = tips[&pull.head_repo].get(&pull.head_ref);
            let base = tips[&base_key].get(&pull.base_ref);
            if let Some(fate) = self.fate(&base_key, &pull, head, base).await? {
                let saved = self.store.change(|state| {
                    apply(state, &base_key, pull.number, &fate, &clock::now());
                    Ok::<_, ApiaryError>(())
                });
                saved.map_err(|e| GitError::Io(std::io::Error::other(e)))?;
            }
        }
        Ok(())
    }

    /// Notes that something was pushed to `key`.
    pub(crate) async fn after_push(&self, key: &RepoKey) -> Result<(), GitError> {
        let saved = self.store.change(|state| {
            if let Some(repo) = state.repo_mut(key) {
                repo.pushed_at = clock::now();
            }
            Ok::<_, ApiaryError>(())
        });
        saved.map_err(|e| GitError::Io(std::io::Error::other(e)))?;
        self.sync_pulls(key).await
    }

    /// A repository that is gone has no branches.
    async fn tips(&self, key: &RepoKey) -> Result<Tips, GitError> {
        let Some(repository) = self.repository(key) else { return Ok(Tips::new()) };
        let refs = repository.refs("refs/heads/").await?;
        let short = |name: &str| name.trim_start_matches("refs/heads/").to_owned();
        Ok(refs.into_iter().map(|r| (short(&r.name), r.sha)).collect())
    }

    async fn fate(
        &self,
        base_key: &RepoKey,
        pull: &Pull,
        head: Option<&String>,
        base: Option<&String>,
    ) -> Result<Option<Fate>, GitError> {
        let (Some(head), Some(base), Some(repository)) = (head, base, self.repository(base_key)) else {
            return Ok(Some(Fate::Closed));
        };
        if *head == pull.head_sha && *base == pull.base_sha {
            return Ok(None);
        }
        if *head != pull.head_sha {
            self.keep_head(&repository, pull, head).await?;
        }
        let is_on_base = repository.merge_base(head, base).await?.as_ref() == Some(head);
        Ok(Some(match is_on_base {
            true if *head == pull.head_sha => Fate::Merged { base: base.clone() },
            true => Fate::Closed,
            false => Fate::Moved { head: head.clone(), base: base.clone() },
        }))
    }

    /// Points `refs/pull/<n>/head` of the base repository at the head, fetching it from the fork when it is one.
    pub(crate) async fn keep_head(&self, base: &Repository, pull: &Pull, head: &str) -> Result<(), GitError> {
        let reference = format!("refs/pull/{}/head", pull.number);
        if base.object_kind(head).await?.is_none()
            && let Some(fork) = self.repository(&pull.head_repo)
        {
            return base.fetch(fork.path(), &format!("+refs/heads/{}:{reference}", pull.head_ref)).await;
        }
        base.set_ref(&reference, head).await
    }

    /// The repository that a pull request's head is in, with its owner's `owner:branch` taken apart.
    pub(crate) fn head_of(&self, base: &RepoKey, head: &str) -> Option<(RepoKey, String)> {
        let Some((owner, branch)) = head.split_once(':') else {
            return Some((base.clone(), head.to_owned()));
        };
        self.store.read(|state| {
            let repo = state.repo(base)?;
            if repo.owner.eq_ignore_ascii_case(owner) {
                return Some((base.clone(), branch.to_owned()));
            }
            let is_fork = |r: &&Repo| r.owner.eq_ignore_ascii_case(owner) && r.fork_of.as_ref() == Some(base);
            state.repos().find(is_fork).map(|fork| (fork.key(), branch.to_owned()))
        })
    }

    /// A second handle on the repository at `key`, for a caller that must not hold the state.
    pub(crate) fn repository_of(&self, repo: &Repo) -> Repository {
        Repository::new(Arc::clone(&self.git), repo_path(&self.root, repo))
    }
}

/// The open pull requests into `key`, and those from it into others.
fn open_pulls(state: &ForgeState, key: &RepoKey) -> Vec<(RepoKey, Pull)> {
    let mut found = Vec::new();
    for repo in state.repos() {
        let is_open = |p: &&Pull| repo.issues.get(&p.number).is_some_and(|i| i.state == IssueState::Open);
        let concerned = repo.pulls.values().filter(|p| repo.key() == *key || p.head_repo == *key);
        found.extend(concerned.filter(is_open).map(|p| (repo.key(), p.clone())));
    }
    found
}

fn apply(state: &mut ForgeState, key: &RepoKey, number: u64, fate: &Fate, now: &str) {
    match fate {
        Fate::Moved { head, base } => {
            let Some(repo) = state.repo_mut(key) else { return };
            if let (Some(pull), Some(issue)) = (repo.pulls.get_mut(&number), repo.issues.get_mut(&number)) {
                if pull.head_sha != *head {
                    issue.updated_at = now.to_owned();
                }
                pull.head_sha.clone_from(head);
                pull.base_sha.clone_from(base);
            }
        }
        Fate::Merged { base } => set_merged(state, key, number, base, None, &[], now),
        Fate::Closed => {
            let Some(repo) = state.repo_mut(key) else { return };
            let owner = repo.owner.clone();
            if let Some(issue) = repo.issues.get_mut(&number) {
                issue.close(&owner, None, now);
            }
        }
    }
}

/// Marks a pull request as merged at `commit`, and closes the issues that it, or one of its commits' `messages`, says
/// it closes, when it went into the default branch. `by` is nobody when the commits simply turned up there.
pub(crate) fn set_merged(
    state: &mut ForgeState,
    key: &RepoKey,
    number: u64,
    commit: &str,
    by: Option<&str>,
    messages: &[String],
    now: &str,
) {
    let Some(repo) = state.repo_mut(key) else { return };
    let full_name = repo.full_name();
    let by = by.map_or_else(|| repo.owner.clone(), str::to_owned);
    let Some(pull) = repo.pulls.get_mut(&number) else { return };
    pull.merged_at = Some(now.to_owned());
    pull.merged_by = Some(by.clone());
    pull.merge_commit_sha = Some(commit.to_owned());
    let is_default = pull.base_ref == repo.default_branch;
    let Some(issue) = repo.issues.get_mut(&number) else { return };
    issue.close(&by, None, now);
    if !is_default {
        return;
    }
    let mut text = issue.body.clone().unwrap_or_default();
    for message in messages {
        text.push('\n');
        text.push_str(message);
    }
    for closed in closes(&text, &full_name) {
        if let Some(issue) = repo.issues.get_mut(&closed) {
            issue.close(&by, None, now);
        }
    }
}
