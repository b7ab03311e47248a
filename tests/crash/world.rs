//! One node's world: stand-ins of its own, repositories, and the real program in a folder of its own.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use bzzz::apiary::forge::{NewRepository, RepositoryFile};
use bzzz::apiary::ollama::{MODEL, ModelScript};
use bzzz::apiary::{Apiary, ApiaryOptions};
use bzzz_actors::task::{RepoId, TaskId, label};
use tokio::runtime::Handle;

use crate::containers::{Docker, image};
use crate::program::Program;
use crate::record::{self, Record};

const TOKEN: &str = "crash-token";
/// The account of the token.
pub(crate) const LOGIN: &str = "bzzz-bot";
/// The node's only repository must hold this when a task is done.
const CHECK: &str = "test -s log";
/// Looking twelve times as often as usual at everything, a node asks the forge more than a real one allows.
const REQUESTS_AN_HOUR: u32 = 1_000_000;
/// The node's data folder, in its home.
const DATA: &str = "data";

pub(crate) struct World {
    pub(crate) apiary: Apiary,
    pub(crate) node: String,
    /// Where the node's sandboxes are.
    pub(crate) docker: Docker,
    /// Home, working folder and folder for temporary files of the program.
    pub(crate) home: PathBuf,
    repositories: Vec<RepoId>,
    /// Issues come while the node runs.
    script: Mutex<ModelScript>,
    runtime: Handle,
}

impl World {
    /// Hive, the forge, the webhook and the model are this node's alone: a node watches every repository of its Hive.
    pub(crate) fn new(folder: &Path, node: String, runtime: &Handle) -> Self {
        let rate_limit = REQUESTS_AN_HOUR;
        let options = ApiaryOptions { rate_limit, ..ApiaryOptions::new(folder.join("apiary"), TOKEN) };
        let apiary = Apiary::start(options).unwrap();
        let home = folder.join("home");
        std::fs::create_dir(&home).unwrap();
        let (docker, repositories, script) = Default::default();
        Self { apiary, node, docker, home, repositories, script, runtime: runtime.clone() }
    }

    pub(crate) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// A repository that Hive knows too.
    pub(crate) fn repository(&mut self, name: &str) -> RepoId {
        let repo: RepoId = format!("meadow/{name}").parse().unwrap();
        let policy = format!("checks = [{CHECK:?}]\n");
        let files =
            vec![RepositoryFile::text("README.md", "# Log\n"), RepositoryFile::text(".bzzz.toml", &policy)];
        let new = NewRepository { files, ..NewRepository::default() };
        self.wait(self.apiary.forge().create_repository(&repo, new)).unwrap();
        self.apiary.hive().add_project(self.repositories.len() as u64 + 1, &repo, None).unwrap();
        self.apiary.forge().add_triager(&repo, "maya").unwrap();
        self.repositories.push(repo.clone());
        repo
    }

    /// A labelled issue, and what the model says of it.
    pub(crate) fn issue(&self, repo: &RepoId, replies: Vec<String>) -> TaskId {
        let forge = self.apiary.forge();
        let number = forge.issues(repo).iter().map(|issue| issue.number).max().unwrap_or(0) + 1;
        let task = TaskId::new(repo.clone(), number);
        // The replies first: a node that runs already finds the issue at once.
        let mut script = self.script.lock().unwrap();
        script.set(&task.to_string(), replies);
        self.apiary.ollama().set_script(script.clone());
        drop(script);
        let opened =
            forge.open_issue(repo, "maya", "Write the log", "Line by line.", &[label::TASK]).unwrap();
        assert_eq!(opened, number);
        task
    }

    /// `bzzz run` for all repositories that there are now.
    pub(crate) fn start(&self, settings: &[&str], environment: &[(&str, String)]) -> Program {
        let mut arguments = vec!["run".to_owned()];
        let more = settings.iter().map(|it| (*it).to_owned());
        let docker = self.docker.host.iter().map(|host| format!("sandbox.docker_host={host}"));
        for setting in self.settings().into_iter().chain(docker).chain(more) {
            arguments.extend(["--set".to_owned(), setting]);
        }
        Program::start_with(&self.home, &arguments, environment)
    }

    fn settings(&self) -> Vec<String> {
        let forge = self.apiary.forge_url();
        let repositories: Vec<String> = self.repositories.iter().map(ToString::to_string).collect();
        vec![
            format!("node.name={}", self.node),
            format!("node.data_dir={DATA}"),
            "node.drain_grace=0s".to_owned(),
            format!("forge.api_url={forge}"),
            format!("forge.git_url={forge}"),
            format!("forge.token={TOKEN}"),
            format!("forge.repositories={repositories:?}"),
            "forge.poll_interval=5s".to_owned(),
            "forge.slowest_poll_interval=5s".to_owned(),
            "swarm.enabled=false".to_owned(),
            "forge.write_interval=0s".to_owned(),
            format!("hive.url={}", self.apiary.hive_url()),
            "hive.poll_interval=10s".to_owned(),
            format!("escalation.webhook_url={}/webhook/bzzz", self.apiary.n8n_url()),
            format!("model.url={}", self.apiary.ollama_url()),
            format!("model.names=[\"{MODEL}\"]"),
            "sandbox.backend=docker".to_owned(),
            format!("sandbox.image={}", image()),
            "sandbox.memory=256 MiB".to_owned(),
            "sandbox.work_size=32 MiB".to_owned(),
            "sandbox.tmp_size=8 MiB".to_owned(),
            "sandbox.home_size=8 MiB".to_owned(),
            "outbox.retry_min=100ms".to_owned(),
            "outbox.retry_max=500ms".to_owned(),
        ]
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.home.join(DATA)
    }

    pub(crate) fn record(&self, task: &TaskId) -> Option<Record> {
        record::read(&self.data_dir(), task)
    }

    /// The file `log` at a commit or branch, by its lines.
    pub(crate) fn log_at(&self, repo: &RepoId, revision: &str) -> Vec<String> {
        let read = self.wait(self.apiary.forge().read_file(repo, revision, "log")).unwrap();
        let text = String::from_utf8(read.unwrap_or_default()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// What `bzzz audit verify` says of the node's journal.
    pub(crate) fn verify(&self) {
        let arguments = ["audit", "verify", DATA].map(str::to_owned);
        let mut program = Program::start(&self.home, &arguments);
        assert_eq!(program.until_end(), 0, "{}", program.text());
    }

    /// The node's containers, running or not.
    pub(crate) fn containers(&self) -> Vec<String> {
        self.docker.of_nodes(&self.node).expect("the Docker daemon answers")
    }

    /// What stands in the folders for passing things of a node that has stopped.
    pub(crate) fn left_behind(&self) -> Vec<PathBuf> {
        let in_folder = |folder: PathBuf| {
            let entries = std::fs::read_dir(folder).into_iter().flatten();
            entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
        };
        let mut left = in_folder(self.home.clone());
        left.retain(|path| *path != self.data_dir());
        left.extend(in_folder(self.data_dir().join("tmp")));
        left
    }
}
