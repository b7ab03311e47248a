use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bzzz_actors::ports::forge::{
    CiCheck, CiState, Comment, Edit, Forge, ForgeError, IssueList, LabelSetting, NewPullRequest, PullRequest,
    PullRequestState, Repository, comment_marker,
};
use bzzz_actors::task::{Issue, IssueState, RepoId, Sha, TaskId};

use super::{MemoryGit, Traps};

/// What nodes speak as.
const ACCOUNT: &str = "bot";

pub struct MemoryForge {
    pub traps: Traps,
    git: Arc<MemoryGit>,
    state: Mutex<State>,
}

struct State {
    issue: Issue,
    comments: Vec<Comment>,
    pull_requests: Vec<PullRequest>,
    /// As they were asked for, also in vain.
    opened: Vec<NewPullRequest>,
    failing_opens: u32,
    assigned: Vec<(u64, String)>,
    /// What assigning a pull request is answered with.
    assign_failure: Option<ForgeError>,
    failures: VecDeque<ForgeError>,
    can_push: bool,
    /// What every change of labels is answered with.
    label_failure: Option<ForgeError>,
    ci: Vec<CiCheck>,
    label_setter: String,
    renamed_by: Vec<Option<String>>,
    edit: Option<Edit>,
    /// What a question of somebody's rights is answered with.
    rights_failure: Option<ForgeError>,
    /// How many issues there are, all alike.
    issues: u64,
    /// Whether nodes may not label.
    is_outside: bool,
    label_set_at: String,
}

/// When comments are made and pull requests end, one that stands for all of them.
const LATER: &str = "2026-01-01T00:01:00Z";

/// The issue that all tests have.
pub fn rocket(task: &TaskId) -> Issue {
    Issue {
        number: task.number,
        title: "The rocket does not start".into(),
        body: "It says `no fuel`.".into(),
        state: IssueState::Open,
        labels: vec!["bzzz-task".into()],
        author: "ann".into(),
        url: format!("https://forge.example/{}/issues/{}", task.repo, task.number),
        updated_at: String::new(),
    }
}

impl MemoryForge {
    pub fn with_issue(id: &str, git: Arc<MemoryGit>) -> Self {
        let task: TaskId = id.parse().unwrap();
        let issue = rocket(&task);
        let state = State {
            issue,
            comments: Vec::new(),
            pull_requests: Vec::new(),
            opened: Vec::new(),
            failing_opens: 0,
            assigned: Vec::new(),
            assign_failure: None,
            failures: VecDeque::new(),
            can_push: true,
            label_failure: None,
            ci: Vec::new(),
            label_setter: "ann".into(),
            renamed_by: Vec::new(),
            edit: None,
            rights_failure: None,
            issues: 1,
            is_outside: false,
            label_set_at: "2026-01-01T00:00:01Z".into(),
        };
        Self { traps: Traps::default(), git, state: Mutex::new(state) }
    }

    pub fn report_ci(&self, name: &str, state: CiState) {
        self.state.lock().unwrap().ci.push(CiCheck { name: name.into(), state });
    }

    pub fn have_issues(&self, count: u64) {
        self.state.lock().unwrap().issues = count;
    }

    pub fn close_issue(&self) {
        self.state.lock().unwrap().issue.state = IssueState::Closed;
    }

    pub fn reopen_issue(&self) {
        self.state.lock().unwrap().issue.state = IssueState::Open;
    }

    pub fn be_of_others(&self) {
        self.state.lock().unwrap().is_outside = true;
    }

    /// Somebody takes the task's label off and sets it again.
    pub fn set_label_anew(&self) {
        let mut state = self.state.lock().unwrap();
        state.label_set_at = "2026-01-01T00:02:00Z".into();
        state.issue.updated_at += "+";
    }

    pub fn set_labels(&self, labels: &[&str]) {
        self.state.lock().unwrap().issue.labels = labels.iter().map(|it| (*it).to_owned()).collect();
    }

    pub fn remove_label(&self, label: &str) {
        self.state.lock().unwrap().issue.labels.retain(|it| it != label);
    }

    /// The issue's body is changed by `login`, and its title by `renamer`, after its label was set.
    pub fn let_issue_be_changed_by(&self, login: &str, renamer: Option<&str>) {
        let mut state = self.state.lock().unwrap();
        state.edit = Some(Edit { by: Some(login.into()), at: "2026-01-01T00:00:01Z".into() });
        state.renamed_by = renamer.map(|it| Some(it.to_owned())).into_iter().collect();
        state.issue.updated_at += "+";
    }

    /// The task's label is now `login`'s; only ann may triage.
    pub fn let_label_be_of(&self, login: &str) {
        let mut state = self.state.lock().unwrap();
        state.label_setter = login.into();
        state.issue.updated_at += "+";
    }

    pub fn fail_rights(&self, failure: Option<ForgeError>) {
        self.state.lock().unwrap().rights_failure = failure;
    }

    pub fn labels(&self) -> BTreeSet<String> {
        self.state.lock().unwrap().issue.labels.iter().cloned().collect()
    }

    pub fn say(&self, author: &str, body: &str) {
        let mut state = self.state.lock().unwrap();
        let id = state.comments.len() as u64 + 1;
        state.comments.push(Comment {
            id,
            author: author.into(),
            is_own: author == ACCOUNT,
            from_maintainer: true,
            body: body.into(),
            created_at: LATER.into(),
        });
    }

    pub fn bodies(&self) -> Vec<String> {
        self.state.lock().unwrap().comments.iter().map(|it| it.body.clone()).collect()
    }

    pub fn pull_requests(&self) -> Vec<PullRequest> {
        self.state.lock().unwrap().pull_requests.clone()
    }

    /// The pull requests as they were asked for, also in vain.
    pub fn opened(&self) -> Vec<NewPullRequest> {
        self.state.lock().unwrap().opened.clone()
    }

    /// Whom pull requests were assigned to, call by call.
    pub fn assigned(&self) -> Vec<(u64, String)> {
        self.state.lock().unwrap().assigned.clone()
    }

    /// The next pull requests are not opened.
    pub fn fail_opens(&self, count: u32) {
        self.state.lock().unwrap().failing_opens = count;
    }

    pub fn fail_assigning(&self, failure: ForgeError) {
        self.state.lock().unwrap().assign_failure = Some(failure);
    }

    pub fn end_pull_request(&self, end: PullRequestState) {
        let ended = &mut self.state.lock().unwrap().pull_requests[0];
        (ended.state, ended.ended_at) = (end, Some(LATER.into()));
    }

    /// The next calls fail, whichever they are.
    pub fn fail(&self, failures: impl IntoIterator<Item = ForgeError>) {
        self.state.lock().unwrap().failures.extend(failures);
    }

    pub fn forbid_push(&self) {
        self.state.lock().unwrap().can_push = false;
    }

    /// From now on every change of labels fails, or none does.
    pub fn fail_labels(&self, failure: Option<ForgeError>) {
        self.state.lock().unwrap().label_failure = failure;
    }

    fn call<T>(&self, act: impl FnOnce(&mut State) -> Result<T, ForgeError>) -> Result<T, ForgeError> {
        let mut state = self.state.lock().unwrap();
        match state.failures.pop_front() {
            Some(error) => Err(error),
            None => act(&mut state),
        }
    }
}

#[async_trait]
impl Forge for MemoryForge {
    fn may_label(&self, _: &RepoId) -> bool {
        !self.state.lock().unwrap().is_outside
    }

    async fn login(&self) -> Result<String, ForgeError> {
        self.traps.step_on("login");
        self.call(|_| Ok(ACCOUNT.into()))
    }

    async fn repository(&self, repo: &RepoId) -> Result<Repository, ForgeError> {
        self.traps.step_on("repository");
        self.call(|state| {
            let can_push = state.can_push;
            Ok(Repository {
                id: repo.clone(),
                default_branch: "main".into(),
                can_push,
                archived: false,
                language: None,
            })
        })
    }

    async fn open_issues(&self, _: &RepoId, label: &str) -> Result<IssueList, ForgeError> {
        self.traps.step_on("open_issues");
        self.call(|state| {
            let issues = (1..=state.issues)
                .map(|number| Issue { number, ..state.issue.clone() })
                .filter(|issue| issue.is_wanted(label))
                .collect();
            Ok(IssueList { issues, changed: true, not_before: None })
        })
    }

    async fn issue(&self, _: &TaskId) -> Result<Issue, ForgeError> {
        self.traps.step_on("issue");
        self.call(|state| Ok(state.issue.clone()))
    }

    async fn label_setting(&self, _: &TaskId, _: &str) -> Result<Option<LabelSetting>, ForgeError> {
        self.traps.step_on("label_setting");
        self.call(|state| {
            let (by, at) = (state.label_setter.clone(), state.label_set_at.clone());
            Ok(Some(LabelSetting { by, at, renamed_by: state.renamed_by.clone() }))
        })
    }

    async fn last_edit(&self, _: &TaskId) -> Result<Option<Edit>, ForgeError> {
        self.call(|state| Ok(state.edit.clone()))
    }

    async fn may_triage(&self, _: &RepoId, login: &str) -> Result<bool, ForgeError> {
        self.traps.step_on("may_triage");
        self.call(|state| state.rights_failure.clone().map_or(Ok(login == "ann"), Err))
    }

    async fn comments(&self, _: &TaskId) -> Result<Vec<Comment>, ForgeError> {
        self.traps.step_on("comments");
        self.call(|state| Ok(state.comments.clone()))
    }

    async fn put_comment(&self, _: &TaskId, marker: &str, body: &str) -> Result<(), ForgeError> {
        self.traps.step_on("put_comment");
        self.call(|_| Ok(()))?;
        let mark = comment_marker(marker);
        let body = format!("{body}\n{mark}");
        let mut state = self.state.lock().unwrap();
        if let Some(comment) = state.comments.iter_mut().find(|it| it.body.contains(&mark)) {
            comment.body = body;
            return Ok(());
        }
        drop(state);
        self.say(ACCOUNT, &body);
        Ok(())
    }

    async fn change_labels(&self, _: &TaskId, add: &[&str], remove: &[&str]) -> Result<(), ForgeError> {
        self.traps.step_on("change_labels");
        self.call(|state| {
            if let Some(failure) = &state.label_failure {
                return Err(failure.clone());
            }
            if state.is_outside {
                return Ok(());
            }
            state.issue.labels.retain(|it| !remove.contains(&it.as_str()));
            state.issue.labels.extend(add.iter().map(|it| (*it).to_owned()));
            Ok(())
        })
    }

    async fn assign(&self, _: &TaskId) -> Result<(), ForgeError> {
        self.traps.step_on("assign");
        self.call(|_| Ok(()))
    }

    async fn find_pull_request(&self, _: &RepoId, head: &str) -> Result<Option<PullRequest>, ForgeError> {
        self.traps.step_on("find_pull_request");
        self.call(|state| Ok(state.pull_requests.iter().rev().find(|it| it.head == head).cloned()))
    }

    async fn open_pull_request(
        &self,
        repo: &RepoId,
        new: &NewPullRequest,
    ) -> Result<PullRequest, ForgeError> {
        self.traps.step_on("open_pull_request");
        let mut state = self.state.lock().unwrap();
        state.opened.push(new.clone());
        if state.failing_opens > 0 {
            state.failing_opens -= 1;
            return Err(ForgeError::Unavailable { call: "open".into(), problem: "502".into() });
        }
        drop(state);
        self.call(|state| {
            let is_open = |it: &&PullRequest| it.head == new.head && it.state == PullRequestState::Open;
            if let Some(open) = state.pull_requests.iter().find(is_open) {
                return Ok(open.clone());
            }
            let task = TaskId::new(repo.clone(), state.issue.number);
            let number = 100 + state.pull_requests.len() as u64;
            let opened = PullRequest {
                number,
                url: format!("https://forge.example/{repo}/pull/{number}"),
                head: new.head.clone(),
                head_sha: self.git.branch(&task).map(|it| it.to_string()).unwrap_or_default(),
                state: PullRequestState::Open,
                ended_at: None,
            };
            state.pull_requests.push(opened.clone());
            Ok(opened)
        })
    }

    async fn assign_pull_request(&self, _: &RepoId, number: u64, login: &str) -> Result<(), ForgeError> {
        self.traps.step_on("assign_pull_request");
        self.call(|state| {
            state.assigned.push((number, login.to_owned()));
            state.assign_failure.clone().map_or(Ok(()), Err)
        })
    }

    async fn pull_request(&self, _: &RepoId, number: u64) -> Result<PullRequest, ForgeError> {
        self.traps.step_on("pull_request");
        self.call(|state| Ok(state.pull_requests.iter().find(|it| it.number == number).unwrap().clone()))
    }

    async fn ci_checks(&self, _: &RepoId, _: &Sha) -> Result<Vec<CiCheck>, ForgeError> {
        self.call(|state| Ok(state.ci.clone()))
    }
}
