//! What the demo plays on: a folder, an apiary, a node.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bzzz_actors::ports::journal::{Journal, JournalError, Recorded, Seq};
use bzzz_actors::task::TaskId;
use tempfile::TempDir;
use tokio::sync::broadcast;

use crate::apiary::{Apiary, ApiaryError, ApiaryOptions, examples};
use crate::journal::VerifyError;
use crate::node::{RunningNode, StartError};
use crate::settings::{Settings, SettingsErrors, Sources};

/// The apiary's model, which says by its name that it is scripted.
const SCRIPTED_MODEL: &str = "scripted:latest";
/// The token of the apiary's forge. It opens nothing else.
const TOKEN: &str = "demo-token";
/// How long tasks may take to come to rest when the demo ends; by then none is under way, unless it was interrupted.
const STOP_GRACE: Duration = Duration::from_secs(1);

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
    Journal(#[from] JournalError),
    #[error("the journal does not hold: {0}")]
    Verify(#[from] VerifyError),
    #[error("the node's {0} failed too often")]
    NodeFailed(String),
}

/// Somebody's own Ollama.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelServer {
    pub url: String,
    pub model: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DemoOptions {
    /// Otherwise the scripted model.
    pub model: Option<ModelServer>,
    /// Further settings, as `section.key=value`.
    pub set: Vec<String>,
}

pub struct Stage {
    node: RunningNode,
    apiary: Apiary,
    tasks: Vec<TaskId>,
    folder: TempDir,
    /// The model's name, for people.
    pub model: String,
}

/// The folder of a demo and where its node writes its log: made first, so that the log has its place.
pub fn make_folder() -> Result<(TempDir, PathBuf), DemoError> {
    let folder = tempfile::Builder::new().prefix("bzzz-demo-").tempdir()?;
    let log = folder.path().join("node.log");
    Ok((folder, log))
}

impl Stage {
    /// Starts the apiary, plants the examples, and starts the node.
    pub async fn set(folder: TempDir, options: DemoOptions) -> Result<Self, DemoError> {
        let apiary = Apiary::start(ApiaryOptions {
            model_script: examples::script(),
            ..ApiaryOptions::new(folder.path().join("apiary"), TOKEN)
        })?;
        let mut tasks = Vec::new();
        for (number, example) in (1..).zip(examples::all()) {
            let task = example.plant(apiary.forge()).await?;
            apiary.hive().add_project(number, &task.repo, None)?;
            tasks.push(task);
        }
        let settings = settings(&apiary, folder.path(), &options)?;
        let model = settings.model.names.join(", ");
        let node = match RunningNode::start(settings).await {
            Ok(node) => node,
            Err(error) => {
                apiary.stop().await;
                return Err(error.into());
            }
        };
        Ok(Self { node, apiary, tasks, folder, model })
    }

    pub fn tasks(&self) -> &[TaskId] {
        &self.tasks
    }

    pub fn sandbox(&self) -> &str {
        &self.node.sandbox
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn apiary(&self) -> &Apiary {
        &self.apiary
    }

    pub fn journal(&self) -> &crate::journal::SqliteJournal {
        &self.node.journal
    }

    pub(super) fn subscribe(&mut self) -> broadcast::Receiver<Arc<Recorded>> {
        self.node.node().log.subscribe()
    }

    pub(super) async fn failed(&mut self) -> String {
        self.node.node().failed().await
    }

    /// Everything recorded of the stage's tasks so far, in order.
    pub(super) async fn history(&self) -> Result<Vec<Recorded>, JournalError> {
        let mut all = Vec::new();
        for task in &self.tasks {
            all.extend(self.node.journal.events_of(task, Seq::default()).await?);
        }
        all.sort_by_key(|recorded| recorded.seq);
        Ok(all)
    }

    /// Ends everything that was started, and removes the folder.
    pub async fn strike(self) {
        self.node.stop(STOP_GRACE).await;
        self.apiary.stop().await;
    }
}

fn settings(apiary: &Apiary, folder: &Path, options: &DemoOptions) -> Result<Settings, DemoError> {
    let scripted = ModelServer { url: apiary.ollama_url(), model: SCRIPTED_MODEL.to_owned() };
    let model = options.model.clone().unwrap_or(scripted);
    let mut set = vec![
        // Two demos on one machine must not take each other's containers for their own.
        format!("node.name=demo-{}", std::process::id()),
        format!("node.data_dir={}", folder.join("node").display()),
        format!("forge.api_url={}", apiary.forge_url()),
        format!("forge.git_url={}", apiary.forge_url()),
        format!("forge.token={TOKEN}"),
        "forge.poll_interval=5s".to_owned(),
        "forge.write_interval=0s".to_owned(),
        format!("hive.url={}", apiary.hive_url()),
        format!("escalation.webhook_url={}/webhook/bzzz", apiary.n8n_url()),
        format!("model.url={}", model.url),
        format!("model.names=[\"{}\"]", model.model),
    ];
    set.extend(options.set.iter().cloned());
    // The person's own configuration is for their own forge: the demo must not touch it.
    let sources = Sources {
        file: None,
        set,
        environment: BTreeMap::new().into_iter().collect(),
        working_dir: folder.to_owned(),
        host_name: "demo".to_owned(),
    };
    Ok(Settings::load(&sources)?.settings)
}
