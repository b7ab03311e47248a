//! The one place where ports meet their adapters and the tree is started.

mod adapters;
mod chance;
mod collect;
mod configure;
pub mod doctor;
mod models;
pub mod peers;
mod ratios;
mod sandboxes;
pub mod trails;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::Arbiter;
use bzzz_actors::node::{Node, Outside, Ports};
use bzzz_actors::ports::claims::Claims;
use bzzz_actors::ports::code::Code;
use bzzz_actors::ports::forge::{Forge, ForgeError};
use bzzz_actors::ports::journal::JournalError;
use bzzz_actors::ports::sandbox::{Purpose, SandboxError, SandboxSpec, Sandboxes};
use bzzz_actors::task::life::Task;
use bzzz_actors::task::{Epoch, TaskId};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub(crate) use self::adapters::{claims_reader, hive, models, temp_folder};
use self::peers::Peers;
use self::ratios::Ratios;
pub use self::sandboxes::Backend;
use self::sandboxes::Chosen;
use self::trails::Trails;
use crate::git::GitSetupError;
use crate::http::SetupError;
use crate::journal::{JournalOpenError, Proofs, SqliteJournal};
use crate::network::{self, Networks};
use crate::settings::Settings;
use crate::swarm::SwarmSetupError;
use crate::{ed25519, folder, wall_clock};

/// How long a node that ends waits for its sandboxes' last connections to be recorded. The journal takes milliseconds.
const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// Why a node could not be started. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Journal(#[from] JournalOpenError),
    #[error("the journal can't be read: {0}")]
    Unread(#[from] JournalError),
    #[error("the folder {} can't be used: {source}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Address(#[from] SetupError),
    #[error(transparent)]
    Git(#[from] GitSetupError),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error(transparent)]
    Forge(ForgeError),
    #[error(transparent)]
    Swarm(#[from] SwarmSetupError),
    #[error("the audit trail can't be served at {address} (audit.listen): {source}")]
    Trail { address: SocketAddr, source: io::Error },
}

/// A node that runs, and what it holds.
pub struct RunningNode {
    node: Node,
    pub(crate) sandboxes: Arc<dyn Sandboxes>,
    pub(crate) code: Arc<dyn Code>,
    networks: OpenNetworks,
    settings: Box<Settings>,
    pub journal: Arc<SqliteJournal>,
    /// Which sandbox it uses, for people.
    pub sandbox: String,
    collection: collect::Rounds,
    ratios: Ratios,
    peers: Peers,
    trails: Trails,
}

impl RunningNode {
    /// Opens the data folder, connects the adapters, and starts the actors on this thread.
    ///
    /// # Errors
    /// What the node can't be without: its data folder, git, a sandbox, a token that the forge accepts. Anything
    /// that is only away for now is waited for.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let journal = SqliteJournal::open_with(
            &settings.node.data_dir,
            settings.node.name.clone(),
            trails::options(&settings),
        );
        let journal = Arc::new(journal?);
        let temp = adapters::temp_folder(&settings);
        folder::emptied(&temp).map_err(|source| StartError::Folder { path: temp, source })?;
        let forge = Arc::new(adapters::forge(&settings)?);
        let git = Arc::new(adapters::git(&settings).await?);
        let models = adapters::models(&settings)?;
        let (swarm, addresses) =
            adapters::swarm(&settings, Some(Arc::new(Proofs::open(&settings.node.data_dir)?)))?;
        let (reporter, reports) = network::reports();
        let networks = adapters::networks(&settings, reporter);
        let Chosen { sandboxes, description: sandbox } = sandboxes::choose(&settings, &networks).await?;
        let trails = Trails::start(&settings, &journal).await?;
        let tasks = collect::unfinished(&*journal).await?;
        collect::at_start(&git, &tasks).await;
        let wanted = wanted_sandboxes(&tasks);
        let keep = |spec: &SandboxSpec| {
            spec.purpose == Purpose::Work && wanted.get(&spec.task).is_some_and(|epoch| *epoch == spec.epoch)
        };
        let removed = sandboxes.remove_strays(&settings.node.name, &keep).await?;
        info!(sandbox, removed, "sandbox backend is ready");
        check_token(&*forge).await?;
        let ports = Ports {
            journal: journal.clone(),
            forge,
            claims: git.clone() as Arc<dyn Claims>,
            code: git.clone() as Arc<dyn Code>,
            sandboxes: sandboxes.clone(),
            models: models.clone(),
            selection: adapters::selection(&settings)?,
            swarm,
            hive: adapters::hive(&settings)?,
            webhook: adapters::webhook(&settings)?,
        };
        let outside = Outside {
            jitter: Arc::new(chance::jitter),
            nonce: Arc::new(chance::nonce),
            wall_clock_ms: wall_clock::now_ms,
            verify: ed25519::verify,
            new_thread: Some(Arc::new(task_thread)),
        };
        let config = configure::node_config(&settings);
        let choice = config.choice.clone();
        let node = Node::start(ports, config, outside);
        let reported = CancellationToken::new();
        let recorded = tokio::spawn(reports.record(node.log.clone(), reported.clone()));
        let networks = OpenNetworks { networks, reported, recorded };
        tokio::spawn(models::make_ready(models, choice));
        let ratios = Ratios::start(&settings.node.data_dir, node.servers.clone());
        let peers =
            Peers::start(&settings.node.data_dir, settings.node.name.clone(), node.swarm.clone(), addresses);
        let code = git.clone() as Arc<dyn Code>;
        let collection = collect::Rounds::start(git, journal.clone());
        let settings = Box::new(settings);
        Ok(Self {
            node,
            sandboxes,
            code,
            networks,
            settings,
            journal,
            sandbox,
            collection,
            ratios,
            peers,
            trails,
        })
    }

    pub fn node(&mut self) -> &mut Node {
        &mut self.node
    }

    /// Takes no more tasks, lets those under way come to rest within `grace`, then stops every actor and removes
    /// every sandbox: a node that ends in order leaves nothing running. What is unfinished goes on at the next start, in
    /// a new sandbox with the work as it was saved after the last command that changed it. A node that is killed leaves
    /// its sandboxes; the next start takes them over, and they end by themselves if none comes.
    pub async fn stop(mut self, grace: Duration) {
        self.node.drain(grace).await;
        self.end().await;
    }

    /// Stops at once.
    pub async fn end(mut self) {
        self.collection.end().await;
        self.ratios.end();
        self.peers.end();
        self.trails.end().await;
        self.networks.close().await;
        self.node.stop().await;
        remove_sandboxes(&*self.sandboxes, &self.settings).await;
    }

    /// The end after [`Node::failed`]: stops at once, and gives back what others could use.
    pub async fn surrender(mut self) {
        self.collection.end().await;
        self.ratios.end();
        self.peers.end();
        self.trails.end().await;
        self.networks.close().await;
        let leases = self.node.surrender().await;
        info!(leases, "gave back what it held");
        remove_sandboxes(&*self.sandboxes, &self.settings).await;
    }
}

/// The network of the sandboxes, and its record.
struct OpenNetworks {
    networks: Networks,
    reported: CancellationToken,
    recorded: JoinHandle<()>,
}

impl OpenNetworks {
    /// While the journal can still be written: cuts all connections, and waits until all are recorded.
    async fn close(self) {
        let closed = async {
            self.networks.close().await;
            self.reported.cancel();
            let _ = self.recorded.await;
        };
        if tokio::time::timeout(CLOSE_GRACE, closed).await.is_err() {
            warn!("not all connections of the sandboxes could be recorded");
        }
    }
}

/// Sockets and processes belong to the node's runtime: this one has a clock for restarts and probes, and nothing else to hold.
fn task_thread() -> io::Result<Arbiter> {
    Arbiter::try_with_tokio_rt(|| tokio::runtime::Builder::new_current_thread().enable_time().build())
}

async fn remove_sandboxes(sandboxes: &dyn Sandboxes, settings: &Settings) {
    if let Err(error) = sandboxes.remove_strays(&settings.node.name, &|_| false).await {
        warn!(%error, "sandboxes not removed; the next start of this node removes them");
    }
}

/// The tasks whose sandbox an earlier life of the node may have left and that go on in it. All other sandboxes are
/// strays.
fn wanted_sandboxes(tasks: &[Task]) -> HashMap<TaskId, Epoch> {
    let wanted = tasks.iter().filter(|task| task.wants_its_sandbox());
    wanted.map(|task| (task.id.clone(), task.epoch)).collect()
}

/// A token that is refused will be refused in an hour too; a forge that is away may be back by then.
async fn check_token(forge: &dyn Forge) -> Result<(), StartError> {
    match forge.login().await {
        Ok(login) => info!(login, "the forge knows the token"),
        Err(error @ (ForgeError::Unauthorized { .. } | ForgeError::Forbidden { .. })) => {
            return Err(StartError::Forge(error));
        }
        Err(error) => warn!(%error, "the forge can't be asked for the token's account yet"),
    }
    Ok(())
}
