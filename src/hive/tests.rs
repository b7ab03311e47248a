//! The adapter against a server that answers exactly as told.

use std::time::Duration;

use bzzz_actors::ports::hive::{Hive, HiveError, HiveProject, HiveStatus};
use serde_json::json;

use super::{HiveClient, HiveOptions};
use crate::http::canned::{Answer, Canned};

fn hive(server: &Canned, key: Option<&str>) -> HiveClient {
    HiveClient::new(HiveOptions {
        url: format!("{}/", server.url),
        key: key.map(|k| k.to_owned().into()),
        request_timeout: Duration::from_secs(5),
    })
    .unwrap()
}

#[tokio::test]
async fn projects_are_read_whatever_their_ids_and_nulls() {
    let body = json!({"repositories": [
        {"project_id": 7, "name": "n", "git_url": "g", "owner": "acme", "repository": "rocket", "branch": "dev",
         "bzzz_enabled": true, "ready_to_claim": true, "private_repo": false, "github_token_required": false},
        {"project_id": "p-8", "owner": "acme", "repository": "pump", "branch": null, "ready_to_claim": null, "new": {}},
        {"project_id": 9, "owner": "..", "repository": "etc"},
        {"project_id": 10, "owner": "acme", "repository": "off", "bzzz_enabled": false},
        {"project_id": 11},
    ]});
    let server = Canned::serve(vec![Answer::json(200, &body.to_string())]).await;
    let project = |id: &str, repo: &str, branch: Option<&str>| HiveProject {
        project_id: id.to_owned(),
        repo: repo.parse().unwrap(),
        branch: branch.map(str::to_owned),
    };
    let found = hive(&server, Some("k3y")).active_projects().await.unwrap();
    assert_eq!(found, [project("7", "acme/rocket", Some("dev")), project("p-8", "acme/pump", None)]);
    let seen = &server.seen()[0];
    assert_eq!(seen.line, "GET /api/bzzz/active-repos");
    assert_eq!(seen.header("authorization"), Some("Bearer k3y"));
}

#[tokio::test]
async fn claims_and_statuses_are_sent_as_the_contract_asks() {
    let server = Canned::serve(vec![
        Answer::json(200, r#"{"success":true,"claim_id":"7-42-n"}"#),
        Answer::json(200, r#"{"success":true}"#),
        Answer::json(200, r#"{"success":false,"why":"no"}"#),
    ])
    .await;
    let hive = hive(&server, None);
    hive.register_claim("a/../b", 42, &"n".parse().unwrap()).await.unwrap();
    let metadata = json!({"pull_request": "u"});
    hive.report_status("7", 42, HiveStatus::InProgress, &metadata).await.unwrap();
    let refused = hive.report_status("7", 42, HiveStatus::Failed, &metadata).await.unwrap_err();
    assert!(matches!(refused, HiveError::Refused(_)), "{refused}");
    let seen = server.seen();
    assert_eq!(seen[0].line, "POST /api/bzzz/projects/a%2F..%2Fb/claim");
    assert_eq!(seen[0].json(), json!({"task_number": 42, "agent_id": "n"}));
    assert_eq!(seen[1].line, "PUT /api/bzzz/projects/7/status");
    assert_eq!(seen[1].json(), json!({"task_number": 42, "status": "in_progress", "metadata": metadata}));
    assert_eq!(seen[0].header("authorization"), None);
}

#[tokio::test]
async fn a_500_that_reads_as_validation_is_a_refusal_and_others_pass() {
    let server = Canned::serve(vec![
        Answer::json(500, r#"{"detail":"task_number is required"}"#),
        Answer::json(500, r#"{"detail":"database is locked"}"#),
        Answer::json(500, "<html>"),
        Answer::json(422, r#"{"detail":[{"loc":["body"],"msg":"field"}]}"#),
        Answer::json(401, r#"{"detail":"bad key"}"#),
        Answer::json(503, ""),
        Answer::half(200, "{\"success\":"),
        Answer::json(200, "welcome"),
        Answer::Drop,
    ])
    .await;
    let hive = hive(&server, None);
    let mut refused = Vec::new();
    for _ in 0..9 {
        let error = hive.register_claim("7", 1, &"n".parse().unwrap()).await.unwrap_err();
        refused.push(matches!(error, HiveError::Refused(_)));
    }
    assert_eq!(refused, [true, false, false, true, false, false, false, false, false]);
    assert_eq!(server.seen().len(), 9);
}

#[tokio::test]
async fn a_silent_hive_ends_at_the_time_limit() {
    let server = Canned::serve(vec![Answer::Stall(Vec::new())]).await;
    let hive = HiveClient::new(HiveOptions {
        url: server.url.clone(),
        key: None,
        request_timeout: Duration::from_secs(2),
    });
    let error = hive.unwrap().active_projects().await.unwrap_err();
    assert_eq!(error, HiveError::Unavailable("time-out".to_owned()));
    server.client_gone().await;
}
