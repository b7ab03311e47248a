//! One try for one task.

use std::sync::Arc;

use tokio::time::Instant;

use crate::audit_logger::RecordError;
use crate::ports::claims::{LeaseState, SeenLease};
use crate::ports::forge::{Forge, ForgeError, PullRequestState};
use crate::ports::journal::Seq;
use crate::task::life::{Limits, Task};
use crate::task::{Epoch, Issue, Sha, TaskEvent, TaskId};

use super::desk::{Desk, DeskError, Settled};
use super::lease::Lease;

/// What the journal knows of a task before a try.
pub(super) struct Before {
    /// The task is ours already, or its end is still to be seen to.
    pub(super) is_under_way: bool,
    pub(super) last_epoch: Epoch,
}

impl Before {
    pub(super) async fn read(desk: &Desk, id: &TaskId, limits: &Limits) -> Result<Self, DeskError> {
        let recorded = desk.log.events_of(id, Seq::default()).await.map_err(RecordError::Refused)?;
        let task = Task::fold(id.clone(), limits, recorded.iter().map(|it| &it.event));
        Ok(Self { is_under_way: !task.phase.is_resting(), last_epoch: task.epoch })
    }
}

/// Whether an open pull request of the task's branch keeps others away, whoever made it.
pub(super) async fn is_in_review(forge: &dyn Forge, id: &TaskId) -> Result<bool, ForgeError> {
    let found = forge.find_pull_request(&id.repo, &id.branch()).await?;
    Ok(found.is_some_and(|it| it.state == PullRequestState::Open))
}

/// Writes a lease of `epoch` on top of `previous`; `None` when another node was first.
pub(super) async fn acquire(
    desk: &Desk,
    id: &TaskId,
    issue: Issue,
    previous: Option<&Sha>,
    epoch: Epoch,
) -> Result<Option<Arc<Lease>>, DeskError> {
    let lease = desk.draft(id, epoch, previous, LeaseState::Held).await?;
    desk.record(id, epoch, TaskEvent::Found { issue }).await?;
    desk.record(id, epoch, TaskEvent::ClaimIntended { epoch, lease: lease.clone() }).await?;
    let deadline = Instant::now() + desk.timing.ttl;
    let settled = match desk.swap(id, previous, &lease, None, deadline).await {
        Ok(settled) => settled,
        Err(error) => {
            let holder = format!("nobody; the claim could not be written: {error}");
            desk.record(id, epoch, TaskEvent::ClaimLost { holder }).await?;
            return Err(error.into());
        }
    };
    match settled {
        Settled::Ours => Ok(Some(Lease::new(id.clone(), epoch, lease, deadline))),
        Settled::Theirs(seen) => {
            let holder = holder_of(seen);
            desk.record(id, epoch, TaskEvent::ClaimLost { holder }).await?;
            Ok(None)
        }
        // If it was ours after all, it runs out by itself.
        Settled::Unknown | Settled::BranchMoved => {
            let holder = "unknown: the git server did not answer in time".to_owned();
            desk.record(id, epoch, TaskEvent::ClaimLost { holder }).await?;
            Ok(None)
        }
    }
}

/// Who stands in a claim reference, for people.
pub(super) fn holder_of(seen: Option<SeenLease>) -> String {
    match seen {
        Some(SeenLease { record: Some(record), .. }) => record.node.to_string(),
        Some(_) => "an owner whose record this version can't read".to_owned(),
        None => "nobody any more".to_owned(),
    }
}
