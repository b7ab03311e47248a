//! The examples are what they say: a check fails, and the script's commands make it pass.

use std::path::Path;
use std::process::Output;

use bzzz::apiary::examples::{self, Example};
use bzzz::apiary::ollama::MODEL;
use serde_json::{Value, json};

use crate::meadow::{Meadow, client, ok};

/// Runs a command as a sandbox does: a fresh bash in the repository's folder with little in its environment. The
/// tools' own homes are this machine's.
async fn bash(folder: &Path, command: &str) -> Output {
    let home = std::env::var("HOME").unwrap_or_default();
    let own =
        |variable: &str, folder: &str| std::env::var(variable).unwrap_or_else(|_| format!("{home}/{folder}"));
    tokio::process::Command::new("bash")
        .args(["-c", command])
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", folder.parent().unwrap())
        .env("RUSTUP_HOME", own("RUSTUP_HOME", ".rustup"))
        .env("CARGO_HOME", own("CARGO_HOME", ".cargo"))
        .env("PYENV_ROOT", own("PYENV_ROOT", ".pyenv"))
        .env("CARGO_NET_OFFLINE", "true")
        .kill_on_drop(true)
        .output()
        .await
        .unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn checks(example: &Example) -> Vec<String> {
    let file = example.files.iter().find(|f| f.path == ".bzzz.toml").unwrap();
    let table: toml::Table = toml::from_str(file.text).unwrap();
    table["checks"].as_array().unwrap().iter().map(|c| c.as_str().unwrap().to_owned()).collect()
}

/// The command of a reply, or `None` when it is another kind of block.
fn command(reply: &str) -> Option<&str> {
    reply.split_once("```sh\n")?.1.split_once("\n```").map(|(command, _)| command)
}

/// Says whether the example's tools are here.
async fn can_run(example: &Example) -> bool {
    let (program, args) = example.probe.split_first().unwrap();
    let tried = tokio::process::Command::new(program).args(args).output().await;
    let can = tried.is_ok_and(|output| output.status.success());
    if !can {
        eprintln!("{} is not tried: {:?} does not run here", example.repo, example.probe);
    }
    can
}

/// Plants an example, plays the whole script over Ollama's interface in a clone, and checks before and after.
async fn play(example: &Example) {
    if !can_run(example).await {
        return;
    }
    let meadow = Meadow::with(|options| options.model_script = examples::script()).await;
    let task = example.plant(meadow.apiary.forge()).await.unwrap();
    assert_eq!(example.plant(meadow.apiary.forge()).await.unwrap(), task, "planting twice is no harm");
    let url = meadow.apiary.forge().clone_url(&task.repo);
    let clone = meadow.path("work");
    ok(&meadow.path(""), &["clone", "-q", &url, "work"]).await;
    let passes = async || {
        for check in checks(example) {
            let done = bash(&clone, &check).await;
            if !done.status.success() {
                return Err(text(&done));
            }
        }
        Ok(())
    };
    assert!(passes().await.is_err(), "{}: the checks pass before the work", example.repo);

    let system = format!("You work on a repository.\nTask: {task}");
    let mut messages = vec![json!({ "role": "system", "content": system })];
    let mut commands = 0;
    for expected in example.replies {
        let body =
            json!({ "model": MODEL, "messages": messages, "stream": false, "options": { "num_ctx": 32768 } });
        let chat = client().post(format!("{}/api/chat", meadow.apiary.ollama_url())).json(&body);
        let answer: Value = chat.send().await.unwrap().json().await.unwrap();
        let reply = answer["message"]["content"].as_str().unwrap();
        assert_eq!(reply, *expected);
        messages.push(json!({ "role": "assistant", "content": reply }));
        let observation = match command(reply) {
            Some(command) => {
                commands += 1;
                let done = bash(&clone, command).await;
                assert!(done.status.success() || commands == 2, "{command}\n{}", text(&done));
                text(&done)
            }
            None => "go on".to_owned(),
        };
        messages.push(json!({ "role": "user", "content": observation }));
    }
    assert!(commands >= 5);
    passes().await.unwrap();
    let status = ok(&clone, &["status", "--porcelain"]).await;
    assert!(
        !status.is_empty() && status.lines().all(|line| line.starts_with(" M") || line.starts_with("M ")),
        "{status}"
    );
}

#[tokio::test]
async fn the_python_example_is_solved_by_its_script() {
    play(&examples::all()[0]).await;
}

#[tokio::test]
async fn the_rust_example_is_solved_by_its_script() {
    play(&examples::all()[1]).await;
}

#[tokio::test]
async fn the_shell_example_is_solved_by_its_script() {
    play(&examples::all()[2]).await;
}
