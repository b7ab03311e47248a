//! Where a task ends although nobody ended it.
//!
//! The life itself knows no limits: what has happened stays what it was when the configuration changes. Whoever is
//! about to carry out an effect asks here first, and a limit that is reached becomes an event of its own, `GaveUp`.

use std::time::Duration;

use super::{Phase, Task};

/// Of a command in a reason.
const MAX_COMMAND_CHARS: usize = 200;

/// Reaching one is a failure with the diff kept, never a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Commands in all. Too low: tasks fail that were nearly done. Too high: a lost model burns a GPU for hours.
    pub max_steps: u32,
    /// Tokens in all, of prompts and replies; each prompt counts whole, also what the server had in its cache. Too low: long
    /// tasks fail that were nearly done.
    pub max_tokens: u64,
    /// Replies in a row that follow no part of the protocol.
    pub max_malformed: u32,
    /// How often the work may be refused or fail its checks.
    pub max_check_rounds: u32,
    /// Sandboxes lost in all, such as by running out of memory.
    pub max_sandbox_losses: u32,
    /// How often a task is taken up again without getting on. Too low: a node that is restarted often fails its tasks.
    /// Too high: a task that takes its node down does so that often.
    pub max_taken_up: u32,
    /// How often the peers are asked; after that a person is at once.
    pub max_peer_questions: u32,
    /// How often a person is asked.
    pub max_escalations: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_steps: 100,
            max_tokens: 5_000_000,
            max_malformed: 3,
            max_check_rounds: 5,
            max_sandbox_losses: 3,
            max_taken_up: 10,
            max_peer_questions: 2,
            max_escalations: 3,
        }
    }
}

/// Which limit it was that a task was given up for, of those that other programs have too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exhausted {
    Steps,
    Tokens,
    Malformed,
    Time,
}

const NOT_DONE: &str = "not done after ";
const TOKENS: &str = " tokens were used";
const NOT_USABLE: &str = " replies in a row were not usable";
const OUT_OF_TIME: &str = "the time limit of ";

impl Exhausted {
    /// By the words of [`Task::reached`] and [`out_of_time`]: nothing else stands in the journal.
    pub fn of_reason(reason: &str) -> Option<Self> {
        match reason {
            _ if reason.starts_with(NOT_DONE) => Some(Self::Steps),
            _ if reason.ends_with(TOKENS) => Some(Self::Tokens),
            _ if reason.ends_with(NOT_USABLE) => Some(Self::Malformed),
            _ if reason.starts_with(OUT_OF_TIME) => Some(Self::Time),
            _ => None,
        }
    }
}

/// Why a task is given up that took its whole time; `limit` is that time.
pub fn out_of_time(limit: Duration, phase: &Phase) -> String {
    format!("{OUT_OF_TIME}{} minutes was reached while {}", limit.as_secs() / 60, phase.name())
}

impl Task {
    /// Used so far, of prompts and replies.
    pub fn tokens(&self) -> u64 {
        u64::from(self.usage.prompt_tokens) + u64::from(self.usage.output_tokens)
    }

    /// What kept the checks from being run at all.
    fn failed_setup(&self) -> Option<String> {
        let failed = self.checked.as_ref()?.setup.iter().find(|result| !result.passed())?;
        let command: String = failed.command.chars().take(MAX_COMMAND_CHARS).collect();
        Some(format!(
            "the repository's setup failed, so no check ran: `{command}` ({})",
            failed.outcome.ending
        ))
    }

    /// Why the task must not go on, if it must not.
    pub fn reached(&self, limits: &Limits) -> Option<String> {
        if !self.phase.needs_lease() {
            return None;
        }
        if self.steps > limits.max_steps {
            return Some(format!("{NOT_DONE}{} commands", limits.max_steps));
        }
        // What is done already costs no more of them.
        let asks_model = matches!(self.phase, Phase::Planning | Phase::Thinking);
        if asks_model && self.tokens() >= limits.max_tokens {
            return Some(format!("not done when {}{TOKENS}", self.tokens()));
        }
        if self.malformed_in_row >= limits.max_malformed {
            return Some(format!("{}{NOT_USABLE}", self.malformed_in_row));
        }
        if self.check_rounds >= limits.max_check_rounds {
            let why = self.refused.clone().or_else(|| self.failed_setup());
            let why = why.map(|why| format!("; the last time: {why}")).unwrap_or_default();
            let rounds = self.check_rounds;
            return Some(format!("the work was refused or failed its checks {rounds} times{why}"));
        }
        if self.sandbox_losses > limits.max_sandbox_losses {
            return Some(format!("the sandbox was lost {} times", self.sandbox_losses));
        }
        // A person may take so long that the node is restarted often, and for good reasons.
        if self.taken_up > limits.max_taken_up && self.phase.takes_a_place() {
            let (count, phase) = (limits.max_taken_up, self.phase.name());
            return Some(format!(
                "the node, or what it runs for the task, went down more than {count} times while {phase}"
            ));
        }
        let asks_again = matches!(self.phase, Phase::Escalating { .. });
        (asks_again && self.escalations >= limits.max_escalations)
            .then(|| format!("the model asked a person for help more than {} times", limits.max_escalations))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_known_again_by_its_words() {
        let limits = Limits::default();
        let task = |change: fn(&mut Task)| {
            let mut task = Task::new("a/b#1".parse().unwrap());
            task.phase = Phase::Thinking;
            change(&mut task);
            Exhausted::of_reason(&task.reached(&limits).unwrap())
        };
        assert_eq!(task(|task| task.steps = 101), Some(Exhausted::Steps));
        assert_eq!(task(|task| task.malformed_in_row = 3), Some(Exhausted::Malformed));
        assert_eq!(task(|task| task.usage.prompt_tokens = 5_000_000), Some(Exhausted::Tokens));
        let mut done = Task::new("a/b#1".parse().unwrap());
        done.phase = Phase::Publishing { tree: "a".repeat(40).parse().unwrap() };
        done.usage.prompt_tokens = 5_000_000;
        assert_eq!(done.reached(&limits), None, "nothing more is asked");
        assert_eq!(task(|task| task.sandbox_losses = 4), None);
        let reason = out_of_time(Duration::from_secs(3600), &Phase::Thinking);
        assert_eq!(reason, "the time limit of 60 minutes was reached while thinking");
        assert_eq!(Exhausted::of_reason(&reason), Some(Exhausted::Time));
    }
}
