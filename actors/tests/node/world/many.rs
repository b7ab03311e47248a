//! A forge with many issues, each of them by itself, that counts its requests and takes its time for each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bzzz_actors::ports::claims::{BranchUpdate, Claims, ClaimsError, LeaseRecord, SeenLease, Swap};
use bzzz_actors::ports::forge::{
    CiCheck, Comment, Edit, Forge, ForgeError, IssueList, LabelSetting, NewPullRequest, PullRequest,
    PullRequestState, Repository,
};
use bzzz_actors::task::{Issue, NodeId, RepoId, Sha, TaskId};
use tokio::time::sleep;

use super::MemoryGit;
use super::forge::rocket;

#[derive(Default)]
pub struct ManyForge {
    state: Mutex<State>,
    latency: Duration,
}

#[derive(Default)]
struct State {
    issues: BTreeMap<TaskId, Issue>,
    pull_requests: Vec<PullRequest>,
    requests: BTreeMap<&'static str, u32>,
    changes: u64,
}

impl ManyForge {
    /// As many issues in each of the repositories.
    pub fn new(repositories: &[RepoId], issues: u64, latency: Duration) -> Arc<Self> {
        let forge = Self { latency, ..Self::default() };
        for repo in repositories {
            (1..=issues).for_each(|number| forge.open(TaskId::new(repo.clone(), number)));
        }
        Arc::new(forge)
    }

    pub fn open(&self, task: TaskId) {
        let issue = rocket(&task);
        self.state.lock().unwrap().issues.insert(task, issue);
    }

    pub fn change(&self, task: &TaskId, change: impl FnOnce(&mut Issue)) {
        let mut state = self.state.lock().unwrap();
        state.changes += 1;
        let at = format!("t{}", state.changes);
        let issue = state.issues.get_mut(task).unwrap();
        change(issue);
        issue.updated_at = at;
    }

    pub fn pull_requests(&self) -> Vec<PullRequest> {
        self.state.lock().unwrap().pull_requests.clone()
    }

    /// By the name of the call.
    pub fn requests(&self) -> BTreeMap<&'static str, u32> {
        self.state.lock().unwrap().requests.clone()
    }

    pub fn forget_requests(&self) {
        self.state.lock().unwrap().requests.clear();
    }

    async fn call<T>(&self, name: &'static str, act: impl FnOnce(&mut State) -> T) -> T {
        sleep(self.latency / 2).await;
        let answer = {
            let mut state = self.state.lock().unwrap();
            *state.requests.entry(name).or_default() += 1;
            act(&mut state)
        };
        sleep(self.latency / 2).await;
        answer
    }
}

#[async_trait]
impl Forge for ManyForge {
    async fn login(&self) -> Result<String, ForgeError> {
        Ok(self.call("login", |_| "bot".to_owned()).await)
    }

    async fn repository(&self, repo: &RepoId) -> Result<Repository, ForgeError> {
        let repository = Repository {
            id: repo.clone(),
            default_branch: "main".into(),
            can_push: true,
            archived: false,
            language: None,
        };
        Ok(self.call("repository", |_| repository).await)
    }

    async fn open_issues(&self, repo: &RepoId, label: &str) -> Result<IssueList, ForgeError> {
        let listed = self.call("open_issues", |state| {
            let of_repo =
                state.issues.iter().filter(|(task, issue)| task.repo == *repo && issue.is_wanted(label));
            of_repo.map(|(_, issue)| issue.clone()).collect()
        });
        Ok(IssueList { issues: listed.await, changed: true, not_before: None })
    }

    async fn issue(&self, task: &TaskId) -> Result<Issue, ForgeError> {
        let missing = || ForgeError::NotFound { call: format!("get {task}") };
        self.call("issue", |state| state.issues.get(task).cloned().ok_or_else(missing)).await
    }

    async fn label_setting(&self, _: &TaskId, _: &str) -> Result<Option<LabelSetting>, ForgeError> {
        let setting =
            LabelSetting { by: "ann".into(), at: "2026-01-01T00:00:00Z".into(), renamed_by: vec![] };
        Ok(self.call("label_setting", |_| Some(setting)).await)
    }

    async fn last_edit(&self, _: &TaskId) -> Result<Option<Edit>, ForgeError> {
        Ok(self.call("last_edit", |_| None).await)
    }

    async fn may_triage(&self, _: &RepoId, login: &str) -> Result<bool, ForgeError> {
        Ok(self.call("may_triage", |_| login == "ann").await)
    }

    async fn comments(&self, _: &TaskId) -> Result<Vec<Comment>, ForgeError> {
        Ok(self.call("comments", |_| Vec::new()).await)
    }

    async fn put_comment(&self, _: &TaskId, _: &str, _: &str) -> Result<(), ForgeError> {
        self.call("put_comment", |_| ()).await;
        Ok(())
    }

    async fn change_labels(&self, task: &TaskId, add: &[&str], remove: &[&str]) -> Result<(), ForgeError> {
        self.call("change_labels", |_| ()).await;
        self.change(task, |issue| {
            issue.labels.retain(|it| !remove.contains(&it.as_str()) && !add.contains(&it.as_str()));
            issue.labels.extend(add.iter().map(|it| (*it).to_owned()));
        });
        Ok(())
    }

    async fn assign(&self, _: &TaskId) -> Result<(), ForgeError> {
        self.call("assign", |_| ()).await;
        Ok(())
    }

    async fn find_pull_request(&self, repo: &RepoId, head: &str) -> Result<Option<PullRequest>, ForgeError> {
        let of_repo = format!("https://forge.example/{repo}/");
        let is_it = move |it: &&PullRequest| it.head == head && it.url.starts_with(&of_repo);
        Ok(self
            .call("find_pull_request", |state| state.pull_requests.iter().rev().find(is_it).cloned())
            .await)
    }

    async fn open_pull_request(
        &self,
        repo: &RepoId,
        new: &NewPullRequest,
    ) -> Result<PullRequest, ForgeError> {
        let opened = self.call("open_pull_request", |state| {
            let number = 1000 + state.pull_requests.len() as u64;
            let opened = PullRequest {
                number,
                url: format!("https://forge.example/{repo}/pull/{number}"),
                head: new.head.clone(),
                head_sha: String::new(),
                state: PullRequestState::Open,
                ended_at: None,
            };
            state.pull_requests.push(opened.clone());
            opened
        });
        Ok(opened.await)
    }

    async fn assign_pull_request(&self, _: &RepoId, _: u64, _: &str) -> Result<(), ForgeError> {
        self.call("assign_pull_request", |_| ()).await;
        Ok(())
    }

    async fn pull_request(&self, _: &RepoId, number: u64) -> Result<PullRequest, ForgeError> {
        let found = self
            .call("pull_request", |state| state.pull_requests.iter().find(|it| it.number == number).cloned());
        Ok(found.await.unwrap())
    }

    async fn ci_checks(&self, _: &RepoId, _: &Sha) -> Result<Vec<CiCheck>, ForgeError> {
        Ok(self.call("ci_checks", |_| Vec::new()).await)
    }
}

/// A git server that takes its time, half of it before it acts.
pub struct SlowClaims {
    pub git: Arc<MemoryGit>,
    pub latency: Duration,
}

impl SlowClaims {
    async fn slowly<T>(&self, act: impl Future<Output = T>) -> T {
        sleep(self.latency / 2).await;
        let done = act.await;
        sleep(self.latency / 2).await;
        done
    }
}

#[async_trait]
impl Claims for SlowClaims {
    async fn read(&self, task: &TaskId) -> Result<Option<SeenLease>, ClaimsError> {
        self.slowly(self.git.read(task)).await
    }

    async fn list(&self, repo: &RepoId) -> Result<Vec<(u64, Sha)>, ClaimsError> {
        self.slowly(self.git.list(repo)).await
    }

    async fn read_all(&self, repo: &RepoId, numbers: &[u64]) -> Result<Vec<(u64, SeenLease)>, ClaimsError> {
        self.slowly(self.git.read_all(repo, numbers)).await
    }

    async fn read_branch(&self, task: &TaskId) -> Result<Option<Sha>, ClaimsError> {
        self.slowly(self.git.read_branch(task)).await
    }

    async fn draft(&self, previous: Option<&Sha>, record: &LeaseRecord) -> Result<Sha, ClaimsError> {
        self.git.draft(previous, record).await
    }

    async fn swap(
        &self,
        task: &TaskId,
        from: Option<&Sha>,
        to: &Sha,
        branch: Option<&BranchUpdate>,
    ) -> Result<Swap, ClaimsError> {
        self.slowly(self.git.swap(task, from, to, branch)).await
    }

    async fn delete(&self, task: &TaskId, from: &Sha) -> Result<Swap, ClaimsError> {
        self.slowly(self.git.delete(task, from)).await
    }

    async fn probe(&self, repo: &RepoId, node: &NodeId) -> Result<(), ClaimsError> {
        self.slowly(self.git.probe(repo, node)).await
    }
}
