//! A task that was another node's goes on from what that one had pushed, if it came so far: the branch and no pull request.

use crate::ports::code::{CodeError, Pushed};
use crate::task::{Base, Inherited, Sha};

use super::work::NotSaved;
use super::{Ended, Tools};

impl Tools {
    /// What becomes of the branch of the task's last owner, and the base that it has if it is gone on from. `None` when there
    /// is none, or people have seen it in a pull request and settled what is to become of it.
    pub(super) async fn inherited(&self, newest: &Base) -> Result<Option<(Option<Base>, Inherited)>, Ended> {
        let (id, bench) = (&self.task.id, &self.deps.bench);
        if self.task.taken_over.is_none() {
            return Ok(None);
        }
        let Some(Pushed { commit, base }) = bench.code.pushed(id, newest).await? else { return Ok(None) };
        if bench.forge.find_pull_request(&id.repo, &id.branch()).await?.is_some() {
            return Ok(None);
        }
        match self.take_in(&commit, base).await {
            Ok(taken) => Ok(Some(taken)),
            Err(NotSaved::Refused(why)) => Ok(Some((None, Inherited::Left { commit, why }))),
            Err(NotSaved::Ended(ended)) => Err(ended),
        }
    }

    async fn take_in(
        &self,
        commit: &Sha,
        base: Result<Base, String>,
    ) -> Result<(Option<Base>, Inherited), NotSaved> {
        let (id, code) = (&self.task.id, &self.deps.bench.code);
        let base = base.map_err(NotSaved::Refused)?;
        // The repository's file may have said other things then.
        let (_, terms) = self.judged_at(&base).await?;
        let imported =
            code.inherit(id, &base.commit, commit, &terms.paths).await.map_err(|error| match error {
                // Whatever is wrong with it, the task does not need it.
                CodeError::Failed(why) => NotSaved::Refused(why),
                error => error.into(),
            })?;
        let produced = self.produced(imported).await?;
        Ok((Some(base), Inherited::Taken { commit: commit.clone(), produced }))
    }
}
