//! One try for one task.

use std::sync::Arc;

use tokio::time::Instant;

use crate::audit_logger::RecordError;
use crate::ports::claims::{LeaseState, SeenLease};
use crate::ports::forge::{Forge, ForgeError, PullRequestState};
use crate::ports::journal::Seq;
use crate::task::life::Task;
use crate::task::{Epoch, Sha, TaskEvent, TaskId};

use super::desk::{Desk, DeskError, Settled};
use super::lease::Lease;

/// A task as the journal tells it.
pub(super) async fn read(desk: &Desk, id: &TaskId) -> Result<Task, DeskError> {
    let recorded = desk.log.events_of(id, Seq::default()).await.map_err(RecordError::Refused)?;
    Ok(Task::fold(id.clone(), recorded.iter().map(|it| &it.event)))
}

/// Whether an open pull request of the task's branch keeps others away, whoever made it.
pub(super) async fn is_in_review(forge: &dyn Forge, id: &TaskId) -> Result<bool, ForgeError> {
    let found = forge.find_pull_request(&id.repo, &id.branch()).await?;
    Ok(found.is_some_and(|it| it.state == PullRequestState::Open))
}

/// Records that the task was `found`, and writes a lease of `epoch` on top of `previous`; `None` when another node was first.
pub(super) async fn acquire(
    desk: &Desk,
    before: &Task,
    found: TaskEvent,
    previous: Option<&Sha>,
    epoch: Epoch,
) -> Result<Option<Arc<Lease>>, DeskError> {
    let id = &before.id;
    let lease = desk.draft(id, epoch, previous, LeaseState::Held).await?;
    let task = desk.advance(before, found).await?;
    let task = desk.advance(&task, TaskEvent::ClaimIntended { epoch, lease: lease.clone() }).await?;
    let deadline = Instant::now() + desk.timing.ttl;
    let holder = match desk.swap("claim", id, previous, &lease, None, deadline).await {
        Ok(Settled::Ours) => {
            desk.advance(&task, TaskEvent::Claimed { epoch, lease: lease.clone() }).await?;
            return Ok(Some(Lease::new(id.clone(), epoch, lease, deadline)));
        }
        Ok(Settled::Theirs(seen)) => holder_of(seen),
        // If it was ours after all, it runs out by itself.
        Ok(Settled::Unknown | Settled::BranchMoved) => {
            "unknown: the git server did not answer in time".to_owned()
        }
        Err(error) => {
            let holder = format!("nobody; the claim could not be written: {error}");
            desk.advance(&task, TaskEvent::ClaimLost { holder }).await?;
            return Err(error.into());
        }
    };
    desk.advance(&task, TaskEvent::ClaimLost { holder }).await?;
    Ok(None)
}

/// Who stands in a claim reference, for people.
pub(super) fn holder_of(seen: Option<SeenLease>) -> String {
    match seen {
        Some(SeenLease { record: Some(record), .. }) => record.node.to_string(),
        Some(_) => "an owner whose record this version can't read".to_owned(),
        None => "nobody any more".to_owned(),
    }
}
