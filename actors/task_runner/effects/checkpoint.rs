//! The work is saved while it goes on, so that a sandbox that is lost costs one command at most.

use std::time::Duration;

use tokio::time::timeout;
use tracing::debug;

use crate::task::TaskEvent;
use crate::task_runner::Happened;

use super::work::NotSaved;
use super::{Ended, Tools};

/// The next command waits for a checkpoint at most this long. A tree that takes longer is far too big, and is saved when
/// the model says that it is done, if at all.
const LONGEST_CHECKPOINT: Duration = Duration::from_secs(20);

impl Tools {
    /// Saves the work if a command may have changed it since it was saved last. One that can't be saved is tried again
    /// after the next command; nobody else hears of it.
    ///
    /// # Errors
    /// Only when the sandbox is lost.
    pub(super) async fn checkpoint(&self) -> Result<(), Ended> {
        if !self.task.has_unsaved {
            return Ok(());
        }
        let problem = match timeout(LONGEST_CHECKPOINT, self.save()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(NotSaved::Refused(problem))) => problem,
            Ok(Err(NotSaved::Ended(ended @ Ended::With(_)))) => return Err(ended),
            Ok(Err(NotSaved::Ended(Ended::Stalled { problem, .. } | Ended::GivenUp(problem)))) => problem,
            Err(_) => format!("not done within {LONGEST_CHECKPOINT:?}"),
        };
        debug!(problem, "the work is not saved now");
        Ok(())
    }

    async fn save(&self) -> Result<(), NotSaved> {
        let Some(base) = &self.task.base else { return Ok(()) };
        let Some(bundle) = self.unsaved_work(base).await? else { return Ok(()) };
        let produced = self.imported(base, bundle).await?;
        let event = TaskEvent::Checkpointed { produced };
        Ok(self.deps.runner.send(Happened(event)).await.map_err(Ended::from)?)
    }
}
