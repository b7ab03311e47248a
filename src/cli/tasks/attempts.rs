//! A task may be begun several times: each time that a node finds its issue free. What came before is another life.

use bzzz_actors::ports::journal::Recorded;
use bzzz_actors::task::TaskEvent;
use bzzz_actors::task::life::Task;

/// A task's events from one time that it was found to the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub(super) recorded: &'a [Recorded],
}

impl<'a> Attempt<'a> {
    /// A task's attempts, in order. `events` are all that the journal has of it, and not empty.
    pub(super) fn all(events: &'a [Recorded]) -> Vec<Self> {
        let begins = |(at, recorded): (usize, &Recorded)| {
            (at > 0 && matches!(recorded.event, TaskEvent::Found { .. })).then_some(at)
        };
        let mut attempts = Vec::new();
        let mut from = 0;
        for to in events.iter().enumerate().filter_map(begins).chain([events.len()]) {
            attempts.push(Self { recorded: &events[from..to] });
            from = to;
        }
        attempts
    }

    /// The last one in which the task became this node's, if any.
    pub(super) fn last_worked_on(events: &'a [Recorded]) -> Option<Self> {
        Self::all(events).into_iter().rfind(Self::is_worked_on)
    }

    fn is_worked_on(&self) -> bool {
        self.events().any(|event| matches!(event, TaskEvent::Claimed { .. }))
    }

    pub(super) fn events(&self) -> impl DoubleEndedIterator<Item = &'a TaskEvent> {
        self.recorded.iter().map(|recorded| &recorded.event)
    }

    /// Where it stands, or how it ended.
    pub(super) fn task(&self) -> Option<Task> {
        let id = self.recorded.first()?.task.clone();
        Some(Task::fold(id, self.events()))
    }

    pub(super) fn began_ms(&self) -> u64 {
        self.recorded.first().map_or(0, |first| first.at_ms)
    }
}
