//! Looking into the forge.

use std::path::PathBuf;

use bzzz_actors::task::{RepoId, TaskId};

use super::{git_error, key_of, missing};
use crate::apiary::ApiaryError;
use crate::apiary::forge::Forge;
use crate::apiary::forge::state::{Comment, Issue, Pull};

impl Forge {
    pub fn issue(&self, task: &TaskId) -> Option<Issue> {
        self.look(&task.repo, |repo| repo.issues.get(&task.number).cloned()).flatten()
    }

    /// All issues, pull requests among them, by number.
    pub fn issues(&self, repo: &RepoId) -> Vec<Issue> {
        self.look(repo, |repo| repo.issues.values().cloned().collect()).unwrap_or_default()
    }

    /// An issue's comments, oldest first.
    pub fn comments(&self, task: &TaskId) -> Vec<Comment> {
        self.look(&task.repo, |repo| repo.comments_of(task.number).cloned().collect()).unwrap_or_default()
    }

    /// All pull requests, open or not, by number, as they are now.
    pub async fn pull_requests(&self, repo: &RepoId) -> Result<Vec<Pull>, ApiaryError> {
        self.sync_pulls(&key_of(repo)).await.map_err(git_error(repo))?;
        Ok(self.look(repo, |repo| repo.pulls.values().cloned().collect()).unwrap_or_default())
    }

    /// What a reference points at, hidden ones included.
    pub async fn read_ref(&self, repo: &RepoId, name: &str) -> Result<Option<String>, ApiaryError> {
        let repository = self.repository(&key_of(repo)).ok_or_else(|| missing(repo))?;
        Ok(repository.read_ref(name).await.map_err(git_error(repo))?.map(|r| r.sha))
    }

    /// The references that begin with `prefix` and what they point at, by name.
    pub async fn refs(&self, repo: &RepoId, prefix: &str) -> Result<Vec<(String, String)>, ApiaryError> {
        let repository = self.repository(&key_of(repo)).ok_or_else(|| missing(repo))?;
        let refs = repository.refs(prefix).await.map_err(git_error(repo))?;
        Ok(refs.into_iter().map(|r| (r.name, r.sha)).collect())
    }

    /// A file of a branch, tag or commit.
    pub async fn read_file(
        &self,
        repo: &RepoId,
        revision: &str,
        path: &str,
    ) -> Result<Option<Vec<u8>>, ApiaryError> {
        let repository = self.repository(&key_of(repo)).ok_or_else(|| missing(repo))?;
        let commit = repository.commit_id(revision).await.map_err(git_error(repo))?;
        let Some(commit) = commit else { return Ok(None) };
        repository.file(&commit, path).await.map_err(git_error(repo))
    }

    /// Where the bare repository is.
    pub fn repository_path(&self, repo: &RepoId) -> Option<PathBuf> {
        self.repository(&key_of(repo)).map(|r| r.path().to_owned())
    }
}
