//! A node: its actors, in the order in which they start.
//!
//! ```text
//! AuditLogger → SwarmActor → EscalationActor → Antennae → OutboxCourier → ClaimManager
//!   → TaskSupervisor { per task: SandboxActor, ReasonerActor, TaskRunner } → TaskPoller
//! ```
//!
//! Each relies on those before it, and they stop in the reverse order.

mod config;

use std::convert::Infallible;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, info, warn};

use crate::antennae::{Antennae, AntennaeDeps};
use crate::audit_logger::{AuditLog, AuditLogger, AuditLoggerDeps, subscribers};
use crate::claim_manager::{ClaimDeps, ClaimManager, TakeNoMore, surrender};
use crate::escalation_actor::{EscalationActor, EscalationDeps};
use crate::outbox::{OutboxCourier, OutboxDeps};
use crate::ports::journal::Journal;
use crate::ports::swarm::Availability;
use crate::reasoner_actor::Servers;
use crate::supervisor::{
    ChildEvent, Exit, Inbox, Policy, Probe, Pulses, Report, Stoppable, Supervision, ThreadNumber, Threads,
    Tree, What,
};
use crate::swarm_actor::{Profile, SwarmActor, SwarmDeps, SwarmView};
use crate::task_poller::{PollerDeps, TaskPoller};
use crate::task_runner::Workbench;
use crate::task_supervisor::{TaskSupervisor, TaskSupervisorDeps, ThreadBlocked};
use crate::trust::Trust;

pub use config::{NodeConfig, Outside, Ports};

/// How often a draining node looks whether its tasks have come to rest.
const DRAIN_LOOK: Duration = Duration::from_millis(100);
/// How long a node that ends because a core actor was given up tries to give back its leases. Those that it can't run
/// out by themselves; longer, and the service manager's restart waits.
const SURRENDER_GRACE: Duration = Duration::from_secs(20);
/// How long an actor may take to stop before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(2);
/// The parent of the tasks' actors, in the tree.
const TASK_SUPERVISOR: &str = "task supervisor";

/// A running node.
pub struct Node {
    pub log: AuditLog,
    pub servers: Servers,
    /// The other nodes.
    pub swarm: SwarmView,
    /// For a thread that sees when an actor blocks its own.
    pub pulses: Pulses,
    tree: Tree,
    claims: Inbox<ClaimManager>,
    tasks: Inbox<TaskSupervisor>,
    /// Ends once no task has a thread any more.
    threads_ended: mpsc::Receiver<Infallible>,
    places: Arc<Semaphore>,
    max_tasks: usize,
    gave_up: mpsc::UnboundedReceiver<String>,
    /// For giving back leases without the actor that held them.
    claim_deps: ClaimDeps,
    journal: Arc<dyn Journal>,
    supervision: Supervision,
}

impl Node {
    /// Starts the actors on this thread's arbiter.
    pub fn start(ports: Ports, config: NodeConfig, outside: Outside) -> Self {
        let (report, fatal, gave_up) = core_report();
        let pulses = Pulses::default();
        let (threads, threads_ended) = Threads::new(outside.new_thread);
        let jitter = outside.jitter.clone();
        let supervision = Supervision { report, pulses: pulses.clone(), jitter, thread: None };
        let mut start = Start { tree: Tree::default(), supervision };
        let places = Arc::new(Semaphore::new(config.max_tasks));

        let logger_deps =
            AuditLoggerDeps { journal: ports.journal.clone(), subscribers: subscribers(), fatal };
        let deps = logger_deps.clone();
        let logger = start.child("audit logger", |_| AuditLogger::new(deps));
        let log = AuditLog::new(logger, &logger_deps);

        let (swarm_view, roster, news) = SwarmView::new();
        let servers = Servers::new(ports.models.clone());
        let (availability, availability_shown) = watch::channel(Availability::default());
        let (shown, repositories_shown) = watch::channel(config.repositories.clone());
        let swarm_deps = SwarmDeps {
            swarm: ports.swarm.clone(),
            profile: profile(&config),
            servers: servers.clone(),
            log: log.clone(),
            availability: availability_shown,
            repositories: repositories_shown,
            interval: config.availability_interval,
            jitter: outside.jitter.clone(),
            wall_clock_ms: outside.wall_clock_ms,
            verify: outside.verify,
            roster,
            news,
        };
        let swarm = start.child("swarm", |_| SwarmActor::new(swarm_deps));

        let trust = Trust::new(ports.forge.clone(), config.task_label.clone(), config.label_setters.clone());
        let trust = Arc::new(trust);
        let escalation_deps = EscalationDeps {
            webhook: ports.webhook.clone(),
            forge: ports.forge.clone(),
            trust: trust.clone(),
            look_interval: config.poll_interval,
            max_wait: config.max_wait_for_human,
        };
        let escalations = start.child("escalation", |_| EscalationActor::new(escalation_deps));

        let antennae_deps = AntennaeDeps { swarm: swarm_view.clone() };
        let antennae = start.child("antennae", |_| Antennae::new(antennae_deps));

        let outbox_deps = OutboxDeps {
            node: config.node.clone(),
            log: log.clone(),
            hive: ports.hive.clone(),
            forge: ports.forge.clone(),
            swarm: swarm.clone(),
            escalations: escalations.clone(),
            pace: config.outbox.clone(),
            jitter: outside.jitter.clone(),
            wall_clock_ms: outside.wall_clock_ms,
        };
        start.child("outbox", |_| OutboxCourier::new(outbox_deps));

        let tasks_link = Arc::new(OnceLock::new());
        let claim_deps = ClaimDeps {
            node: config.node.clone(),
            claims: ports.claims.clone(),
            forge: ports.forge.clone(),
            task_label: config.task_label.clone(),
            trust: trust.clone(),
            log: log.clone(),
            timing: config.timing,
            jitter: outside.jitter.clone(),
            nonce: outside.nonce.clone(),
            places: places.clone(),
            tasks: tasks_link.clone(),
            swarm: swarm_view.clone(),
            swarm_actor: swarm.clone(),
            availability,
            has_lived: Arc::new(AtomicBool::new(false)),
        };
        let deps = claim_deps.clone();
        let claims = start.child("claim manager", |_| ClaimManager::new(deps));

        let bench = Workbench {
            node: config.node.clone(),
            task_label: config.task_label.clone(),
            limits: config.limits.clone(),
            pace: config.pace.clone(),
            rules: Arc::new(config.rules.clone()),
            choice: config.choice.clone(),
            log: log.clone(),
            wall_clock_ms: outside.wall_clock_ms,
            forge: ports.forge.clone(),
            code: ports.code.clone(),
            sandboxes: ports.sandboxes.clone(),
            servers: servers.clone(),
            selection: ports.selection.clone(),
            places: places.clone(),
            claims: claims.clone(),
            swarm: swarm.clone(),
            antennae,
            escalations,
        };
        let (jitter, task_pulses) = (outside.jitter.clone(), pulses.clone());
        let tasks = start.child(TASK_SUPERVISOR, move |supervisor| {
            TaskSupervisor::new(TaskSupervisorDeps {
                bench,
                jitter,
                pulses: task_pulses,
                threads,
                supervisor,
                has_lived: Arc::new(AtomicBool::new(false)),
            })
        });
        // Set once, here: a second address would mean a second supervisor.
        let _ = tasks_link.set(tasks.clone());

        let poller_deps = PollerDeps {
            node: config.node.clone(),
            forge: ports.forge,
            git: ports.claims,
            hive: ports.hive,
            repositories: config.repositories,
            task_label: config.task_label,
            trust,
            poll_interval: config.poll_interval,
            slowest_poll_interval: config.slowest_poll_interval,
            hive_interval: config.hive_interval,
            jitter: outside.jitter,
            claims: claims.clone(),
            tasks: tasks.clone(),
            swarm: swarm_view.clone(),
            swarm_actor: swarm,
            shown,
        };
        start.child("task poller", |_| TaskPoller::new(poller_deps));

        let (tree, max_tasks, journal) = (start.tree, config.max_tasks, ports.journal);
        Self {
            log,
            servers,
            swarm: swarm_view,
            pulses,
            tree,
            claims,
            tasks,
            threads_ended,
            places,
            max_tasks,
            gave_up,
            claim_deps,
            journal,
            supervision: start.supervision,
        }
    }

    /// Resolves when an actor that the node can't be without was given up: the node must end with exit status 70.
    pub async fn failed(&mut self) -> String {
        match self.gave_up.recv().await {
            Some(child) => child,
            None => std::future::pending().await,
        }
    }

    /// For the thread that looks at [`Self::pulses`]: tells which thread of a task is blocked. Returns whether it was heard.
    pub fn tell_blocked(&self) -> impl Fn(ThreadNumber) -> bool + Send + use<> {
        let tasks = self.tasks.clone();
        move |thread| tasks.offer(ThreadBlocked(thread))
    }

    /// Takes no more tasks, and waits until those that are worked on have come to rest, at most `grace`. Returns
    /// whether they all have.
    pub async fn drain(&mut self, grace: Duration) -> bool {
        self.tree.stop_last(STOP_GRACE).await;
        // One that is restarting just now has forgotten what it might have claimed.
        let _ = self.claims.send(TakeNoMore).await;
        let until = Instant::now() + grace;
        while self.places.available_permits() < self.max_tasks {
            if Instant::now() >= until {
                info!("tasks still under way go on when the node starts again");
                return false;
            }
            sleep(DRAIN_LOOK).await;
        }
        true
    }

    /// Stops every actor, the last started first. Tasks that are under way go on from the journal at the next start.
    pub async fn stop(mut self) -> Vec<(String, Exit)> {
        self.stop_actors().await
    }

    /// The tasks' actors have ended before those that they rely on: a sandbox that is being made is known by then.
    async fn stop_actors(&mut self) -> Vec<(String, Exit)> {
        let mut exits = self.tree.stop_down_to(TASK_SUPERVISOR, STOP_GRACE).await;
        if timeout(STOP_GRACE, self.threads_ended.recv()).await.is_err() {
            warn!("an actor of a task blocks its thread and is left behind");
        }
        exits.extend(self.tree.stop(STOP_GRACE).await);
        exits
    }

    /// The end of a node one of whose core actors was given up: stops every actor, and then gives its leases back, so
    /// that others take the tasks at once. Returns how many it gave back.
    pub async fn surrender(mut self) -> usize {
        self.stop_actors().await;
        // The journal's writer is stopped, or is the very one that failed: the intents are recorded by a new one.
        let (report, fatal, _) = core_report();
        let logger_deps = AuditLoggerDeps { journal: self.journal, subscribers: subscribers(), fatal };
        let (supervision, deps) = (Supervision { report, ..self.supervision }, logger_deps.clone());
        let logger = supervision.start("last audit logger", Policy::CORE, |_| AuditLogger::new(deps));
        let log = AuditLog::new(logger.inbox.clone(), &logger_deps);
        let given_back = surrender(&ClaimDeps { log, ..self.claim_deps }, SURRENDER_GRACE).await;
        Stoppable::new("last audit logger", logger).stop(STOP_GRACE).await;
        given_back
    }
}

/// What the node says of itself to others.
fn profile(config: &NodeConfig) -> Profile {
    Profile {
        node: config.node.clone(),
        version: config.version.clone(),
        labels: config.labels.clone(),
        languages: config.languages.clone(),
        elsewhere: config.elsewhere.clone(),
        models: config.choice.all_names().into_iter().map(str::to_owned).collect(),
        max_tasks: u32::try_from(config.max_tasks).unwrap_or(u32::MAX),
    }
}

/// What the start of every core actor shares.
struct Start {
    tree: Tree,
    supervision: Supervision,
}

impl Start {
    fn child<A>(&mut self, name: &str, build: impl FnOnce(Inbox<A>) -> A + Send + 'static) -> Inbox<A>
    where
        A: Actor<Context = Context<A>> + Supervised + Handler<Probe>,
    {
        let child = self.supervision.start(name, Policy::CORE, build);
        let inbox = child.inbox.clone();
        self.tree.push(name, child);
        inbox
    }
}

/// Logs what happens to the core actors, and passes on the name of one that is given up.
fn core_report() -> (Report, mpsc::UnboundedSender<String>, mpsc::UnboundedReceiver<String>) {
    let (fatal, gave_up) = mpsc::unbounded_channel();
    let given_up = fatal.clone();
    let report: Report = Arc::new(move |ChildEvent { child, what }| match what {
        What::Failed { exit, restart_in } => {
            warn!(child, ?exit, ?restart_in, "actor failed and is started again");
        }
        What::Restarted { generation } => info!(child, generation, "actor started again"),
        What::GaveUp { last } => {
            error!(child, ?last, "actor failed too often");
            // Nobody listens when the node is stopping anyway.
            let _ = given_up.send(child);
        }
        What::Ended(_) => {}
    });
    (report, fatal, gave_up)
}
