//! The repository's checks on the produced tree.

use crate::ports::journal::JournalError;
use crate::ports::sandbox::SandboxError;
use crate::sandbox_actor::{ChecksRun, CommandRun, RunChecks};
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
            set_up: self.set_up(&self.task.terms)?,
            commands: self.task.checks.clone(),
            timeout: bench.pace.check_timeout,
        };
        let ChecksRun { hosts, setup, runs } = match self.deps.sandbox.send(checks).await? {
            Ok(ran) => ran,
            // Nothing of the task's own was in it: the checks run again in another.
            Err(SandboxError::Lost(why)) => {
                return Err(stalled(format!("the sandbox of the checks was lost: {why}")));
            }
            Err(error) => return Err(error.into()),
        };
        let (setup, results) = (self.results(setup).await?, self.results(runs).await?);
        Ok(TaskEvent::ChecksFinished { tree: tree.clone(), results, hosts, setup })
    }

    /// The outcomes of commands that are not the model's, as the journal keeps them.
    pub(super) async fn results(&self, runs: Vec<CommandRun>) -> Result<Vec<CheckResult>, JournalError> {
        let mut results = Vec::with_capacity(runs.len());
        for mut run in runs {
            // Where the model works, that file is another one or none.
            run.outcome.output.file = None;
            results.push(CheckResult { command: run.command, outcome: self.observed(&run.outcome).await? });
        }
        Ok(results)
    }
}
