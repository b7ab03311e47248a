//! Many nodes in one world, each with a journal, a model and sandboxes of its own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bzzz_actors::jitter::Jitter;
use bzzz_actors::node::{Node, NodeConfig, Outside, Ports};
use bzzz_actors::ports::swarm::{Alone, Swarm};
use bzzz_actors::task::{RepoId, TaskId};
use tokio::time::{Instant, sleep, timeout};

use super::many::{ManyForge, SlowClaims};
use super::swarm::Hub;
use super::{MINUTE, MemoryGit, MemoryJournal, MemorySandboxes, Script, config, journal, server};

/// As a forge and a git server far away.
const FORGE_LATENCY: Duration = Duration::from_millis(300);
const GIT_LATENCY: Duration = Duration::from_millis(600);
const SWARM_LATENCY: Duration = Duration::from_millis(50);

const DONE: &str = "```done\nFuel the rocket\n\nIt had none.\n```";

pub struct Colony {
    pub repositories: Vec<RepoId>,
    pub forge: Arc<ManyForge>,
    pub git: Arc<MemoryGit>,
    pub hub: Arc<Hub>,
    replies: Vec<&'static str>,
    pub nodes: BTreeMap<String, Bee>,
}

pub struct Bee {
    pub node: Node,
    pub journal: Arc<MemoryJournal>,
}

impl Colony {
    /// No node yet.
    pub fn new(repositories: usize, issues: u64, replies: &[&'static str]) -> Self {
        let repositories: Vec<RepoId> =
            (0..repositories).map(|number| format!("acme/rocket-{number}").parse().unwrap()).collect();
        Self {
            forge: ManyForge::new(&repositories, issues, FORGE_LATENCY),
            git: Arc::default(),
            hub: Hub::new(SWARM_LATENCY, 7),
            replies: replies.to_vec(),
            repositories,
            nodes: BTreeMap::new(),
        }
    }

    pub fn config(&self, name: &str) -> NodeConfig {
        NodeConfig {
            repositories: self.repositories.clone(),
            slowest_poll_interval: 5 * MINUTE,
            ..config(name)
        }
    }

    pub fn start(&mut self, count: usize) {
        for number in 1..=count {
            let name = format!("n{number}");
            self.start_with(self.config(&name), Some(self.hub.entrance(&name)));
        }
    }

    pub fn start_with(&mut self, config: NodeConfig, swarm: Option<Arc<dyn Swarm>>) {
        let journal = MemoryJournal::of(config.node.as_str());
        self.start_from(config, swarm, journal.into());
    }

    /// A node that has lived before, or that somebody gave another past.
    pub fn start_from(
        &mut self,
        config: NodeConfig,
        swarm: Option<Arc<dyn Swarm>>,
        journal: Arc<MemoryJournal>,
    ) {
        let name = config.node.to_string();
        self.hub.prove(&name, &journal);
        let model = Arc::new(Script::new(&self.replies));
        let ports = Ports {
            journal: journal.clone(),
            forge: self.forge.clone(),
            claims: Arc::new(SlowClaims { git: self.git.clone(), latency: GIT_LATENCY }),
            code: self.git.clone(),
            sandboxes: Arc::new(MemorySandboxes::default()),
            models: vec![server(&model)],
            selection: None,
            swarm: swarm.unwrap_or_else(|| Arc::new(Alone)),
            hive: None,
            webhook: None,
        };
        let counter = AtomicU64::new(0);
        let nonce = format!("{name}-");
        let outside = Outside {
            jitter: jitter(&name),
            nonce: Arc::new(move || format!("{nonce}{}", counter.fetch_add(1, Ordering::Relaxed))),
            wall_clock_ms: journal::now_ms,
            // In a trail of one segment nothing is signed but its head.
            verify: |_, _, _| true,
            new_thread: None,
        };
        let node = Node::start(ports, config, outside);
        self.nodes.insert(name, Bee { node, journal });
    }

    /// Ends a node and starts it again with what `change` makes of its journal.
    pub async fn restart(
        &mut self,
        name: &str,
        change: impl FnOnce(Arc<MemoryJournal>) -> Arc<MemoryJournal>,
    ) {
        let Bee { node, journal } = self.nodes.remove(name).unwrap();
        node.stop().await;
        self.start_from(self.config(name), Some(self.hub.entrance(name)), change(journal));
    }

    /// Requests to the forge in the first hour of so many nodes that watch ten repositories, in which a task comes up every
    /// five minutes until there are so many. The one for the token's account, which the program asks at each start, is
    /// among them.
    pub async fn requests_an_hour(nodes: usize, tasks: u32) -> u32 {
        let mut colony = Self::new(10, 0, &["1. Fuel it.", "```sh\nwrite fuel\n```", DONE, DONE]);
        colony.start(nodes);
        for number in 1..=tasks {
            sleep(5 * MINUTE).await;
            let repo = colony.repositories[number as usize % colony.repositories.len()].clone();
            colony.forge.open(TaskId::new(repo, number.into()));
        }
        sleep(60 * MINUTE - 5 * MINUTE * tasks).await;
        let requests = colony.forge.requests().values().sum::<u32>() + u32::try_from(nodes).unwrap();
        assert_eq!(colony.forge.pull_requests().len(), tasks as usize);
        colony.assert_none_twice();
        colony.stop().await;
        requests
    }

    /// Waits until each issue has its pull request; at most `limit`.
    pub async fn until_all_done(&self, tasks: usize, limit: Duration) -> Duration {
        let began = Instant::now();
        let done = timeout(limit, async {
            while self.forge.pull_requests().len() < tasks {
                sleep(Duration::from_secs(1)).await;
            }
        });
        let is_done = done.await.is_ok();
        assert!(is_done, "{} of {tasks} after {limit:?}", self.forge.pull_requests().len());
        began.elapsed()
    }

    /// Events of a kind in each node's journal.
    pub fn count(&self, kind: &str) -> BTreeMap<String, usize> {
        let count = |bee: &Bee| bee.journal.kinds().into_iter().filter(|it| *it == kind).count();
        self.nodes.iter().map(|(name, bee)| (name.clone(), count(bee))).collect()
    }

    pub fn total(&self, kind: &str) -> usize {
        self.count(kind).values().sum()
    }

    /// Attempts, and those of them that were lost.
    pub fn races(&self) -> (usize, usize) {
        (self.total("claim_intended"), self.total("claim_lost"))
    }

    /// Each task was published once, and has one pull request.
    pub fn assert_none_twice(&self) {
        let mut seen: Vec<(String, String)> = self
            .forge
            .pull_requests()
            .into_iter()
            .map(|it| (it.url.rsplit_once("/pull/").unwrap().0.to_owned(), it.head))
            .collect();
        let count = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), count, "a task has two pull requests");
        assert_eq!(self.total("published"), count);
    }

    pub async fn stop(self) {
        for bee in self.nodes.into_values() {
            bee.node.stop().await;
        }
    }
}

/// Within a tenth, another one for each node and each time, the same in each run.
fn jitter(name: &str) -> Jitter {
    let seed = name.bytes().fold(7u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    let state = Mutex::new(seed);
    Arc::new(move |duration| {
        let mut state = state.lock().unwrap();
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        duration.mul_f64(0.9 + 0.2 * ((*state >> 40) as f64 / f64::from(1 << 24)))
    })
}
