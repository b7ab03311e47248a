//! Tasks that failed on this node are tried again only after a person has taken the label off the issue.
//!
//! The label is set from the outbox: it may come after the next listing, and never where the token may not set it.
//! Until it was seen, its absence says nothing. (Of tasks that failed in an earlier life of the node the outbox knows
//! whether their label is still on its way: `candidates`.)

use std::collections::HashSet;

use crate::task::TaskId;

/// The tasks that failed in this life of the node and whose label was not seen since.
#[derive(Debug, Default)]
pub(super) struct Failed {
    unlabelled: HashSet<TaskId>,
}

impl Failed {
    pub(super) fn note(&mut self, task: TaskId) {
        self.unlabelled.insert(task);
    }

    pub(super) fn person_called(&mut self, task: &TaskId) {
        self.unlabelled.remove(task);
    }

    pub(super) fn is_left_alone(&self, task: &TaskId) -> bool {
        self.unlabelled.contains(task)
    }
}
