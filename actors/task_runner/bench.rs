//! What every task's runner works with.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::antennae::Antennae;
use crate::audit_logger::{AuditLog, RecordError};
use crate::claim_manager::ClaimManager;
use crate::escalation_actor::EscalationActor;
use crate::ports::code::Code;
use crate::ports::forge::Forge;
use crate::ports::journal::{Entry, JournalError, Seq};
use crate::ports::model::ModelSelection;
use crate::ports::sandbox::Sandboxes;
use crate::reasoner_actor::{ModelChoice, Servers};
use crate::supervisor::Inbox;
use crate::swarm_actor::SwarmActor;
use crate::task::life::{Limits, Task, worked};
use crate::task::{NodeId, Rules, TaskEvent, TaskId};

/// Time limits of a task's effects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    /// One command of the model.
    pub command_timeout: Duration,
    /// The most that it is given when the model asks for more.
    pub longest_command: Duration,
    /// One check.
    pub check_timeout: Duration,
    /// One setup command of a repository.
    pub setup_timeout: Duration,
    /// All the time in which the task has a place, in whichever life of the node. Past it the task fails with its diff kept.
    pub wall_time: Duration,
    /// The pause between looks at an open pull request.
    pub review_interval: Duration,
    /// The most that a sandbox may hand out as its work, in bytes.
    pub max_export_bytes: u64,
    /// The pause before a stalled effect is tried again; doubles up to the longest.
    pub retry_min: Duration,
    pub retry_max: Duration,
}

impl Pace {
    /// How long a command may take for which the model asked for so many seconds, if it did.
    pub fn command_time(&self, asked_s: Option<u32>) -> Duration {
        let asked = asked_s.map(|seconds| Duration::from_secs(seconds.into()));
        asked.map_or(self.command_timeout, |asked| asked.min(self.longest_command.max(self.command_timeout)))
    }
}

#[derive(Clone)]
pub struct Workbench {
    pub node: NodeId,
    pub task_label: String,
    pub limits: Limits,
    pub pace: Pace,
    /// What counts of repositories' own files.
    pub rules: Arc<Rules>,
    pub choice: ModelChoice,
    pub log: AuditLog,
    /// Milliseconds since 1970, UTC.
    pub wall_clock_ms: fn() -> u64,
    pub forge: Arc<dyn Forge>,
    pub code: Arc<dyn Code>,
    pub sandboxes: Arc<dyn Sandboxes>,
    pub servers: Servers,
    pub selection: Option<Arc<dyn ModelSelection>>,
    /// One permit for each task that may be worked on at once.
    pub places: Arc<Semaphore>,
    pub claims: Inbox<ClaimManager>,
    pub swarm: Inbox<SwarmActor>,
    pub antennae: Inbox<Antennae>,
    pub escalations: Inbox<EscalationActor>,
}

impl Workbench {
    /// A task as the journal tells it, and how long it has been worked on.
    pub async fn read(&self, id: &TaskId) -> Result<(Task, Duration), JournalError> {
        let events = self.log.events_of(id, Seq::default()).await?;
        let task = Task::fold(id.clone(), events.iter().map(|it| &it.event));
        Ok((task, worked(id, &events)))
    }

    /// The entry that `event` makes, with whom it is told to; and the task after it.
    pub fn entry(&self, task: &Task, event: TaskEvent) -> (Entry, Task) {
        task.entry(event, &self.node)
    }

    /// Records an event of a task that has no runner.
    pub async fn record_for(&self, id: &TaskId, event: TaskEvent) -> Result<(), RecordError> {
        let (task, _) = self.read(id).await.map_err(RecordError::Refused)?;
        let (entry, _) = self.entry(&task, event);
        self.log.record(entry).await.map(|_| ())
    }
}
