//! `bzzz tasks show` and `bzzz tasks export` of a task that a node worked on.

use std::path::Path;

use serde_json::{Value, json};

use crate::containers::can_run;
use crate::killed::{DONE, rocket, sh};
use crate::program::Program;
use crate::run::{arguments, node_name};

const TASK: &str = "meadow/rocket#1";
/// More than is shown of it, with what would turn a terminal red.
const LONG: &str = "seq 1 4000; printf '\\033[31mred\\n'; echo full > fuel";
const UNUSABLE: &str = "I would fuel it.";

struct Ran {
    status: i32,
    text: String,
}

/// Runs `bzzz` on the configuration in the folder.
fn bzzz(folder: &Path, line: &[&str]) -> Ran {
    let arguments: Vec<String> = line.iter().map(|it| (*it).to_owned()).collect();
    let mut program = Program::start(folder, &arguments);
    let status = program.until_end();
    Ran { status, text: program.text() }
}

fn told(folder: &Path, line: &[&str]) -> String {
    let ran = bzzz(folder, line);
    assert_eq!(ran.status, 0, "{line:?}: {}", ran.text);
    ran.text
}

fn refused(folder: &Path, line: &[&str], why: &str) {
    let ran = bzzz(folder, line);
    assert_eq!(ran.status, 1, "{line:?}: {}", ran.text);
    assert!(ran.text.contains(why), "{line:?}: {}", ran.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_shown_step_by_step_and_exported_as_a_trajectory() {
    if !can_run() {
        return;
    }
    let (folder, node) = (tempfile::tempdir().unwrap(), node_name());
    let folder = folder.path();
    std::fs::write(folder.join("bzzz.toml"), "[node]\ndata_dir = \"data\"\n").unwrap();
    let replies = ["1. Fuel it.".to_owned(), UNUSABLE.to_owned(), sh("cat fuel"), sh(LONG)];
    let replies = replies.into_iter().chain([DONE.to_owned(), sh("echo kept > note"), DONE.to_owned()]);
    let apiary = rocket(folder, replies.chain([DONE.to_owned()])).await;
    let set = ["forge.repositories=[\"meadow/rocket\"]", "node.drain_grace=0s"];
    let mut run = Program::start(folder, &arguments(&apiary, &node, &set));
    run.until_line("pull_request_opened");

    let beside = told(folder, &["tasks", "show", TASK]);
    run.signal("TERM");
    assert_eq!(run.until_end(), 0, "{}", run.text());
    let after = told(folder, &["tasks", "show", TASK]);
    assert!(after.starts_with(&beside), "the node may run or not: {after}");
    shows_every_step(&beside);
    let full = told(folder, &["tasks", "show", TASK, "--full"]);
    assert!(full.contains("\n          2000\n") && full.contains("\n          red\n"), "{full}");
    assert!(!full.contains("left out") && !full.contains('\x1b'), "{full}");

    let printed = told(folder, &["tasks", "export", TASK, "--format", "json"]);
    let exported: Value = serde_json::from_str(&printed).unwrap();
    let last_prompt = apiary.ollama().requests().pop().unwrap()["messages"].take();
    is_a_trajectory(&exported, &last_prompt);

    let to_file = ["tasks", "export", TASK, "--output", "rocket.traj.json"];
    assert_eq!(told(folder, &to_file), "");
    let written = std::fs::read_to_string(folder.join("rocket.traj.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), exported);
    refused(folder, &to_file, "rocket.traj.json is there already: --force replaces it");
    told(folder, &[to_file.as_slice(), &["--force"]].concat());
    for command in ["show", "export"] {
        refused(
            folder,
            &["tasks", command, "meadow/rocket#2"],
            "this node's journal has no task meadow/rocket#2",
        );
    }
    apiary.stop().await;
}

fn shows_every_step(text: &str) {
    let parts = [
        "meadow/rocket#1: Fuel is missing\n",
        "state     in review: http://",
        " by maya, labelled by maya\n",
        "claim     epoch 1\n",
        "model     scripted:latest: ",
        "claimed: epoch 1",
        "check: test -s fuel -a -s note\n",
        "plan (scripted:latest: ",
        "          1. Fuel it.\n",
        "a reply that could not be used",
        "          I would fuel it.\n",
        "step 1 (",
        "          So:\n          $ cat fuel\n",
        "step 1: exit status 1, ",
        "cat: fuel: No such file or directory\n",
        "step 2 (",
        "step 2: exit status 0, ",
        "lines are left out here: --full shows them",
        "          red\n",
        "it says that it is done (",
        "          Fuel the rocket\n\n          It had none.\n",
        "check FAILED: exit status 1",
        "step 3: exit status 0, ",
        "check passed: exit status 0",
        "published: bzzz/issue-1 is ",
        "pull request http://",
    ];
    let mut rest = text;
    for part in parts {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part:?}, in this order: {text}"));
        rest = &rest[at + part.len()..];
    }
    assert!(!text.contains('\x1b'), "{text}");
}

/// All that mini-swe-agent's inspector reads of one, and that its documentation names; and the messages are those of
/// the last prompt, with its answer.
fn is_a_trajectory(exported: &Value, last_prompt: &Value) {
    assert_eq!(exported["trajectory_format"], "mini-swe-agent-1.1");
    assert_eq!(exported["instance_id"], "meadow__rocket-1");
    let info = &exported["info"];
    assert_eq!(info["exit_status"], "Submitted");
    let diff = info["submission"].as_str().unwrap();
    assert!(diff.starts_with("diff --git a/fuel b/fuel\n") && diff.contains("\n+full\n"), "{diff}");
    assert_eq!(info["model_stats"], json!({ "instance_cost": 0.0, "api_calls": 8 }));
    assert_eq!(info["config"]["model"]["model_name"], "scripted:latest");
    for name in ["agent_type", "model_type", "environment_type"] {
        assert!(info["config"][name].is_string(), "{name}");
    }
    assert!(info["mini_version"].is_string());

    let messages = exported["messages"].as_array().unwrap();
    let mut last = 0.0;
    for message in messages {
        let (role, extra) = (message["role"].as_str().unwrap(), message["extra"].as_object().unwrap());
        assert!(["system", "user", "assistant", "exit"].contains(&role) && message["content"].is_string());
        let timestamp = extra["timestamp"].as_f64().unwrap();
        assert!(timestamp >= last, "{message}");
        last = timestamp;
        // By these the inspector tells where a step begins.
        let actions = extra.get("actions").map(|actions| actions.as_array().unwrap());
        assert_eq!(actions.is_some(), role == "assistant", "{message}");
        assert!(actions.into_iter().flatten().all(|action| action["command"].is_string()), "{message}");
        if role == "assistant" {
            let usage = &extra["response"]["usage"];
            assert!(
                ["prompt_tokens", "completion_tokens", "total_tokens"].iter().all(|it| usage[it].is_u64())
            );
            assert!(extra["cost"].is_number());
        }
        if let Some(output) = extra.get("raw_output") {
            assert!(
                output.is_string() && extra["returncode"].is_i64() && extra["exception_info"].is_string()
            );
        }
    }
    let said = |message: &Value| json!({ "role": message["role"], "content": message["content"] });
    let (exit, conversation) = messages.split_last().unwrap();
    assert_eq!(said(exit), json!({ "role": "exit", "content": diff }));
    assert_eq!(
        (&exit["extra"]["exit_status"], &exit["extra"]["submission"]),
        (&json!("Submitted"), &json!(diff))
    );
    let (answer, prompt) = conversation.split_last().unwrap();
    assert_eq!(said(answer), json!({ "role": "assistant", "content": DONE }));
    assert_eq!(prompt.iter().map(said).collect::<Vec<_>>(), *last_prompt.as_array().unwrap());

    let outputs: Vec<_> = messages.iter().filter_map(|it| it["extra"]["raw_output"].as_str()).collect();
    assert_eq!(outputs.len(), 3, "{outputs:?}");
    assert!(outputs[1].contains("\n2000\n") && outputs[1].ends_with("\x1b[31mred\n"), "whole, and as it was");
}
