//! The adapter against a server that answers exactly as told.

use std::time::Duration;

use bzzz_actors::ports::escalations::{Escalation, EscalationError, Escalations};
use bzzz_actors::ports::model::ModelSelection;
use bzzz_actors::task::Epoch;

use super::{SelectionWebhook, Webhook, WebhookOptions};
use crate::http::canned::{Answer, Canned};

fn escalation() -> Escalation {
    Escalation {
        key: "acme.rocket.7-e2-3".to_owned(),
        task: "acme/rocket#7".parse().unwrap(),
        epoch: Epoch(2),
        node: "n1".parse().unwrap(),
        issue_url: "https://forge.example/acme/rocket/issues/7".to_owned(),
        issue_title: "It leaks".to_owned(),
        question: "Which valve?".to_owned(),
        steps: 12,
    }
}

fn webhook(server: &Canned) -> Webhook {
    Webhook::new(WebhookOptions {
        url: format!("{}/webhook/bzzz?stage=test", server.url),
        auth: Some(("X-Webhook-Key".to_owned(), "s3cret".to_owned().into())),
        request_timeout: Duration::from_secs(5),
    })
    .unwrap()
}

#[tokio::test]
async fn the_escalation_is_sent_with_its_key_and_an_answer_is_read() {
    let server = Canned::serve(vec![
        Answer::json(200, r#"{"answer":" the left\u001b one ","more":1}"#),
        Answer::json(200, r#"[{"answer":"listed"}]"#),
        Answer::json(200, r#"{"message":"Workflow was started"}"#),
        Answer::json(202, ""),
        Answer::json(200, r#"{"answer":"  "}"#),
        Answer::json(200, &format!("{{\"answer\":\"{}\"}}", "x".repeat(300_000))),
        Answer::json(200, &format!("{{\"answer\":\"{}\"}}", "x".repeat(100_000))),
    ])
    .await;
    let webhook = webhook(&server);
    let mut answers = Vec::new();
    for _ in 0..7 {
        answers.push(
            webhook.raise(&escalation()).await.unwrap().map(|a| (a.len(), a.chars().take(12).collect())),
        );
    }
    let short = |text: &str| Some((text.len(), text.to_owned()));
    assert_eq!(answers[..6], [short("the left one"), short("listed"), None, None, None, None]);
    assert_eq!(answers[6].as_ref().unwrap().0, 16 * 1024);
    for seen in server.seen() {
        assert_eq!(seen.line, "POST /webhook/bzzz?stage=test");
        assert_eq!(seen.header("idempotency-key"), Some("acme.rocket.7-e2-3"));
        assert_eq!(seen.header("x-webhook-key"), Some("s3cret"));
        assert_eq!(seen.json(), serde_json::to_value(escalation()).unwrap());
    }
}

#[tokio::test]
async fn refusals_are_told_from_what_may_pass() {
    let server = Canned::serve(vec![
        Answer::json(404, r#"{"message":"not registered"}"#),
        Answer::with_headers(302, &[("location", "http://127.0.0.1:1/")], ""),
        Answer::json(401, ""),
        Answer::json(500, ""),
        Answer::json(429, ""),
        Answer::Drop,
    ])
    .await;
    let webhook = webhook(&server);
    let mut refused = Vec::new();
    for _ in 0..6 {
        let error = webhook.raise(&escalation()).await.unwrap_err();
        refused.push(matches!(error, EscalationError::Refused(_)));
    }
    assert_eq!(refused, [true, true, true, false, false, false]);
    assert_eq!(server.seen().len(), 6, "no redirect is followed and nothing is sent twice");
}

#[tokio::test]
async fn a_silent_webhook_ends_at_the_time_limit() {
    let server = Canned::serve(vec![Answer::Stall(Vec::new())]).await;
    let options =
        WebhookOptions { url: server.url.clone(), auth: None, request_timeout: Duration::from_millis(200) };
    let error = Webhook::new(options).unwrap().raise(&escalation()).await.unwrap_err();
    assert_eq!(error, EscalationError::Unavailable("time-out".to_owned()));
}

#[test]
fn a_header_that_can_not_be_sent_is_refused_without_showing_its_value() {
    let made = |name: &str, value: &str| {
        Webhook::new(WebhookOptions {
            url: "https://n8n.example/webhook/x".to_owned(),
            auth: Some((name.to_owned(), value.to_owned().into())),
            request_timeout: Duration::from_secs(1),
        })
    };
    assert!(made("X-Key", "fine").is_ok());
    assert!(made("X Key", "fine").is_err());
    let error = made("X-Key", "s3cret\n").err().unwrap();
    assert!(!error.to_string().contains("s3cret"), "{error}");
}

#[tokio::test]
async fn a_selection_is_asked_for_and_read() {
    let server = Canned::serve(vec![
        Answer::json(200, r#"{"model":"big"}"#),
        Answer::json(200, r#"[{"model":"small"}]"#),
        Answer::json(200, r#"{"message":"Workflow was started"}"#),
        Answer::json(404, r#"{"message":"not registered"}"#),
    ])
    .await;
    let webhook =
        SelectionWebhook::new(&format!("{}/webhook/model", server.url), Duration::from_secs(5)).unwrap();
    let models = ["big".to_owned(), "small".to_owned()];
    let select = || webhook.select(&models, "It leaks");
    assert_eq!(select().await.unwrap(), "big");
    assert_eq!(select().await.unwrap(), "small");
    assert!(select().await.unwrap_err().contains("names no model"));
    assert!(select().await.unwrap_err().contains("404"));
    let seen = &server.seen()[0];
    assert_eq!(seen.line, "POST /webhook/model");
    assert_eq!(seen.json(), serde_json::json!({"models": ["big", "small"], "prompt": "It leaks"}));
}
