//! The forge: GitHub's REST interface, on github.com or a GitHub Enterprise.
//!
//! Holds true: every call is bounded in time and length; a call is sent once, and who called decides whether it is
//! safe to send again; while the forge says "not before", nothing is sent; everything read from it is untrusted text.

mod api;
mod ci;
mod conversation;
mod listing;
mod pacing;
mod pulls;
mod refusal;
#[cfg(test)]
mod tests;
mod trust;
mod wire;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use bzzz_actors::ports::forge::{
    CiCheck, Comment, Edit, Forge, ForgeError, IssueList, LabelSetting, NewPullRequest, PullRequest,
    Repository,
};
use bzzz_actors::task::{Issue, RepoId, Sha, TaskId};
use secrecy::SecretString;
use tokio::sync::OnceCell;

use crate::forks::{Fork, Forks};
use crate::http::SetupError;
use crate::secrets::Secrets;
use api::{Api, Call};
use listing::ListingCache;
use wire::{WireIssue, WireRepository, WireUser};

#[derive(Debug, Clone)]
pub struct GitHubOptions {
    /// `https://api.github.com`, or `https://HOST/api/v3` of a GitHub Enterprise. `http` on this machine only.
    pub api_url: String,
    pub token: SecretString,
    /// For a whole call with its answer. Too short, and calls that had their effect count as unknown.
    pub request_timeout: Duration,
    /// The pause between two writes; GitHub asks for a second at least, and limits accounts that write faster.
    pub write_interval: Duration,
    /// Where the listings' validators are kept; `None` keeps them in memory only.
    pub listing_file: Option<PathBuf>,
    /// Repositories that the account may not push to, and from where it asks them for pulls.
    pub forks: Forks,
    /// What no text that goes out may hold.
    pub secrets: Secrets,
}

/// One account's way to the forge.
pub struct GitHub {
    api: Api,
    listings: ListingCache,
    login: OnceCell<String>,
    forks: Forks,
    secrets: Secrets,
    /// The repositories that refused a draft: not asked for another one while the node runs.
    without_drafts: Mutex<HashSet<RepoId>>,
}

impl GitHub {
    /// # Errors
    /// An address or token that can't be used. Nothing is sent yet.
    pub fn new(options: GitHubOptions) -> Result<Self, SetupError> {
        let api =
            Api::new(&options.api_url, &options.token, options.request_timeout, options.write_interval)?;
        let listings = ListingCache::open(options.listing_file, &options.token);
        let (login, without_drafts) = Default::default();
        Ok(Self { api, listings, login, forks: options.forks, secrets: options.secrets, without_drafts })
    }

    /// A token's account never changes: it is asked for once.
    async fn known_login(&self) -> Result<&str, ForgeError> {
        let login = self.login.get_or_try_init(|| async {
            let call = Call::new("get the token's account".to_owned(), "metadata: read");
            let reply = self.api.get(&call, &self.api.route(&["user"], &[]), None).await?;
            Ok(reply.parse::<WireUser>(&call)?.login)
        });
        Ok(login.await?)
    }

    async fn known_repository(&self, repo: &RepoId) -> Result<(Call, WireRepository), ForgeError> {
        let call = Call::new(format!("get repository {repo}"), "metadata: read");
        let route = self.api.route(&["repos", repo.owner(), repo.name()], &[]);
        let reply = self.api.get(&call, &route, None).await?;
        let repository = reply.parse(&call)?;
        Ok((call, repository))
    }

    /// Whether branches of `fork` can be pushed, and become pull requests.
    async fn check_fork(&self, fork: &Fork) -> Result<(), ForgeError> {
        let Fork { name, branches, .. } = fork;
        let (call, found) = self.known_repository(branches).await?;
        let is_fork = found.is_fork_of(name);
        let found = found.into_repository(branches);
        let problem = match (is_fork, found.archived, found.can_push) {
            (false, ..) => format!("it is no fork of {name}: name one in forge.fork"),
            (_, true, _) => "it is archived: nothing can be pushed to it".to_owned(),
            (.., false) => {
                "the token may not push to it: it needs the permission contents: write there".to_owned()
            }
            _ => return Ok(()),
        };
        Err(ForgeError::Unsuitable { call: call.name, problem })
    }

    /// Whoever works from outside may not sort a repository's issues: that does no harm.
    fn unless_outside(&self, repo: &RepoId, sorted: Result<(), ForgeError>) -> Result<(), ForgeError> {
        match sorted {
            Err(error @ (ForgeError::Forbidden { .. } | ForgeError::NotFound { .. }))
                if self.forks.of(repo).is_some() =>
            {
                tracing::debug!(%repo, %error, "left as it is");
                Ok(())
            }
            other => other,
        }
    }
}

#[async_trait]
impl Forge for GitHub {
    fn may_label(&self, repo: &RepoId) -> bool {
        self.forks.of(repo).is_none()
    }

    async fn login(&self) -> Result<String, ForgeError> {
        Ok(self.known_login().await?.to_owned())
    }

    async fn repository(&self, repo: &RepoId) -> Result<Repository, ForgeError> {
        let (call, repository) = self.known_repository(repo).await?;
        let repository = repository.into_repository(repo);
        if let Some(fork) = self.forks.kept_in(repo) {
            // Its own issues and the other one's would have the same branches.
            let problem =
                format!("it is the fork that {} is worked on from: it can't be watched as well", fork.name);
            return Err(ForgeError::Unsuitable { call: call.name, problem });
        }
        match self.forks.of(repo) {
            Some(fork) => {
                self.check_fork(fork).await?;
                Ok(Repository { can_push: true, ..repository })
            }
            None => Ok(repository),
        }
    }

    async fn open_issues(&self, repo: &RepoId, label: &str) -> Result<IssueList, ForgeError> {
        listing::open_issues(&self.api, &self.listings, repo, label).await
    }

    async fn issue(&self, task: &TaskId) -> Result<Issue, ForgeError> {
        let (call, reply) = conversation::issue_reply(&self.api, task).await?;
        let issue = reply.parse::<WireIssue>(&call)?.into_issue();
        issue.ok_or_else(|| ForgeError::NotFound { call: format!("{} (it is a pull request)", call.name) })
    }

    async fn label_setting(&self, task: &TaskId, label: &str) -> Result<Option<LabelSetting>, ForgeError> {
        trust::label_setting(&self.api, task, label).await
    }

    async fn last_edit(&self, task: &TaskId) -> Result<Option<Edit>, ForgeError> {
        trust::last_edit(&self.api, task).await
    }

    async fn may_triage(&self, repo: &RepoId, login: &str) -> Result<bool, ForgeError> {
        trust::may_triage(&self.api, repo, login).await
    }

    async fn comments(&self, task: &TaskId) -> Result<Vec<Comment>, ForgeError> {
        conversation::comments(&self.api, self.known_login().await?, task).await
    }

    async fn put_comment(&self, task: &TaskId, marker: &str, body: &str) -> Result<(), ForgeError> {
        let body = self.secrets.redacted(body);
        conversation::put_comment(&self.api, self.known_login().await?, task, marker, &body).await
    }

    async fn change_labels(&self, task: &TaskId, add: &[&str], remove: &[&str]) -> Result<(), ForgeError> {
        let current = self.issue(task).await?.labels;
        let changed = conversation::change_labels(&self.api, task, &current, add, remove).await;
        self.unless_outside(&task.repo, changed)
    }

    async fn assign(&self, task: &TaskId) -> Result<(), ForgeError> {
        let assigned = conversation::assign(&self.api, self.known_login().await?, task).await;
        self.unless_outside(&task.repo, assigned)
    }

    async fn find_pull_request(&self, repo: &RepoId, head: &str) -> Result<Option<PullRequest>, ForgeError> {
        let head = pulls::Head { repo: self.forks.branches(repo), branch: head };
        pulls::find(&self.api, repo, head, pulls::Which::All).await
    }

    async fn open_pull_request(
        &self,
        repo: &RepoId,
        pull_request: &NewPullRequest,
    ) -> Result<PullRequest, ForgeError> {
        let clean = NewPullRequest {
            title: self.secrets.redacted(&pull_request.title),
            body: self.secrets.redacted(&pull_request.body),
            ..pull_request.clone()
        };
        pulls::open(&self.api, repo, self.forks.branches(repo), &clean, &self.without_drafts).await
    }

    async fn assign_pull_request(&self, repo: &RepoId, number: u64, login: &str) -> Result<(), ForgeError> {
        // To this interface it is an issue too.
        let assigned = conversation::assign(&self.api, login, &TaskId::new(repo.clone(), number)).await;
        self.unless_outside(repo, assigned)
    }

    async fn pull_request(&self, repo: &RepoId, number: u64) -> Result<PullRequest, ForgeError> {
        pulls::get(&self.api, repo, number).await
    }

    async fn ci_checks(&self, repo: &RepoId, commit: &Sha) -> Result<Vec<CiCheck>, ForgeError> {
        ci::checks(&self.api, repo, commit).await
    }
}
