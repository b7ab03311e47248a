//! A node with nothing to do: how soon it polls, with nothing behind it and after a long past, and what it weighs.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bzzz::apiary::forge::{NewRepository, RepositoryFile};
use bzzz::apiary::{Apiary, ApiaryOptions, LoggedRequest, StandIn};

use crate::figures::Figure;
use crate::past;

const NODE: &str = "bench-idle";
const STARTS: usize = 30;
const STARTS_WITH_A_PAST: usize = 10;
const PASTS: [(u64, &str, Option<f64>); 3] = [
    (1_000, "the same after 1,000 past events", None),
    (10_000, "the same after 10,000 past events", None),
    (100_000, "the same after 100,000 past events", Some(1000.0)),
];
/// Polls that a node has done before it counts as idle.
const POLLS_BEFORE_WEIGHING: usize = 2;
/// The goals of the project.
const MAX_START_MS: f64 = 300.0;
const MAX_RESIDENT_MIB: f64 = 40.0;

struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn measure() -> Vec<Figure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let apiary = Apiary::start(ApiaryOptions::new(folder.path().join("apiary"), "token")).unwrap();
        let repo = "bench/idle".parse().unwrap();
        let files = vec![RepositoryFile::text("README.md", "idle\n")];
        apiary
            .forge()
            .create_repository(&repo, NewRepository { files, ..NewRepository::default() })
            .await
            .unwrap();
        let (mut starts, mut resident) = (Vec::new(), Vec::new());
        for number in 0..STARTS {
            let polls_before = polls(&apiary.requests(StandIn::Forge));
            let (node, took) = until_it_polls(&apiary, folder.path()).await;
            starts.push(took);
            if number == 0 {
                let wanted = polls_before + 1 + POLLS_BEFORE_WEIGHING;
                apiary.wait_for_requests(StandIn::Forge, |seen| polls(seen) >= wanted).await;
            }
            resident.push(resident_mib(&node.0));
        }
        let mut figures = vec![Figure::in_ms("node, from start to polling", Some(MAX_START_MS), &starts)];
        for (events, name, goal_ms) in PASTS {
            let folder = tempfile::tempdir().unwrap();
            let data_dir = folder.path().join("node");
            std::fs::create_dir(&data_dir).unwrap();
            past::write(&data_dir, NODE, events, 0).await;
            let mut starts = Vec::new();
            for _ in 0..STARTS_WITH_A_PAST {
                starts.push(until_it_polls(&apiary, folder.path()).await.1);
            }
            figures.push(Figure::in_ms(name, goal_ms, &starts));
        }
        apiary.stop().await;
        figures.push(Figure {
            name: "node idle, resident",
            unit: "MiB",
            goal: Some(MAX_RESIDENT_MIB),
            samples: resident,
        });
        figures
    })
}

async fn until_it_polls(apiary: &Apiary, folder: &std::path::Path) -> (Node, Duration) {
    let polls_before = polls(&apiary.requests(StandIn::Forge));
    let began = Instant::now();
    let node = start(apiary, folder);
    apiary.wait_for_requests(StandIn::Forge, |seen| polls(seen) > polls_before).await;
    (node, began.elapsed())
}

/// The listings of the repository's issues so far.
fn polls(seen: &[LoggedRequest]) -> usize {
    seen.iter().filter(|request| request.path.starts_with("/repos/bench/idle/issues")).count()
}

fn start(apiary: &Apiary, folder: &std::path::Path) -> Node {
    let set = [
        format!("node.name={NODE}"),
        format!("node.data_dir={}", folder.join("node").display()),
        format!("forge.api_url={}", apiary.forge_url()),
        format!("forge.git_url={}", apiary.forge_url()),
        "forge.token=token".to_owned(),
        "forge.poll_interval=5s".to_owned(),
        "forge.slowest_poll_interval=5s".to_owned(),
        "forge.repositories=[\"bench/idle\"]".to_owned(),
        format!("model.url={}", apiary.ollama_url()),
        "model.names=[\"scripted:latest\"]".to_owned(),
        "log.level=error".to_owned(),
    ];
    let mut command = Command::new(env!("CARGO_BIN_EXE_bzzz"));
    command.arg("run").current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
    for set in set {
        command.args(["--set", &set]);
    }
    Node(command.spawn().unwrap())
}

fn resident_mib(node: &Child) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024.0
}
