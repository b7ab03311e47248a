//! Tasks that were found and may be tried for, and the try itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::audit_logger::RecordError;
use crate::task::life::Task;
use crate::task::{Lane, TaskEvent, TaskId};
use crate::task_supervisor::TaskClaimed;

use super::acquire::{acquire, is_in_review, read};
use super::desk::{Desk, DeskError};
use super::lease::Lease;
use super::rules::Decision;
use super::{ClaimDeps, ClaimManager};

/// Found tasks that are remembered. More would wait for hours anyway, and are found again.
const MAX_WAITING: usize = 1000;

/// A try that hangs gives its place back after this long. The journal knows how far it came.
const TRY_LIMIT: Duration = Duration::from_secs(20 * 60);

/// What may be tried for, a repository's oldest issue first, and what is being tried for.
#[derive(Default)]
pub(super) struct Candidates {
    /// Each with the branch to work from, if it is not the default one.
    waiting: BTreeMap<TaskId, Option<String>>,
    trying: BTreeSet<TaskId>,
}

impl Candidates {
    pub(super) fn add(&mut self, task: TaskId, branch: Option<String>) {
        if self.waiting.len() < MAX_WAITING && !self.trying.contains(&task) {
            self.waiting.insert(task, branch);
        }
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn begin(&mut self) -> Option<(TaskId, Option<String>)> {
        let (task, branch) = self.waiting.pop_first()?;
        self.trying.insert(task.clone());
        Some((task, branch))
    }

    pub(super) fn is_trying(&self, task: &TaskId) -> bool {
        self.trying.contains(task)
    }

    fn end(&mut self, task: &TaskId) {
        self.trying.remove(task);
    }
}

/// How a try for a task ended; the place goes on with the lease.
type Tried = Result<Option<(Arc<Lease>, OwnedSemaphorePermit)>, String>;

impl ClaimManager {
    /// Begins a try for each candidate that there is a place for. The place is taken before the try and given back
    /// after a lost one: more is never claimed than can be worked on.
    pub(super) fn try_candidates(&mut self, ctx: &mut Context<Self>) {
        while !self.takes_no_more && !self.candidates.is_empty() {
            let Ok(place) = self.deps.places.clone().try_acquire_owned() else { return };
            let Some((task, branch)) = self.candidates.begin() else { return };
            self.begin_try(task, branch, place, ctx);
        }
    }

    fn begin_try(
        &mut self,
        task: TaskId,
        branch: Option<String>,
        place: OwnedSemaphorePermit,
        ctx: &mut Context<Self>,
    ) {
        let (desk, id) = (self.desk(), task.clone());
        let seen = async move {
            let before = read(&desk, &id).await?;
            if !before.phase.is_resting() || is_being_told_of(&desk, &id).await? {
                return Ok(None);
            }
            let seen = desk.claims.read(&id).await.map_err(DeskError::from)?;
            Ok::<_, DeskError>(Some((before, seen, desk)))
        };
        let tried = seen.into_actor(self).then(move |seen, manager, _| {
            let deps = manager.deps.clone();
            let decided = seen.map(|seen| {
                seen.map(|(before, seen, desk)| (manager.decide(&before, seen.as_ref()), before, desk))
            });
            async move {
                let tried = try_for(decided, &deps, branch, place);
                timeout(TRY_LIMIT, tried)
                    .await
                    .unwrap_or_else(|_| Err("the try hangs and is given up".to_owned()))
            }
            .into_actor(manager)
        });
        ctx.spawn(tried.map(move |tried, manager, ctx| manager.after_try(task, tried, ctx)));
    }

    fn after_try(&mut self, task: TaskId, tried: Tried, ctx: &mut Context<Self>) {
        self.candidates.end(&task);
        match tried {
            Ok(Some((lease, place))) => {
                info!(%task, epoch = %lease.epoch, "claimed");
                self.hold(lease);
                self.tell(TaskClaimed { task, place: Some(place) }, ctx);
            }
            Ok(None) => {}
            Err(why) => {
                warn!(%task, why, "not claimed");
                // It may have failed half-way, with the claim written and the journal not knowing.
                self.look_for(task, false, ctx);
            }
        }
    }
}

/// Whether the issue's page does not show yet how the task last ended. Until then its labels say nothing.
async fn is_being_told_of(desk: &Desk, task: &TaskId) -> Result<bool, DeskError> {
    let waiting = desk.log.journal().pending(Lane::Forge, MAX_WAITING).await.map_err(RecordError::Refused)?;
    Ok(waiting.iter().any(|pending| pending.task == *task))
}

async fn try_for(
    decided: Result<Option<(Decision, Task, Desk)>, DeskError>,
    deps: &ClaimDeps,
    branch: Option<String>,
    place: OwnedSemaphorePermit,
) -> Tried {
    let decided = decided.map_err(|error| error.to_string())?;
    let Some((Decision::Take { previous, epoch }, before, desk)) = decided else { return Ok(None) };
    // It was found some time ago, perhaps in a stale listing.
    let issue = deps.forge.issue(&before.id).await.map_err(|error| error.to_string())?;
    if !issue.is_free(&deps.task_label) {
        return Ok(None);
    }
    let setter = deps.trust.trusted_setter(&before.id, &issue).await.map_err(|error| error.to_string())?;
    let Some(labelled_by) = setter else { return Ok(None) };
    if is_in_review(&*deps.forge, &before.id).await.map_err(|error| error.to_string())? {
        return Ok(None);
    }
    let found = TaskEvent::Found { issue, branch, labelled_by: Some(labelled_by) };
    let acquired = acquire(&desk, &before, found, previous.as_ref(), epoch).await;
    let Some(lease) = acquired.map_err(|error| error.to_string())? else { return Ok(None) };
    Ok(Some((lease, place)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_tried_first_and_none_twice_at_once() {
        let task = |number| TaskId::new("a/b".parse().unwrap(), number);
        let mut candidates = Candidates::default();
        [3, 1, 3].into_iter().for_each(|number| candidates.add(task(number), None));
        assert_eq!(candidates.begin(), Some((task(1), None)));
        candidates.add(task(1), None);
        assert_eq!(candidates.begin(), Some((task(3), None)));
        assert_eq!(candidates.begin(), None);
        candidates.end(&task(1));
        candidates.add(task(1), None);
        assert_eq!(candidates.begin(), Some((task(1), None)));
    }
}
