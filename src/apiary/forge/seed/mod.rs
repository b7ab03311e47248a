//! Filling the forge and looking into it, for a demo and for tests: what people do on GitHub's pages.
//!
//! Each call says in its error what it was about; nothing panics.

mod files;
mod look;
mod people;

use bzzz_actors::task::{RepoId, TaskId};

pub use files::RepositoryFile;

use super::repository::{Author, NewFile};
use super::state::{ForgeState, Repo, RepoKey, UserKind};
use super::token::{Access, Permission, Token};
use super::{Forge, RESERVED_OWNERS, clock, repo_path};
use crate::apiary::ApiaryError;
use crate::apiary::git::GitError;

/// A repository to be made. Without files it has no commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRepository {
    pub description: Option<String>,
    pub default_branch: String,
    pub private: bool,
    pub files: Vec<RepositoryFile>,
}

impl Default for NewRepository {
    fn default() -> Self {
        Self { description: None, default_branch: "main".into(), private: false, files: Vec::new() }
    }
}

fn key_of(repo: &RepoId) -> RepoKey {
    RepoKey::new(repo.owner(), repo.name())
}

fn missing(what: impl std::fmt::Display) -> ApiaryError {
    ApiaryError::Refused(format!("the apiary has no {what}"))
}

fn git_error(repo: &RepoId) -> impl Fn(GitError) -> ApiaryError {
    let repository = repo.to_string();
    move |e| ApiaryError::Git { repository: repository.clone(), problem: e.to_string() }
}

impl Forge {
    /// The forge's root, `http://127.0.0.1:<port>`: of the REST interface, the pages and git.
    pub fn url(&self) -> &str {
        &self.base_url
    }

    pub fn clone_url(&self, repo: &RepoId) -> String {
        format!("{}/{repo}.git", self.base_url)
    }

    /// Adds a token; one with the same secret is replaced. Its account becomes a collaborator where it may write.
    pub fn add_token(&self, token: Token) -> Result<(), ApiaryError> {
        self.store.change(|state| {
            state.ensure_user(&token.login, UserKind::User, &clock::now());
            let keys: Vec<RepoKey> = state.repos().map(Repo::key).collect();
            for key in keys.into_iter().filter(|key| may_push(&token, key)) {
                if let Some(repo) = state.repo_mut(&key) {
                    repo.collaborators.insert(token.login.to_lowercase());
                }
            }
            Ok::<_, ApiaryError>(())
        })?;
        let mut tokens = self.tokens.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        tokens.retain(|t| t.secret != token.secret);
        tokens.push(token);
        Ok(())
    }

    /// From now on the secret is refused.
    pub fn revoke_token(&self, secret: &str) {
        let mut tokens = self.tokens.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        tokens.retain(|t| t.secret != secret);
    }

    pub fn has_repository(&self, repo: &RepoId) -> bool {
        self.store.read(|state| state.repo(&key_of(repo)).is_some())
    }

    /// Makes a repository, with one commit when there are files.
    ///
    /// # Errors
    /// When there is one of that name, or the name is one that the forge needs for itself.
    pub async fn create_repository(&self, repo: &RepoId, new: NewRepository) -> Result<(), ApiaryError> {
        let key = key_of(repo);
        if RESERVED_OWNERS.iter().any(|r| r.eq_ignore_ascii_case(repo.owner())) {
            return Err(ApiaryError::Refused(format!("{repo}: the forge needs the owner's name for itself")));
        }
        if self.has_repository(repo) {
            return Err(ApiaryError::Refused(format!("{repo} is there already")));
        }
        let now = clock::now();
        let mut made = self.store.change(|state| {
            let owner = state.ensure_user(repo.owner(), UserKind::Organization, &now).clone();
            Ok::<_, ApiaryError>(Repo::new(state.next_id(), &owner, repo.name(), &new.default_branch, &now))
        })?;
        made.description = new.description;
        made.private = new.private;
        let tokens = self.tokens.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let writers = tokens.iter().filter(|t| may_push(t, &key)).map(|t| t.login.to_lowercase());
        made.collaborators.extend(writers);

        let repository = self.repository_of(&made);
        // What a crash left of an earlier attempt.
        let _ = std::fs::remove_dir_all(repository.path());
        repository.init(&new.default_branch).await.map_err(git_error(repo))?;
        if !new.files.is_empty() {
            let files: Vec<NewFile<'_>> = new.files.iter().map(RepositoryFile::as_new).collect();
            let author = person(&made.owner);
            let author = Author { name: &author.0, email: &author.1, at: clock::unix() };
            repository
                .commit_files(&new.default_branch, &files, &[], &author, "Begin the project\n")
                .await
                .map_err(git_error(repo))?;
        }
        self.store.change(|state| match state.add_repo(made) {
            true => Ok(()),
            false => Err(ApiaryError::Refused(format!("{repo} is there already"))),
        })
    }

    /// Makes a fork under another owner.
    pub(crate) async fn fork(&self, of: &RepoKey, owner: &str, name: &str) -> Result<(), ApiaryError> {
        let source = self.store.read(|state| state.repo(of).cloned());
        let source = source.ok_or_else(|| missing("repository to fork"))?;
        let repo: RepoId =
            format!("{owner}/{name}").parse().map_err(|e| ApiaryError::Refused(format!("{e}")))?;
        let new = NewRepository {
            description: source.description.clone(),
            default_branch: source.default_branch.clone(),
            private: source.private,
            files: Vec::new(),
        };
        self.create_repository(&repo, new).await?;
        let fork = self.repository(&key_of(&repo)).ok_or_else(|| missing(&repo))?;
        let from = repo_path(&self.root, &source);
        fork.copy_from(&from).await.map_err(git_error(&repo))?;
        self.change(&repo, |state, key| {
            state.repo_mut(key)?.fork_of = Some(of.clone());
            Some(())
        })
    }

    /// Makes a fork of `repo` under `owner`, as the fork button does.
    pub async fn fork_repository(&self, repo: &RepoId, owner: &str) -> Result<(), ApiaryError> {
        self.fork(&key_of(repo), owner, repo.name()).await
    }

    /// Commits files to a branch, as a person who pushes, and returns the commit.
    pub async fn commit(
        &self,
        repo: &RepoId,
        branch: &str,
        files: &[RepositoryFile],
        removed: &[&str],
        message: &str,
    ) -> Result<String, ApiaryError> {
        let key = key_of(repo);
        let repository = self.repository(&key).ok_or_else(|| missing(repo))?;
        let files: Vec<NewFile<'_>> = files.iter().map(RepositoryFile::as_new).collect();
        let author = person(repo.owner());
        let author = Author { name: &author.0, email: &author.1, at: clock::unix() };
        let made = repository.commit_files(branch, &files, removed, &author, message).await;
        let made = made.map_err(git_error(repo))?;
        self.after_push(&key).await.map_err(git_error(repo))?;
        Ok(made)
    }

    /// Archives a repository, or opens it again.
    pub fn set_archived(&self, repo: &RepoId, archived: bool) -> Result<(), ApiaryError> {
        self.change(repo, |state, key| state.repo_mut(key).map(|r| r.archived = archived))
    }

    pub fn set_private(&self, repo: &RepoId, private: bool) -> Result<(), ApiaryError> {
        self.change(repo, |state, key| state.repo_mut(key).map(|r| r.private = private))
    }

    /// Whether it knows no drafts, like private repositories of some of GitHub's plans.
    pub fn set_refuses_drafts(&self, repo: &RepoId, refuses: bool) -> Result<(), ApiaryError> {
        self.change(repo, |state, key| state.repo_mut(key).map(|r| r.refuses_drafts = refuses))
    }

    pub fn set_has_issues(&self, repo: &RepoId, has_issues: bool) -> Result<(), ApiaryError> {
        self.change(repo, |state, key| state.repo_mut(key).map(|r| r.has_issues = has_issues))
    }

    /// Makes an account that may write to the repository, or gives one the right to.
    pub fn add_collaborator(&self, repo: &RepoId, login: &str) -> Result<(), ApiaryError> {
        self.change(repo, |state, key| {
            state.repo(key)?;
            state.ensure_user(login, UserKind::User, &clock::now());
            state.repo_mut(key)?.collaborators.insert(login.to_lowercase());
            Some(())
        })
    }

    /// Gives an account the right to label and close issues, and not to write.
    pub fn add_triager(&self, repo: &RepoId, login: &str) -> Result<(), ApiaryError> {
        self.change(repo, |state, key| {
            state.repo(key)?;
            state.ensure_user(login, UserKind::User, &clock::now());
            state.repo_mut(key)?.triagers.insert(login.to_lowercase());
            Some(())
        })
    }

    /// From now on the server neither shows references under `prefix` nor takes pushes to them.
    pub async fn hide_refs(&self, repo: &RepoId, prefix: &str) -> Result<(), ApiaryError> {
        let repository = self.repository(&key_of(repo)).ok_or_else(|| missing(repo))?;
        repository.hide_refs(prefix).await.map_err(git_error(repo))
    }

    fn look<R>(&self, repo: &RepoId, look: impl FnOnce(&Repo) -> R) -> Option<R> {
        self.store.read(|state| state.repo(&key_of(repo)).map(look))
    }

    fn change<R>(
        &self,
        repo: &RepoId,
        change: impl FnOnce(&mut ForgeState, &RepoKey) -> Option<R>,
    ) -> Result<R, ApiaryError> {
        let key = key_of(repo);
        self.store.change(|state| change(state, &key).ok_or_else(|| missing(repo)))
    }

    fn change_at<R>(
        &self,
        task: &TaskId,
        change: impl FnOnce(&mut ForgeState, &RepoKey) -> Option<R>,
    ) -> Result<R, ApiaryError> {
        let key = key_of(&task.repo);
        self.store.change(|state| change(state, &key).ok_or_else(|| missing(task)))
    }
}

fn may_push(token: &Token, key: &RepoKey) -> bool {
    token.covers(key) && token.may(Permission::Contents, Access::Write)
}

/// An owner's name and address as the author of a commit.
fn person(login: &str) -> (String, String) {
    (login.to_owned(), format!("{login}@users.noreply.apiary.invalid"))
}
