//! An apiary with repositories and issues, and nodes that work on them at a quick pace.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bzzz::apiary::faults::{Fault, Rule};
use bzzz::apiary::forge::{NewRepository, Pull, RepositoryFile};
use bzzz::apiary::ollama::{MODEL, ModelScript};
use bzzz::apiary::{Apiary, ApiaryOptions, LoggedRequest, StandIn};
use bzzz::node::RunningNode;
use bzzz::settings::{Settings, Sources};
use bzzz_actors::task::{RepoId, TaskId, label};
use futures_util::FutureExt;
use tokio::time::timeout;

use crate::bee::{Bee, PATIENCE};
use crate::containers::{docker, image, of_nodes};
use crate::replies::{DONE, FUEL, FUELLED, PLAN, sh};

pub(crate) const TOKEN: &str = "hill-token";
/// Who polls so often has soon made GitHub's 5,000 with many repositories, and would get an answer again in an hour.
const REQUESTS_AN_HOUR: u32 = 1_000_000;
/// Between two looks at a condition that nothing announces.
const LOOK: Duration = Duration::from_millis(20);
const HOLD: &str = "while [ ! -e /tmp/go ]; do sleep 0.2; done";

pub(crate) struct Hill {
    pub(crate) apiary: Apiary,
    script: ModelScript,
    repositories: Vec<RepoId>,
    nodes: Vec<RunningNode>,
    /// Begins the name of every node.
    prefix: String,
    folder: PathBuf,
}

impl Hill {
    pub(crate) fn new(folder: &Path, prefix: &str) -> Self {
        let rate_limit = REQUESTS_AN_HOUR;
        let options = ApiaryOptions { rate_limit, ..ApiaryOptions::new(folder.join("apiary"), TOKEN) };
        let apiary = Apiary::start(options).unwrap();
        let (script, repositories, nodes) = Default::default();
        Self { apiary, script, repositories, nodes, prefix: prefix.to_owned(), folder: folder.to_owned() }
    }

    /// A repository `meadow/<name>` with a file and these checks.
    pub(crate) async fn repository(&mut self, name: &str, checks: &[&str]) -> RepoId {
        let policy = format!("checks = {checks:?}\n");
        let files = vec![
            RepositoryFile::text("README.md", "# Rocket\n"),
            RepositoryFile::text(".bzzz.toml", &policy),
        ];
        self.repository_of(name, files).await
    }

    pub(crate) async fn repository_of(&mut self, name: &str, files: Vec<RepositoryFile>) -> RepoId {
        let repo: RepoId = format!("meadow/{name}").parse().unwrap();
        let new = NewRepository { files, ..NewRepository::default() };
        self.apiary.forge().create_repository(&repo, new).await.unwrap();
        self.apiary.forge().add_triager(&repo, "maya").unwrap();
        self.repositories.push(repo.clone());
        repo
    }

    /// A labelled issue, and what the model says of it.
    pub(crate) fn issue<R: Into<String>>(
        &mut self,
        repo: &RepoId,
        replies: impl IntoIterator<Item = R>,
    ) -> TaskId {
        self.issue_saying(repo, "Fuel is missing", "Please put some in.", replies)
    }

    pub(crate) fn issue_saying<R: Into<String>>(
        &mut self,
        repo: &RepoId,
        title: &str,
        body: &str,
        replies: impl IntoIterator<Item = R>,
    ) -> TaskId {
        // The replies first: a node that runs already finds the issue at once.
        let number = self.apiary.forge().issues(repo).len() as u64 + 1;
        self.replies(&format!("{repo}#{number}"), replies);
        let opened = self.apiary.forge().open_issue(repo, "maya", title, body, &[label::TASK]).unwrap();
        assert_eq!(opened, number);
        TaskId::new(repo.clone(), number)
    }

    pub(crate) fn replies<R: Into<String>>(&mut self, task: &str, replies: impl IntoIterator<Item = R>) {
        self.script.set(task, replies);
        self.apiary.ollama().set_script(self.script.clone());
    }

    /// Lets the model do the work, then run a command that ends with [`Self::release`], and be done.
    pub(crate) fn hold(&mut self, task: &TaskId) {
        let replies = [PLAN, FUEL, &sh(HOLD), DONE, DONE].map(str::to_owned);
        self.replies(&task.to_string(), replies);
    }

    /// Ends the command that a task was held with, in the node's first sandbox for it.
    pub(crate) async fn release(&self, node: &Bee, task: &TaskId) {
        node.until_kind(task, "command_finished").await;
        let sandbox = node.sandbox_of(task);
        docker(&["exec", &sandbox, "touch", "/tmp/go"]).unwrap_or_else(|| panic!("{sandbox}: not released"));
    }

    /// A repository with an issue that nothing is wrong with.
    pub(crate) async fn well(&mut self) -> TaskId {
        let repo = self.repository("well", &["test -s fuel"]).await;
        self.issue(&repo, FUELLED)
    }

    /// One more healthy issue, in a repository of the same check.
    pub(crate) fn well_in(&mut self, repo: &RepoId) -> TaskId {
        self.issue(repo, FUELLED)
    }

    /// A node that watches all repositories that there are now.
    pub(crate) async fn node(&mut self) -> Bee {
        self.node_with("a", |_| {}).await
    }

    pub(crate) async fn node_with(&mut self, name: &str, change: impl FnOnce(&mut Settings)) -> Bee {
        let mut settings = self.settings(name);
        change(&mut settings);
        let name = settings.node.name.clone();
        let mut node = RunningNode::start(settings).await.unwrap_or_else(|error| panic!("{error}"));
        let (log, journal) = (node.node().log.clone(), node.journal.clone());
        self.nodes.push(node);
        Bee { name, log, journal }
    }

    /// A node's settings for this hill: the program's own defaults, but for addresses, sizes and pauses.
    fn settings(&self, name: &str) -> Settings {
        let forge = self.apiary.forge_url();
        let set = vec![
            format!("node.name={}{name}", self.prefix),
            format!("node.data_dir={}", self.data_folder(name).display()),
            "node.max_tasks=16".to_owned(),
            format!("forge.api_url={forge}"),
            format!("forge.git_url={forge}"),
            format!("forge.token={TOKEN}"),
            "forge.write_interval=0s".to_owned(),
            "swarm.enabled=false".to_owned(),
            format!(
                "forge.repositories={:?}",
                self.repositories.iter().map(ToString::to_string).collect::<Vec<_>>()
            ),
            format!("escalation.webhook_url={}/webhook/bzzz", self.apiary.n8n_url()),
            format!("model.url={}", self.apiary.ollama_url()),
            format!("model.names=[\"{MODEL}\"]"),
            "model.calls_in_flight=16".to_owned(),
            "sandbox.backend=docker".to_owned(),
            format!("sandbox.image={}", image()),
            "sandbox.memory=512 MiB".to_owned(),
            "sandbox.work_size=64 MiB".to_owned(),
            "sandbox.tmp_size=16 MiB".to_owned(),
            "sandbox.home_size=16 MiB".to_owned(),
            "sandbox.command_timeout=30m".to_owned(),
            "outbox.retry_min=100ms".to_owned(),
            "outbox.retry_max=500ms".to_owned(),
        ];
        let sources = Sources {
            file: None,
            set,
            environment: Vec::new(),
            working_dir: self.folder.clone(),
            host_name: "hill".to_owned(),
        };
        let mut settings = Settings::load(&sources).unwrap_or_else(|errors| panic!("{errors}")).settings;
        // Shorter than the least that a person may set.
        settings.forge.poll_interval = Duration::from_millis(300).into();
        settings.forge.slowest_poll_interval = settings.forge.poll_interval;
        settings.hive.poll_interval = Duration::from_millis(300).into();
        settings
    }

    /// Where the node of this name keeps everything.
    pub(crate) fn data_folder(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn fail(&self, stand_in: StandIn, rule: Rule) {
        self.apiary.faults(stand_in).add(rule).unwrap();
    }

    /// Lets the next `times` calls of the forge with this method and path fail.
    pub(crate) fn fail_forge(&self, method: &str, path: &str, fault: Fault, times: u32) {
        self.fail(StandIn::Forge, Rule::new(method, path, fault).times(times));
    }

    /// Waits until a stand-in has answered such a request.
    pub(crate) async fn until_asked(
        &self,
        stand_in: StandIn,
        what: &str,
        is: impl Fn(&LoggedRequest) -> bool,
    ) {
        let asked = self.apiary.wait_for_requests(stand_in, |requests| requests.iter().any(&is));
        if timeout(PATIENCE, asked).await.is_err() {
            panic!("{what}: not within {PATIENCE:?}");
        }
    }

    /// Waits until something is so that no event tells.
    pub(crate) async fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        let looked = async {
            while !is(self) {
                tokio::time::sleep(LOOK).await;
            }
        };
        if timeout(PATIENCE, looked).await.is_err() {
            panic!("{what}: not within {PATIENCE:?}");
        }
    }

    pub(crate) fn has_label(&self, task: &TaskId, label: &str) -> bool {
        self.apiary.forge().issue(task).is_some_and(|issue| issue.has_label(label))
    }

    /// The bodies of the issue's comments.
    pub(crate) fn comments(&self, task: &TaskId) -> Vec<String> {
        self.apiary.forge().comments(task).into_iter().map(|comment| comment.body).collect()
    }

    /// The pull requests of the task's branch, open or not.
    pub(crate) async fn pull_requests(&self, task: &TaskId) -> Vec<Pull> {
        let mut pulls = self.apiary.forge().pull_requests(&task.repo).await.unwrap();
        pulls.retain(|pull| pull.head_ref == task.branch());
        pulls
    }

    pub(crate) async fn assert_proposed_once(&self, task: &TaskId) {
        let pulls = self.pull_requests(task).await;
        assert_eq!(pulls.len(), 1, "{task}: {pulls:?}");
        assert_eq!(self.branch(task).await, Some(pulls[0].head_sha.clone()), "{task}");
    }

    pub(crate) async fn assert_nothing_published(&self, task: &TaskId) {
        assert_eq!(self.pull_requests(task).await, [], "{task}");
        assert_eq!(self.branch(task).await, None, "{task}");
    }

    pub(crate) async fn branch(&self, task: &TaskId) -> Option<String> {
        let name = format!("refs/heads/{}", task.branch());
        self.apiary.forge().read_ref(&task.repo, &name).await.unwrap()
    }

    /// The containers of all nodes here.
    pub(crate) fn containers(&self) -> Vec<String> {
        of_nodes(&self.prefix)
    }

    /// The record in the task's claim reference.
    pub(crate) async fn lease(&self, task: &TaskId) -> serde_json::Value {
        let path = self.apiary.forge().repository_path(&task.repo).unwrap();
        let name = format!("refs/bzzz/claims/{}", task.number);
        let shown = tokio::process::Command::new("git")
            .args(["log", "-1", "--format=%B", &name])
            .env("GIT_DIR", path)
            .output()
            .await
            .unwrap();
        serde_json::from_slice(&shown.stdout).unwrap_or_else(|error| panic!("{error}: {shown:?}"))
    }

    /// The requests that the forge answered whose path begins so.
    pub(crate) fn requests_to(&self, path: &str) -> Vec<LoggedRequest> {
        let mut requests = self.apiary.requests(StandIn::Forge);
        requests.retain(|request| request.path.starts_with(path));
        requests
    }

    /// The bodies of the requests to the model about `task`, oldest first.
    pub(crate) fn prompts(&self, task: &TaskId) -> Vec<String> {
        let line = format!("Task: {task}\n");
        let requests = self.apiary.ollama().requests();
        let of_task = requests.iter().filter(|body| {
            body["messages"][0]["content"].as_str().is_some_and(|system| system.contains(&line))
        });
        let all = |body: &serde_json::Value| {
            let messages = body["messages"].as_array().unwrap();
            messages
                .iter()
                .map(|message| message["content"].as_str().unwrap())
                .collect::<Vec<_>>()
                .join("\n\n")
        };
        of_task.map(all).collect()
    }

    /// Ends the nodes, each alive and with a sound journal, then the apiary.
    pub(crate) async fn end(self) {
        for mut node in self.nodes {
            let gave_up = node.node().failed().now_or_never();
            assert_eq!(gave_up, None, "a part of the node was given up");
            let journal = node.journal.clone();
            node.end().await;
            let verified = journal.verify().await.unwrap_or_else(|error| panic!("{error}"));
            assert!(verified.entries > 0);
        }
        self.apiary.stop().await;
    }
}
