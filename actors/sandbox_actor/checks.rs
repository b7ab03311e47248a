//! The repository's checks, in a sandbox that no command of the model has touched.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use crate::ports::code::CodeIn;
use crate::ports::sandbox::{CommandOutcome, CommandRequest, Purpose, Sandbox, SandboxError};
use crate::task::Epoch;

use super::SandboxActor;

/// Runs every command to its end, one after the other, also after one failed: the model is told of all at once.
#[derive(Message)]
#[rtype(result = "Result<ChecksRun, SandboxError>")]
pub struct RunChecks {
    pub epoch: Epoch,
    pub code: CodeIn,
    pub commands: Vec<String>,
    /// For each command.
    pub timeout: Duration,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChecksRun {
    /// The hosts that they could connect to.
    pub hosts: Vec<String>,
    pub runs: Vec<CheckRun>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckRun {
    pub command: String,
    pub outcome: CommandOutcome,
}

impl Handler<RunChecks> for SandboxActor {
    type Result = ResponseActFuture<Self, Result<ChecksRun, SandboxError>>;

    fn handle(&mut self, checks: RunChecks, _: &mut Context<Self>) -> Self::Result {
        if checks.commands.is_empty() {
            return Box::pin(async { Ok(ChecksRun::default()) }.into_actor(self));
        }
        let opened = self.open(checks.epoch, Purpose::Check, checks.code);
        let ran = opened.then(move |opened, actor, _| {
            async move {
                let sandbox = opened?;
                run_all(&sandbox, checks.commands, checks.timeout).await
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
) -> Result<ChecksRun, SandboxError> {
    let mut runs = Vec::with_capacity(commands.len());
    for (step, command) in (1..).zip(commands) {
        let outcome = sandbox.run(&CommandRequest { step, command: command.clone(), timeout }).await?;
        runs.push(CheckRun { command, outcome });
    }
    Ok(ChecksRun { hosts: sandbox.allowed_hosts(), runs })
}
