//! What is known of each task of the demo: pure, from the events in the nodes' journals.

use std::collections::BTreeMap;

use bzzz_actors::ports::journal::{Recorded, Seq};
use bzzz_actors::task::life::{End, Phase, Task};
use bzzz_actors::task::{TaskEvent, TaskId};

/// What is shown of a command.
const MAX_COMMAND_CHARS: usize = 100;

pub struct Board {
    nodes: usize,
    entries: Vec<BoardEntry>,
}

/// One task: its life with each of the nodes that had to do with it.
pub struct BoardEntry {
    pub id: TaskId,
    lives: BTreeMap<usize, Life>,
}

/// A task with one node: its state, and when it was claimed and came to rest, in milliseconds since 1970.
pub struct Life {
    pub task: Task,
    pub last_command: String,
    pub claimed_at_ms: Option<u64>,
    pub over_at_ms: Option<u64>,
    read_up_to: Seq,
}

impl Board {
    pub fn new(tasks: &[TaskId], nodes: usize) -> Self {
        let entry = |id: &TaskId| BoardEntry { id: id.clone(), lives: BTreeMap::new() };
        Self { nodes, entries: tasks.iter().map(entry).collect() }
    }

    pub fn entries(&self) -> &[BoardEntry] {
        &self.entries
    }

    /// Up to where a node's journal was read for a task.
    pub fn read_up_to(&self, node: usize, task: &TaskId) -> Seq {
        let entry = self.entries.iter().find(|entry| entry.id == *task);
        entry.and_then(|entry| entry.lives.get(&node)).map(|life| life.read_up_to).unwrap_or_default()
    }

    /// Takes in what a node has recorded; what was taken in before is passed over.
    pub fn catch_up(&mut self, node: usize, recorded: &[Recorded]) {
        recorded.iter().for_each(|recorded| self.record(node, recorded));
    }

    fn record(&mut self, node: usize, recorded: &Recorded) {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == recorded.task) else { return };
        let life = entry.lives.entry(node).or_insert_with(|| Life::new(&recorded.task));
        if recorded.seq > life.read_up_to {
            life.record(recorded);
        }
    }

    pub fn over(&self) -> usize {
        self.entries.iter().filter(|entry| entry.is_over()).count()
    }

    pub fn is_over(&self) -> bool {
        self.over() == self.entries.len()
    }

    /// The state of a task in a line; with several nodes, whose it is as well.
    pub fn line(&self, entry: &BoardEntry) -> String {
        let Some((node, life)) = entry.holder() else { return "not found yet".to_owned() };
        if self.nodes == 1 { life.line() } else { format!("node {:<3} {}", node + 1, life.line()) }
    }
}

impl BoardEntry {
    /// The node that claimed it last, and how it does; while none has, one that tries.
    pub fn holder(&self) -> Option<(usize, &Life)> {
        let last = self.lives.iter().max_by_key(|(_, life)| life.claimed_at_ms);
        last.map(|(node, life)| (*node, life))
    }

    /// Nothing more happens without a person.
    pub fn is_over(&self) -> bool {
        self.holder().is_some_and(|(_, life)| life.is_over())
    }
}

impl Life {
    fn new(id: &TaskId) -> Self {
        Self {
            task: Task::new(id.clone()),
            last_command: String::new(),
            claimed_at_ms: None,
            over_at_ms: None,
            read_up_to: Seq::default(),
        }
    }

    fn record(&mut self, recorded: &Recorded) {
        self.read_up_to = recorded.seq;
        self.task = self.task.clone().step(&recorded.event).0;
        if let Phase::Running { command, .. } = &self.task.phase {
            self.last_command = in_short(command);
        }
        if matches!(recorded.event, TaskEvent::Claimed { .. }) {
            self.claimed_at_ms = Some(recorded.at_ms);
        }
        if self.is_over() && self.over_at_ms.is_none() {
            self.over_at_ms = Some(recorded.at_ms);
        }
    }

    /// Another node goes on with a task whose lease was lost.
    fn is_over(&self) -> bool {
        match &self.task.phase {
            Phase::CleaningUp(end) | Phase::Ended(end) => !matches!(end, End::LeaseLost { .. }),
            Phase::InReview | Phase::Parked { .. } => true,
            _ => false,
        }
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
    fn line(&self) -> String {
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

    fn claim(at_ms: u64) -> [Recorded; 2] {
        let lease: Sha = "a".repeat(40).parse().unwrap();
        [
            recorded(1, 0, TaskEvent::ClaimIntended { epoch: Epoch::FIRST, lease: lease.clone() }),
            recorded(2, at_ms, TaskEvent::Claimed { epoch: Epoch::FIRST, lease }),
        ]
    }

    #[test]
    fn an_event_counts_once_and_the_time_runs_from_the_claim() {
        let mut board = Board::new(&["a/b#1".parse().unwrap()], 1);
        let mut story = claim(100).to_vec();
        story.push(recorded(3, 350, TaskEvent::GaveUp { reason: "no fuel".into() }));
        board.catch_up(0, &story);
        board.catch_up(0, &story);
        assert!(board.is_over());
        let (_, life) = board.entries()[0].holder().unwrap();
        assert!(!life.has_succeeded());
        assert_eq!(life.took_ms(), Some(250));
        let line = board.line(&board.entries()[0]);
        assert!(line.contains("no fuel") && !line.contains("node"), "{line}");
    }

    #[test]
    fn a_task_is_its_last_owners() {
        let mut board = Board::new(&["a/b#1".parse().unwrap()], 2);
        board.catch_up(1, &claim(100));
        board.catch_up(1, &[recorded(3, 200, TaskEvent::LeaseLost { why: "cut off".into() })]);
        assert!(!board.is_over());
        board.catch_up(0, &claim(300));
        assert_eq!(board.entries()[0].holder().map(|it| it.0), Some(0));
        assert_eq!(board.read_up_to(1, &"a/b#1".parse().unwrap()), Seq(3));
        assert!(board.line(&board.entries()[0]).starts_with("node 1 "));
    }
}
