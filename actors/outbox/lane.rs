//! One system's notices, one after the other.

use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, warn};

use crate::crash_points;
use crate::ports::journal::{Delivery, JournalError, Pending};
use crate::task::{Lane, Notice};

use super::OutboxDeps;
use super::deliver::{NotDelivered, Recipients};
use super::held_up::HeldUp;

/// Notices taken from the journal at once, beside those that are held up. More would only wait in memory.
const BATCH: usize = 64;
/// The pause before a journal that can't be read or written is tried again.
const JOURNAL_PAUSE: Duration = Duration::from_secs(2);

/// A delivery that hangs is tried again later, which every notice allows; meanwhile it would hold up its whole lane.
const DELIVERY_LIMIT: Duration = Duration::from_secs(120);

/// Delivers until the actor ends.
pub(super) async fn serve(lane: Lane, mut recipients: Recipients, deps: OutboxDeps) {
    let mut news = deps.log.subscribe();
    let mut held_up = HeldUp::new(deps.pace.clone(), deps.jitter.clone());
    loop {
        match round(lane, &mut recipients, &mut held_up, &deps).await {
            Ok(0) => {
                let retry = held_up.next_try();
                tokio::select! {
                    // A lagging subscriber has missed news, so there are some.
                    news = news.recv() => if let Err(RecvError::Closed) = news { return },
                    () = sleep_until(retry.unwrap_or_else(Instant::now)), if retry.is_some() => {}
                }
            }
            Ok(_) => {}
            Err(error) => {
                warn!(lane = lane.name(), %error, "notices wait for the journal");
                sleep(JOURNAL_PAUSE).await;
            }
        }
    }
}

/// Tries the oldest notice of each task that is not held up, and returns how many were settled. A task whose notice
/// failed is held up by itself: its order is kept, and the others' notices go on.
async fn round(
    lane: Lane,
    recipients: &mut Recipients,
    held_up: &mut HeldUp,
    deps: &OutboxDeps,
) -> Result<usize, JournalError> {
    let journal = deps.log.journal();
    let shed = journal.shed(lane, deps.pace.max_pending, "too many waited for this system").await?;
    if shed > 0 {
        warn!(lane = lane.name(), shed, "too many notices waited, the oldest were dropped");
    }
    let mut settled = 0;
    let waiting = journal.pending(lane, BATCH + held_up.len()).await?;
    held_up.forget_settled(&waiting, Instant::now());
    for pending in waiting {
        if !held_up.is_due(&pending.task, Instant::now()) {
            continue;
        }
        match outcome(recipients, &pending, deps).await {
            Some(delivery) => {
                journal.settle(pending.id, &delivery).await?;
                held_up.delivered(&pending.task);
                settled += 1;
            }
            None => held_up.failed(pending.task, Instant::now()),
        }
    }
    Ok(settled)
}

/// What became of a notice; `None`: it waits.
async fn outcome(recipients: &mut Recipients, pending: &Pending, deps: &OutboxDeps) -> Option<Delivery> {
    let (task, lane) = (&pending.task, pending.notice.lane().name());
    let act = act_of(&pending.notice);
    crash_points::before(act);
    let delivered = timeout(DELIVERY_LIMIT, recipients.deliver(pending)).await;
    crash_points::after(act);
    let hangs = || NotDelivered::Away(format!("no answer after {} s", DELIVERY_LIMIT.as_secs()));
    let why = match delivered.unwrap_or_else(|_| Err(hangs())) {
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

/// The crash points' word for a delivery.
fn act_of(notice: &Notice) -> &'static str {
    match notice {
        Notice::HiveClaim => "tell Hive of the claim",
        Notice::HiveStatus { .. } => "tell Hive of the status",
        Notice::IssueLabels { .. } => "label the issue",
        Notice::IssueAssign => "assign the issue",
        Notice::PullRequestAssign { .. } => "assign the pull request",
        Notice::IssueComment { .. } => "comment on the issue",
        Notice::Announce { .. } => "announce",
        Notice::Escalate { .. } => "call the webhook",
    }
}
