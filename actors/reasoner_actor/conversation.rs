//! A task's conversation with the model: what its events say, in words. Append-only, so that each prompt begins with
//! the whole one before it.

use crate::ports::model::{Message, Role};
use crate::task::{CheckResult, Step, TaskEvent, TaskId};

use super::prompt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    task: TaskId,
    messages: Vec<Message>,
    checks: Vec<String>,
    /// Those that the sandbox can reach.
    hosts: Vec<String>,
    /// The diff that the checks under way are about.
    diff: String,
    has_seen_diff: bool,
    /// The last command that ended.
    step: u32,
    /// The last command that had ended when the work was saved last.
    saved_after: Option<u32>,
}

impl Conversation {
    pub fn new(task: TaskId) -> Self {
        Self {
            task,
            messages: Vec::new(),
            checks: Vec::new(),
            hosts: Vec::new(),
            diff: String::new(),
            has_seen_diff: false,
            step: 0,
            saved_after: None,
        }
    }

    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Adds what `event` means to the model; many events mean nothing to it.
    pub fn record(&mut self, event: &TaskEvent) {
        match event {
            TaskEvent::Found { issue, .. } => {
                *self = Self::new(self.task.clone());
                self.say(Role::System, prompt::system(&self.task, issue));
                self.say(Role::User, prompt::ASK_FOR_PLAN.to_owned());
            }
            TaskEvent::Prepared { checks, hosts, .. } => {
                self.checks.clone_from(checks);
                self.hosts.clone_from(hosts);
            }
            TaskEvent::PlanDrafted { plan, .. } => self.say(Role::Assistant, plan.clone()),
            TaskEvent::PlanSettled { reviews } => {
                self.say(Role::User, prompt::plan_is_settled(reviews, &self.checks, &self.hosts));
            }
            TaskEvent::Replied { text, step, .. } => {
                self.say(Role::Assistant, text.clone());
                if let Step::Malformed { problem } = step {
                    self.say(Role::User, prompt::malformed(problem));
                }
            }
            TaskEvent::CommandFinished { step, outcome } => {
                self.step = *step;
                self.say(Role::User, prompt::observation(*step, outcome));
            }
            // Before the plan stands there is nothing to lose, and the plan's question must stay the last word.
            TaskEvent::SandboxLost { why } if self.has_begun() => {
                self.say(Role::User, prompt::sandbox_lost(why, self.saved_after));
            }
            TaskEvent::Checkpointed { .. } | TaskEvent::Escalated { saved: Some(_), .. } => {
                self.saved_after = Some(self.step);
            }
            TaskEvent::WorkProduced { produced } => {
                self.diff.clone_from(&produced.shown);
                self.saved_after = Some(self.step);
            }
            TaskEvent::WorkRefused { problem } => self.say(Role::User, prompt::refused(problem)),
            TaskEvent::ChecksFinished { results, .. } => self.checked(results),
            TaskEvent::Advised { advice } if !advice.is_empty() => {
                self.say(Role::User, prompt::advised(advice));
            }
            TaskEvent::HumanAnswered { text, .. } => self.say(Role::User, prompt::human_answered(text)),
            _ => {}
        }
    }

    fn checked(&mut self, results: &[CheckResult]) {
        if !results.iter().all(CheckResult::passed) {
            return self.say(Role::User, prompt::checks_failed(results));
        }
        if !self.has_seen_diff {
            self.has_seen_diff = true;
            self.say(Role::User, prompt::look_at_diff(&self.diff, !results.is_empty()));
        }
    }

    fn has_begun(&self) -> bool {
        self.messages.iter().filter(|message| message.role == Role::Assistant).count() > 1
    }

    /// Two turns of one side become one: many models' templates know no other order than question, answer.
    fn say(&mut self, role: Role, content: String) {
        match self.messages.last_mut() {
            Some(last) if last.role == role => {
                last.content += "\n\n";
                last.content += &content;
            }
            _ => self.messages.push(Message { role, content }),
        }
    }
}
