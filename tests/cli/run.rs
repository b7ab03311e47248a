//! `bzzz run` and `bzzz apiary` as a service manager or a person runs them.

use std::path::Path;

use bzzz::apiary::forge::{Access, Permission, Token};
use bzzz::apiary::{Apiary, ApiaryOptions, examples};

use crate::containers::{Containers, can_run, of_nodes};
use crate::program::Program;

const OK: i32 = 0;
const UNAVAILABLE: i32 = 69;
const TRY_LATER: i32 = 75;
const CONFIG: i32 = 78;

pub(crate) const TOKEN: &str = "run-token";

/// A node's name that no other test has, and the removal of its containers.
pub(crate) fn node_name() -> Containers {
    Containers { prefix: format!("run-{:x}", getrandom::u64().unwrap()) }
}

/// `bzzz run` for the examples of an apiary.
pub(crate) fn arguments(apiary: &Apiary, node: &Containers, more: &[&str]) -> Vec<String> {
    let repositories: Vec<&str> = examples::all().iter().map(|example| example.repo).collect();
    let mut settings = vec![
        format!("node.name={}", node.prefix),
        "node.data_dir=data".to_owned(),
        format!("forge.api_url={}", apiary.forge_url()),
        format!("forge.git_url={}", apiary.forge_url()),
        format!("forge.token={TOKEN}"),
        format!("forge.repositories={repositories:?}"),
        "forge.poll_interval=5s".to_owned(),
        "forge.slowest_poll_interval=5s".to_owned(),
        "swarm.enabled=false".to_owned(),
        "forge.write_interval=0s".to_owned(),
        format!("model.url={}", apiary.ollama_url()),
        "model.names=[\"scripted:latest\"]".to_owned(),
        "sandbox.command_timeout=30m".to_owned(),
    ];
    settings.extend(more.iter().map(|it| (*it).to_owned()));
    let mut arguments = vec!["run".to_owned()];
    for setting in settings {
        arguments.extend(["--set".to_owned(), setting]);
    }
    arguments
}

async fn apiary(folder: &Path) -> Apiary {
    let apiary = Apiary::start(ApiaryOptions {
        model_script: examples::script(),
        ..ApiaryOptions::new(folder.join("apiary"), TOKEN)
    })
    .unwrap();
    for example in examples::all() {
        example.plant(apiary.forge()).await.unwrap();
    }
    apiary
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_stops_a_node_in_order_and_it_goes_on_where_it_stood() {
    if !can_run() {
        return;
    }
    let (folder, node) = (tempfile::tempdir().unwrap(), node_name());
    let apiary = apiary(folder.path()).await;
    let arguments = arguments(&apiary, &node, &["node.drain_grace=0s", "log.format=json"]);
    let mut first = Program::start(folder.path(), &arguments);
    first.until_line("command_finished");
    first.signal("TERM");
    assert_eq!(first.until_end(), OK, "{}", first.text());
    assert_eq!(node.names(), [""; 0], "no container is left");
    let lines = first.seen.iter().filter(|line| line.starts_with('{'));
    let spans: Vec<serde_json::Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(spans.iter().any(|line| line["span"]["id"] == "meadow/tally#1"), "a span for each task");

    let mut second = Program::start(folder.path(), &arguments);
    for _ in examples::all() {
        second.until_line("pull_request_opened");
    }
    second.signal("INT");
    assert_eq!(second.until_end(), OK, "{}", second.text());
    for example in examples::all() {
        let pulls = apiary.forge().pull_requests(&example.repo_id().unwrap()).await.unwrap();
        assert_eq!(pulls.len(), 1, "{}", example.repo);
    }
    apiary.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_node_on_the_same_folder_is_refused() {
    if !can_run() {
        return;
    }
    let (folder, node) = (tempfile::tempdir().unwrap(), node_name());
    let apiary = apiary(folder.path()).await;
    let arguments =
        arguments(&apiary, &node, &["forge.repositories=[\"meadow/nothing\"]", "node.drain_grace=0s"]);
    let mut first = Program::start(folder.path(), &arguments);
    first.until_line("watches its repositories");
    let mut second = Program::start(folder.path(), &arguments);
    assert_eq!(second.until_end(), TRY_LATER, "{}", second.text());
    assert!(second.text().contains(&first.id().to_string()), "it names the process: {}", second.text());
    first.signal("TERM");
    assert_eq!(first.until_end(), OK);
    apiary.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_wrong_or_may_not_write_is_said_at_the_start() {
    if !can_run() {
        return;
    }
    let (folder, node) = (tempfile::tempdir().unwrap(), node_name());
    let apiary = apiary(folder.path()).await;
    let mut wrong = Program::start(folder.path(), &arguments(&apiary, &node, &["forge.token=wrong"]));
    assert_eq!(wrong.until_end(), CONFIG, "{}", wrong.text());
    assert!(wrong.text().contains("refused the token (401)"), "{}", wrong.text());

    apiary.forge().add_token(Token::read_only("reader", "reader")).unwrap();
    let few = Token::full("no-contents", "carl").with(Permission::Contents, Access::Read);
    apiary.forge().add_token(few).unwrap();
    for token in ["reader", "no-contents"] {
        let set = [&format!("forge.token={token}"), "node.drain_grace=0s"];
        let mut reading = Program::start(folder.path(), &arguments(&apiary, &node, &set));
        reading.until_line("contents: write");
        reading.signal("TERM");
        assert_eq!(reading.until_end(), OK, "{}", reading.text());
    }
    assert!(apiary.forge().refs(&"meadow/tally".parse().unwrap(), "refs/bzzz/").await.unwrap().is_empty());
    apiary.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_docker_it_says_how_to_get_it() {
    let (folder, node) = (tempfile::tempdir().unwrap(), node_name());
    let apiary = apiary(folder.path()).await;
    let set = ["sandbox.backend=docker", "sandbox.docker_host=unix:///nowhere/docker.sock"];
    let mut node = Program::start(folder.path(), &arguments(&apiary, &node, &set));
    assert_eq!(node.until_end(), UNAVAILABLE, "{}", node.text());
    assert!(node.text().contains("apt-get install docker.io"), "{}", node.text());
    apiary.stop().await;
}

#[test]
fn a_node_works_with_the_apiary_by_the_configuration_that_it_prints() {
    if !can_run() {
        return;
    }
    let (folder, node) = (tempfile::tempdir().unwrap(), node_name());
    let ports = ["--forge-port=0", "--hive-port=0", "--n8n-port=0", "--ollama-port=0"];
    let mut arguments = vec!["apiary".to_owned(), "--examples".to_owned()];
    arguments.extend(ports.map(str::to_owned));
    let mut apiary = Program::start(folder.path(), &arguments);
    apiary.until_line("scripted:latest");
    let printed = apiary.text();
    let configuration = &printed[printed.find("[forge]").unwrap()..];
    let file = format!(
        "{configuration}\n[node]\nname = \"{}\"\ndata_dir = \"data\"\n\n[swarm]\nenabled = false\n",
        node.prefix
    );
    std::fs::write(folder.path().join("bzzz.toml"), file).unwrap();

    let mut run = Program::start(folder.path(), &["run".to_owned()]);
    for _ in examples::all() {
        run.until_line("pull_request_opened");
    }
    let beside = |arguments: &[&str]| {
        let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
        let mut program = Program::start(folder.path(), &arguments);
        assert_eq!(program.until_end(), OK, "{}", program.text());
        program.text()
    };
    let list = beside(&["tasks", "list"]);
    assert_eq!(list.matches("/pull/2").count(), 3, "{list}");
    assert!(beside(&["tasks", "diff", "meadow/tally#1"]).contains("+++ b/tally/split.py"));
    let verified = beside(&["audit", "verify"]);
    assert!(verified.contains("are what was recorded"), "{verified}");
    let entry = verified.split_once(" entries").unwrap().0.rsplit(' ').next().unwrap();
    let after = |what: &str| verified.split_once(what).unwrap().1.split([' ', '\n', ',']).next().unwrap();
    let kept = format!("{entry}:{}", after("; head "));
    let holds = beside(&["audit", "verify", "--holds", &kept]);
    assert!(holds.contains(&format!("; entry {entry} has the hash ")), "{holds}");
    let holds = beside(&["audit", "verify", "--holds", after(" at ")]);
    assert!(holds.contains("; the trail leads to 0/"), "{holds}");

    run.signal("TERM");
    assert_eq!(run.until_end(), OK, "{}", run.text());
    apiary.signal("INT");
    assert_eq!(apiary.until_end(), OK, "{}", apiary.text());
    assert_eq!(of_nodes(&node.prefix), [""; 0]);
}
