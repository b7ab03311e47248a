//! Hive and N8N: what is told to them, and what they answer.

use bzzz::apiary::StandIn;
use bzzz::apiary::faults::{Fault, Rule, When};
use reqwest::Method;
use serde_json::{Value, json};

use crate::meadow::{Meadow, client};

async fn call(meadow: &Meadow, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let mut request = client().request(method, format!("{}{path}", meadow.apiary.hive_url()));
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn hive_lists_projects_and_their_tasks_from_the_forge() {
    let meadow = Meadow::new().await;
    let hive = meadow.apiary.hive();
    hive.add_project(7, &meadow.repo, Some("main")).unwrap();
    hive.add_project("seven", &meadow.repo, None).unwrap();
    let (status, listed) = call(&meadow, Method::GET, "/api/bzzz/active-repos", None).await;
    assert_eq!(status, 200);
    let first = json!({
        "project_id": 7, "name": "ledger", "owner": "meadow", "repository": "ledger", "branch": "main",
        "git_url": format!("{}/meadow/ledger.git", meadow.apiary.forge_url()),
        "bzzz_enabled": true, "ready_to_claim": false, "private_repo": false, "github_token_required": false,
    });
    assert_eq!(listed["repositories"][0], first);
    assert_eq!(listed["repositories"][1]["project_id"], "seven");
    assert_eq!(listed["repositories"][1]["branch"], Value::Null);

    let labels = ["bzzz-task", "bug"];
    meadow.apiary.forge().open_issue(&meadow.repo, "ann", "one", "please", &labels).unwrap();
    meadow.apiary.forge().open_issue(&meadow.repo, "ann", "two", "", &["question"]).unwrap();
    let (_, listed) = call(&meadow, Method::GET, "/api/bzzz/active-repos", None).await;
    assert_eq!(listed["repositories"][0]["ready_to_claim"], true);
    let (_, tasks) = call(&meadow, Method::GET, "/api/bzzz/projects/7/tasks", None).await;
    assert_eq!(tasks.as_array().unwrap().len(), 1);
    let task = &tasks[0];
    assert_eq!(
        (&task["number"], &task["task_type"], &task["is_claimed"]),
        (&json!(1), &json!("bug"), &json!(false))
    );
    assert_eq!(task["labels"], json!(labels));
    assert_eq!(call(&meadow, Method::GET, "/api/bzzz/projects/9/tasks", None).await, (200, json!([])));
}

#[tokio::test]
async fn hive_is_told_and_answers_what_is_missing_with_500() {
    let meadow = Meadow::new().await;
    let (post, put) = (Method::POST, Method::PUT);
    let claim = json!({ "task_number": 42, "agent_id": "agent", "extra": 1 });
    for _ in 0..2 {
        let told = call(&meadow, post.clone(), "/api/bzzz/projects/7/claim", Some(claim.clone())).await;
        assert_eq!(told, (200, json!({ "success": true, "claim_id": "7-42-agent" })));
    }
    let status = json!({ "task_number": 42, "status": "completed", "metadata": { "pull_request": 3 } });
    let told = call(&meadow, put.clone(), "/api/bzzz/projects/x/status", Some(status)).await;
    assert_eq!(told, (200, json!({ "success": true })));
    let log = json!({ "antennaeData": {}, "metrics": {}, "timestamp": "t", "activeAgents": 3 });
    let told = call(&meadow, post.clone(), "/api/bzzz/antennae-log", Some(log.clone())).await;
    assert_eq!(told, (200, json!({ "success": true, "logged": true, "patterns_count": 0 })));
    for (method, path, body) in [
        (&post, "/api/bzzz/projects/7/claim", json!({ "task_number": 42 })),
        (&put, "/api/bzzz/projects/7/status", json!({ "status": "completed" })),
        (&put, "/api/bzzz/projects/7/status", json!([1])),
        (&post, "/api/bzzz/antennae-log", json!({ "metrics": {} })),
    ] {
        let (status, answer) = call(&meadow, method.clone(), path, Some(body)).await;
        assert_eq!(status, 500, "{path}");
        assert!(answer["detail"].is_string(), "{answer}");
    }
    let hive = meadow.apiary.hive();
    assert_eq!(hive.claims().len(), 2);
    assert_eq!(
        (hive.statuses()[0].status.as_str(), &hive.statuses()[0].metadata["pull_request"]),
        ("completed", &json!(3))
    );
    assert_eq!(hive.antennae_logs(), [log]);
}

#[tokio::test]
async fn hive_with_a_key_refuses_who_has_none() {
    let meadow = Meadow::with(|options| options.hive_key = Some("key".into())).await;
    let url = format!("{}/api/bzzz/active-repos", meadow.apiary.hive_url());
    let refused = client().get(&url).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(client().get(&url).bearer_auth("key").send().await.unwrap().status(), 200);
    let health = client().get(format!("{}/health", meadow.apiary.hive_url())).send().await.unwrap();
    assert_eq!(health.status(), 200);
}

#[tokio::test]
async fn n8n_keeps_what_it_is_sent_and_answers_as_told() {
    let meadow = Meadow::new().await;
    let n8n = meadow.apiary.n8n();
    let url = format!("{}/webhook/escalation", meadow.apiary.n8n_url());
    let send = || client().post(&url).header("idempotency-key", "k1").json(&json!({ "question": "which?" }));
    let first: Value = send().send().await.unwrap().json().await.unwrap();
    assert_eq!(first, json!({ "message": "Workflow was started" }));
    n8n.answer_with("escalation", json!({ "answer": "the first" }));
    meadow.apiary.faults(StandIn::N8n).add(Rule::any(Fault::Drop { when: When::After }).times(1)).unwrap();
    assert!(send().send().await.is_err());
    let third: Value = send().send().await.unwrap().json().await.unwrap();
    assert_eq!(third["answer"], "the first");
    let deliveries = n8n.wait_for(3).await;
    assert_eq!(deliveries[2].body, json!({ "question": "which?" }));
    assert_eq!(deliveries[2].headers["content-type"], "application/json");
    assert_eq!(n8n.counts()["k1"], 3);
    n8n.deactivate("escalation");
    let gone = send().send().await.unwrap();
    assert_eq!(gone.status(), 404);
    assert!(gone.text().await.unwrap().contains("is not registered"));
}
