//! `bzzz run`: the node for real.

use anyhow::Context;
use clap::Args;
use rustix::process::{Signal, set_parent_process_death_signal};
use tracing::{error, info};

use crate::git::GitSetupError;
use crate::node::{RunningNode, StartError};
use crate::settings::{Settings, SettingsErrors};
use crate::telemetry;

use super::Global;
use super::exit::Exit;
use super::system::{Signals, block_on};
use super::watchdog::Watchdog;

#[derive(Debug, Args)]
pub(crate) struct RunCommand {
    /// Stop when the program that started this one has ended, however it ended: for `bzzz demo`
    #[arg(long, hide = true)]
    end_with_parent: bool,
}

/// Watches the repositories and works on their tasks until it is stopped. The first Ctrl-C or SIGTERM lets tasks that
/// are under way come to rest (`node.drain_grace`), the second stops at once; either way, unfinished tasks go on at the
/// next start.
pub(crate) fn run(command: &RunCommand, global: &Global) -> anyhow::Result<Exit> {
    if command.end_with_parent {
        set_parent_process_death_signal(Some(Signal::TERM))
            .context("the end of the parent can't be noticed")?;
    }
    let loaded = global.load()?;
    let missing = loaded.missing_to_run();
    if !missing.is_empty() {
        return Err(SettingsErrors(missing).into());
    }
    telemetry::init(&loaded.settings.log)?;
    #[cfg(feature = "crash-points")]
    let _armed = super::crash::arm()?;
    block_on(serve(loaded.settings)).context("the runtime can't be started")?
}

async fn serve(settings: Settings) -> anyhow::Result<Exit> {
    let mut signals = Signals::listen().context("signals can't be listened to")?;
    let (drain_grace, blocked_after) = (settings.node.drain_grace.get(), settings.node.blocked_after.get());
    info!(node = %settings.node.name, version = env!("CARGO_PKG_VERSION"), "starts");
    let mut node = tokio::select! {
        started = RunningNode::start(settings) => started?,
        () = signals.next() => return Ok(Exit::Ok),
    };
    let (pulses, abandon) = (node.node().pulses.clone(), node.node().tell_blocked());
    let _watchdog =
        Watchdog::start(pulses, blocked_after, abandon).context("the watchdog can't be started")?;
    info!(sandbox = node.sandbox, "watches its repositories");
    let exit = tokio::select! {
        () = signals.next() => Exit::Ok,
        child = node.node().failed() => {
            error!(child, "a part that the node can't be without failed too often, the node ends");
            Exit::CoreGaveUp
        }
    };
    if exit == Exit::Ok {
        info!("stops: no more tasks are taken; once more to stop at once");
        tokio::select! {
            _ = node.node().drain(drain_grace) => {}
            () = signals.next() => info!("stops at once"),
        }
    }
    match exit {
        Exit::CoreGaveUp => node.surrender().await,
        _ => node.end().await,
    }
    info!("stopped");
    Ok(exit)
}

impl From<&StartError> for Exit {
    fn from(error: &StartError) -> Self {
        use bzzz_actors::ports::sandbox::SandboxError;

        use crate::journal::JournalOpenError;
        use crate::swarm::SwarmSetupError;
        match error {
            StartError::Journal(JournalOpenError::Locked { .. }) => Self::TryLater,
            StartError::Journal(_)
            | StartError::Unread(_)
            | StartError::Folder { .. }
            | StartError::Trail { .. }
            | StartError::Git(GitSetupError::Folder { .. }) => Self::Failed,
            StartError::Address(_) | StartError::Forge(_) | StartError::Git(GitSetupError::Address(_)) => {
                Self::Config
            }
            StartError::Sandbox(SandboxError::Misconfigured(_)) => Self::Config,
            StartError::Swarm(SwarmSetupError::Identity(_) | SwarmSetupError::Gossip(_)) => Self::Failed,
            StartError::Swarm(_) => Self::Config,
            StartError::Git(_) | StartError::Sandbox(_) => Self::Unavailable,
        }
    }
}
