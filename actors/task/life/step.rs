//! The transitions.

use crate::task::{Inherited, ModelUse, Sha, Step, TaskEvent};

use super::stuck::Sign;
use super::{Checked, Effect, End, Phase, Proposal, Task};

/// Of a command in a question.
const MAX_SHOWN_CHARS: usize = 500;

impl Task {
    /// The state after `event`, and what is due because of it. An event that has no place in this state, or that
    /// only notes something, leaves the phase as it is and makes nothing due. One that is taken up again has due what
    /// its phase has after a crash.
    pub fn step(self, event: &TaskEvent) -> (Self, Option<Effect>) {
        let mut task = self;
        if *event == TaskEvent::TakenUp {
            return task.take_up();
        }
        let gets_on = task.gets_on_by(event);
        let Some(phase) = task.note(event) else { return (task, None) };
        task.phase = phase;
        if gets_on {
            task.taken_up = 0;
        }
        let effect = task.phase.due();
        (task, effect)
    }

    fn take_up(mut self) -> (Self, Option<Effect>) {
        if !self.phase.has_runner() {
            return (self, None);
        }
        self.taken_up = self.taken_up.saturating_add(1);
        let due = self.phase.due_again();
        (self, due)
    }

    /// A sandbox that is lost and stands again is what being taken up looks like, and gets nobody on.
    fn gets_on_by(&self, event: &TaskEvent) -> bool {
        match event {
            TaskEvent::SandboxLost { .. } => false,
            TaskEvent::Prepared { .. } => self.base.is_none(),
            _ => true,
        }
    }

    /// Takes in what the event tells, and says which phase it leads to, if to any.
    fn note(&mut self, event: &TaskEvent) -> Option<Phase> {
        use TaskEvent as E;
        match (&self.phase, event) {
            (phase, E::Found { issue, branch, labelled_by, taken_over }) if phase.is_resting() => {
                let (id, epoch) = (self.id.clone(), self.epoch);
                let (branch, labelled_by) = (branch.clone(), labelled_by.clone());
                let (issue, taken_over) = (Some(issue.clone()), taken_over.clone());
                *self = Self { epoch, issue, branch, labelled_by, taken_over, ..Self::new(id) };
                None
            }
            (Phase::Unclaimed | Phase::Claiming { .. }, E::ClaimIntended { epoch, lease })
                if *epoch >= self.epoch =>
            {
                self.epoch = *epoch;
                Some(Phase::Claiming { lease: lease.clone() })
            }
            (Phase::Claiming { lease }, E::Claimed { lease: written, .. }) if lease == written => {
                self.holds_lease = true;
                Some(Phase::Preparing)
            }
            (Phase::Claiming { .. }, E::ClaimLost { .. }) => Some(Phase::Unclaimed),

            (Phase::Preparing, E::Prepared { base, checks, sandbox, terms, inherited, .. }) => {
                // Only what the task begins with: later there is work of its own.
                if let (None, Some(produced)) = (&self.base, inherited.as_deref().and_then(Inherited::taken))
                {
                    self.save(produced);
                }
                self.base = Some(base.clone());
                self.sandbox = Some(sandbox.clone());
                self.has_unsaved = false;
                self.checks.clone_from(checks);
                self.terms.clone_from(terms);
                Some(self.after_preparing())
            }
            (phase, E::SandboxLost { .. }) if *phase == Phase::Preparing || phase.needs_work_sandbox() => {
                // A node that went down takes its sandboxes with it: that is counted as being taken up.
                self.sandbox_losses += u32::from(self.taken_up == 0);
                self.sandbox = None;
                Some(Phase::Preparing)
            }
            (Phase::Planning, E::PlanDrafted { plan, usage }) => {
                self.plan = Some(plan.clone());
                self.count(usage);
                Some(Phase::Discussing)
            }
            (Phase::Discussing, E::PlanSettled { reviews }) => {
                self.reviews.clone_from(reviews);
                self.plan_is_settled = true;
                Some(Phase::Thinking)
            }

            (Phase::Thinking, E::Replied { step, usage, .. }) => {
                self.circling.record(event);
                Some(self.after_reply(step, usage))
            }
            (Phase::Running { step, command, .. }, E::CommandFinished { step: ended, .. })
                if step == ended =>
            {
                let question = stuck_question(command);
                self.has_unsaved = true;
                Some(self.thinks_on(event, question))
            }
            (Phase::Thinking, E::Compacted { keep_from, .. }) if *keep_from > self.told_from => {
                self.told_from = *keep_from;
                Some(Phase::Thinking)
            }
            // Work goes on beside it.
            (phase, E::Checkpointed { produced }) if phase.needs_work_sandbox() => {
                self.save(produced);
                None
            }
            (Phase::Exporting, E::WorkProduced { produced }) => {
                self.save(produced);
                self.produced = Some(produced.clone());
                self.refused = None;
                Some(self.after_export(produced.tree.clone()))
            }
            (Phase::Exporting, E::WorkRefused { problem }) => {
                self.refused = Some(problem.clone());
                self.check_rounds += 1;
                Some(self.thinks_on(event, stuck_question("done")))
            }
            (Phase::Checking { tree }, E::ChecksFinished { tree: checked, results, hosts, setup })
                if tree == checked =>
            {
                let (results, hosts, setup) = (results.clone(), hosts.clone(), setup.clone());
                self.checked = Some(Checked { tree: checked.clone(), results, hosts, setup });
                Some(self.after_checks(checked.clone(), event))
            }

            (Phase::Publishing { .. }, E::Published { commit, at }) => {
                self.published = Some(commit.clone());
                self.publication.clone_from(at);
                self.holds_lease = false;
                Some(Phase::Proposing)
            }
            (Phase::Proposing, E::PullRequestOpened { pull_request }) => {
                self.pull_request = Some(pull_request.clone());
                Some(Phase::InReview)
            }
            (Phase::InReview, E::CiFinished { commit, failed }) => {
                self.ci = Some((commit.clone(), failed.clone()));
                None
            }
            (Phase::InReview, E::PullRequestMerged) => Some(Phase::CleaningUp(End::Done)),
            (Phase::InReview, E::PullRequestClosed) => Some(Phase::CleaningUp(End::Declined)),

            (Phase::AskingPeers { question }, E::Advised { advice }) => Some(match advice.is_empty() {
                true => Phase::Escalating { question: question.clone() },
                false => Phase::Thinking,
            }),
            (Phase::Escalating { question }, E::Escalated { saved, .. }) => {
                let parked = Phase::Parked { question: question.clone() };
                self.escalations += 1;
                self.sandbox = None;
                if let Some(saved) = saved {
                    self.save(saved);
                    self.produced = Some(saved.clone());
                }
                Some(parked)
            }
            (Phase::Parked { .. }, E::HumanAnswered { .. }) => Some(Phase::Preparing),

            (phase, E::LeaseLost { why }) if phase.needs_lease() => {
                self.holds_lease = false;
                Some(Phase::CleaningUp(End::LeaseLost { why: why.clone() }))
            }
            (phase, E::Cancelled { why }) if phase.needs_lease() => {
                Some(Phase::CleaningUp(End::Cancelled { why: why.clone() }))
            }
            (phase, E::GaveUp { reason })
                if !phase.is_resting() && !matches!(phase, Phase::CleaningUp(_) | Phase::Claiming { .. }) =>
            {
                Some(Phase::CleaningUp(End::Failed { reason: reason.clone() }))
            }
            (Phase::CleaningUp(end), E::CleanedUp { .. }) => {
                self.holds_lease = false;
                self.sandbox = None;
                Some(Phase::Ended(end.clone()))
            }
            _ => None,
        }
    }

    fn after_preparing(&self) -> Phase {
        match (&self.plan, self.plan_is_settled) {
            (None, _) => Phase::Planning,
            (Some(_), false) => Phase::Discussing,
            (Some(_), true) => Phase::Thinking,
        }
    }

    /// The model goes on, unless it has been in circles for long.
    fn thinks_on(&mut self, event: &TaskEvent, question: String) -> Phase {
        match self.circling.record(event) {
            Some(Sign::Stuck) => {
                self.peer_questions += 1;
                Phase::AskingPeers { question }
            }
            Some(Sign::Nudge) | None => Phase::Thinking,
        }
    }

    fn after_reply(&mut self, step: &Step, usage: &ModelUse) -> Phase {
        self.count(usage);
        self.malformed_in_row = match step {
            Step::Malformed { .. } => self.malformed_in_row + 1,
            Step::Run { .. } | Step::Done { .. } | Step::Help { .. } => 0,
        };
        match step {
            Step::Run { command, timeout_s } => {
                self.steps += 1;
                Phase::Running { step: self.steps, command: command.clone(), timeout_s: *timeout_s }
            }
            Step::Done { title, body } => {
                self.proposal = Some(Proposal { title: title.clone(), body: body.clone() });
                Phase::Exporting
            }
            Step::Help { question } => {
                self.peer_questions += 1;
                Phase::AskingPeers { question: question.clone() }
            }
            Step::Malformed { .. } => Phase::Thinking,
        }
    }

    fn after_export(&self, tree: Sha) -> Phase {
        match self.has_passed(&tree) && self.looked_at_diff {
            true => self.publish(tree),
            false => Phase::Checking { tree },
        }
    }

    /// Passed for the first time: the model looks at its diff once. Passed after that: publish.
    fn after_checks(&mut self, tree: Sha, event: &TaskEvent) -> Phase {
        if !self.has_passed(&tree) {
            // Back to the model with what was wrong.
            self.check_rounds += 1;
            return self.thinks_on(event, stuck_question("done"));
        }
        if self.looked_at_diff {
            return self.publish(tree);
        }
        self.looked_at_diff = true;
        Phase::Thinking
    }

    fn publish(&self, tree: Sha) -> Phase {
        match self.holds_lease {
            true => Phase::Publishing { tree },
            false => {
                Phase::CleaningUp(End::LeaseLost { why: "the lease was not held at the end".to_owned() })
            }
        }
    }
}

/// What peers and people are asked when the model does not ask by itself.
fn stuck_question(command: &str) -> String {
    let begin: String = command.chars().take(MAX_SHOWN_CHARS).collect();
    format!(
        "The model repeats itself and gets no further. What it did last:\n\n{begin}\n\nWhat should it do instead?"
    )
}
