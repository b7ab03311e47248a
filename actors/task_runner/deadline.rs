//! How long each effect may take before it counts as hung: the mailbox is fine then, the work is not.
//!
//! Adapters have limits of their own on each call, and these lie above them: whoever is stopped here did not keep its
//! own. Past its deadline an effect is dropped and tried again, as one that stalled; a command is never run again, its
//! sandbox is given up instead.

use std::future::pending;
use std::time::Duration;

use tokio::time::sleep;

use crate::task::TaskEvent;
use crate::task::life::{Effect, Task};

use super::Pace;
use super::effects::Ended;

const MINUTE: Duration = Duration::from_secs(60);
/// What a sandbox and its node need beside the time of the commands themselves.
const SANDBOX_MARGIN: Duration = Duration::from_secs(5 * 60);
/// How often a task that waits for a place is looked at: its deadline begins with the place.
const PLACE_LOOK: Duration = Duration::from_secs(1);

/// `None`: it waits for someone who may take any time, or each of its steps has a limit where the step is.
pub(super) fn deadline(effect: &Effect, task: &Task, pace: &Pace, max_setup: usize) -> Option<Duration> {
    let checks = u32::try_from(task.checks.len()).unwrap_or(u32::MAX).max(1);
    // Before the repository's file is read, nobody knows how many there are.
    let setup = pace.setup_timeout.saturating_mul(u32::try_from(max_setup).unwrap_or(u32::MAX));
    match effect {
        Effect::SettleClaim { .. } => None,
        // A large repository is fetched, and an image may be pulled.
        Effect::Prepare => Some(setup.saturating_add(60 * MINUTE)),
        // The reasoner limits each call; waiting for the model's turn is no fault.
        Effect::DraftPlan | Effect::Think => None,
        Effect::DiscussPlan | Effect::AskPeers { .. } => Some(10 * MINUTE),
        Effect::Run { timeout_s, .. } | Effect::Recall { timeout_s, .. } => {
            Some(pace.command_time(*timeout_s) + SANDBOX_MARGIN)
        }
        Effect::Export | Effect::Escalate { .. } => Some(20 * MINUTE),
        Effect::Check { .. } => {
            Some(pace.check_timeout.saturating_mul(checks).saturating_add(setup + 2 * SANDBOX_MARGIN))
        }
        Effect::Publish { .. } => Some(20 * MINUTE),
        Effect::Propose => Some(5 * MINUTE),
        Effect::WatchReview | Effect::AwaitAnswer { .. } => None,
        Effect::CleanUp { .. } => Some(20 * MINUTE),
    }
}

/// Resolves when the effect is overdue.
pub(super) async fn overdue(effect: &Effect, limit: Option<Duration>, has_place: impl Fn() -> bool) -> Ended {
    let Some(limit) = limit else { return pending().await };
    while !has_place() {
        sleep(PLACE_LOOK).await;
    }
    sleep(limit).await;
    let problem = format!("not done after {} s: the part that does it hangs", limit.as_secs());
    match effect {
        Effect::Run { step, .. } | Effect::Recall { step, .. } => {
            let why = format!("command {step} was given up: {problem}");
            Ended::With(Box::new(TaskEvent::SandboxLost { why }))
        }
        _ => Ended::Stalled { problem, retry_after: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_begins_with_the_place() {
        let began = tokio::time::Instant::now();
        let has_place = || began.elapsed() >= 100 * MINUTE;
        let ended = overdue(&Effect::Propose, Some(MINUTE), has_place).await;
        assert_eq!(began.elapsed(), 101 * MINUTE);
        assert!(matches!(ended, Ended::Stalled { .. }));
    }
}
