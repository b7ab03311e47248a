//! A try for a task that was found.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use crate::audit_logger::RecordError;
use crate::ports::forge::ForgeError;
use crate::ports::swarm::{Availability, Misdeed, PeerId};
use crate::swarm_actor::Blame;
use crate::task::life::Task;
use crate::task::{Lane, NodeId, TaskEvent, TaskId};
use crate::task_supervisor::TaskClaimed;

use super::acquire::{acquire, is_taken_care_of, read};
use super::desk::{Desk, DeskError};
use super::lease::Lease;
use super::queue::{Found, MAX_WAITING};
use super::rules::{Decision, owner_of};
use super::{ClaimDeps, ClaimManager};

/// A try that hangs gives its place back after this long. The journal knows how far it came.
const TRY_LIMIT: Duration = Duration::from_secs(20 * 60);
/// Tasks that are said to be worked on; more only say less.
const MAX_SAID: usize = 256;

/// What is known before a try: who may take it, and whose it was; or that there is nothing to try.
type Decided = Result<(Decision, Option<NodeId>, Task, Desk), Tried>;

/// How a try for a task ended.
enum Tried {
    /// The place goes on with the lease.
    Claimed(Arc<Lease>, OwnedSemaphorePermit),
    /// Another node has it, or was faster.
    Held,
    /// This node is not done with it.
    UnderWay,
    /// Its page does not show yet how this node's last work on it ended.
    NotYet,
    /// Not as it is now: a person's turn, in review, or on the word of nobody who counts.
    NotFree,
    /// It is no open issue with the label.
    NotWanted,
}

impl ClaimManager {
    /// Begins a try for each candidate that is due and that there is a place for. The place is taken before the try and
    /// given back after a lost one: more is never claimed than can be worked on.
    pub(super) fn try_candidates(&mut self, ctx: &mut Context<Self>) {
        while !self.takes_no_more {
            let free = self.deps.places.available_permits();
            let Ok(place) = self.deps.places.clone().try_acquire_owned() else {
                self.candidates.no_place();
                break;
            };
            let Some((task, found)) = self.candidates.begin(free, Instant::now()) else { break };
            if self.held.contains_key(&task) || self.failed.is_left_alone(&task) {
                self.candidates.end(&task);
            } else {
                self.begin_try(task, found, place, ctx);
            }
        }
        self.show_availability();
    }

    /// What this node has free and works on, for whoever looks: also what it only tries for, so that others leave it alone.
    pub(super) fn show_availability(&self) {
        let free = if self.takes_no_more { 0 } else { self.deps.places.available_permits() };
        let mut held: Vec<TaskId> = self.held.keys().cloned().collect();
        held.sort();
        let tasks = self.candidates.trying().cloned().chain(held).take(MAX_SAID).collect();
        let availability = Availability { free_slots: u32::try_from(free).unwrap_or(u32::MAX), tasks };
        self.deps.availability.send_if_modified(|shown| {
            let is_changed = *shown != availability;
            *shown = availability;
            is_changed
        });
    }

    fn begin_try(
        &mut self,
        task: TaskId,
        found: Found,
        place: OwnedSemaphorePermit,
        ctx: &mut Context<Self>,
    ) {
        let (desk, id, branch) = (self.desk(), task.clone(), found.branch.clone());
        let seen = async move {
            let before = read(&desk, &id).await?;
            if !before.phase.is_resting() {
                return Ok(Err(Tried::UnderWay));
            }
            if is_being_told_of(&desk, &id).await? {
                return Ok(Err(Tried::NotYet));
            }
            let seen = desk.claims.read(&id).await.map_err(DeskError::from)?;
            Ok::<_, DeskError>(Ok((before, seen, desk)))
        };
        let tried = seen.into_actor(self).then(move |seen, manager, _| {
            let deps = manager.deps.clone();
            let decided = seen.map(|seen| {
                seen.map(|(before, seen, desk)| {
                    let liars = manager.candidates.look(&before.id, seen.as_ref(), Instant::now());
                    liars.into_iter().for_each(|peer| manager.blame(peer, Misdeed::FalseClaim));
                    let owner = owner_of(seen.as_ref());
                    (manager.decide(&before, seen.as_ref()), owner, before, desk)
                })
            });
            async move {
                let tried = try_for(decided, &deps, branch, place);
                timeout(TRY_LIMIT, tried)
                    .await
                    .unwrap_or_else(|_| Err("the try hangs and is given up".to_owned()))
            }
            .into_actor(manager)
        });
        ctx.spawn(tried.map(move |tried, manager, ctx| manager.after_try(task, found, tried, ctx)));
    }

    fn after_try(
        &mut self,
        task: TaskId,
        found: Found,
        tried: Result<Tried, String>,
        ctx: &mut Context<Self>,
    ) {
        let now = Instant::now();
        self.candidates.end(&task);
        match tried {
            Ok(Tried::Claimed(lease, place)) => {
                info!(%task, epoch = %lease.epoch, "claimed");
                self.hold(lease);
                self.tell(TaskClaimed { task, place: Some(place) }, ctx);
            }
            Ok(Tried::Held) => self.candidates.held_elsewhere(&task, now),
            Ok(Tried::UnderWay) => {}
            Ok(Tried::NotYet) => self.candidates.again_later(task, Found { failures: 0, ..found }, now),
            Ok(Tried::NotFree) => {
                self.watching.drop(&task);
                self.candidates.tried_in_vain(&task, &found, true, now);
            }
            Ok(Tried::NotWanted) => {
                self.watching.drop(&task);
                if let Some(liar) = self.candidates.tried_in_vain(&task, &found, false, now) {
                    self.candidates.forget_announced_by(&liar);
                    self.blame(liar, Misdeed::FalseTask);
                }
            }
            Err(why) => {
                warn!(%task, why, "not claimed");
                // It may have failed half-way, with the claim written and the journal not knowing.
                self.look_for(task.clone(), false, ctx);
                self.candidates.again_later(task, found, now);
            }
        }
        self.show_availability();
    }

    /// One that is lost is earned again.
    fn blame(&self, peer: PeerId, misdeed: Misdeed) {
        self.deps.swarm_actor.offer(Blame { peer, misdeed });
    }
}

/// Whether the issue's page does not show yet how the task last ended. Until then its labels say nothing.
async fn is_being_told_of(desk: &Desk, task: &TaskId) -> Result<bool, DeskError> {
    let waiting = desk.log.journal().pending(Lane::Forge, MAX_WAITING).await.map_err(RecordError::Refused)?;
    Ok(waiting.iter().any(|pending| pending.task == *task))
}

async fn try_for(
    decided: Result<Decided, DeskError>,
    deps: &ClaimDeps,
    branch: Option<String>,
    place: OwnedSemaphorePermit,
) -> Result<Tried, String> {
    let (decision, taken_over, before, desk) = match decided.map_err(|error| error.to_string())? {
        Ok(decided) => decided,
        Err(tried) => return Ok(tried),
    };
    let Decision::Take { previous, epoch } = decision else { return Ok(Tried::Held) };
    // It was found some time ago, perhaps in a stale listing.
    let issue = match deps.forge.issue(&before.id).await {
        Ok(issue) => issue,
        Err(ForgeError::NotFound { .. }) => return Ok(Tried::NotWanted),
        Err(error) => return Err(error.to_string()),
    };
    if !issue.is_wanted(&deps.task_label) {
        return Ok(Tried::NotWanted);
    }
    if !issue.is_free(&deps.task_label) {
        return Ok(Tried::NotFree);
    }
    let setter = deps.trust.trusted_setter(&before.id, &issue).await.map_err(|error| error.to_string())?;
    let Some(labelled_by) = setter else { return Ok(Tried::NotFree) };
    let taken_care_of = is_taken_care_of(&*deps.forge, &before.id, &deps.task_label).await;
    if taken_care_of.map_err(|error| error.to_string())? {
        return Ok(Tried::NotFree);
    }
    let found = TaskEvent::Found { issue, branch, labelled_by: Some(labelled_by), taken_over };
    let acquired = acquire(&desk, &before, found, previous.as_ref(), epoch).await;
    Ok(match acquired.map_err(|error| error.to_string())? {
        Some(lease) => Tried::Claimed(lease, place),
        None => Tried::Held,
    })
}
