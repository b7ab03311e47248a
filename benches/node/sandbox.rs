//! A command in a sandbox of each backend against the same command on the host and by Docker's own ways, and a
//! sandbox that is ready to work.

use std::process::Command;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::exec::StartExecResults;
use bollard::models::ExecConfig;
use bzzz::apiary::{Apiary, ApiaryOptions, examples};
use bzzz::bubblewrap::{BubblewrapOptions, BubblewrapSandboxes};
use bzzz::docker::{DockerOptions, DockerSandboxes};
use bzzz::git::{Git, GitLimits, GitOptions};
use bzzz_actors::ports::code::Code;
use bzzz_actors::ports::sandbox::{CommandRequest, Purpose, SandboxSpec, Sandboxes};
use bzzz_actors::task::{Epoch, TaskId};
use futures_util::StreamExt;

use crate::figures::Figure;

const COMMANDS: usize = 300;
const STARTS: usize = 30;
/// Docker's own ways are slow, and of these the middle is all that is wanted.
const EXECS: usize = 30;
/// The goals of the project. A command is to take a thirtieth of the time of `docker exec`.
const MAX_ABOVE_HOST_MS: f64 = 1.0;
const MAX_SHARE_OF_EXEC_PERCENT: f64 = 3.3;
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
            forks: bzzz::forks::Forks::default(),
            secrets: bzzz::secrets::Secrets::default(),
        })
        .await
        .unwrap();
        let temp_dir = data_dir.join("tmp");
        std::fs::create_dir_all(&temp_dir).unwrap();
        let docker = DockerSandboxes::new(docker_options(data_dir, temp_dir.clone())).unwrap();
        let bubblewrap = BubblewrapSandboxes::new(bubblewrap_options(temp_dir)).unwrap();
        // Not counted: the proof that its sandboxes hold.
        bubblewrap.describe().await.unwrap();
        let mut figures = Vec::new();
        for table in TABLES {
            figures.extend(commands(table, &docker, &bubblewrap, &task).await);
        }
        figures.push(ready("sandbox ready by Docker: create, start, code in", &docker, &code, &task).await);
        figures.push(ready("sandbox ready by bubblewrap: start, code in", &bubblewrap, &code, &task).await);
        apiary.stop().await;
        figures
    })
}

const MIB: u64 = 1024 * 1024;

fn docker_options(data_dir: std::path::PathBuf, temp_dir: std::path::PathBuf) -> DockerOptions {
    DockerOptions {
        host: None,
        certificates: None,
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

fn bubblewrap_options(temp_dir: std::path::PathBuf) -> BubblewrapOptions {
    BubblewrapOptions {
        program: "bwrap".into(),
        memory_bytes: 2048 * MIB,
        pids: 512,
        work_bytes: 1024 * MIB,
        tmp_bytes: 256 * MIB,
        home_bytes: 512 * MIB,
        allowed_hosts: Vec::new(),
        output_cap_bytes: 1024 * 1024,
        orphan_grace: Duration::from_secs(900),
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

/// From nothing to the first command.
async fn ready(name: &'static str, sandboxes: &dyn Sandboxes, code: &Git, task: &TaskId) -> Figure {
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
    Figure::in_ms(name, Some(MAX_READY_MS), &samples)
}

/// One command by every way, and what its rows are called.
struct Table {
    command: &'static str,
    host: &'static str,
    docker: &'static str,
    bubblewrap: &'static str,
    by_program: &'static str,
    by_interface: &'static str,
}

const TABLES: [Table; 2] = [
    Table {
        command: "true",
        host: "`true` by bash -c on the host",
        docker: "`true` in a Docker sandbox",
        bubblewrap: "`true` in a bubblewrap sandbox",
        by_program: "`true` by docker exec",
        by_interface: "`true` by the Engine API's exec",
    },
    Table {
        command: "ls /",
        host: "`ls /` by bash -c on the host",
        docker: "`ls /` in a Docker sandbox",
        bubblewrap: "`ls /` in a bubblewrap sandbox",
        by_program: "`ls /` by docker exec",
        by_interface: "`ls /` by the Engine API's exec",
    },
];

/// One after the other by turns, so that all meet the same machine.
async fn commands(
    table: Table,
    docker: &dyn Sandboxes,
    bubblewrap: &dyn Sandboxes,
    task: &TaskId,
) -> Vec<Figure> {
    let container = docker.start(&spec(task)).await.unwrap();
    let sandboxes = [container.clone(), bubblewrap.start(&spec(task)).await.unwrap()];
    let mut host = Vec::new();
    let (mut inside, mut above) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for step in 1..=COMMANDS as u32 {
        let began = Instant::now();
        assert!(Command::new("bash").args(["-c", table.command]).output().unwrap().status.success());
        let on_host = began.elapsed();
        host.push(on_host);
        for (sandbox, (inside, above)) in sandboxes.iter().zip(inside.iter_mut().zip(&mut above)) {
            let command = table.command.to_owned();
            let request = CommandRequest { step, command, timeout: Duration::from_secs(60) };
            let began = Instant::now();
            assert!(sandbox.run(&request).await.unwrap().ending.is_success());
            let in_sandbox = began.elapsed();
            inside.push(in_sandbox);
            above.push((in_sandbox.as_secs_f64() - on_host.as_secs_f64()) * 1e3);
        }
    }
    let (by_program, by_interface) = execs(&container.name(), table.command).await;
    for sandbox in sandboxes {
        sandbox.destroy().await.unwrap();
    }
    let above_host = |samples: Vec<f64>| Figure {
        name: "  above the host, pair by pair",
        unit: "ms",
        goal: Some(MAX_ABOVE_HOST_MS),
        samples,
    };
    let by_program = Figure::in_ms(table.by_program, None, &by_program);
    let exec_ms = by_program.median();
    let share = |inside: &[Duration]| Figure {
        name: "  of the time of docker exec",
        unit: "%",
        // What the command itself does takes its time by every way.
        goal: (table.command == "true").then_some(MAX_SHARE_OF_EXEC_PERCENT),
        samples: inside.iter().map(|it| it.as_secs_f64() * 1e3 / exec_ms * 100.0).collect(),
    };
    let ([in_docker, in_bubblewrap], [above_docker, above_bubblewrap]) = (inside, above);
    vec![
        Figure::in_ms(table.host, None, &host),
        Figure::in_ms(table.docker, None, &in_docker),
        above_host(above_docker),
        share(&in_docker),
        Figure::in_ms(table.bubblewrap, None, &in_bubblewrap),
        above_host(above_bubblewrap),
        share(&in_bubblewrap),
        by_program,
        Figure::in_ms(table.by_interface, None, &by_interface),
    ]
}

/// The same command, by a new bash too, in the same container by Docker's command line, and by its interface.
async fn execs(container: &str, command: &str) -> (Vec<Duration>, Vec<Duration>) {
    let client = Docker::connect_with_defaults().unwrap();
    let (mut by_program, mut by_interface) = (Vec::new(), Vec::new());
    for _ in 0..EXECS {
        let began = Instant::now();
        let exec = ["exec", container, "bash", "-c", command];
        assert!(Command::new("docker").args(exec).output().unwrap().status.success());
        by_program.push(began.elapsed());

        let began = Instant::now();
        let config = ExecConfig {
            cmd: Some(["bash", "-c", command].map(str::to_owned).to_vec()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..ExecConfig::default()
        };
        let exec = client.create_exec(container, config).await.unwrap();
        let started = client.start_exec(&exec.id, None).await.unwrap();
        let StartExecResults::Attached { mut output, .. } = started else { panic!("it is not attached") };
        while output.next().await.is_some() {}
        assert_eq!(client.inspect_exec(&exec.id).await.unwrap().exit_code, Some(0));
        by_interface.push(began.elapsed());
    }
    (by_program, by_interface)
}
