//! What a journal says of one task.

use std::fmt;

use bzzz_actors::ports::journal::Recorded;
use bzzz_actors::task::life::Task;
use bzzz_actors::task::{BlobRef, Observed, Step, TaskEvent, TaskId};

pub(crate) struct Story {
    id: TaskId,
    pub(crate) recorded: Vec<Recorded>,
}

impl Story {
    pub(crate) fn new(id: &TaskId, recorded: Vec<Recorded>) -> Self {
        Self { id: id.clone(), recorded }
    }

    pub(crate) fn events(&self) -> impl DoubleEndedIterator<Item = &TaskEvent> {
        self.recorded.iter().map(|recorded| &recorded.event)
    }

    pub(crate) fn task(&self) -> Task {
        Task::fold(self.id.clone(), self.events())
    }

    pub(crate) fn count(&self, kind: &str) -> usize {
        self.events().filter(|event| event.kind() == kind).count()
    }

    pub(crate) fn has(&self, kind: &str) -> bool {
        self.count(kind) > 0
    }

    /// Why the task was given up.
    pub(crate) fn reason(&self) -> &str {
        self.last("given up", |event| match event {
            TaskEvent::GaveUp { reason } => Some(reason.as_str()),
            _ => None,
        })
    }

    /// Why the task was cancelled.
    pub(crate) fn cancelled(&self) -> &str {
        self.last("cancelled", |event| match event {
            TaskEvent::Cancelled { why } => Some(why.as_str()),
            _ => None,
        })
    }

    /// What of the work was kept at the end.
    pub(crate) fn kept(&self) -> Option<&BlobRef> {
        self.last("cleaned up", |event| match event {
            TaskEvent::CleanedUp { diff } => Some(diff.as_ref()),
            _ => None,
        })
    }

    fn last<'a, T>(&'a self, what: &str, read: impl Fn(&'a TaskEvent) -> Option<T>) -> T {
        self.events().rev().find_map(read).unwrap_or_else(|| panic!("it was not {what}; {self}"))
    }

    /// The stalls of one effect.
    pub(crate) fn stalls(&self, of: &str) -> Vec<&str> {
        self.all(|event| match event {
            TaskEvent::Stalled { what, problem } if what == of => Some(problem.as_str()),
            _ => None,
        })
    }

    /// The outcomes of the commands, in order.
    pub(crate) fn outcomes(&self) -> Vec<&Observed> {
        self.all(|event| match event {
            TaskEvent::CommandFinished { outcome, .. } => Some(outcome),
            _ => None,
        })
    }

    /// What was wrong with the replies that could not be used.
    pub(crate) fn malformed(&self) -> Vec<&str> {
        self.all(|event| match event {
            TaskEvent::Replied { step: Step::Malformed { problem }, .. } => Some(problem.as_str()),
            _ => None,
        })
    }

    fn all<'a, T>(&'a self, read: impl Fn(&'a TaskEvent) -> Option<T>) -> Vec<T> {
        self.events().filter_map(read).collect()
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MAX_EVENT_CHARS: usize = 400;
        writeln!(f, "the story of {}:", self.id)?;
        for recorded in &self.recorded {
            let event: String = format!("{:?}", recorded.event).chars().take(MAX_EVENT_CHARS).collect();
            writeln!(f, "  {} {event}", recorded.at_ms)?;
        }
        Ok(())
    }
}
