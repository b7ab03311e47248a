//! What a node is given: the outside systems, its settings, and the clock and chance of the world.

use std::sync::Arc;
use std::time::Duration;

use crate::claim_manager::Timing;
use crate::jitter::Jitter;
use crate::outbox::OutboxPace;
use crate::ports::claims::Claims;
use crate::ports::code::Code;
use crate::ports::escalations::Escalations;
use crate::ports::forge::Forge;
use crate::ports::hive::Hive;
use crate::ports::journal::Journal;
use crate::ports::model::ModelSelection;
use crate::ports::sandbox::Sandboxes;
use crate::ports::swarm::{Elsewhere, Swarm};
use crate::reasoner_actor::{ModelChoice, ModelServer};
use crate::supervisor::NewThread;
use crate::swarm_actor::Verifier;
use crate::task::life::Limits;
use crate::task::{NodeId, RepoId, Rules};
use crate::task_runner::Pace;

#[derive(Clone)]
pub struct Ports {
    pub journal: Arc<dyn Journal>,
    pub forge: Arc<dyn Forge>,
    pub claims: Arc<dyn Claims>,
    pub code: Arc<dyn Code>,
    pub sandboxes: Arc<dyn Sandboxes>,
    /// At least one; of equals the first is asked first.
    pub models: Vec<ModelServer>,
    pub selection: Option<Arc<dyn ModelSelection>>,
    pub swarm: Arc<dyn Swarm>,
    pub hive: Option<Arc<dyn Hive>>,
    pub webhook: Option<Arc<dyn Escalations>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    pub node: NodeId,
    /// Of the program.
    pub version: String,
    /// What suits this node best; empty: all alike.
    pub labels: Vec<String>,
    pub languages: Vec<String>,
    /// Beside those that Hive names.
    pub repositories: Vec<RepoId>,
    /// Repositories that are worked on from outside.
    pub elsewhere: Vec<(RepoId, Elsewhere)>,
    pub task_label: String,
    /// Whose labels and answers alone count, if there are any; otherwise who may triage.
    pub label_setters: Vec<String>,
    pub max_tasks: usize,
    pub poll_interval: Duration,
    /// While nothing changes.
    pub slowest_poll_interval: Duration,
    pub hive_interval: Duration,
    pub timing: Timing,
    pub limits: Limits,
    pub pace: Pace,
    /// What counts of repositories' own files.
    pub rules: Rules,
    pub choice: ModelChoice,
    pub outbox: OutboxPace,
    pub max_wait_for_human: Duration,
    /// How often other nodes are told that this one is there.
    pub availability_interval: Duration,
}

#[derive(Clone)]
pub struct Outside {
    pub jitter: Jitter,
    /// A new random text at each call.
    pub nonce: Arc<dyn Fn() -> String + Send + Sync>,
    /// Milliseconds since 1970, UTC.
    pub wall_clock_ms: fn() -> u64,
    pub verify: Verifier,
    /// A thread for each task. Without it all share the node's, and one that blocks it ends the node.
    pub new_thread: Option<NewThread>,
}
