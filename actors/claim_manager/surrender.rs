//! A node that ends because it can't go on gives back what it holds, so that others take its tasks at once and need not
//! wait for the leases to run out. It works from the journal alone: the actor that failed may be the manager itself.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use crate::task::TaskId;

use super::ClaimDeps;
use super::desk::{Desk, DeskError};
use super::lease::{Act, Lease};
use super::recovery::{Ours, ours_on_the_server, recorded};

/// Releases every lease that is still this node's and whose work is not published, as far as that succeeds within
/// `grace`; the others run out by themselves. No other actor may move a lease meanwhile. Returns how many it released.
pub(crate) async fn surrender(deps: &ClaimDeps, grace: Duration) -> usize {
    let desk = Desk::new(deps);
    let until = Instant::now() + grace;
    let tasks = match timeout(grace, desk.log.journal().unfinished()).await {
        Ok(Ok(tasks)) => tasks,
        Ok(Err(error)) => {
            warn!(%error, "leases not given back, the journal can't be read");
            return 0;
        }
        Err(_) => {
            warn!("leases not given back, the journal does not answer");
            return 0;
        }
    };
    let given_back = tasks.iter().map(|task| give_back_until(&desk, task, until));
    join_all(given_back).await.into_iter().filter(|is_given_back| *is_given_back).count()
}

async fn give_back_until(desk: &Desk, task: &TaskId, until: Instant) -> bool {
    match tokio::time::timeout_at(until, give_back(desk, task, until)).await {
        Ok(Ok(true)) => {
            info!(%task, "lease given back");
            true
        }
        Ok(Ok(false)) => false,
        Ok(Err(error)) => {
            warn!(%task, %error, "lease not given back, it runs out by itself");
            false
        }
        Err(_) => {
            warn!(%task, "lease not given back in time, it runs out by itself");
            false
        }
    }
}

async fn give_back(desk: &Desk, id: &TaskId, until: Instant) -> Result<bool, DeskError> {
    let (task, events) = recorded(desk, id).await?;
    if !task.holds_lease {
        return Ok(false);
    }
    match ours_on_the_server(desk, &task, &events).await? {
        Some(Ours { sha, published: None, is_released: false }) => {
            let lease = Lease::new(id.clone(), task.epoch, sha, until);
            Ok(lease.release(desk).await? == Act::Done)
        }
        _ => Ok(false),
    }
}
