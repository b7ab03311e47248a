//! What a node's journal says of one task, read while the node lives or is dead.

use std::fmt;
use std::path::Path;

use bzzz::journal::JournalReader;
use bzzz_actors::ports::journal::Seq;
use bzzz_actors::task::life::{End, Phase, Task};
use bzzz_actors::task::{Ending, Lane, Step, TaskEvent, TaskId};

pub(crate) struct Record {
    pub(crate) task: Task,
    pub(crate) events: Vec<TaskEvent>,
    /// A notice of any task waits in the outbox.
    pub(crate) is_to_be_told: bool,
}

/// `None`: there is no journal yet, or it can't be read at this moment.
pub(crate) fn read(data_dir: &Path, task: &TaskId) -> Option<Record> {
    let reader = JournalReader::open(data_dir).ok()?;
    let recorded = reader.events_of(task, Seq::default()).ok()?;
    let events: Vec<TaskEvent> = recorded.into_iter().map(|it| it.event).collect();
    let mut is_to_be_told = false;
    for lane in Lane::ALL {
        is_to_be_told |= !reader.pending(lane, 1).ok()?.is_empty();
    }
    Some(Record { task: Task::fold(task.clone(), &events), events, is_to_be_told })
}

impl Record {
    pub(crate) fn failure(&self) -> Option<&str> {
        match &self.task.phase {
            Phase::Ended(End::Failed { reason }) => Some(reason),
            _ => None,
        }
    }

    /// What happened since the node last began with the task: its commands are counted from there.
    fn since_it_was_found(&self) -> impl Iterator<Item = &TaskEvent> {
        let found = self.events.iter().rposition(|event| event.kind() == "found");
        self.events[found.unwrap_or(0)..].iter()
    }

    /// What happened, with the reasons for what went wrong.
    pub(crate) fn in_short(&self) -> String {
        let told = |event: &TaskEvent| match event {
            TaskEvent::SandboxLost { why: text }
            | TaskEvent::WorkRefused { problem: text }
            | TaskEvent::Stalled { problem: text, .. }
            | TaskEvent::GaveUp { reason: text } => format!("{} ({text})", event.kind()),
            _ => event.kind().to_owned(),
        };
        self.events.iter().map(told).collect::<Vec<_>>().join(", ")
    }

    /// How often the model asked for a command.
    pub(crate) fn commands_asked_for(&self) -> usize {
        let asks = |event: &&TaskEvent| matches!(event, TaskEvent::Replied { step: Step::Run { .. }, .. });
        self.since_it_was_found().filter(asks).count()
    }

    /// The numbers of the commands whose outcome is known, once for each time that one was recorded.
    pub(crate) fn commands_known(&self) -> Vec<u32> {
        let known = |event: &TaskEvent| match event {
            TaskEvent::CommandFinished { step, outcome } if outcome.ending != Ending::Unknown => Some(*step),
            _ => None,
        };
        self.since_it_was_found().filter_map(known).collect()
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MAX_EVENT_CHARS: usize = 300;
        writeln!(f, "{} is {}:", self.task.id, self.task.phase.name())?;
        for event in &self.events {
            let event: String = format!("{event:?}").chars().take(MAX_EVENT_CHARS).collect();
            writeln!(f, "  {event}")?;
        }
        Ok(())
    }
}
