//! What a repository has done to a new sandbox before anything else runs in it.

use std::time::Duration;

use crate::ports::sandbox::{CommandRequest, Sandbox, SandboxChoice, SandboxError};

use super::CommandRun;

/// The commands' numbers begin here: a number names a command within its sandbox, and the model's begin at 1.
const FIRST_STEP: u32 = 1_000_000;

/// What is done to a sandbox before it is used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetUp {
    pub choice: SandboxChoice,
    pub commands: Vec<String>,
    /// For each command.
    pub timeout: Duration,
}

/// Runs the commands one after the other, and none after one that failed: it would find less than it relies on.
pub(super) async fn set_up(
    sandbox: &dyn Sandbox,
    commands: &[String],
    timeout: Duration,
) -> Result<Vec<CommandRun>, SandboxError> {
    let mut runs = Vec::with_capacity(commands.len());
    for (step, command) in (FIRST_STEP..).zip(commands) {
        let outcome = sandbox.run(&CommandRequest { step, command: command.clone(), timeout }).await?;
        let is_success = outcome.ending.is_success();
        runs.push(CommandRun { command: command.clone(), outcome });
        if !is_success {
            break;
        }
    }
    Ok(runs)
}

pub(super) fn has_failed(runs: &[CommandRun]) -> bool {
    runs.iter().any(|run| !run.outcome.ending.is_success())
}
