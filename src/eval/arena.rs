//! Where one model works on cases: an apiary with a repository for each case, and a node.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bzzz_actors::ports::code::CodeError;
use bzzz_actors::ports::journal::{Journal, JournalError, Recorded, Seq};
use bzzz_actors::ports::model::ModelError;
use bzzz_actors::ports::sandbox::{Purpose, SandboxSpec};
use bzzz_actors::reasoner_actor::{choose, missing};
use bzzz_actors::task::life::{End, Phase, Task};
use bzzz_actors::task::{NodeId, RepoId, Step, TaskEvent, TaskId, label};
use tempfile::TempDir;
use tokio::sync::broadcast::error::RecvError;

use super::case::Case;
use super::judge::{JudgeError, judge};
use super::results::Outcome;
use crate::apiary::forge::NewRepository;
use crate::apiary::ollama::ModelScript;
use crate::apiary::{Apiary, ApiaryError, ApiaryOptions};
use crate::demo::{Board, BoardEntry};
use crate::node::{RunningNode, StartError};
use crate::settings::{Settings, SettingsErrors, Sources};

/// The token of the apiary's forge. It opens nothing else.
const TOKEN: &str = "eval-token";
/// Who files the issues.
const FILER: &str = "maya";
/// The owner of the cases' repositories: the task of a case is `eval/<case>#1`.
const OWNER: &str = "eval";
/// By then no task is under way, unless the evaluation was interrupted.
const STOP_GRACE: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    #[error("{}: can't be made: {source}", path.display())]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("the stand-ins can't be started: {0}")]
    Apiary(#[from] ApiaryError),
    #[error(transparent)]
    Settings(#[from] SettingsErrors),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("no model server has the model: {0}")]
    Model(#[from] ModelError),
    #[error("the work on {case} can't be judged: {source}")]
    Judge { case: String, source: JudgeError },
    #[error("the work on {case} can't be judged: {source}")]
    Code { case: String, source: CodeError },
    #[error("the node's {0} failed too often")]
    NodeFailed(String),
}

/// What is evaluated.
#[derive(Debug, Clone)]
pub struct ModelUnderTest {
    pub name: String,
    /// The replies of the apiary's own model, in place of the configured servers.
    pub script: Option<ModelScript>,
}

impl ModelUnderTest {
    /// Of the case, and of what is to be replied to it if that is known: another script is another model.
    pub fn digest_of(&self, case: &Case) -> String {
        match &self.script {
            None => case.digest.clone(),
            Some(script) => {
                let script = serde_json::to_string(script).unwrap_or_default();
                let both = format!("{} {script}", case.digest);
                blake3::hash(both.as_bytes()).to_hex()[..16].to_owned()
            }
        }
    }
}

pub struct Arena {
    node: RunningNode,
    apiary: Apiary,
    /// Whose sandboxes those of the judge are.
    judge: NodeId,
    model: ModelUnderTest,
    cases: Vec<(TaskId, Case)>,
    board: Board,
    /// Tasks whose outcome was told.
    told: Vec<TaskId>,
    data_dir: PathBuf,
    _folder: TempDir,
}

/// The person's own settings of models and sandboxes, with everything else for the arena.
fn settings_for(
    sources: &Sources,
    data_dir: &Path,
    model: &ModelUnderTest,
    cases: &[Case],
    jobs: u32,
    apiary: &Apiary,
) -> Result<Settings, EvalError> {
    let forge = apiary.forge_url();
    let mut set = sources.set.clone();
    set.extend([
        format!("node.name=eval-{}", std::process::id()),
        format!("node.data_dir={}", data_dir.display()),
        format!("node.max_tasks={jobs}"),
        format!("forge.api_url={forge}"),
        format!("forge.git_url={forge}"),
        format!("forge.token={TOKEN}"),
        "forge.token_file=".to_owned(),
        format!("forge.repositories={:?}", cases.iter().map(repository_of).collect::<Vec<_>>()),
        "forge.label_setters=[]".to_owned(),
        format!("forge.task_label={}", label::TASK),
        "forge.poll_interval=5s".to_owned(),
        "forge.slowest_poll_interval=5s".to_owned(),
        "forge.write_interval=0s".to_owned(),
        "hive.url=".to_owned(),
        "hive.key=".to_owned(),
        "hive.key_file=".to_owned(),
        "escalation.webhook_url=".to_owned(),
        "swarm.enabled=false".to_owned(),
        format!("model.names=[{:?}]", model.name),
        "model.route=[]".to_owned(),
        "model.selection_url=".to_owned(),
    ]);
    if model.script.is_some() {
        set.push(format!("model.url={}", apiary.ollama_url()));
        set.extend(
            ["model.provider=ollama", "model.key=", "model.key_file=", "model.server=[]"].map(str::to_owned),
        );
    }
    Ok(Settings::load(&Sources { set, ..sources.clone() })?.settings)
}

impl Arena {
    /// Starts the apiary with the cases and a node with the model, whose data folder is `data_dir`.
    pub async fn open(
        sources: &Sources,
        model: ModelUnderTest,
        cases: &[Case],
        jobs: u32,
        data_dir: PathBuf,
    ) -> Result<Self, EvalError> {
        std::fs::create_dir_all(&data_dir)
            .map_err(|source| EvalError::Folder { path: data_dir.clone(), source })?;
        let folder = tempfile::Builder::new().prefix("bzzz-eval-").tempdir();
        let folder = folder.map_err(|source| EvalError::Folder { path: std::env::temp_dir(), source })?;
        let apiary = Apiary::start(ApiaryOptions {
            model_script: model.script.clone().unwrap_or_default(),
            ..ApiaryOptions::new(folder.path(), TOKEN)
        })?;
        match Self::begin(sources, &model, cases, jobs, &data_dir, &apiary).await {
            Ok((node, judge, cases)) => {
                let tasks: Vec<TaskId> = cases.iter().map(|(task, _)| task.clone()).collect();
                let (board, told) = (Board::new(&tasks, 1), Vec::new());
                Ok(Self { node, apiary, judge, model, cases, board, told, data_dir, _folder: folder })
            }
            Err(error) => {
                apiary.stop().await;
                Err(error)
            }
        }
    }

    async fn begin(
        sources: &Sources,
        model: &ModelUnderTest,
        cases: &[Case],
        jobs: u32,
        data_dir: &Path,
        apiary: &Apiary,
    ) -> Result<(RunningNode, NodeId, Vec<(TaskId, Case)>), EvalError> {
        let settings = settings_for(sources, data_dir, model, cases, jobs, apiary)?;
        model_is_there(&settings).await?;
        let mut planted = Vec::new();
        for case in cases {
            planted.push((plant(apiary, case).await?, case.clone()));
        }
        let judge = format!("{}-judge", settings.node.name);
        let judge = judge.parse().map_err(|error| ApiaryError::Refused(format!("{judge}: {error}")))?;
        Ok((RunningNode::start(settings).await?, judge, planted))
    }

    /// Waits until a task has come to its end, and judges it; `None` when all have. Safe to drop: what was not told is
    /// told by the next call.
    pub async fn next(&mut self) -> Result<Option<Outcome>, EvalError> {
        let mut news = self.node.node().log.subscribe();
        loop {
            self.board.catch_up(0, &self.history().await?);
            if let Some(outcome) = self.untold().await? {
                return Ok(Some(outcome));
            }
            if self.told.len() == self.cases.len() {
                return Ok(None);
            }
            tokio::select! {
                // Missed some: the journal has them all.
                recorded = news.recv() => match recorded {
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Err(EvalError::NodeFailed("audit logger".to_owned())),
                },
                child = self.node.node().failed() => return Err(EvalError::NodeFailed(child)),
            }
        }
    }

    async fn history(&self) -> Result<Vec<Recorded>, JournalError> {
        let mut all = Vec::new();
        for (task, _) in &self.cases {
            all.extend(self.node.journal.events_of(task, Seq::default()).await?);
        }
        all.sort_by_key(|recorded| recorded.seq);
        Ok(all)
    }

    async fn untold(&mut self) -> Result<Option<Outcome>, EvalError> {
        let is_new = |id: &TaskId| !self.told.contains(id);
        let over = self.board.entries().iter().find(|entry| entry.is_over() && is_new(&entry.id));
        let Some((_, life)) = over.and_then(BoardEntry::holder) else { return Ok(None) };
        let (task, took_ms) = (life.task.clone(), life.took_ms().unwrap_or_default());
        let Some((_, case)) = self.cases.iter().find(|(id, _)| *id == task.id) else { return Ok(None) };
        let verdict = self.verdict(&task, case).await?;
        let events = self.node.journal.events_of(&task.id, Seq::default()).await?;
        let count = |is: fn(&TaskEvent) -> bool| events.iter().filter(|it| is(&it.event)).count() as u32;
        let outcome = Outcome {
            model: self.model.name.clone(),
            scripted: self.model.script.is_some(),
            case: case.name.clone(),
            digest: self.model.digest_of(case),
            language: case.language.clone(),
            difficulty: case.difficulty,
            solved: verdict.is_ok(),
            end: verdict.err().unwrap_or_else(|| "solved".to_owned()),
            steps: task.steps,
            prompt_tokens: task.usage.prompt_tokens.into(),
            output_tokens: task.usage.output_tokens.into(),
            seconds: took_ms as f64 / 1e3,
            malformed: count(|event| {
                matches!(event, TaskEvent::Replied { step: Step::Malformed { .. }, .. })
            }),
            overflows: count(|event| matches!(event, TaskEvent::Compacted { overflowed: true, .. })),
            data_dir: self.data_dir.clone(),
        };
        self.told.push(task.id);
        Ok(Some(outcome))
    }

    /// Whether what the node proposed solves the case; else why not.
    async fn verdict(&self, task: &Task, case: &Case) -> Result<Result<(), String>, EvalError> {
        let proposed = match &task.phase {
            Phase::InReview => task.produced.as_ref().zip(task.base.as_ref()),
            _ => None,
        };
        let Some((produced, base)) = proposed else { return Ok(Err(why_not_proposed(&task.phase))) };
        let code = self.node.code.code_in(&task.id, &base.commit, Some(&produced.tree)).await;
        let code = code.map_err(|source| EvalError::Code { case: case.name.clone(), source })?;
        let spec = SandboxSpec {
            // None of the node's own, which removes those of a task that has come to rest.
            node: self.judge.clone(),
            task: task.id.clone(),
            epoch: task.epoch,
            purpose: Purpose::Check,
        };
        let judged = judge(&*self.node.sandboxes, &spec, &code, case).await;
        let verdict = judged.map_err(|source| EvalError::Judge { case: case.name.clone(), source })?;
        Ok(if verdict.solved { Ok(()) } else { Err(format!("the hidden tests fail: {}", verdict.output)) })
    }

    /// Ends everything that was started. The node's data folder stays, for a look at what the model did.
    pub async fn close(self) {
        let sandboxes = self.node.sandboxes.clone();
        self.node.stop(STOP_GRACE).await;
        // Of a judgement that was interrupted.
        if let Err(error) = sandboxes.remove_strays(&self.judge, &|_| false).await {
            tracing::warn!(%error, "sandboxes of the judge not removed; they end by themselves");
        }
        self.apiary.stop().await;
    }
}

fn why_not_proposed(phase: &Phase) -> String {
    match phase {
        Phase::Ended(End::Failed { reason }) | Phase::CleaningUp(End::Failed { reason }) => reason.clone(),
        Phase::Parked { question } => format!("it asked a person: {question}"),
        other => other.name().to_owned(),
    }
}

/// Tasks would wait for it for ever.
async fn model_is_there(settings: &Settings) -> Result<(), EvalError> {
    let mut present = Vec::new();
    let mut problem = None;
    let servers = crate::node::models(settings).map_err(StartError::from)?;
    for server in &servers {
        match server.model.models().await {
            Ok(models) => present.extend(models),
            Err(error) => problem = Some(error),
        }
    }
    let names = &settings.model.names;
    match (choose(names, &present), problem, servers.first()) {
        (None, Some(problem), _) => Err(problem.into()),
        (None, None, Some(server)) => Err(missing(&*server.model, names).into()),
        _ => Ok(()),
    }
}

fn repository_of(case: &Case) -> String {
    format!("{OWNER}/{}", case.name)
}

async fn plant(apiary: &Apiary, case: &Case) -> Result<TaskId, ApiaryError> {
    let refused = |error| ApiaryError::Refused(format!("{}: {error}", case.name));
    let repo: RepoId = repository_of(case).parse().map_err(refused)?;
    let new = NewRepository { files: case.repository.clone(), ..NewRepository::default() };
    let forge = apiary.forge();
    forge.create_repository(&repo, new).await?;
    forge.add_triager(&repo, FILER)?;
    forge.open_issue(&repo, FILER, &case.title, &case.body, &[label::TASK])?;
    Ok(TaskId::new(repo, 1))
}
