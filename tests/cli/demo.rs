//! `bzzz demo` as a person runs it.

use std::fs;
use std::path::Path;

use crate::bubblewrap;
use crate::containers::{Containers, can_run};
use crate::program::Program;

fn demo(folder: &Path, nodes: &str) -> (Program, Containers) {
    let demo = Program::start(folder, &["demo", "--nodes", nodes].map(str::to_owned));
    let containers = Containers { prefix: format!("demo-{}", demo.id()) };
    (demo, containers)
}

/// The folder was the demo's home and its place for temporary files.
fn assert_nothing_is_left(folder: &Path, containers: &Containers) {
    assert_eq!(containers.names(), [""; 0]);
    let left: Vec<_> = fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The report's line of each pull request.
fn proposed(text: &str) -> Vec<&str> {
    let report = &text[text.find("pull request").expect("a table")..];
    report.lines().filter(|line| line.contains("/pull/")).collect()
}

#[test]
fn three_issues_become_three_pull_requests_and_nothing_is_left() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut demo, containers) = demo(folder.path(), "1");
    let status = demo.until_end();
    let text = demo.text();
    assert_eq!(status, 0, "{text}");
    for part in ["sandbox: Docker", "scripted:latest", "1 of 1 passed", "diff --git", "entries, verified"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(proposed(&text).len(), 3, "{text}");
    assert_nothing_is_left(folder.path(), &containers);
}

#[test]
fn four_nodes_find_each_other_and_share_six_issues() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut demo, containers) = demo(folder.path(), "4");
    let status = demo.until_end();
    let text = demo.text();
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("4 nodes, each of which had found all others"), "{text}");
    let proposed = proposed(&text);
    assert_eq!(proposed.len(), 6, "{text}");
    for node in ["1", "2", "3", "4"] {
        let is_its = |line: &&&str| line.split_whitespace().nth(1) == Some(node);
        assert!(proposed.iter().any(|line| is_its(&line)), "node {node} did nothing: {text}");
    }
    assert_nothing_is_left(folder.path(), &containers);
}

#[test]
fn an_interrupted_demo_leaves_nothing() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut demo, containers) = demo(folder.path(), "2");
    demo.until_line(" step ");
    demo.signal("INT");
    assert_eq!(demo.until_end(), 1, "{}", demo.text());
    assert!(demo.text().contains("interrupted"));
    assert_nothing_is_left(folder.path(), &containers);
}

#[test]
fn a_demo_whose_node_dies_says_so_and_leaves_nothing() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut demo, containers) = demo(folder.path(), "2");
    demo.until_line(" step ");
    let of_demo = std::process::Command::new("pgrep")
        .args(["--parent", &demo.id().to_string(), "--full", "run --end-with-parent"])
        .output()
        .unwrap();
    let pids = String::from_utf8(of_demo.stdout).unwrap();
    let pid = pids.split_whitespace().next().expect("a node runs");
    assert!(std::process::Command::new("kill").args(["-s", "KILL", pid]).status().unwrap().success());
    assert_eq!(demo.until_end(), 1, "{}", demo.text());
    let text = demo.text();
    assert!(text.contains("ended (signal: 9 (SIGKILL)); the end of its log:"), "{text}");
    let log = text.split("the end of its log:").nth(1).unwrap();
    assert!(log.contains(" INFO "), "the last that the node said: {text}");
    assert_nothing_is_left(folder.path(), &containers);
}

const NO_DOCKER: &str = "sandbox.docker_host=unix:///nowhere/docker.sock";

#[test]
fn without_docker_three_issues_become_three_pull_requests_too() {
    if !bubblewrap::can_run_the_examples() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut demo =
        Program::start(folder.path(), &["demo", "--nodes", "1", "--set", NO_DOCKER].map(str::to_owned));
    let status = demo.until_end();
    let text = demo.text();
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("sandbox: bubblewrap ") && text.contains("entries, verified"), "{text}");
    assert_eq!(proposed(&text).len(), 3, "{text}");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn with_nothing_to_make_sandboxes_it_says_how_to_get_it_and_leaves_nothing() {
    let (folder, programs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = std::env::var_os("PATH").unwrap();
    for needed in ["git", "sh"] {
        let program = std::env::split_paths(&path).map(|folder| folder.join(needed)).find(|it| it.exists());
        std::os::unix::fs::symlink(program.unwrap(), programs.path().join(needed)).unwrap();
    }
    let arguments = ["demo".to_owned(), "--set".to_owned(), NO_DOCKER.to_owned()];
    let path = [("PATH", programs.path().display().to_string())];
    let mut demo = Program::start_with(folder.path(), &arguments, &path);
    let containers = Containers { prefix: format!("demo-{}", demo.id()) };
    assert_eq!(demo.until_end(), 69, "{}", demo.text());
    for remedy in ["apt-get install docker.io", "apt-get install bubblewrap"] {
        assert!(demo.text().contains(remedy), "{}", demo.text());
    }
    assert_nothing_is_left(folder.path(), &containers);
}
