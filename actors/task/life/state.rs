//! A task's state: what its events fold to.

use crate::task::{
    Base, CheckResult, Epoch, Issue, ModelUse, NodeId, Produced, Publication, PullRequestRef, Review, Sha,
    TaskEvent, TaskId, Terms,
};

use super::{Circling, Phase};

/// What the model wants the pull request to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    pub title: String,
    pub body: String,
}

/// A finished run of the checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    pub tree: Sha,
    /// Empty when the repository names no checks: then nothing was checked, and the pull request says so.
    pub results: Vec<CheckResult>,
    /// The hosts that they could connect to.
    pub hosts: Vec<String>,
    /// What set the sandbox up for them. After one that failed no check ran.
    pub setup: Vec<CheckResult>,
}

impl Checked {
    pub fn passed(&self) -> bool {
        self.setup.iter().chain(&self.results).all(CheckResult::passed)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    pub id: TaskId,
    pub phase: Phase,
    pub issue: Option<Issue>,
    /// What to work from, if it is not the default branch.
    pub branch: Option<String>,
    /// Who set the label on whose word the issue was taken.
    pub labelled_by: Option<String>,
    /// Whose lease ran out before this node's claim, if it was another's.
    pub taken_over: Option<NodeId>,
    /// The epoch of this node's last claim; 0 before the first.
    pub epoch: Epoch,
    /// As far as the events tell. `ClaimManager` knows better, and has the last word before a push.
    pub holds_lease: bool,
    pub base: Option<Base>,
    /// The commands that must pass, of `.bzzz.toml` at the base or the operator's.
    pub checks: Vec<String>,
    /// What else of the two the task works by.
    pub terms: Terms,
    /// The backend's name for the sandbox where the model works, while one stands with the code in it, as far as the
    /// events tell: only then may one that is found be taken for it.
    pub sandbox: Option<String>,
    pub plan: Option<String>,
    pub reviews: Vec<Review>,
    pub plan_is_settled: bool,
    /// Commands begun; the number of the last one.
    pub steps: u32,
    /// The first command that the model is still told whole.
    pub told_from: u32,
    pub malformed_in_row: u32,
    pub check_rounds: u32,
    /// Why the work was refused, if nothing has been taken since.
    pub refused: Option<String>,
    pub sandbox_losses: u32,
    /// How often the task was taken up again since it last got on.
    pub taken_up: u32,
    pub peer_questions: u32,
    pub circling: Circling,
    pub escalations: u32,
    pub proposal: Option<Proposal>,
    /// The work as it was when the model last said that it was done, or asked a person.
    pub produced: Option<Produced>,
    /// The newest work in the task's object store: a new sandbox begins with it.
    pub saved: Option<Produced>,
    /// A command has ended since the work was last saved, so there may be more of it.
    pub has_unsaved: bool,
    pub checked: Option<Checked>,
    /// The model has seen its own diff with the checks passed, and is to say `done` again.
    pub looked_at_diff: bool,
    pub published: Option<Sha>,
    /// What the pull request tells of the moment in which that was.
    pub publication: Option<Publication>,
    pub pull_request: Option<PullRequestRef>,
    /// The commit on which continuous integration has ended, and what failed.
    pub ci: Option<(Sha, Vec<String>)>,
    /// Tokens in all, and the model that was used last.
    pub usage: ModelUse,
}

impl Task {
    pub fn new(id: TaskId) -> Self {
        Self {
            id,
            phase: Phase::Unclaimed,
            issue: None,
            branch: None,
            labelled_by: None,
            taken_over: None,
            epoch: Epoch(0),
            holds_lease: false,
            base: None,
            checks: Vec::new(),
            terms: Terms::default(),
            sandbox: None,
            plan: None,
            reviews: Vec::new(),
            plan_is_settled: false,
            steps: 0,
            told_from: 0,
            malformed_in_row: 0,
            check_rounds: 0,
            refused: None,
            sandbox_losses: 0,
            taken_up: 0,
            peer_questions: 0,
            circling: Circling::default(),
            escalations: 0,
            proposal: None,
            produced: None,
            saved: None,
            has_unsaved: false,
            checked: None,
            looked_at_diff: false,
            published: None,
            publication: None,
            pull_request: None,
            ci: None,
            usage: ModelUse::default(),
        }
    }

    /// The state that a task's events lead to.
    pub fn fold<'a>(id: TaskId, events: impl IntoIterator<Item = &'a TaskEvent>) -> Self {
        events.into_iter().fold(Self::new(id), |task, event| task.step(event).0)
    }

    /// The checks have passed on this very tree.
    pub fn has_passed(&self, tree: &Sha) -> bool {
        self.checked.as_ref().is_some_and(|checked| checked.tree == *tree && checked.passed())
    }

    /// Nothing has been run to prove the work: the repository names no checks.
    pub fn is_unchecked(&self) -> bool {
        self.checked.as_ref().is_none_or(|checked| checked.results.is_empty())
    }

    /// The sandbox where the model works is there, as far as the events tell, and there is use for what is in it.
    pub fn wants_its_sandbox(&self) -> bool {
        let has_use = match &self.phase {
            // Failed checks send the model back to it; the rest is to be saved before it goes.
            Phase::Checking { .. } | Phase::Escalating { .. } => true,
            Phase::CleaningUp(end) => end.keeps_work(),
            phase => phase.needs_work_sandbox(),
        };
        has_use && self.sandbox.is_some()
    }

    pub(super) fn save(&mut self, produced: &Produced) {
        self.saved = Some(produced.clone());
        self.has_unsaved = false;
    }

    pub(super) fn count(&mut self, usage: &ModelUse) {
        self.usage.model.clone_from(&usage.model);
        self.usage.prompt_tokens = self.usage.prompt_tokens.saturating_add(usage.prompt_tokens);
        self.usage.output_tokens = self.usage.output_tokens.saturating_add(usage.output_tokens);
        self.usage.duration_ms = self.usage.duration_ms.saturating_add(usage.duration_ms);
    }
}
