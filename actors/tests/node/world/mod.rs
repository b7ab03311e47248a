//! A world in memory for a node: every port, with what a test wants to see and to break.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, unreachable_pub)]

pub mod colony;
mod forge;
pub mod git;
mod journal;
pub mod many;
mod model;
mod sandboxes;
pub mod swarm;
mod traps;

use std::sync::Arc;
use std::time::Duration;

use actix::System;
use bzzz_actors::claim_manager::Timing;
use bzzz_actors::jitter::no_jitter;
use bzzz_actors::node::{Node, NodeConfig, Outside, Ports};
use bzzz_actors::outbox::OutboxPace;
use bzzz_actors::ports::claims::Claims;
use bzzz_actors::ports::escalations::Escalations;
use bzzz_actors::ports::journal::Recorded;
use bzzz_actors::ports::model::ModelSelection;
use bzzz_actors::ports::swarm::Alone;
use bzzz_actors::reasoner_actor::{ModelChoice, ModelServer};
use bzzz_actors::task::life::Limits;
use bzzz_actors::task::{Rules, TaskEvent, TaskId};
use bzzz_actors::task_runner::Pace;
use tokio::sync::broadcast;

pub use forge::MemoryForge;
pub use git::MemoryGit;
pub use journal::MemoryJournal;
pub use model::Script;
pub use sandboxes::MemorySandboxes;
pub use traps::Traps;

pub const MINUTE: Duration = Duration::from_secs(60);

pub struct World {
    pub journal: Arc<MemoryJournal>,
    pub forge: Arc<MemoryForge>,
    pub git: Arc<MemoryGit>,
    pub sandboxes: MemorySandboxes,
    pub model: Arc<Script>,
    pub config: NodeConfig,
    pub webhook: Option<Arc<dyn Escalations>>,
    /// Model servers beside the first.
    pub further_models: Vec<Arc<Script>>,
    pub selection: Option<Arc<dyn ModelSelection>>,
}

impl World {
    /// One repository `acme/rocket` with the open issue 1, and a model that says `replies`.
    pub fn new(replies: &[&str]) -> Self {
        let git = Arc::new(MemoryGit::default());
        Self {
            journal: Arc::default(),
            forge: Arc::new(MemoryForge::with_issue("acme/rocket#1", git.clone())),
            sandboxes: MemorySandboxes::default(),
            model: Arc::new(Script::new(replies)),
            git,
            config: config("node-1"),
            webhook: None,
            further_models: Vec::new(),
            selection: None,
        }
    }

    pub fn start(&self) -> Node {
        self.start_as(self.config.clone(), self.journal.clone())
    }

    /// Another node in the same world, with a journal of its own.
    pub fn start_as(&self, config: NodeConfig, journal: Arc<MemoryJournal>) -> Node {
        self.start_with(config, journal, self.git.clone())
    }

    /// Another node that has its own way to the git server.
    pub fn start_with(
        &self,
        config: NodeConfig,
        journal: Arc<MemoryJournal>,
        claims: Arc<dyn Claims>,
    ) -> Node {
        let ports = Ports {
            journal,
            forge: self.forge.clone(),
            claims,
            code: self.git.clone(),
            sandboxes: Arc::new(self.sandboxes.clone()),
            models: std::iter::once(&self.model).chain(&self.further_models).map(server).collect(),
            selection: self.selection.clone(),
            swarm: Arc::new(Alone),
            hive: None,
            webhook: self.webhook.clone(),
        };
        let nonce = {
            let counter = std::sync::atomic::AtomicU64::new(0);
            let node = config.node.clone();
            move || format!("{node}-{}", counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
        };
        let outside = Outside {
            jitter: no_jitter(),
            nonce: Arc::new(nonce),
            wall_clock_ms: journal::now_ms,
            // In a trail of one segment nothing is signed but its head.
            verify: |_, _, _| true,
            new_thread: None,
        };
        Node::start(ports, config, outside)
    }
}

fn server(script: &Arc<Script>) -> ModelServer {
    ModelServer { name: "a server".into(), model: script.clone(), calls_in_flight: 1 }
}

pub fn config(node: &str) -> NodeConfig {
    NodeConfig {
        node: node.parse().unwrap(),
        version: "1".into(),
        labels: Vec::new(),
        languages: Vec::new(),
        repositories: vec!["acme/rocket".parse().unwrap()],
        elsewhere: Vec::new(),
        task_label: "bzzz-task".into(),
        label_setters: Vec::new(),
        max_tasks: 3,
        poll_interval: MINUTE,
        slowest_poll_interval: MINUTE,
        hive_interval: 5 * MINUTE,
        timing: Timing { ttl: 15 * MINUTE, renew_every: 5 * MINUTE, grace: 2 * MINUTE },
        limits: Limits::default(),
        pace: Pace {
            command_timeout: MINUTE,
            longest_command: 15 * MINUTE,
            check_timeout: 10 * MINUTE,
            setup_timeout: 10 * MINUTE,
            wall_time: 120 * MINUTE,
            review_interval: MINUTE,
            max_export_bytes: 1 << 20,
            retry_min: Duration::from_secs(1),
            retry_max: MINUTE,
        },
        rules: Rules { max_setup: 10, ..Rules::default() },
        choice: ModelChoice {
            names: vec!["coder".into()],
            routes: vec![],
            json: vec![],
            max_output_tokens: 1000,
            context_tokens: 16_384,
            call_limit: 600 * MINUTE,
        },
        outbox: OutboxPace {
            max_age: 600 * MINUTE,
            max_pending: 1000,
            retry_min: Duration::from_secs(1),
            retry_max: MINUTE,
        },
        max_wait_for_human: 600 * MINUTE,
        availability_interval: MINUTE / 2,
    }
}

/// Runs in a clock that jumps to the next timer whenever nobody has work.
pub fn in_virtual_time(test: impl Future<Output = ()>) {
    let runtime =
        || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    System::with_tokio_rt(runtime).block_on(test);
}

pub fn task(id: &str) -> TaskId {
    id.parse().unwrap()
}

/// What one node records, from the moment of its start.
pub struct Story {
    events: broadcast::Receiver<Arc<Recorded>>,
    pub kinds: Vec<&'static str>,
}

impl Story {
    pub fn of(node: &Node) -> Self {
        Self { events: node.log.subscribe(), kinds: Vec::new() }
    }

    /// Waits for an event that `is` accepts. Fails when ten hours pass without one.
    pub async fn until(&mut self, is: impl Fn(&TaskEvent) -> bool) -> TaskEvent {
        let found = tokio::time::timeout(600 * MINUTE, async {
            loop {
                let recorded = self.events.recv().await.unwrap();
                self.kinds.push(recorded.event.kind());
                if is(&recorded.event) {
                    return recorded.event.clone();
                }
            }
        });
        found.await.unwrap_or_else(|_| panic!("did not happen; what did: {:?}", self.kinds))
    }

    pub async fn until_kind(&mut self, kind: &str) -> TaskEvent {
        self.until(|event| event.kind() == kind).await
    }
}
