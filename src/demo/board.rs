//! What is known of each task of the demo: pure, from the journal's events.

use bzzz_actors::ports::journal::{Recorded, Seq};
use bzzz_actors::task::life::{End, Phase, Task};
use bzzz_actors::task::{TaskEvent, TaskId};

/// What is shown of a command.
const MAX_COMMAND_CHARS: usize = 100;

pub struct Board {
    entries: Vec<BoardEntry>,
    read_up_to: Seq,
}

/// One task: its state, and when it was claimed and proposed, in milliseconds since 1970.
pub struct BoardEntry {
    pub task: Task,
    pub last_command: String,
    pub claimed_at_ms: Option<u64>,
    pub over_at_ms: Option<u64>,
}

impl Board {
    pub fn new(tasks: &[TaskId]) -> Self {
        let entry = |id: &TaskId| BoardEntry {
            task: Task::new(id.clone()),
            last_command: String::new(),
            claimed_at_ms: None,
            over_at_ms: None,
        };
        Self { entries: tasks.iter().map(entry).collect(), read_up_to: Seq::default() }
    }

    pub fn entries(&self) -> &[BoardEntry] {
        &self.entries
    }

    /// Events that were recorded before are passed over.
    pub fn catch_up(&mut self, recorded: &[Recorded]) {
        recorded.iter().for_each(|recorded| self.record(recorded));
    }

    pub fn record(&mut self, recorded: &Recorded) {
        if recorded.seq <= self.read_up_to {
            return;
        }
        self.read_up_to = recorded.seq;
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.task.id == recorded.task) else {
            return;
        };
        entry.task = entry.task.clone().step(&recorded.event).0;
        if let Phase::Running { command, .. } = &entry.task.phase {
            entry.last_command = in_short(command);
        }
        if matches!(recorded.event, TaskEvent::Claimed { .. }) {
            entry.claimed_at_ms = Some(recorded.at_ms);
        }
        if entry.is_over() && entry.over_at_ms.is_none() {
            entry.over_at_ms = Some(recorded.at_ms);
        }
    }

    pub fn over(&self) -> usize {
        self.entries.iter().filter(|entry| entry.is_over()).count()
    }

    pub fn is_over(&self) -> bool {
        self.over() == self.entries.len()
    }
}

impl BoardEntry {
    /// Nothing more happens without a person.
    pub fn is_over(&self) -> bool {
        matches!(
            self.task.phase,
            Phase::InReview | Phase::Parked { .. } | Phase::CleaningUp(_) | Phase::Ended(_)
        )
    }

    pub fn has_succeeded(&self) -> bool {
        let is_proposed = matches!(self.task.phase, Phase::InReview | Phase::Ended(End::Done));
        let is_checked = self.task.checked.as_ref().is_some_and(|it| it.passed() && !it.results.is_empty());
        is_proposed && is_checked
    }

    /// From the claim to the open pull request, or to whatever end it was.
    pub fn took_ms(&self) -> Option<u64> {
        Some(self.over_at_ms?.saturating_sub(self.claimed_at_ms?))
    }

    /// The state in a few words, the step, and the last command or what came of it all.
    pub fn line(&self) -> String {
        let doing = match &self.task.phase {
            Phase::InReview => self.task.pull_request.as_ref().map(|it| it.url.clone()).unwrap_or_default(),
            Phase::CleaningUp(End::Failed { reason }) | Phase::Ended(End::Failed { reason }) => {
                reason.clone()
            }
            Phase::Parked { question } => question.clone(),
            Phase::Checking { .. } => in_short(&self.task.checks.join("\n")),
            _ => self.last_command.clone(),
        };
        format!("{:<12} step {:<3} {doing}", self.task.phase.name(), self.task.steps)
    }
}

/// The first line, not too long, and a sign that there is more.
fn in_short(command: &str) -> String {
    let first_line = command.lines().next().unwrap_or_default();
    let short: String = first_line.chars().take(MAX_COMMAND_CHARS).collect();
    if short.len() < command.trim_end().len() { short + " …" } else { short }
}

#[cfg(test)]
mod tests {
    use bzzz_actors::task::{Epoch, Sha};

    use super::*;

    fn recorded(seq: u64, at_ms: u64, event: TaskEvent) -> Recorded {
        Recorded { seq: Seq(seq), at_ms, task: "a/b#1".parse().unwrap(), epoch: Epoch::FIRST, event }
    }

    #[test]
    fn an_event_counts_once_and_the_time_runs_from_the_claim() {
        let lease: Sha = "a".repeat(40).parse().unwrap();
        let mut board = Board::new(&["a/b#1".parse().unwrap()]);
        let story = [
            recorded(1, 0, TaskEvent::ClaimIntended { epoch: Epoch::FIRST, lease: lease.clone() }),
            recorded(2, 100, TaskEvent::Claimed { epoch: Epoch::FIRST, lease }),
            recorded(3, 350, TaskEvent::GaveUp { reason: "no fuel".into() }),
        ];
        board.catch_up(&story);
        board.catch_up(&story);
        let entry = &board.entries()[0];
        assert!(board.is_over() && !entry.has_succeeded());
        assert_eq!(entry.took_ms(), Some(250));
        assert!(entry.line().contains("no fuel"), "{}", entry.line());
    }
}
