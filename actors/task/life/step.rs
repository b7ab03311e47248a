//! The transitions.

use crate::task::{ModelUse, Sha, Step, TaskEvent};

use super::{Checked, Effect, End, Limits, Phase, Proposal, Task};

impl Task {
    /// The state after `event`, and what is due because of it. An event that has no place in this state, or that
    /// only notes something, leaves the phase as it is and makes nothing due.
    pub fn step(self, event: &TaskEvent, limits: &Limits) -> (Self, Option<Effect>) {
        let mut task = self;
        let Some(phase) = task.note(event, limits) else { return (task, None) };
        task.phase = phase;
        let effect = task.phase.due();
        (task, effect)
    }

    /// Takes in what the event tells, and says which phase it leads to, if to any.
    fn note(&mut self, event: &TaskEvent, limits: &Limits) -> Option<Phase> {
        use TaskEvent as E;
        match (&self.phase, event) {
            (phase, E::Found { issue }) if phase.is_resting() => {
                let (id, epoch) = (self.id.clone(), self.epoch);
                *self = Self { epoch, issue: Some(issue.clone()), ..Self::new(id) };
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

            (Phase::Preparing, E::Prepared { base, checks, .. }) => {
                self.base = Some(base.clone());
                self.checks.clone_from(checks);
                Some(self.after_preparing())
            }
            (phase, E::SandboxLost { .. }) if needs_work_sandbox(phase) => {
                self.sandbox_losses += 1;
                Some(self.unless(self.sandbox_losses > limits.max_sandbox_losses, Phase::Preparing, || {
                    format!("the sandbox was lost {} times", limits.max_sandbox_losses + 1)
                }))
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

            (Phase::Thinking, E::Replied { step, usage, .. }) => Some(self.after_reply(step, usage, limits)),
            (Phase::Running { step, .. }, E::CommandFinished { step: ended, .. }) if step == ended => {
                Some(Phase::Thinking)
            }
            (Phase::Exporting, E::WorkProduced { produced }) => {
                self.produced = Some(produced.clone());
                Some(self.after_export(produced.tree.clone()))
            }
            (Phase::Exporting, E::WorkRefused { .. }) => Some(self.another_round(limits)),
            (Phase::Checking { tree }, E::ChecksFinished { tree: checked, results }) if tree == checked => {
                self.checked = Some(Checked { tree: checked.clone(), results: results.clone() });
                Some(self.after_checks(checked.clone(), limits))
            }

            (Phase::Publishing { .. }, E::Published { commit }) => {
                self.published = Some(commit.clone());
                self.holds_lease = false;
                Some(Phase::Proposing)
            }
            (Phase::Proposing, E::PullRequestOpened { pull_request }) => {
                self.pull_request = Some(pull_request.clone());
                Some(Phase::InReview)
            }
            (Phase::InReview, E::PullRequestMerged) => Some(Phase::CleaningUp(End::Done)),
            (Phase::InReview, E::PullRequestClosed) => Some(Phase::CleaningUp(End::Declined)),

            (Phase::AskingPeers { question }, E::Advised { advice }) => Some(match advice.is_empty() {
                true => Phase::Escalating { question: question.clone() },
                false => Phase::Thinking,
            }),
            (Phase::Escalating { question }, E::Escalated { saved, .. }) => {
                self.escalations += 1;
                self.produced = saved.clone().or_else(|| self.produced.clone());
                Some(Phase::Parked { question: question.clone() })
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
                Some(failed(reason.clone()))
            }
            (Phase::CleaningUp(end), E::CleanedUp { .. }) => {
                self.holds_lease = false;
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

    fn after_reply(&mut self, step: &Step, usage: &ModelUse, limits: &Limits) -> Phase {
        self.count(usage);
        self.malformed_in_row = match step {
            Step::Malformed { .. } => self.malformed_in_row + 1,
            Step::Run { .. } | Step::Done { .. } | Step::Help { .. } => 0,
        };
        match step {
            Step::Run { command } => {
                self.steps += 1;
                let running = Phase::Running { step: self.steps, command: command.clone() };
                self.unless(self.steps > limits.max_steps, running, || {
                    format!("not done after {} commands", limits.max_steps)
                })
            }
            Step::Done { title, body } => {
                self.proposal = Some(Proposal { title: title.clone(), body: body.clone() });
                Phase::Exporting
            }
            Step::Help { question } => self.ask(question, limits),
            Step::Malformed { problem } => {
                self.unless(self.malformed_in_row >= limits.max_malformed, Phase::Thinking, || {
                    format!("{} replies in a row were not usable; the last: {problem}", limits.max_malformed)
                })
            }
        }
    }

    /// The peers first, then a person, then nobody.
    fn ask(&mut self, question: &str, limits: &Limits) -> Phase {
        let question = question.to_owned();
        if self.peer_questions < limits.max_peer_questions {
            self.peer_questions += 1;
            return Phase::AskingPeers { question };
        }
        self.unless(self.escalations >= limits.max_escalations, Phase::Escalating { question }, || {
            format!("the model asked a person for help more than {} times", limits.max_escalations)
        })
    }

    fn after_export(&self, tree: Sha) -> Phase {
        match self.has_passed(&tree) && self.looked_at_diff {
            true => self.publish(tree),
            false => Phase::Checking { tree },
        }
    }

    /// Passed for the first time: the model looks at its diff once. Passed after that: publish.
    fn after_checks(&mut self, tree: Sha, limits: &Limits) -> Phase {
        if !self.has_passed(&tree) {
            return self.another_round(limits);
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

    /// Back to the model with what was wrong, unless that happened too often.
    fn another_round(&mut self, limits: &Limits) -> Phase {
        self.check_rounds += 1;
        self.unless(self.check_rounds >= limits.max_check_rounds, Phase::Thinking, || {
            format!("the work was refused or failed its checks {} times", limits.max_check_rounds)
        })
    }

    fn unless(&self, is_over: bool, go_on: Phase, reason: impl FnOnce() -> String) -> Phase {
        if is_over { failed(reason()) } else { go_on }
    }
}

fn failed(reason: String) -> Phase {
    Phase::CleaningUp(End::Failed { reason })
}

/// The phases in which the sandbox where the model works must be there.
fn needs_work_sandbox(phase: &Phase) -> bool {
    use Phase as P;
    match phase {
        P::Planning
        | P::Discussing
        | P::Thinking
        | P::Running { .. }
        | P::Exporting
        | P::AskingPeers { .. } => true,
        P::Unclaimed
        | P::Claiming { .. }
        | P::Preparing
        | P::Checking { .. }
        | P::Publishing { .. }
        | P::Proposing
        | P::InReview
        | P::Escalating { .. }
        | P::Parked { .. }
        | P::CleaningUp(_)
        | P::Ended(_) => false,
    }
}
