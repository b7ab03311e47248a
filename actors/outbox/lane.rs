//! One system's notices, one after the other.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::ports::journal::{Delivery, JournalError, Pending};
use crate::task::{Lane, TaskId};

use super::OutboxDeps;
use super::deliver::{NotDelivered, Recipients};

/// Notices taken from the journal at once. More would only wait in memory.
const BATCH: usize = 64;

/// Delivers until the actor ends.
pub(super) async fn serve(lane: Lane, mut recipients: Recipients, deps: OutboxDeps) {
    let mut news = deps.log.subscribe();
    let mut failures_in_row = 0u32;
    loop {
        match round(lane, &mut recipients, &deps).await {
            Ok(Round { is_lane_away: false, delivered: 0 }) => {
                failures_in_row = 0;
                // A lagging subscriber has missed news, so there are some.
                if let Err(RecvError::Closed) = news.recv().await {
                    return;
                }
            }
            Ok(Round { is_lane_away: false, .. }) => failures_in_row = 0,
            Ok(Round { is_lane_away: true, .. }) | Err(_) => {
                sleep(pause(&deps, failures_in_row)).await;
                failures_in_row += 1;
            }
        }
    }
}

fn pause(deps: &OutboxDeps, failures_in_row: u32) -> Duration {
    let doubled = deps.pace.retry_min * 2u32.pow(failures_in_row.min(16));
    (deps.jitter)(doubled.min(deps.pace.retry_max))
}

struct Round {
    delivered: usize,
    is_lane_away: bool,
}

/// Tries each waiting notice once; a task whose notice failed is left for the next round, so that its order is kept.
async fn round(lane: Lane, recipients: &mut Recipients, deps: &OutboxDeps) -> Result<Round, JournalError> {
    let journal = deps.log.journal();
    let mut held_up: HashSet<TaskId> = HashSet::new();
    let mut round = Round { delivered: 0, is_lane_away: false };
    let shed = journal.shed(lane, deps.pace.max_pending, "too many waited for this system").await?;
    if shed > 0 {
        warn!(lane = lane.name(), shed, "too many notices waited, the oldest were dropped");
    }
    for pending in journal.pending(lane, BATCH).await? {
        if held_up.contains(&pending.task) {
            continue;
        }
        match outcome(recipients, &pending, deps).await {
            Some(delivery) => {
                journal.settle(pending.id, &delivery).await?;
                round.delivered += 1;
            }
            None => {
                held_up.insert(pending.task);
                round.is_lane_away = true;
            }
        }
    }
    Ok(round)
}

/// What became of a notice; `None`: it waits.
async fn outcome(recipients: &mut Recipients, pending: &Pending, deps: &OutboxDeps) -> Option<Delivery> {
    let (task, lane) = (&pending.task, pending.notice.lane().name());
    let why = match recipients.deliver(pending).await {
        Ok(()) => {
            debug!(%task, lane, "notice delivered");
            return Some(Delivery::Delivered);
        }
        Err(NotDelivered::Unwanted(why)) => return Some(Delivery::Dropped { why }),
        Err(NotDelivered::Refused(why)) => why,
        Err(NotDelivered::Away(why)) => {
            let age_ms = (deps.wall_clock_ms)().saturating_sub(pending.recorded_at_ms);
            if u128::from(age_ms) < deps.pace.max_age.as_millis() {
                debug!(%task, lane, why, "notice waits");
                return None;
            }
            format!("too old; last: {why}")
        }
    };
    warn!(%task, lane, why, "notice dropped");
    Some(Delivery::Dropped { why })
}
