//! A sandbox with the code in it.

use crate::sandbox_actor::{Open, Opened};
use crate::task::repository_policy::{self, RepositoryPolicy};
use crate::task::{Base, TaskEvent};

use super::{Carried, Ended, Tools};

impl Tools {
    /// From the branch's tip the first time; later from the same base, with the work done so far.
    pub(super) async fn prepare(&self) -> Carried {
        let (id, bench) = (&self.task.id, &self.deps.bench);
        let base = match &self.task.base {
            Some(base) => base.clone(),
            None => self.newest_base().await?,
        };
        let policy = match bench.code.read_file(&id.repo, &base.commit, repository_policy::FILE).await? {
            Some(text) => {
                RepositoryPolicy::parse(&text).map_err(|error| Ended::GivenUp(error.to_string()))?
            }
            None => RepositoryPolicy::default(),
        };
        let tree = self.task.saved.as_ref().map(|it| &it.tree);
        let code = bench.code.code_in(id, &base.commit, tree).await?;
        let Opened { name: sandbox, hosts } =
            self.deps.sandbox.send(Open { epoch: self.task.epoch, code }).await??;
        Ok(TaskEvent::Prepared { base, checks: policy.checks, sandbox, hosts })
    }

    async fn newest_base(&self) -> Result<Base, Ended> {
        let (repo, bench) = (&self.task.id.repo, &self.deps.bench);
        let branch = match &self.task.branch {
            Some(branch) => branch.clone(),
            None => bench.forge.repository(repo).await?.default_branch,
        };
        Ok(bench.code.refresh(repo, &branch).await?)
    }
}
