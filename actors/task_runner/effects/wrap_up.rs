//! The end of a task on this node: what was made is kept, everything else is let go.

use crate::claim_manager::Release;
use crate::sandbox_actor::Destroy;
use crate::task::life::End;
use crate::task::{BlobRef, TaskEvent};

use super::work::NotSaved;
use super::{Carried, Ended, Tools};

impl Tools {
    pub(super) async fn clean_up(&self, end: &End) -> Carried {
        let diff = if end.keeps_work() { self.kept_diff().await? } else { None };
        self.deps.sandbox.send(Destroy).await??;
        // A lease that was lost is another's; the manager no longer holds it then.
        let has_failed = matches!(end, End::Failed { .. });
        self.deps.bench.claims.send(Release { task: self.task.id.clone(), has_failed }).await?;
        self.deps.bench.code.forget(&self.task.id).await?;
        Ok(TaskEvent::CleanedUp { diff })
    }

    /// The newest of the work: what is in the sandbox, else what was saved of it before.
    async fn kept_diff(&self) -> Result<Option<BlobRef>, Ended> {
        let saved_before = || self.task.saved.as_ref().map(|saved| saved.diff.clone());
        match self.saved_work().await {
            Ok(produced) => Ok(Some(produced.diff)),
            Err(NotSaved::Refused(_) | NotSaved::Ended(Ended::With(_) | Ended::GivenUp(_))) => {
                Ok(saved_before())
            }
            Err(NotSaved::Ended(stalled)) => Err(stalled),
        }
    }
}
