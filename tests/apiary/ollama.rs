//! Ollama's interface and the scripted model.

use bzzz::apiary::StandIn;
use bzzz::apiary::faults::{Fault, Rule, When};
use bzzz::apiary::ollama::{MODEL, ModelScript};
use serde_json::{Value, json};

use crate::meadow::{Meadow, client};

async fn meadow() -> Meadow {
    let mut script = ModelScript::default();
    script.set("meadow/ledger#1", ["1. Look.\n2. Fix it.", "Let me look.\n\n```sh\nls -la\n```\n"]);
    script.set("* review", ["The plan is fine."]);
    Meadow::with(|options| options.model_script = script).await
}

fn chat(meadow: &Meadow, change: Value, replies_so_far: usize) -> reqwest::RequestBuilder {
    let mut messages = vec![
        json!({ "role": "system", "content": "You work on a task.\nTask: meadow/ledger#1" }),
        json!({ "role": "user", "content": "Go on." }),
    ];
    for n in 0..replies_so_far {
        messages.push(json!({ "role": "assistant", "content": format!("reply {n}") }));
        messages.push(json!({ "role": "user", "content": "Output: …" }));
    }
    let mut body = json!({ "model": MODEL, "messages": messages });
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    client().post(format!("{}/api/chat", meadow.apiary.ollama_url())).json(&body)
}

async fn lines(request: reqwest::RequestBuilder) -> Vec<Value> {
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
    let text = answer.text().await.unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn content(lines: &[Value]) -> String {
    lines.iter().map(|l| l["message"]["content"].as_str().unwrap_or_default()).collect()
}

#[tokio::test]
async fn a_reply_streams_in_pieces_and_ends_in_done() {
    let meadow = meadow().await;
    let lines = lines(chat(&meadow, json!({}), 1)).await;
    assert_eq!(content(&lines), "Let me look.\n\n```sh\nls -la\n```\n");
    assert!(lines.len() > 2);
    let (last, others) = lines.split_last().unwrap();
    assert!(others.iter().all(|l| l["done"] == false && l["model"] == MODEL));
    assert_eq!((&last["done"], &last["done_reason"]), (&json!(true), &json!("stop")));
    for count in ["total_duration", "load_duration", "prompt_eval_count", "eval_count", "eval_duration"] {
        assert!(last[count].is_u64(), "{count}: {last}");
    }
}

#[tokio::test]
async fn which_reply_comes_follows_from_the_request_alone() {
    let meadow = meadow().await;
    let whole = async |replies| -> String {
        let answer = chat(&meadow, json!({ "stream": false }), replies).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["done"], true);
        answer["message"]["content"].as_str().unwrap().to_owned()
    };
    assert_eq!(whole(0).await, "1. Look.\n2. Fix it.");
    assert_eq!(whole(0).await, whole(0).await);
    assert!(whole(1).await.contains("ls -la"));
    assert!(whole(2).await.contains("its script has no more replies"));
    assert_eq!(meadow.apiary.ollama().requests().len(), 5);
    let review = json!({ "stream": false, "messages": [
        { "role": "system", "content": "Role: review\nTask: meadow/ledger#1" },
    ] });
    let review: Value = chat(&meadow, review, 0).send().await.unwrap().json().await.unwrap();
    assert_eq!(review["message"]["content"], "The plan is fine.");
}

#[tokio::test]
async fn the_window_is_kept_as_ollama_keeps_it() {
    let meadow = meadow().await;
    let options = json!({ "num_ctx": 20 });
    let refused = chat(&meadow, json!({ "options": options, "truncate": false }), 1).send().await.unwrap();
    assert_eq!(refused.status(), 400);
    let error: Value = refused.json().await.unwrap();
    assert!(error["error"].as_str().unwrap().contains("exceed_context_size_error"), "{error}");
    let cut = chat(&meadow, json!({ "options": options, "stream": false }), 1).send().await.unwrap();
    let cut: Value = cut.json().await.unwrap();
    let all = chat(&meadow, json!({ "stream": false }), 1).send().await.unwrap();
    let all: Value = all.json().await.unwrap();
    let seen = |answer: &Value| answer["prompt_eval_count"].as_u64().unwrap();
    assert!(seen(&cut) <= 20 && seen(&all) > 20);
    let short = json!({ "options": { "num_predict": 2 } });
    let short = lines(chat(&meadow, short, 0)).await;
    assert_eq!(
        (content(&short).as_str(), &short.last().unwrap()["done_reason"]),
        ("1. Look.", &json!("length"))
    );
}

#[tokio::test]
async fn models_are_listed_shown_and_loaded() {
    let meadow = meadow().await;
    let root = meadow.apiary.ollama_url();
    let get = async |path: &str| client().get(format!("{root}{path}")).send().await.unwrap();
    assert_eq!(get("/").await.text().await.unwrap(), "Ollama is running");
    assert!(get("/api/version").await.json::<Value>().await.unwrap()["version"].is_string());
    assert_eq!(get("/api/tags").await.json::<Value>().await.unwrap()["models"][0]["name"], MODEL);
    assert_eq!(get("/api/ps").await.json::<Value>().await.unwrap(), json!({ "models": [] }));
    let load = json!({ "messages": [], "options": { "num_ctx": 8192 }, "keep_alive": "10m" });
    let loaded: Value = chat(&meadow, load, 0).send().await.unwrap().json().await.unwrap();
    assert_eq!((&loaded["done"], &loaded["done_reason"]), (&json!(true), &json!("load")));
    let ps: Value = get("/api/ps").await.json().await.unwrap();
    assert_eq!((&ps["models"][0]["name"], &ps["models"][0]["context_length"]), (&json!(MODEL), &json!(8192)));
    let unload = json!({ "messages": [], "keep_alive": 0 });
    chat(&meadow, unload, 0).send().await.unwrap();
    assert_eq!(get("/api/ps").await.json::<Value>().await.unwrap(), json!({ "models": [] }));
    let show = client().post(format!("{root}/api/show")).json(&json!({ "model": "scripted" }));
    let show: Value = show.send().await.unwrap().json().await.unwrap();
    assert!(show["model_info"]["scripted.context_length"].is_u64());
    let unknown = chat(&meadow, json!({ "model": "llama9" }), 0).send().await.unwrap();
    assert_eq!(unknown.status(), 404);
    assert_eq!(unknown.json::<Value>().await.unwrap(), json!({ "error": "model 'llama9' not found" }));
}

#[tokio::test]
async fn generate_answers_the_first_reply() {
    let meadow = meadow().await;
    let url = format!("{}/api/generate", meadow.apiary.ollama_url());
    let body = json!({ "model": MODEL, "prompt": "Task: meadow/ledger#1\nGo.", "stream": false });
    let answer: Value = client().post(url).json(&body).send().await.unwrap().json().await.unwrap();
    assert_eq!((&answer["response"], &answer["done"]), (&json!("1. Look.\n2. Fix it."), &json!(true)));
}

#[tokio::test]
async fn streams_break_in_ollamas_ways() {
    let meadow = meadow().await;
    let fail = |fault| meadow.apiary.faults(StandIn::Ollama).add(Rule::any(fault).times(1)).unwrap();
    fail(Fault::StreamWithoutDone);
    let cut = lines(chat(&meadow, json!({}), 0)).await;
    assert!(!cut.is_empty() && cut.iter().all(|l| l["done"] == false));
    fail(Fault::StreamError { message: "an error was encountered while running the model".into() });
    let broken = lines(chat(&meadow, json!({}), 0)).await;
    assert!(broken.last().unwrap()["error"].as_str().unwrap().contains("running the model"));
    fail(Fault::EndlessStream);
    let mut endless = chat(&meadow, json!({}), 0).send().await.unwrap();
    let mut bytes = 0;
    while bytes < 2_000 {
        bytes += endless.chunk().await.unwrap().unwrap().len();
    }
    drop(endless);
    fail(Fault::StalledStream);
    let mut stalled = chat(&meadow, json!({}), 0).send().await.unwrap();
    assert!(stalled.chunk().await.unwrap().is_some());
    let more = async { while stalled.chunk().await.unwrap().is_some() {} };
    assert!(tokio::time::timeout(std::time::Duration::from_millis(200), more).await.is_err());
    fail(Fault::Status { status: 503, when: When::Before });
    let busy = chat(&meadow, json!({}), 0).send().await.unwrap();
    assert_eq!(busy.status(), 503);
    assert!(busy.text().await.unwrap().contains("maximum pending requests exceeded"));
}
