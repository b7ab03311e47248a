//! The claim protocol over the ports: every write is drafted, journalled, swapped, and where the answer is unclear
//! read back. A write is ours if and only if the reference holds the very commit that we wrote.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::audit_logger::{AuditLog, RecordError};
use crate::crash_points;
use crate::ports::claims::{BranchUpdate, Claims, ClaimsError, LeaseRecord, LeaseState, SeenLease, Swap};
use crate::ports::journal::Entry;
use crate::task::life::Task;
use crate::task::{Epoch, NodeId, Sha, TaskEvent, TaskId};

use super::{ClaimDeps, Timing};

/// The pause before an unclear outcome is looked at again; doubles up to the longest.
const FIRST_LOOK_AGAIN: Duration = Duration::from_millis(500);
const LONGEST_LOOK_AGAIN: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeskError {
    #[error(transparent)]
    Claims(#[from] ClaimsError),
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Where a write left the claim reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Settled {
    Ours,
    Theirs(Option<SeenLease>),
    /// The claim reference is where it was, and the branch is not where it was expected.
    BranchMoved,
    /// It could not be found out in time.
    Unknown,
}

#[derive(Clone)]
pub(super) struct Desk {
    pub(super) node: NodeId,
    pub(super) claims: Arc<dyn Claims>,
    pub(super) log: AuditLog,
    pub(super) nonce: Arc<dyn Fn() -> String + Send + Sync>,
    pub(super) timing: Timing,
}

impl Desk {
    pub(super) fn new(deps: &ClaimDeps) -> Self {
        Self {
            node: deps.node.clone(),
            claims: deps.claims.clone(),
            log: deps.log.clone(),
            nonce: deps.nonce.clone(),
            timing: deps.timing,
        }
    }

    pub(super) async fn draft(
        &self,
        task: &TaskId,
        epoch: Epoch,
        previous: Option<&Sha>,
        state: LeaseState,
    ) -> Result<Sha, ClaimsError> {
        let record = LeaseRecord {
            v: 1,
            task: task.clone(),
            node: self.node.clone(),
            epoch,
            nonce: (self.nonce)(),
            ttl_s: self.timing.ttl.as_secs(),
            state,
        };
        self.claims.draft(previous, &record).await
    }

    /// Records an event that moves the task, and returns the task after it.
    pub(super) async fn advance(&self, task: &Task, event: TaskEvent) -> Result<Task, RecordError> {
        let (entry, after) = task.entry(event, &self.node);
        self.log.record(entry).await?;
        Ok(after)
    }

    /// Records an event that only the lease is concerned with.
    pub(super) async fn note(
        &self,
        task: &TaskId,
        epoch: Epoch,
        event: TaskEvent,
    ) -> Result<(), RecordError> {
        let entry = Entry { task: task.clone(), epoch, event, notices: Vec::new() };
        self.log.record(entry).await.map(|_| ())
    }

    /// Swaps, and looks until it is known what came of it, but not past `until`. `act` is the crash points' word for it.
    pub(super) async fn swap(
        &self,
        act: &'static str,
        task: &TaskId,
        from: Option<&Sha>,
        to: &Sha,
        branch: Option<&BranchUpdate>,
        until: Instant,
    ) -> Result<Settled, ClaimsError> {
        let settling = self.swap_until_clear(task, from, to, branch);
        crash_points::before(act);
        let settled = timeout_at(until, settling).await.unwrap_or(Ok(Settled::Unknown));
        crash_points::after(act);
        settled
    }

    async fn swap_until_clear(
        &self,
        task: &TaskId,
        from: Option<&Sha>,
        to: &Sha,
        branch: Option<&BranchUpdate>,
    ) -> Result<Settled, ClaimsError> {
        let mut pause = FIRST_LOOK_AGAIN;
        loop {
            let was_refused = match self.claims.swap(task, from, to, branch).await {
                Ok(Swap::Done) => return Ok(Settled::Ours),
                Ok(Swap::Refused) => true,
                Err(ClaimsError::Unclear(_)) => false,
                Err(error) => return Err(error),
            };
            match self.claims.read(task).await {
                Ok(Some(seen)) if seen.sha == *to => return Ok(Settled::Ours),
                // Nothing was written. After an unclear answer the same swap may be sent again: it compares.
                Ok(seen) if seen.as_ref().map(|it| &it.sha) == from => {
                    if was_refused && branch.is_some() {
                        return Ok(Settled::BranchMoved);
                    }
                }
                Ok(seen) => return Ok(Settled::Theirs(seen)),
                Err(ClaimsError::Unclear(_)) => {}
                Err(error) => return Err(error),
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_LOOK_AGAIN);
        }
    }
}
