//! `bzzz run` is killed while a command of the model runs, and started again on its folder.

use std::path::Path;
use std::time::Duration;

use bzzz::apiary::forge::{NewRepository, RepositoryFile};
use bzzz::apiary::ollama::ModelScript;
use bzzz::apiary::{Apiary, ApiaryOptions};
use bzzz::journal::JournalReader;
use bzzz_actors::task::{RepoId, label};

use crate::bubblewrap;
use crate::containers::{Containers, can_run, docker, until_runs};
use crate::program::Program;
use crate::run::{TOKEN, arguments, node_name};

/// Counts how often it was begun, and ends when it is let go.
const HELD: &str =
    "echo begun >> count; while [ ! -e /tmp/go ]; do sleep 0.3; done; echo full > fuel; echo let go";

pub(crate) const DONE: &str = "```done\nFuel the rocket\n\nIt had none.\n```";

pub(crate) fn sh(command: &str) -> String {
    format!("So:\n\n```sh\n{command}\n```")
}

async fn apiary(folder: &Path) -> Apiary {
    let commands = [sh("echo kept > note"), sh(HELD), sh("cat count note fuel")];
    let replies = ["1. Fuel it.".to_owned()].into_iter().chain(commands);
    rocket(folder, replies.chain([DONE, DONE].map(str::to_owned))).await
}

/// The issue `meadow/rocket#1`, whose checks ask for two files, and what the model says of it.
pub(crate) async fn rocket(folder: &Path, replies: impl IntoIterator<Item = String>) -> Apiary {
    let repo: RepoId = "meadow/rocket".parse().unwrap();
    let mut script = ModelScript::default();
    script.set("*", replies);
    let options = ApiaryOptions { model_script: script, ..ApiaryOptions::new(folder.join("apiary"), TOKEN) };
    let apiary = Apiary::start(options).unwrap();
    let files = vec![
        RepositoryFile::text("README.md", "# Rocket\n"),
        RepositoryFile::text(".bzzz.toml", "checks = [\"test -s fuel -a -s note\"]\n"),
    ];
    let new = NewRepository { files, ..NewRepository::default() };
    apiary.forge().create_repository(&repo, new).await.unwrap();
    apiary.forge().add_triager(&repo, "maya").unwrap();
    apiary.forge().open_issue(&repo, "maya", "Fuel is missing", "Put some in.", &[label::TASK]).unwrap();
    apiary
}

fn id_of(container: &str) -> Option<String> {
    docker(&["inspect", "--format", "{{.Id}}", container])
}

/// Starts a node, waits until the command runs, and kills the node; the container's name.
async fn killed(folder: &Path, arguments: &[String], node: &Containers) -> String {
    let container = format!("bzzz-{}-meadow.rocket.1-e1-work", node.prefix);
    let mut first = Program::start(folder, arguments);
    first.until_line("checkpointed");
    until_runs(&container, "sleep 0.3").await;
    first.signal("KILL");
    first.until_death();
    container
}

/// Starts the node again, waits for the pull request, and stops it. What it printed.
async fn revived(
    folder: &Path,
    apiary: &Apiary,
    arguments: &[String],
    ready: impl AsyncFnOnce(&mut Program),
) -> String {
    let mut second = Program::start(folder, arguments);
    ready(&mut second).await;
    second.until_line("pull_request_opened");
    second.signal("TERM");
    assert_eq!(second.until_end(), 0, "{}", second.text());
    let pulls = apiary.forge().pull_requests(&"meadow/rocket".parse().unwrap()).await.unwrap();
    assert_eq!(pulls.len(), 1);
    JournalReader::open(&folder.join("data")).unwrap().verify().unwrap_or_else(|error| panic!("{error}"));
    second.text()
}

fn prompts(apiary: &Apiary) -> String {
    apiary.ollama().requests().last().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_goes_on_with_its_container_and_the_command_in_it() {
    if !can_run() {
        return;
    }
    let (folder, node) = (tempfile::tempdir().unwrap(), node_name());
    let apiary = apiary(folder.path()).await;
    let arguments =
        arguments(&apiary, &node, &["forge.repositories=[\"meadow/rocket\"]", "node.drain_grace=0s"]);
    let container = killed(folder.path(), &arguments, &node).await;
    let id = id_of(&container).expect("the container outlives the node");
    let printed = revived(folder.path(), &apiary, &arguments, async |second: &mut Program| {
        second.until_line("took over the sandbox");
        assert_eq!(id_of(&container).as_ref(), Some(&id));
        docker(&["exec", &container, "touch", "/tmp/go"]).unwrap();
        second.until_line("recalled a command");
    })
    .await;
    assert!(!printed.contains("sandbox_lost"), "{printed}");
    let prompts = prompts(&apiary);
    assert!(prompts.contains("let go") && prompts.contains("begun\\nkept\\nfull"), "{prompts}");
    assert_eq!(node.names(), [""; 0]);
    apiary.stop().await;
}

/// As after a power cut: node and container are gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_whose_container_is_gone_goes_on_from_what_was_saved() {
    if !can_run() {
        return;
    }
    let (folder, node) = (tempfile::tempdir().unwrap(), node_name());
    let apiary = apiary(folder.path()).await;
    let arguments =
        arguments(&apiary, &node, &["forge.repositories=[\"meadow/rocket\"]", "node.drain_grace=0s"]);
    let container = killed(folder.path(), &arguments, &node).await;
    docker(&["rm", "--force", &container]).unwrap();
    let gone = async {
        while id_of(&container).is_some() {
            tokio::time::sleep(Duration::from_millis(50)).await
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap();
    goes_on_from_what_was_saved(folder.path(), &apiary, &arguments);
    apiary.stop().await;
}

/// Starts the node again, which finds no sandbox.
fn goes_on_from_what_was_saved(folder: &Path, apiary: &Apiary, arguments: &[String]) {
    let mut second = Program::start(folder, arguments);
    second.until_line("sandbox_lost");
    // The command that was under way is not run again: the check finds no fuel, and the model has no more to say.
    second.until_line("checks_finished");
    second.until_line("replied");
    let prompts = prompts(apiary);
    assert!(prompts.contains("as they were saved after command 1"), "{prompts}");
    assert!(prompts.contains("cat: count: No such file") && prompts.contains("kept\\n"), "{prompts}");
    second.signal("TERM");
    assert_eq!(second.until_end(), 0, "{}", second.text());
}

/// The sandbox ends with the node.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_leaves_nothing_of_bubblewrap_and_goes_on_from_what_was_saved() {
    if !bubblewrap::can_run() {
        return;
    }
    let (folder, node) = (tempfile::tempdir().unwrap(), node_name());
    let apiary = apiary(folder.path()).await;
    let set = ["forge.repositories=[\"meadow/rocket\"]", "node.drain_grace=0s", "sandbox.backend=bubblewrap"];
    let arguments = arguments(&apiary, &node, &set);
    let mut first = Program::start(folder.path(), &arguments);
    first.until_line("checkpointed");
    let processes = bubblewrap::until_runs(first.id(), "sleep 0.3").await;
    first.signal("KILL");
    first.until_death();
    bubblewrap::until_gone(&processes).await;
    goes_on_from_what_was_saved(folder.path(), &apiary, &arguments);
    apiary.stop().await;
}
