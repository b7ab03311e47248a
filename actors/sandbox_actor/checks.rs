//! The repository's checks, in a sandbox that no command of the model has touched.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use crate::ports::code::CodeIn;
use crate::ports::sandbox::{CommandRequest, Purpose, Sandbox, SandboxError};
use crate::task::Epoch;

use super::{CommandRun, SandboxActor, SetUp, setup};

/// Runs every command to its end, one after the other, also after one failed: the model is told of all at once. None is
/// run when the setup fails: it would prove nothing.
#[derive(Message)]
#[rtype(result = "Result<ChecksRun, SandboxError>")]
pub struct RunChecks {
    pub epoch: Epoch,
    pub code: CodeIn,
    pub set_up: SetUp,
    pub commands: Vec<String>,
    /// For each command.
    pub timeout: Duration,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChecksRun {
    /// The hosts that they could connect to.
    pub hosts: Vec<String>,
    /// What came of the setup, as far as the first command that failed.
    pub setup: Vec<CommandRun>,
    pub runs: Vec<CommandRun>,
}

impl Handler<RunChecks> for SandboxActor {
    type Result = ResponseActFuture<Self, Result<ChecksRun, SandboxError>>;

    fn handle(&mut self, checks: RunChecks, _: &mut Context<Self>) -> Self::Result {
        if checks.commands.is_empty() {
            return Box::pin(async { Ok(ChecksRun::default()) }.into_actor(self));
        }
        let RunChecks { epoch, code, set_up, commands, timeout } = checks;
        let opened = self.open(epoch, Purpose::Check, code, set_up.choice);
        let ran = opened.then(move |opened, actor, _| {
            async move {
                let sandbox = opened?;
                let setup = setup::set_up(&*sandbox, &set_up.commands, set_up.timeout).await?;
                let commands = if setup::has_failed(&setup) { Vec::new() } else { commands };
                let runs = run_all(&sandbox, commands, timeout).await?;
                Ok(ChecksRun { hosts: sandbox.allowed_hosts(), setup, runs })
            }
            .into_actor(actor)
        });
        // It stays the actor's until it is gone, so that `Destroy` finds it in the middle of a check.
        Box::pin(ran.then(|ran, actor, _| {
            let standing = actor.check.clone();
            let removed = async move {
                match standing {
                    Some(sandbox) => sandbox.destroy().await,
                    None => Ok(()),
                }
            };
            removed.into_actor(actor).map(move |removed, actor, _| {
                // One that can't be removed now is removed by its name when the next is made.
                if removed.is_ok() {
                    actor.check = None;
                }
                ran
            })
        }))
    }
}

async fn run_all(
    sandbox: &Arc<dyn Sandbox>,
    commands: Vec<String>,
    timeout: Duration,
) -> Result<Vec<CommandRun>, SandboxError> {
    let mut runs = Vec::with_capacity(commands.len());
    for (step, command) in (1..).zip(commands) {
        let outcome = sandbox.run(&CommandRequest { step, command: command.clone(), timeout }).await?;
        runs.push(CommandRun { command, outcome });
    }
    Ok(runs)
}
