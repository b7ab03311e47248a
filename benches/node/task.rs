//! A task from the claim to the open pull request, with a model that answers at once and five commands.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::System;
use bzzz::apiary::ollama::ModelScript;
use bzzz::apiary::{Apiary, ApiaryOptions};
use bzzz::node::RunningNode;
use bzzz::settings::{Settings, Sources};
use bzzz_actors::ports::journal::Recorded;
use bzzz_actors::task::{RepoId, TaskEvent, TaskId, label};

use crate::figures::Figure;

const TASKS: usize = 30;
/// The goal of the project.
const MAX_TASK_MS: f64 = 2000.0;

/// Five commands that read, change and look, as a real task's do, in a repository whose check takes no time.
const REPLIES: [&str; 8] = [
    "1. Look at the greeting. 2. Mend it. 3. See that it holds.",
    "I look around.\n```sh\nls -la && cat greet.sh\n```",
    "I see it fail.\n```sh\nbash check.sh\n```",
    "I mend it.\n```sh\nsed -i 's/helo/hello/' greet.sh\n```",
    "I see it pass.\n```sh\nbash check.sh\n```",
    "I look at the change.\n```sh\ngit diff\n```",
    "```done\nGreet in English\n\nThe greeting was misspelt.\n```",
    "```done\nGreet in English\n\nThe greeting was misspelt.\n```",
];

pub(crate) fn measure() -> Vec<Figure> {
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    System::with_tokio_rt(runtime).block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let mut script = ModelScript::default();
        script.set("*", REPLIES);
        let apiary = Apiary::start(ApiaryOptions {
            model_script: script,
            ..ApiaryOptions::new(folder.path().join("apiary"), "token")
        })
        .unwrap();
        let tasks = plant(&apiary).await;
        let mut node = RunningNode::start(settings(&apiary, folder.path(), &tasks)).await.unwrap();
        let samples = watch(&mut node).await;
        node.end().await;
        apiary.stop().await;
        vec![Figure {
            name: "task, claim to open pull request, 5 commands",
            unit: "ms",
            goal: Some(MAX_TASK_MS),
            samples,
        }]
    })
}

/// One repository a task, so that none waits for another's.
async fn plant(apiary: &Apiary) -> Vec<TaskId> {
    use bzzz::apiary::forge::{NewRepository, RepositoryFile};
    let mut tasks = Vec::new();
    for number in 0..TASKS {
        let repo: RepoId = format!("bench/greeting-{number}").parse().unwrap();
        let files = vec![
            RepositoryFile::text("greet.sh", "echo helo\n"),
            RepositoryFile::text("check.sh", "test \"$(bash greet.sh)\" = hello\n"),
            RepositoryFile::text(".bzzz.toml", "checks = [\"bash check.sh\"]\n"),
        ];
        apiary
            .forge()
            .create_repository(&repo, NewRepository { files, ..NewRepository::default() })
            .await
            .unwrap();
        apiary.forge().add_triager(&repo, "ann").unwrap();
        apiary.forge().open_issue(&repo, "ann", "Misspelt", "It says helo.", &[label::TASK]).unwrap();
        tasks.push(TaskId::new(repo, 1));
    }
    tasks
}

fn settings(apiary: &Apiary, folder: &std::path::Path, tasks: &[TaskId]) -> Settings {
    let repositories: Vec<String> = tasks.iter().map(|task| format!("\"{}\"", task.repo)).collect();
    let sources = Sources {
        file: None,
        set: vec![
            "node.name=bench".into(),
            format!("node.data_dir={}", folder.join("node").display()),
            "node.max_tasks=1".into(),
            format!("forge.api_url={}", apiary.forge_url()),
            format!("forge.git_url={}", apiary.forge_url()),
            "forge.token=token".into(),
            "forge.poll_interval=5s".into(),
            "forge.slowest_poll_interval=5s".into(),
            "swarm.enabled=false".into(),
            "forge.write_interval=0s".into(),
            format!("forge.repositories=[{}]", repositories.join(", ")),
            format!("model.url={}", apiary.ollama_url()),
            "model.names=[\"scripted:latest\"]".into(),
        ],
        environment: BTreeMap::new().into_iter().collect(),
        working_dir: folder.to_owned(),
        host_name: "bench".into(),
    };
    Settings::load(&sources).unwrap().settings
}

/// The time from each task's claim to its pull request, by the journal's clock.
async fn watch(node: &mut RunningNode) -> Vec<f64> {
    let mut news = node.node().log.subscribe();
    let mut claimed: BTreeMap<TaskId, u64> = BTreeMap::new();
    let mut samples = Vec::new();
    while samples.len() < TASKS {
        let recorded = tokio::time::timeout(Duration::from_secs(120), news.recv()).await.unwrap().unwrap();
        let Recorded { task, at_ms, event, .. } = &*recorded;
        match event {
            TaskEvent::Claimed { .. } => {
                claimed.insert(task.clone(), *at_ms);
            }
            TaskEvent::PullRequestOpened { .. } => samples.push((at_ms - claimed[task]) as f64),
            TaskEvent::GaveUp { reason } => panic!("{task}: {reason}"),
            _ => {}
        }
    }
    samples
}
