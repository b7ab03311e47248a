//! A command in a Docker sandbox against the same command on the host, and a sandbox that is ready to work.

use std::process::Command;
use std::time::{Duration, Instant};

use bzzz::apiary::{Apiary, ApiaryOptions, examples};
use bzzz::docker::{DockerOptions, DockerSandboxes};
use bzzz::git::{Git, GitLimits, GitOptions};
use bzzz_actors::ports::code::Code;
use bzzz_actors::ports::sandbox::{CommandRequest, Purpose, SandboxSpec, Sandboxes};
use bzzz_actors::task::{Epoch, TaskId};

use crate::figures::Figure;

const COMMANDS: usize = 300;
const STARTS: usize = 30;
/// The goals of the project.
const MAX_ABOVE_HOST_MS: f64 = 1.5;
const MAX_READY_MS: f64 = 800.0;

pub(crate) fn measure() -> Vec<Figure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let apiary = Apiary::start(ApiaryOptions::new(folder.path().join("apiary"), "token")).unwrap();
        let task = examples::all()[0].plant(apiary.forge()).await.unwrap();
        let data_dir = folder.path().join("node");
        let code = Git::open(GitOptions {
            git_url: apiary.forge_url(),
            token: Some("token".to_owned().into()),
            data_dir: data_dir.clone(),
            author_name: "bench".into(),
            author_email: "bench@localhost".into(),
            allow_file: false,
            limits: GitLimits::default(),
        })
        .await
        .unwrap();
        let temp_dir = data_dir.join("tmp");
        std::fs::create_dir_all(&temp_dir).unwrap();
        let sandboxes = DockerSandboxes::new(options(data_dir, temp_dir)).unwrap();
        let ready = ready(&sandboxes, &code, &task).await;
        let mut figures = commands(&sandboxes, &task).await;
        figures.push(ready);
        apiary.stop().await;
        figures
    })
}

fn options(data_dir: std::path::PathBuf, temp_dir: std::path::PathBuf) -> DockerOptions {
    const MIB: u64 = 1024 * 1024;
    DockerOptions {
        host: None,
        image: std::env::var("BZZZ_SANDBOX_IMAGE").unwrap_or_else(|_| "bzzz-sandbox:1".into()),
        runtime: None,
        memory_bytes: 2048 * MIB,
        cpus: 2.0,
        pids: 512,
        work_bytes: 1024 * MIB,
        tmp_bytes: 256 * MIB,
        home_bytes: 512 * MIB,
        allowed_hosts: Vec::new(),
        output_cap_bytes: 1024 * 1024,
        orphan_grace: Duration::from_secs(900),
        data_dir,
        temp_dir,
    }
}

fn spec(task: &TaskId) -> SandboxSpec {
    SandboxSpec {
        node: "bench".parse().unwrap(),
        task: task.clone(),
        epoch: Epoch(1),
        purpose: Purpose::Work,
    }
}

/// Create, start, code in: from nothing to the first command.
async fn ready(sandboxes: &DockerSandboxes, code: &Git, task: &TaskId) -> Figure {
    let base = code.refresh(&task.repo, "main").await.unwrap();
    let mut samples = Vec::new();
    for _ in 0..STARTS {
        let began = Instant::now();
        let code = code.code_in(task, &base.commit, None).await.unwrap();
        let sandbox = sandboxes.start(&spec(task)).await.unwrap();
        sandbox.import(&code).await.unwrap();
        samples.push(began.elapsed());
        sandbox.destroy().await.unwrap();
    }
    Figure::in_ms("sandbox ready: create, start, code in", Some(MAX_READY_MS), &samples)
}

/// One after the other by turns, so that both meet the same machine.
async fn commands(sandboxes: &DockerSandboxes, task: &TaskId) -> Vec<Figure> {
    let sandbox = sandboxes.start(&spec(task)).await.unwrap();
    let (mut host, mut inside, mut above) = (Vec::new(), Vec::new(), Vec::new());
    for step in 1..=COMMANDS as u32 {
        let began = Instant::now();
        assert!(Command::new("bash").args(["-c", "true"]).status().unwrap().success());
        let on_host = began.elapsed();
        let request = CommandRequest { step, command: "true".into(), timeout: Duration::from_secs(60) };
        let began = Instant::now();
        assert!(sandbox.run(&request).await.unwrap().ending.is_success());
        let in_sandbox = began.elapsed();
        host.push(on_host);
        inside.push(in_sandbox);
        above.push((in_sandbox.as_secs_f64() - on_host.as_secs_f64()) * 1e3);
    }
    sandbox.destroy().await.unwrap();
    vec![
        Figure::in_ms("`true` by bash -c on the host", None, &host),
        Figure::in_ms("`true` in a Docker sandbox", None, &inside),
        Figure {
            name: "  above the host, pair by pair",
            unit: "ms",
            goal: Some(MAX_ABOVE_HOST_MS),
            samples: above,
        },
    ]
}
