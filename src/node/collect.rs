//! The collection of what belongs to nothing any more, at the start and then once a day.
//!
//! It decides nothing about tasks: what the journal calls unfinished is in use. It is no actor, since nobody waits for it and
//! a round that fails costs a day.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bzzz_actors::ports::journal::{Journal, JournalError, Seq};
use bzzz_actors::task::life::Task;
use tokio::task::JoinHandle;
use tracing::{debug, info, warn};

use super::chance::jitter;
use crate::git::{Git, InUse};

/// What is collected has waited for weeks: more often finds nothing, and more seldom leaves mirrors longer.
const ROUND_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// Unfinished tasks, folded.
pub(super) async fn unfinished(journal: &dyn Journal) -> Result<Vec<Task>, JournalError> {
    let mut tasks = Vec::new();
    for id in journal.unfinished().await? {
        let events = journal.events_of(&id, Seq::default()).await?;
        tasks.push(Task::fold(id, events.iter().map(|recorded| &recorded.event)));
    }
    Ok(tasks)
}

fn in_use(tasks: &[Task]) -> Vec<InUse> {
    let of = |task: &Task| InUse {
        task: task.id.clone(),
        base: task.base.as_ref().map(|base| base.commit.clone()),
    };
    tasks.iter().map(of).collect()
}

/// What is removed before the first task is worked on.
pub(super) async fn at_start(git: &Git, tasks: &[Task]) {
    match git.collect_stores(&in_use(tasks)).await {
        Ok(0) => {}
        Ok(stores) => info!(stores, "removed what tasks left that have ended"),
        Err(error) => warn!(%error, "what tasks left that have ended can't be removed"),
    }
}

/// The rounds, until they are ended or this is dropped.
pub(super) struct Rounds(JoinHandle<()>);

impl Rounds {
    pub(super) fn start(git: Arc<Git>, journal: Arc<dyn Journal>) -> Self {
        Self(tokio::spawn(async move {
            loop {
                round(&git, &*journal).await;
                tokio::time::sleep(jitter(ROUND_PAUSE)).await;
            }
        }))
    }

    /// Ends the round that is under way too, with its git. Nothing of it holds the journal afterwards.
    pub(super) async fn end(&mut self) {
        self.0.abort();
        // It ended by itself, or by this.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Rounds {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn round(git: &Git, journal: &dyn Journal) {
    match unfinished(journal).await {
        Ok(tasks) => {
            let collected = git.collect(&in_use(&tasks), SystemTime::now()).await;
            debug!(?collected, "round of the collection");
        }
        Err(error) => warn!(%error, "nothing collected, the journal can't be read"),
    }
}
