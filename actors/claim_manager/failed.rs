//! Tasks that failed on this node are tried again only after a person has taken the label off the issue.
//!
//! The label is set from the outbox: it may come after the next listing, and never where the token may not set it.
//! Until it was seen, its absence says nothing.

use std::collections::HashSet;

use crate::ports::forge::Forge;
use crate::task::life::{End, Phase, Task};
use crate::task::{Lane, TaskId, label};

use super::desk::Desk;

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

/// The same for an issue that a listing shows without the label: the listing may be older than the label, and the
/// label of a task that failed in an earlier life of the node may still be on its way.
pub(super) async fn waits_for_person(desk: &Desk, forge: &dyn Forge, before: &Task) -> Result<bool, String> {
    if !matches!(before.phase, Phase::Ended(End::Failed { .. })) {
        return Ok(false);
    }
    let undelivered = desk.log.journal().pending(Lane::Forge, usize::MAX).await;
    let undelivered = undelivered.map_err(|error| error.to_string())?;
    if undelivered.iter().any(|pending| pending.task == before.id) {
        return Ok(true);
    }
    let issue = forge.issue(&before.id).await.map_err(|error| error.to_string())?;
    Ok(issue.has_label(label::NEEDS_HUMAN))
}
