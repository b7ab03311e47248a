//! One node of the demo: a process of `bzzz run` with a data folder of its own, seen by what it writes there.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bzzz_actors::ports::journal::{JournalError, Recorded, Seq};
use bzzz_actors::task::{NodeId, TaskId, printable};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::DemoError;
use crate::journal::JournalReader;
use crate::node::peers::Picture;

/// What is shown of the log of a node that ended, in lines.
const MAX_LOG_LINES: usize = 12;
/// How long a node that is told to stop may take before it is killed: its commands, its sandboxes, its journal.
const STOP_PATIENCE: Duration = Duration::from_secs(20);
/// Variables that begin so are settings: the person's own, which are for their own forge.
const SETTING: &str = "BZZZ__";

pub struct Worker {
    pub name: NodeId,
    data_dir: PathBuf,
    log: PathBuf,
    child: Child,
    journal: Option<JournalReader>,
}

impl Worker {
    /// Starts it with these settings, in `folder`, which is its alone.
    pub(super) fn start(folder: &Path, name: &NodeId, secret: &str, set: &[String]) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let file = folder.join("bzzz.toml");
        fs::write(&file, secret)?;
        let log = folder.join("node.log");
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["run", "--end-with-parent", "--config"]).arg(file);
        command.args(set.iter().flat_map(|setting| ["--set", setting]));
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().to_uppercase().starts_with(SETTING) {
                command.env_remove(variable);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        // Not of the terminal's group: Ctrl-C is for the demo, which ends its nodes one by one.
        command.current_dir(folder).process_group(0).kill_on_drop(true);
        let child = command.spawn()?;
        let data_dir = data_dir(folder);
        Ok(Self { name: name.clone(), data_dir, log, child, journal: None })
    }

    /// Resolves when the process has ended by itself.
    pub(super) async fn ended(&mut self) -> DemoError {
        let status = self.child.wait().await;
        let code = status.as_ref().ok().and_then(ExitStatus::code);
        let how = status.map_or_else(|problem| problem.to_string(), |status| status.to_string());
        DemoError::NodeEnded { node: self.name.to_string(), how, code, log: self.end_of_log() }
    }

    fn end_of_log(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = printable(&String::from_utf8_lossy(&text));
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(MAX_LOG_LINES)..].join("\n")
    }

    /// What it sees of the others; `None` while it has written nothing.
    pub fn picture(&self) -> Option<Picture> {
        Picture::read(&self.data_dir).ok().flatten()
    }

    /// Where others reach it, once its network is up.
    pub(super) fn addresses(&self) -> Option<Vec<String>> {
        let picture = self.picture()?;
        Some(picture.addresses).filter(|addresses| !addresses.is_empty())
    }

    /// Its journal; `None` while it has not begun one.
    pub fn journal(&mut self) -> Option<&JournalReader> {
        if self.journal.is_none() {
            self.journal = JournalReader::open(&self.data_dir).ok();
        }
        self.journal.as_ref()
    }

    pub(super) fn events_of(&mut self, task: &TaskId, after: Seq) -> Result<Vec<Recorded>, JournalError> {
        self.journal().map_or_else(|| Ok(Vec::new()), |journal| journal.events_of(task, after))
    }

    /// Tells it to stop.
    pub(super) fn tell_to_stop(&self) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may just have ended.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Waits until it has stopped, and kills it when that takes too long. Says whether it could tidy up.
    pub(super) async fn until_stopped(&mut self) -> bool {
        if let Ok(status) = timeout(STOP_PATIENCE, self.child.wait()).await {
            return status.is_ok_and(|status| status.code().is_some());
        }
        tracing::warn!(node = %self.name, "does not stop and is killed");
        let _ = self.child.kill().await;
        false
    }
}

pub(super) fn data_dir(folder: &Path) -> PathBuf {
    folder.join("data")
}
