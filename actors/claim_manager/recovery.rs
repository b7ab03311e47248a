//! Which leases are still this node's when it comes back. The journal says what it wrote or was about to write, the
//! claim reference says what is there; nothing else counts.

use std::sync::Arc;

use tokio::time::Instant;

use crate::audit_logger::RecordError;
use crate::ports::claims::LeaseState;
use crate::ports::journal::Seq;
use crate::task::life::{Phase, Task};
use crate::task::{Sha, TaskEvent, TaskId};

use super::acquire::read;
use super::desk::{Desk, DeskError};
use super::lease::{Act, Lease};

/// What a node finds of a task that it had not ended.
pub(super) enum Found {
    /// The lease is ours, and renewed.
    Held(Arc<Lease>),
    /// It was taken meanwhile, which is in the journal now.
    Lost { why: String },
    /// The task goes on without one: it is in review, or it has only to be cleaned up.
    NotNeeded,
    /// There is nothing to go on with.
    Nothing,
}

/// Every lease commit that this node may have written since it last began with the task, the last one last, each with
/// the commit that it would publish.
fn written(events: &[TaskEvent]) -> Vec<(Sha, Option<Sha>)> {
    let mut written = Vec::new();
    for event in events {
        match event {
            TaskEvent::Found { .. } => written.clear(),
            TaskEvent::ClaimIntended { lease, .. } => written.push((lease.clone(), None)),
            TaskEvent::LeaseIntended { lease, commit } => written.push((lease.clone(), commit.clone())),
            _ => {}
        }
    }
    written
}

/// Records that the node comes back to the task, before anything is done for it: each life of the node counts, also one
/// that is killed at once. A task that is at rest, or only claimed, is not taken up.
pub(super) async fn count(desk: &Desk, id: &TaskId) -> Result<(), DeskError> {
    let task = read(desk, id).await?;
    if task.phase.has_runner() {
        desk.advance(&task, TaskEvent::TakenUp).await?;
    }
    Ok(())
}

pub(super) async fn recorded(desk: &Desk, id: &TaskId) -> Result<(Task, Vec<TaskEvent>), DeskError> {
    let recorded = desk.log.events_of(id, Seq::default()).await.map_err(RecordError::Refused)?;
    let events: Vec<TaskEvent> = recorded.into_iter().map(|it| it.event).collect();
    Ok((Task::fold(id.clone(), &events), events))
}

pub(super) async fn look(desk: &Desk, id: &TaskId) -> Result<Found, DeskError> {
    let (task, events) = recorded(desk, id).await?;
    match &task.phase {
        phase if phase.is_resting() => Ok(Found::Nothing),
        Phase::Claiming { .. } => settle_claim(desk, &task, &events).await,
        phase if phase.needs_lease() => regain(desk, &task, &events).await,
        Phase::CleaningUp(_) if task.holds_lease => regain(desk, &task, &events).await,
        _ => Ok(Found::NotNeeded),
    }
}

async fn settle_claim(desk: &Desk, task: &Task, events: &[TaskEvent]) -> Result<Found, DeskError> {
    let Some(Ours { sha, .. }) = ours_on_the_server(desk, task, events).await? else {
        let event = TaskEvent::ClaimLost { holder: "another node, while this one was away".to_owned() };
        desk.advance(task, event).await?;
        return Ok(Found::Nothing);
    };
    let claimed = TaskEvent::Claimed { epoch: task.epoch, lease: sha.clone() };
    let task = desk.advance(task, claimed).await?;
    renewed(desk, &task, sha).await
}

async fn regain(desk: &Desk, task: &Task, events: &[TaskEvent]) -> Result<Found, DeskError> {
    match ours_on_the_server(desk, task, events).await? {
        Some(Ours { sha, published: Some(commit), .. }) => {
            Ok(Found::Held(Lease::already_published(task.id.clone(), task.epoch, sha, commit)))
        }
        // Nothing is left to do that needs it.
        Some(Ours { is_released: true, .. }) if !task.phase.needs_lease() => Ok(Found::NotNeeded),
        // Also one that was given back when the node went down: nobody has taken it since.
        Some(Ours { sha, .. }) => renewed(desk, task, sha).await,
        None => lost(desk, task, "it was taken while the node was away").await,
    }
}

/// What this node wrote last to the claim reference.
pub(super) struct Ours {
    pub(super) sha: Sha,
    /// The commit that went out with it.
    pub(super) published: Option<Sha>,
    pub(super) is_released: bool,
}

/// What stands at the claim reference, if this node wrote it.
pub(super) async fn ours_on_the_server(
    desk: &Desk,
    task: &Task,
    events: &[TaskEvent],
) -> Result<Option<Ours>, DeskError> {
    let Some(seen) = desk.claims.read(&task.id).await? else { return Ok(None) };
    let is_released = seen.record.is_some_and(|record| record.state == LeaseState::Released);
    let written = written(events).into_iter().rev().find(|(sha, _)| *sha == seen.sha);
    Ok(written.map(|(sha, published)| Ours { sha, published, is_released }))
}

/// How long the lease had been left alone is not known; that the swap succeeds is all that matters.
async fn renewed(desk: &Desk, task: &Task, sha: Sha) -> Result<Found, DeskError> {
    let lease = Lease::new(task.id.clone(), task.epoch, sha, Instant::now() + desk.timing.ttl);
    match lease.renew(desk).await? {
        Act::Done => Ok(Found::Held(lease)),
        Act::Lost { why } => lost(desk, task, &why).await,
    }
}

async fn lost(desk: &Desk, task: &Task, why: &str) -> Result<Found, DeskError> {
    desk.advance(task, TaskEvent::LeaseLost { why: why.to_owned() }).await?;
    Ok(Found::Lost { why: why.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_since_the_last_beginning_counts() {
        let sha = |digit: char| digit.to_string().repeat(40).parse::<Sha>().unwrap();
        let events = [
            TaskEvent::ClaimIntended { epoch: crate::task::Epoch(1), lease: sha('a') },
            TaskEvent::Found {
                issue: crate::task::Issue {
                    number: 1,
                    title: String::new(),
                    body: String::new(),
                    state: crate::task::IssueState::Open,
                    labels: vec![],
                    author: String::new(),
                    url: String::new(),
                    updated_at: String::new(),
                },
                branch: None,
                labelled_by: None,
                taken_over: None,
            },
            TaskEvent::ClaimIntended { epoch: crate::task::Epoch(2), lease: sha('b') },
            TaskEvent::LeaseIntended { lease: sha('c'), commit: Some(sha('d')) },
        ];
        assert_eq!(written(&events), [(sha('b'), None), (sha('c'), Some(sha('d')))]);
    }
}
