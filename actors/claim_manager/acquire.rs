//! One try for one task.

use std::sync::Arc;

use tokio::time::Instant;

use crate::audit_logger::RecordError;
use crate::ports::claims::{LeaseState, SeenLease};
use crate::ports::forge::{Comment, Forge, ForgeError, PullRequestState, has_marker};
use crate::ports::journal::Seq;
use crate::task::life::{GAVE_UP, Task};
use crate::task::{Epoch, Sha, TaskEvent, TaskId};

use super::desk::{Desk, DeskError, Settled};
use super::lease::Lease;

/// A task as the journal tells it.
pub(super) async fn read(desk: &Desk, id: &TaskId) -> Result<Task, DeskError> {
    let recorded = desk.log.events_of(id, Seq::default()).await.map_err(RecordError::Refused)?;
    Ok(Task::fold(id.clone(), recorded.iter().map(|it| &it.event)))
}

/// Whether what was done for the issue keeps everyone away: an open pull request of the task's branch, whoever made it. Where
/// the nodes may not label, issues keep their label whatever came of them: there a pull request that ended since somebody set
/// it, or a node's word that it gave up, counts too.
pub(super) async fn is_taken_care_of(
    forge: &dyn Forge,
    id: &TaskId,
    label: &str,
) -> Result<bool, ForgeError> {
    let pull_request = forge.find_pull_request(&id.repo, &id.branch()).await?;
    if pull_request.as_ref().is_some_and(|it| it.state == PullRequestState::Open) {
        return Ok(true);
    }
    if forge.may_label(&id.repo) {
        return Ok(false);
    }
    let Some(set) = forge.label_setting(id, label).await? else { return Ok(true) };
    let is_since = |at: &str| *at >= *set.at;
    if pull_request.is_some_and(|it| it.ended_at.as_deref().is_none_or(is_since)) {
        return Ok(true);
    }
    let gave_up = |it: &Comment| it.is_own && has_marker(&it.body, GAVE_UP) && is_since(&it.created_at);
    Ok(forge.comments(id).await?.iter().any(gave_up))
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
