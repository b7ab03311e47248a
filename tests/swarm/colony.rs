//! Nodes that are processes of `bzzz run`, each on a host of its own, with an apiary that all of them reach over their
//! cables.

use std::path::PathBuf;
use std::time::Duration;

use bzzz::apiary::forge::{NewRepository, Pull, RepositoryFile};
use bzzz::apiary::ollama::{MODEL, ModelScript};
use bzzz::apiary::{Apiary, ApiaryOptions, LoggedRequest, StandIn};
use bzzz::journal::JournalReader;
use bzzz_actors::ports::journal::{Recorded, Seq};
use bzzz_actors::task::life::Task;
use bzzz_actors::task::{RepoId, TaskId, label};
use tempfile::TempDir;

use crate::containers::{Containers, image};
use crate::door::{Doors, seen_as};
use crate::net::{Net, Ports};
use crate::program::Program;
use crate::replies::FUELLED;

const TOKEN: &str = "colony-token";
pub(crate) const HOSTS: [&str; 5] = ["ada", "ben", "cleo", "dan", "eva"];
pub(crate) const REPOSITORIES: [&str; 4] = ["rocket", "rover", "probe", "lander"];
/// Many nodes that look every few seconds ask more than a real forge allows.
const REQUESTS_AN_HOUR: u32 = 1_000_000;
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);
/// Between two looks at what no event tells this process of.
const LOOK: Duration = Duration::from_millis(50);
/// The port on which every node listens for its peers.
pub(crate) const PORT: u16 = 4411;

/// In the order of their end: the nodes, their way out, their containers, the hosts, what they talk to, the files.
pub(crate) struct Colony {
    pub(crate) nodes: Vec<Node>,
    doors: Doors,
    pub(crate) containers: Containers,
    pub(crate) net: Net,
    pub(crate) apiary: Apiary,
    script: ModelScript,
    repositories: Vec<RepoId>,
    /// Settings of all nodes, in TOML.
    pub(crate) settings: Vec<String>,
    folder: TempDir,
}

/// A node, whether its process runs or not.
pub(crate) struct Node {
    /// Also that of its host.
    pub(crate) host: String,
    pub(crate) name: String,
    home: PathBuf,
    program: Option<Program>,
    /// Settings of its own, in TOML.
    pub(crate) settings: Vec<String>,
    pub(crate) environment: Vec<(&'static str, String)>,
    /// What its earlier lives have printed.
    past: Vec<String>,
}

impl Colony {
    /// An apiary, and hosts in so many networks.
    pub(crate) fn new(networks: u8) -> Self {
        let folder = tempfile::Builder::new().prefix("bzzz-colony-").tempdir().unwrap();
        let rate_limit = REQUESTS_AN_HOUR;
        let options = ApiaryOptions { rate_limit, ..ApiaryOptions::new(folder.path().join("apiary"), TOKEN) };
        let apiary = Apiary::start(options).unwrap();
        let net = Net::new(networks);
        let ports = [StandIn::Forge, StandIn::Ollama].map(|stand_in| apiary.address(stand_in).port());
        let doors = Doors::new(&net, networks, &ports);
        let containers = Containers { prefix: net.prefix.clone() };
        let (nodes, script, repositories, settings) = Default::default();
        Self { nodes, doors, containers, net, apiary, script, repositories, settings, folder }
    }

    /// A repository with these checks; what the scripted work leaves is `fuel`.
    pub(crate) async fn repository(&mut self, name: &str, checks: &[&str]) -> RepoId {
        let repo: RepoId = format!("meadow/{name}").parse().unwrap();
        let policy = format!("checks = {checks:?}\n");
        let files = vec![
            RepositoryFile::text("README.md", "# Rocket\n"),
            RepositoryFile::text(".bzzz.toml", &policy),
        ];
        let new = NewRepository { files, ..NewRepository::default() };
        self.apiary.forge().create_repository(&repo, new).await.unwrap();
        self.apiary.forge().add_triager(&repo, "maya").unwrap();
        self.repositories.push(repo.clone());
        repo
    }

    /// Labelled issues that nothing is wrong with, in turn in each of the repositories.
    pub(crate) fn issues(&mut self, count: usize) -> Vec<TaskId> {
        let repositories = self.repositories.clone();
        let open = |repo: &RepoId| self.issue(repo, &FUELLED.map(str::to_owned));
        repositories.iter().cycle().take(count).map(open).collect()
    }

    pub(crate) fn issue(&mut self, repo: &RepoId, replies: &[String]) -> TaskId {
        let forge = self.apiary.forge();
        let number = forge.issues(repo).iter().map(|issue| issue.number).max().unwrap_or(0) + 1;
        let task = TaskId::new(repo.clone(), number);
        // The replies first: a node that runs already finds the issue at once.
        self.script.set(&task.to_string(), replies);
        self.apiary.ollama().set_script(self.script.clone());
        let opened = forge.open_issue(repo, "maya", "Fuel the rocket", "It has none.", &[label::TASK]);
        assert_eq!(opened.unwrap(), number);
        task
    }

    /// A node on a host of its own; it is not started yet. Returns its index.
    pub(crate) fn add(&mut self, host: &str, network: u8) -> usize {
        self.net.add_host(host, network);
        self.settle(host)
    }

    /// The same behind a router.
    pub(crate) fn add_behind_router(&mut self, host: &str, network: u8, ports: Ports) -> usize {
        self.net.add_host_behind_router(host, network, ports);
        self.settle(host)
    }

    fn settle(&mut self, host: &str) -> usize {
        self.doors.open(&self.net, host);
        let home = self.folder.path().join(host);
        std::fs::create_dir(&home).unwrap();
        let name = format!("{}{host}", self.net.prefix);
        let (program, settings, environment, past) = Default::default();
        self.nodes.push(Node { host: host.to_owned(), name, home, program, settings, environment, past });
        self.nodes.len() - 1
    }

    pub(crate) fn start(&mut self, index: usize) {
        let settings = self.settings_of(&self.nodes[index]);
        let node = &mut self.nodes[index];
        assert!(node.program.is_none(), "{} runs already", node.name);
        let file = node.config();
        std::fs::write(&file, settings.join("\n") + "\n").unwrap();
        let program = env!("CARGO_BIN_EXE_bzzz");
        let arguments = [program, "run", "--config", &file.display().to_string()];
        let command = self.net.command_in(&node.host, &arguments);
        node.program = Some(Program::start_command(command, &node.home, &node.environment));
    }

    pub(crate) fn start_all(&mut self) {
        (0..self.nodes.len()).for_each(|index| self.start(index));
    }

    /// The defaults, but for addresses, sizes and pauses. What comes later in the file counts.
    fn settings_of(&self, node: &Node) -> Vec<String> {
        let forge = self.apiary.forge_url();
        let mut lines = vec![
            format!("node.name = {:?}", node.name),
            "node.data_dir = \"data\"".to_owned(),
            "node.drain_grace = \"0s\"".to_owned(),
            format!("forge.api_url = {forge:?}"),
            format!("forge.git_url = {forge:?}"),
            format!("forge.token = {TOKEN:?}"),
            format!(
                "forge.repositories = {:?}",
                self.repositories.iter().map(ToString::to_string).collect::<Vec<_>>()
            ),
            "forge.poll_interval = \"5s\"".to_owned(),
            "forge.slowest_poll_interval = \"10s\"".to_owned(),
            "forge.write_interval = \"0s\"".to_owned(),
            format!("model.url = {:?}", self.apiary.ollama_url()),
            format!("model.names = [{MODEL:?}]"),
            "sandbox.backend = \"docker\"".to_owned(),
            format!("sandbox.image = {:?}", image()),
            "sandbox.memory = \"256 MiB\"".to_owned(),
            "sandbox.work_size = \"32 MiB\"".to_owned(),
            "sandbox.tmp_size = \"8 MiB\"".to_owned(),
            "sandbox.home_size = \"8 MiB\"".to_owned(),
            "outbox.retry_min = \"100ms\"".to_owned(),
            "outbox.retry_max = \"500ms\"".to_owned(),
            format!("swarm.listen = [\"/ip4/0.0.0.0/tcp/{PORT}\"]"),
            "swarm.availability_interval = \"1s\"".to_owned(),
        ];
        lines.extend(self.settings.iter().chain(&node.settings).cloned());
        lines
    }

    /// Kills the node's process, whatever it does.
    pub(crate) fn kill(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if let Some(mut program) = node.program.take() {
            assert!(program.ended().is_none(), "{} ended by itself:\n{}", node.name, program.text());
            program.kill();
            node.past.append(&mut program.seen);
        }
    }

    /// Stops every node in order, and looks whether each journal holds and no container is left.
    pub(crate) fn stop_all(&mut self) {
        for node in &self.nodes {
            if let Some(program) = &node.program {
                program.signal("TERM");
            }
        }
        for node in &mut self.nodes {
            if let Some(mut program) = node.program.take() {
                assert_eq!(program.until_end(), 0, "{}: {}", node.name, program.text());
                node.past.append(&mut program.seen);
            }
            let verified = node.journal().verify().unwrap_or_else(|error| panic!("{}: {error}", node.name));
            assert!(verified.entries > 0 || node.journal().tasks().unwrap().is_empty());
        }
        assert_eq!(self.containers.names(), Vec::<String>::new(), "containers were left");
    }

    /// The address by which the apiary knows the node's host.
    pub(crate) fn seen_as(&self, index: usize) -> std::net::IpAddr {
        seen_as(self.net.address_of(&self.nodes[index].host)).into()
    }

    /// The pull requests of the task's branch, open or not.
    pub(crate) async fn pull_requests(&self, task: &TaskId) -> Vec<Pull> {
        let mut pulls = self.apiary.forge().pull_requests(&task.repo).await.unwrap();
        pulls.retain(|pull| pull.head_ref == task.branch());
        pulls
    }

    /// Whether each of the tasks has a pull request.
    pub(crate) async fn are_proposed(&self, tasks: &[TaskId]) -> bool {
        self.not_proposed(tasks).await.is_empty()
    }

    async fn not_proposed(&self, tasks: &[TaskId]) -> Vec<String> {
        let mut missing = Vec::new();
        for task in tasks {
            if self.pull_requests(task).await.is_empty() {
                missing.push(task.to_string());
            }
        }
        missing
    }

    pub(crate) async fn branch(&self, task: &TaskId) -> Option<String> {
        let name = format!("refs/heads/{}", task.branch());
        self.apiary.forge().read_ref(&task.repo, &name).await.unwrap()
    }

    /// Waits until each of the tasks has a pull request; fails when for long no further one is asked for.
    pub(crate) async fn until_proposed(&self, tasks: &[TaskId]) {
        loop {
            // Before the look: what is logged after it ends the wait below.
            let seen = openings(&self.apiary.requests(StandIn::Forge));
            let missing = self.not_proposed(tasks).await;
            if missing.is_empty() {
                return;
            }
            let news = self.apiary.wait_for_requests(StandIn::Forge, |requests| openings(requests) > seen);
            if tokio::time::timeout(PATIENCE, news).await.is_err() {
                panic!("{} of {} tasks have no pull request: {missing:?}", missing.len(), tasks.len());
            }
        }
    }

    /// Waits until no node works on any of the tasks any more.
    pub(crate) async fn until_at_rest(&self, tasks: &[TaskId]) {
        let at_rest = async |colony: &Self| {
            let events =
                colony.nodes.iter().flat_map(|node| tasks.iter().map(|task| (task, node.events_of(task))));
            let mut folded = events.map(|(task, events)| {
                Task::fold(task.clone(), events.iter().map(|recorded| &recorded.event))
            });
            !folded.any(|task| task.phase.takes_a_place())
        };
        self.until("all tasks are at rest", at_rest).await;
    }

    /// A key for a swarm of its own, in libp2p's form.
    pub(crate) fn swarm_key(&self) -> PathBuf {
        let file = self.folder.path().join("swarm.key");
        let key: String = (0..4).map(|_| format!("{:016x}", getrandom::u64().unwrap())).collect();
        std::fs::write(&file, format!("/key/swarm/psk/1.0.0/\n/base16/\n{key}\n")).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        file
    }

    /// Waits until something is so of which this process is not told.
    pub(crate) async fn until(&self, what: &str, is: impl AsyncFn(&Self) -> bool) {
        let looked = async {
            while !is(self).await {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(PATIENCE, looked).await.is_err() {
            panic!("{what}: not within {PATIENCE:?}");
        }
    }
}

/// How often the forge was asked to open a pull request.
fn openings(requests: &[LoggedRequest]) -> usize {
    requests.iter().filter(|request| request.method == "POST" && request.path.ends_with("/pulls")).count()
}

impl Node {
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.home.join("data")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.home.join("bzzz.toml")
    }

    pub(crate) fn journal(&self) -> JournalReader {
        JournalReader::open(&self.data_dir()).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// What the node's journal says of the task; nothing also where there is no journal yet.
    pub(crate) fn events_of(&self, task: &TaskId) -> Vec<Recorded> {
        let Ok(journal) = JournalReader::open(&self.data_dir()) else { return Vec::new() };
        journal.events_of(task, Seq::default()).unwrap_or_default()
    }

    /// Waits for a line of its log.
    pub(crate) fn until_line(&mut self, part: &str) -> String {
        self.program.as_mut().unwrap().until_line(part)
    }

    pub(crate) fn has(&self, task: &TaskId, kind: &str) -> bool {
        self.events_of(task).iter().any(|recorded| recorded.event.kind() == kind)
    }
}

/// The node's clock, and not the monotonic one: a machine can set back the former alone.
pub(crate) fn a_day_ahead() -> Vec<(&'static str, String)> {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let library =
        folders.map(|folder| folder.path().join("faketime/libfaketime.so.1")).find(|it| it.exists());
    let library = library.expect("libfaketime is there: deploy/prerequisites.sh installs it");
    vec![
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME", "+1d".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
}

impl Drop for Colony {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for node in &mut self.nodes {
            let last = match &mut node.program {
                Some(program) => program.tail(),
                None => node.past[node.past.len().saturating_sub(20)..].join("\n"),
            };
            println!("--- {}\n{last}", node.name);
        }
    }
}
