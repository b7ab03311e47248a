//! A sandbox with the code in it, set up as the repository asks.

use crate::ports::sandbox::SandboxChoice;
use crate::sandbox_actor::{Open, Opened, SetUp};
use crate::task::repository_policy::{self, RepositoryPolicy};
use crate::task::{Base, Inherited, TaskEvent, Terms};

use super::{Carried, Ended, Tools};

impl Tools {
    /// From the branch's tip the first time; later from the same base, with the work done so far.
    pub(super) async fn prepare(&self) -> Carried {
        let (id, bench) = (&self.task.id, &self.deps.bench);
        let (base, inherited) = match &self.task.base {
            Some(base) => (base.clone(), None),
            None => self.first_base().await?,
        };
        let (checks, terms) = self.judged_at(&base).await?;
        let begun = inherited.as_ref().and_then(Inherited::taken).or(self.task.saved.as_ref());
        let tree = begun.map(|it| &it.tree);
        let code = bench.code.code_in(id, &base.commit, tree).await?;
        let open = Open { epoch: self.task.epoch, code, set_up: self.set_up(&terms)? };
        let Opened { name: sandbox, hosts, setup } = self.deps.sandbox.send(open).await??;
        // One that failed is the model's to know and no end of the task: the issue may be about that very thing, and of the
        // checks' sandbox it is a failure like that of a check.
        let setup = self.results(setup).await?;
        let inherited = inherited.map(Box::new);
        Ok(TaskEvent::Prepared { base, checks, sandbox, hosts, terms, setup, inherited })
    }

    /// What the repository's file at `base` asks for, as far as it counts.
    pub(super) async fn judged_at(&self, base: &Base) -> Result<(Vec<String>, Terms), Ended> {
        let (repo, bench) = (&self.task.id.repo, &self.deps.bench);
        let policy = match bench.code.read_file(repo, &base.commit, repository_policy::FILE).await? {
            Some(text) => {
                RepositoryPolicy::parse(&text).map_err(|error| Ended::GivenUp(error.to_string()))?
            }
            None => RepositoryPolicy::default(),
        };
        bench.rules.judge(repo, policy).map_err(|error| Ended::GivenUp(error.to_string()))
    }

    /// The newest; or, where an earlier owner had pushed work that can be gone on from, the one that it has.
    async fn first_base(&self) -> Result<(Base, Option<Inherited>), Ended> {
        let newest = self.newest_base().await?;
        let Some((base, inherited)) = self.inherited(&newest).await? else { return Ok((newest, None)) };
        Ok((base.unwrap_or(newest), Some(inherited)))
    }

    /// What the terms have done to each new sandbox of the task, as far as the operator lets them today.
    pub(super) fn set_up(&self, terms: &Terms) -> Result<SetUp, Ended> {
        let (repo, bench) = (&self.task.id.repo, &self.deps.bench);
        if let Some(image) = terms.image.as_ref().filter(|image| !bench.rules.may_choose(repo, image)) {
            return Err(Ended::GivenUp(format!(
                "the node's operator no longer lets this repository choose the image {image:?}"
            )));
        }
        let hosts = bench.rules.still_askable(repo, &terms.network);
        let choice = SandboxChoice { image: terms.image.clone(), hosts };
        Ok(SetUp { choice, commands: terms.setup.clone(), timeout: bench.pace.setup_timeout })
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
