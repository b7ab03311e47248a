//! The repository's checks on the produced tree.

use crate::ports::sandbox::SandboxError;
use crate::sandbox_actor::{ChecksRun, RunChecks};
use crate::task::{CheckResult, Sha, TaskEvent};

use super::{Carried, Ended, Tools, stalled};

impl Tools {
    pub(super) async fn check(&self, tree: &Sha) -> Carried {
        let (bench, id) = (&self.deps.bench, &self.task.id);
        let Some(base) = &self.task.base else {
            return Err(Ended::GivenUp("there is no base to check against".to_owned()));
        };
        let code = bench.code.code_in(id, &base.commit, Some(tree)).await?;
        let checks = RunChecks {
            epoch: self.task.epoch,
            code,
            commands: self.task.checks.clone(),
            timeout: bench.pace.check_timeout,
        };
        let ChecksRun { hosts, runs } = match self.deps.sandbox.send(checks).await? {
            Ok(ran) => ran,
            // Nothing of the task's own was in it: the checks run again in another.
            Err(SandboxError::Lost(why)) => {
                return Err(stalled(format!("the sandbox of the checks was lost: {why}")));
            }
            Err(error) => return Err(error.into()),
        };
        let mut results = Vec::with_capacity(runs.len());
        for run in runs {
            results.push(CheckResult { command: run.command, outcome: self.observed(&run.outcome).await? });
        }
        Ok(TaskEvent::ChecksFinished { tree: tree.clone(), results, hosts })
    }
}
