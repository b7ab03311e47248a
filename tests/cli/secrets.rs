//! The node's secrets are nowhere but in its memory and in the requests that need them: a task is worked on while
//! everything that can be looked into is.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bzzz::apiary::forge::{NewRepository, RepositoryFile};
use bzzz::apiary::ollama::ModelScript;
use bzzz::apiary::{Apiary, ApiaryOptions, StandIn};
use bzzz_actors::task::{RepoId, label};

use crate::containers::{can_run, docker, until_runs};
use crate::program::Program;
use crate::run::{TOKEN, arguments, node_name};

/// What a model would look into that wants the secrets, and then a wait, so that the test can look too.
const SPY: &str = "env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n'; cat .git/config; cat /proc/mounts; \
                   git log -1; ls -laR / 2>/dev/null | head -n 300; while [ ! -e /tmp/go ]; do sleep 0.3; done; echo full > fuel";

/// Distinctive values, and every form in which they travel.
struct Secrets {
    values: [String; 3],
}

impl Secrets {
    fn new() -> Self {
        Self {
            values: ["forge", "hive", "hook"].map(|of| format!("{of}-{:016x}", getrandom::u64().unwrap())),
        }
    }

    fn forms(&self) -> Vec<String> {
        let basic = |user: &str| STANDARD.encode(format!("{user}:{}", self.values[0]));
        let basics = ["x-access-token", "git", ""].map(basic);
        self.values.iter().cloned().chain(basics).collect()
    }

    fn is_in(&self, bytes: &[u8]) -> bool {
        self.forms().iter().any(|form| bytes.windows(form.len()).any(|it| it == form.as_bytes()))
    }
}

/// The command lines of every process of this machine, until it is told to stop.
fn watch_command_lines(stop: Arc<AtomicBool>) -> std::thread::JoinHandle<BTreeSet<Vec<u8>>> {
    std::thread::spawn(move || {
        let mut seen = BTreeSet::new();
        while !stop.load(Ordering::Relaxed) {
            for process in std::fs::read_dir("/proc").unwrap().flatten() {
                seen.extend(std::fs::read(process.path().join("cmdline")).ok());
            }
            // Less than any program lives, and enough that the node gets on.
            std::thread::park_timeout(Duration::from_millis(1));
        }
        seen
    })
}

fn files_below(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_below(&entry.path(), files),
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
}

async fn apiary(folder: &Path, secrets: &Secrets) -> Apiary {
    let repo: RepoId = "meadow/rocket".parse().unwrap();
    let sh = |command: &str| format!("So:\n\n```sh\n{command}\n```");
    let done = "```done\nFuel the rocket\n\nIt had none.\n```".to_owned();
    let mut script = ModelScript::default();
    script.set("*", ["1. Fuel it.".to_owned(), sh(SPY), done.clone(), done]);
    let options = ApiaryOptions {
        model_script: script,
        ..ApiaryOptions::new(folder.join("apiary"), &secrets.values[0])
    };
    let apiary = Apiary::start(options).unwrap();
    let files = vec![RepositoryFile::text(".bzzz.toml", "checks = [\"test -s fuel; env\"]\n")];
    let new = NewRepository { files, ..NewRepository::default() };
    apiary.forge().create_repository(&repo, new).await.unwrap();
    apiary.forge().add_triager(&repo, "maya").unwrap();
    apiary.forge().open_issue(&repo, "maya", "Fuel is missing", "Put some in.", &[label::TASK]).unwrap();
    apiary.hive().add_project(1, &repo, None).unwrap();
    apiary
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_a_sandbox_an_argument_an_address_a_log_or_a_file() {
    if !can_run() {
        return;
    }
    let (folder, node, secrets) = (tempfile::tempdir().unwrap(), node_name(), Secrets::new());
    let apiary = apiary(folder.path(), &secrets).await;
    let home = folder.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let webhook = format!("escalation.webhook_url={}/webhook/bzzz", apiary.n8n_url());
    let hive = format!("hive.url={}", apiary.hive_url());
    let set = ["forge.repositories=[\"meadow/rocket\"]", &hive, &webhook, "escalation.auth_header=X-Api-Key"];
    let mut arguments = arguments(&apiary, &node, &set);
    // In an argument everybody would see it: that one is for the other tests.
    let given = arguments.iter().position(|it| *it == format!("forge.token={TOKEN}")).unwrap();
    arguments.drain(given - 1..=given);
    let [forge, key, hook] = secrets.values.clone();
    let environment = [
        ("BZZZ__FORGE__TOKEN", forge),
        ("BZZZ__HIVE__KEY", key),
        ("BZZZ__ESCALATION__AUTH_VALUE", hook),
        ("RUST_LOG", "trace".to_owned()),
    ];
    let stop = Arc::new(AtomicBool::new(false));
    let watch = watch_command_lines(stop.clone());
    let mut program = Program::start_with(&home, &arguments, &environment);
    let container = format!("bzzz-{}-meadow.rocket.1-e1-work", node.prefix);
    until_runs(&container, "sleep 0.3").await;
    for name in node.names() {
        let inspected = docker(&["inspect", &name]).unwrap();
        assert!(inspected.contains("\"Env\"") && !secrets.is_in(inspected.as_bytes()), "{inspected}");
    }
    docker(&["exec", &container, "touch", "/tmp/go"]).unwrap();
    program.until_line("pull_request_opened");
    stop.store(true, Ordering::Relaxed);
    let command_lines = watch.join().unwrap();
    program.signal("TERM");
    assert_eq!(program.until_end(), 0, "{}", program.tail());

    let ran_git =
        command_lines.iter().any(|it| it.starts_with(b"git\0") || it.windows(4).any(|w| w == b"/git"));
    assert!(ran_git, "the commands of git were seen");
    for line in &command_lines {
        assert!(!secrets.is_in(line), "{}", String::from_utf8_lossy(line));
    }
    let leaks: Vec<&String> = program.seen.iter().filter(|line| secrets.is_in(line.as_bytes())).collect();
    assert!(program.seen.len() > 100 && leaks.is_empty(), "{leaks:?}");
    let mut files = Vec::new();
    files_below(&home, &mut files);
    assert!(files.iter().any(|file| file.ends_with("journal.db")) || files.len() > 5, "{files:?}");
    for file in files {
        assert!(!secrets.is_in(&std::fs::read(&file).unwrap()), "{}", file.display());
    }
    for stand_in in [StandIn::Forge, StandIn::Hive, StandIn::N8n, StandIn::Ollama] {
        for request in apiary.requests(stand_in) {
            assert!(!secrets.is_in(request.path.as_bytes()), "{}", request.path);
        }
    }
    let prompts = serde_json::to_vec(&apiary.ollama().requests()).unwrap();
    assert!(String::from_utf8_lossy(&prompts).contains("HOME=/home/agent"), "the model has looked around");
    assert!(!secrets.is_in(&prompts), "nothing of it reached the model");
    apiary.stop().await;
}
