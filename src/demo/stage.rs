//! What the demo plays on: a folder, an apiary, nodes.

use std::future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bzzz_actors::ports::journal::JournalError;
use bzzz_actors::task::{InvalidName, NodeId, TaskId};
use futures_util::FutureExt;
use futures_util::future::{join_all, select_all};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::worker::{self, Worker};
use super::{Board, Gathering};
use crate::apiary::{Apiary, ApiaryError, ApiaryOptions, examples};
use crate::journal::{JournalOpenError, VerifyError};
use crate::node::{Backend, StartError};
use crate::settings::{Settings, SettingsErrors, Sources};
use crate::swarm::preshared::{self, PreSharedError};

/// The apiary's model, which says by its name that it is scripted.
const SCRIPTED_MODEL: &str = "scripted:latest";
/// The token of the apiary's forge. It opens nothing else.
const TOKEN: &str = "demo-token";
/// The key of the nodes' swarm, in the demo's folder.
const SWARM_KEY_FILE: &str = "swarm.key";
/// How long the first node may take until others can reach it. It needs less than a second.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(60);
/// How long Docker may take for a sandbox whose node was killed while it asked for it.
const LATE_SANDBOXES: Duration = Duration::from_secs(3);
/// Between two looks at what nodes write into their folders.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("the demo's folder can't be made: {0}")]
    Folder(#[from] std::io::Error),
    #[error("the stand-ins can't be started: {0}")]
    Apiary(#[from] ApiaryError),
    #[error(transparent)]
    Settings(#[from] SettingsErrors),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Key(#[from] PreSharedError),
    #[error(transparent)]
    Name(#[from] InvalidName),
    #[error("{node} can't be started: {source}")]
    Spawn { node: String, source: std::io::Error },
    #[error(transparent)]
    Unopened(#[from] JournalOpenError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the journal does not hold: {0}")]
    Verify(#[from] VerifyError),
    #[error("{node} ended ({how}); the end of its log:\n{log}")]
    NodeEnded { node: String, how: String, code: Option<i32>, log: String },
    #[error(
        "{0} has opened no address for the others within {ADDRESS_PATIENCE:?}: `bzzz demo --nodes 1` does without"
    )]
    NoAddress(String),
}

/// Somebody's own Ollama.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelServer {
    pub url: String,
    pub model: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoOptions {
    /// From 1.
    pub nodes: usize,
    /// Otherwise the scripted model.
    pub model: Option<ModelServer>,
    /// Further settings, as `section.key=value`.
    pub set: Vec<String>,
}

pub struct Stage {
    workers: Vec<Worker>,
    apiary: Apiary,
    tasks: Vec<TaskId>,
    options: DemoOptions,
    backend: Backend,
    pub gathering: Gathering,
    started_at: Instant,
    /// The model's name, for people.
    pub model: String,
    folder: TempDir,
}

/// The folder of a demo and where it writes its own log: made first, so that the log has its place.
pub fn make_folder() -> Result<(TempDir, PathBuf), DemoError> {
    let folder = tempfile::Builder::new().prefix("bzzz-demo-").tempdir()?;
    let log = folder.path().join("demo.log");
    Ok((folder, log))
}

impl Stage {
    /// Starts the apiary, plants the examples, and looks whether nodes could work here.
    pub async fn set(folder: TempDir, options: DemoOptions) -> Result<Self, DemoError> {
        // At least as many tasks as nodes.
        let issues_each = options.nodes.div_ceil(examples::all().len());
        let apiary = Apiary::start(ApiaryOptions {
            model_script: examples::script_for(issues_each),
            ..ApiaryOptions::new(folder.path().join("apiary"), TOKEN)
        })?;
        let mut tasks = Vec::new();
        for (number, example) in (1..).zip(examples::all()) {
            let planted = example.plant_several(apiary.forge(), issues_each).await?;
            apiary.hive().add_project(number, &example.repo_id()?, None)?;
            tasks.extend(planted);
        }
        let settings = settings(&apiary, folder.path(), &options)?;
        let backend = match Backend::choose(&settings).await {
            Ok(backend) => backend,
            Err(error) => {
                apiary.stop().await;
                return Err(error.into());
            }
        };
        let model = settings.model.names.join(", ");
        let (gathering, started_at) = (Gathering::of(options.nodes), Instant::now());
        Ok(Self {
            workers: Vec::new(),
            apiary,
            tasks,
            options,
            backend,
            gathering,
            started_at,
            model,
            folder,
        })
    }

    /// Starts the nodes: the first, and then the others, which are told where it is and find one another by it.
    pub async fn start_nodes(&mut self) -> Result<(), DemoError> {
        if self.options.nodes > 1 {
            preshared::make(&self.folder.path().join(SWARM_KEY_FILE))?;
        }
        self.start_node(&[])?;
        if self.options.nodes > 1 {
            let bootstrap = self.addresses_of_first().await?;
            for _ in 1..self.options.nodes {
                self.start_node(&bootstrap)?;
            }
        }
        self.started_at = Instant::now();
        Ok(())
    }

    fn start_node(&mut self, bootstrap: &[String]) -> Result<(), DemoError> {
        let number = self.workers.len() + 1;
        let name = node_name(number)?;
        let folder = self.folder.path().join(format!("node-{number}"));
        let mut set = common_settings(&self.apiary, &self.options);
        set.push(format!("node.name={name}"));
        set.push(format!("node.data_dir={}", worker::data_dir(&folder).display()));
        set.extend(swarm_settings(self.folder.path(), self.options.nodes, bootstrap));
        set.extend(self.options.set.iter().cloned());
        let secret = format!("forge.token = {TOKEN:?}\n");
        let started = Worker::start(&folder, &name, &secret, &set);
        self.workers.push(started.map_err(|source| DemoError::Spawn { node: name.to_string(), source })?);
        Ok(())
    }

    async fn addresses_of_first(&mut self) -> Result<Vec<String>, DemoError> {
        let Some(first) = self.workers.first_mut() else { return Ok(Vec::new()) };
        let name = first.name.to_string();
        let looked = async {
            loop {
                if let Some(addresses) = first.addresses() {
                    return Ok(addresses);
                }
                tokio::select! {
                    () = sleep(LOOK) => {}
                    error = first.ended() => return Err(error),
                }
            }
        };
        timeout(ADDRESS_PATIENCE, looked).await.unwrap_or(Err(DemoError::NoAddress(name)))
    }

    pub fn tasks(&self) -> &[TaskId] {
        &self.tasks
    }

    pub fn sandbox(&self) -> &str {
        &self.backend.description
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn apiary(&self) -> &Apiary {
        &self.apiary
    }

    pub fn workers(&mut self) -> &mut [Worker] {
        &mut self.workers
    }

    /// Takes in what the nodes have written by now. Returns what is to be told of how they found each other.
    pub(super) fn look(&mut self, board: &mut Board) -> Result<Vec<String>, DemoError> {
        for (node, worker) in self.workers.iter_mut().enumerate() {
            for task in &self.tasks {
                board.catch_up(node, &worker.events_of(task, board.read_up_to(node, task))?);
            }
        }
        let pictures: Vec<_> = self.workers.iter().map(Worker::picture).collect();
        let since = self.started_at.elapsed();
        let news = self.gathering.look(&pictures, since);
        let told = |node: usize| {
            let others = self.workers.len() - 1;
            format!(
                "node {} has found {others} of {others} others, {:.1} s after the start",
                node + 1,
                since.as_secs_f64()
            )
        };
        Ok(news.into_iter().map(told).collect())
    }

    /// Resolves when a node has ended by itself.
    pub async fn ended(&mut self) -> DemoError {
        let ends: Vec<_> = self.workers.iter_mut().map(|worker| worker.ended().boxed_local()).collect();
        match ends.is_empty() {
            true => future::pending().await,
            false => select_all(ends).await.0,
        }
    }

    /// Waits until there may be something new to look at.
    pub(super) async fn until_news(&mut self) -> Result<(), DemoError> {
        tokio::select! {
            () = sleep(LOOK) => Ok(()),
            error = self.ended() => Err(error),
        }
    }

    /// Ends everything that was started, and removes the folder.
    pub async fn strike(mut self) {
        self.workers.iter().for_each(Worker::tell_to_stop);
        let tidied = join_all(self.workers.iter_mut().map(Worker::until_stopped)).await;
        self.remove_sandboxes().await;
        if tidied.contains(&false) {
            // What a killed node had just asked for comes to be after its end.
            sleep(LATE_SANDBOXES).await;
            self.remove_sandboxes().await;
        }
        self.apiary.stop().await;
    }

    async fn remove_sandboxes(&self) {
        for worker in &self.workers {
            self.backend.remove_all_of(&worker.name).await;
        }
    }
}

/// Two demos on one machine must not take each other's containers for their own.
fn node_name(number: usize) -> Result<NodeId, DemoError> {
    Ok(format!("demo-{}-{number}", std::process::id()).parse()?)
}

fn common_settings(apiary: &Apiary, options: &DemoOptions) -> Vec<String> {
    let scripted = ModelServer { url: apiary.ollama_url(), model: SCRIPTED_MODEL.to_owned() };
    let model = options.model.clone().unwrap_or(scripted);
    vec![
        // By the end of a demo none is under way, unless it was interrupted.
        "node.drain_grace=1s".to_owned(),
        format!("forge.api_url={}", apiary.forge_url()),
        format!("forge.git_url={}", apiary.forge_url()),
        "forge.poll_interval=5s".to_owned(),
        "forge.slowest_poll_interval=5s".to_owned(),
        "forge.write_interval=0s".to_owned(),
        format!("hive.url={}", apiary.hive_url()),
        format!("escalation.webhook_url={}/webhook/bzzz", apiary.n8n_url()),
        format!("model.url={}", model.url),
        format!("model.names=[\"{}\"]", model.model),
    ]
}

/// Loopback alone, which mDNS does not search: the nodes are told where the first one is.
fn swarm_settings(folder: &Path, nodes: usize, bootstrap: &[String]) -> Vec<String> {
    if nodes == 1 {
        return vec!["swarm.enabled=false".to_owned()];
    }
    vec![
        // So that there is something to do for all.
        "node.max_tasks=1".to_owned(),
        format!("swarm.name=demo-{}", std::process::id()),
        "swarm.listen=[\"/ip4/127.0.0.1/tcp/0\"]".to_owned(),
        "swarm.mdns=false".to_owned(),
        format!("swarm.bootstrap={bootstrap:?}"),
        format!("swarm.key_file={}", folder.join(SWARM_KEY_FILE).display()),
        "swarm.availability_interval=1s".to_owned(),
    ]
}

/// As the first node has them, to look at before it is started.
fn settings(apiary: &Apiary, folder: &Path, options: &DemoOptions) -> Result<Settings, DemoError> {
    let mut set = common_settings(apiary, options);
    set.push(format!("node.name={}", node_name(1)?));
    set.push(format!("node.data_dir={}", folder.join("look").display()));
    set.push(format!("forge.token={TOKEN}"));
    set.extend(options.set.iter().cloned());
    // The person's own configuration is for their own forge: the demo must not touch it.
    let sources = Sources {
        file: None,
        set,
        environment: Vec::new(),
        working_dir: folder.to_owned(),
        host_name: "demo".to_owned(),
    };
    Ok(Settings::load(&sources)?.settings)
}
