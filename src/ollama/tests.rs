//! The adapter against a server that answers exactly as told.

use std::time::Duration;

use bzzz_actors::ports::model::{ChatRequest, Finish, Message, Model, ModelError, Role};
use serde_json::json;

use super::{Ollama, OllamaOptions};
use crate::http::canned::{Answer, Canned};

fn request() -> ChatRequest {
    ChatRequest {
        model: "m:1".to_owned(),
        messages: vec![Message { role: Role::System, content: "be brief".to_owned() }],
        max_output_tokens: 64,
        schema: None,
    }
}

fn ollama_with(server: &Canned, change: impl FnOnce(&mut OllamaOptions)) -> Ollama {
    let mut options = OllamaOptions::new(&server.url, 4096);
    change(&mut options);
    Ollama::new(options).unwrap()
}

const PART: &str = "{\"message\":{\"content\":\"word \"},\"done\":false}\n";
const LAST: &str = "{\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":9,\"eval_count\":2}\n";

#[tokio::test]
async fn a_chat_is_sent_with_the_window_and_read_to_its_end() {
    let server = Canned::serve(vec![Answer::stream(200, &format!("{PART}{PART}{LAST}"))]).await;
    let completion = ollama_with(&server, |_| {}).chat(&request()).await.unwrap();
    assert_eq!((completion.content.as_str(), completion.finish), ("word word ", Finish::Stop));
    assert_eq!((completion.prompt_tokens, completion.output_tokens), (9, 2));
    assert!(completion.duration > Duration::ZERO);
    let seen = &server.seen()[0];
    assert_eq!(seen.line, "POST /api/chat");
    let mut body = seen.json();
    let temperature = body["options"]["temperature"].take();
    assert!((temperature.as_f64().unwrap() - 0.2).abs() < 1e-6);
    assert_eq!(
        body,
        json!({
            "model": "m:1",
            "messages": [{"role": "system", "content": "be brief"}],
            "stream": true, "truncate": false, "shift": false, "keep_alive": "1800s",
            "options": {"num_ctx": 4096, "num_predict": 64, "temperature": null},
        })
    );
}

#[tokio::test]
async fn every_failure_is_told_apart() {
    let server = Canned::serve(vec![
        Answer::json(404, "{\"error\":\"model 'm:1' not found\"}"),
        Answer::json(503, "{\"error\":\"server busy\"}"),
        Answer::json(400, "{\"error\":\"input length exceeds the context length\"}"),
        Answer::json(400, "{\"error\":\"bad option\"}"),
        Answer::stream(200, PART),
        Answer::stream(200, &format!("{PART}{{\"error\":\"runner died\"}}\n")),
        Answer::Drop,
        Answer::half(200, PART),
    ])
    .await;
    let ollama = ollama_with(&server, |_| {});
    let mut errors = Vec::new();
    for _ in 0..8 {
        errors.push(ollama.chat(&request()).await.unwrap_err());
    }
    assert_eq!(
        errors[0],
        ModelError::Missing { model: "m:1".to_owned(), remedy: "ollama pull m:1".to_owned() }
    );
    assert_eq!(errors[1], ModelError::Unavailable("status 503: server busy".to_owned()));
    assert!(matches!(errors[2], ModelError::Overflow(_)));
    assert!(matches!(errors[3], ModelError::Refused(_)));
    assert!(errors[4..].iter().all(ModelError::is_retryable), "{errors:?}");
    assert_eq!(server.seen().len(), 8, "nothing is sent twice");
}

#[tokio::test]
async fn each_silence_has_its_limit() {
    let begun = format!("HTTP/1.1 200 OK\r\n\r\n{PART}");
    let server = Canned::serve(vec![Answer::Stall(Vec::new()), Answer::Stall(begun.into_bytes())]).await;
    let ollama = ollama_with(&server, |options| {
        options.limits.first_byte = Duration::from_secs(2);
        options.limits.chunk = Duration::from_millis(150);
    });
    let first = ollama.chat(&request()).await.unwrap_err().to_string();
    assert!(first.contains("no reply began within 2s"), "{first}");
    let second = ollama.chat(&request()).await.unwrap_err().to_string();
    assert!(second.contains("silent for 150ms"), "{second}");
}

#[tokio::test]
async fn an_endless_stream_is_cut_and_closed() {
    let server = Canned::serve(vec![Answer::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), PART.into())]).await;
    let completion = ollama_with(&server, |_| {}).chat(&request()).await.unwrap();
    assert_eq!(completion.finish, Finish::Length);
    assert!(completion.content.starts_with("word word"));
    server.client_gone().await;
}

#[tokio::test]
async fn a_call_that_is_dropped_closes_its_connection() {
    let begun = format!("HTTP/1.1 200 OK\r\n\r\n{PART}");
    let server = Canned::serve(vec![Answer::Stall(begun.into_bytes())]).await;
    let ollama = ollama_with(&server, |_| {});
    let call = tokio::spawn(async move { ollama.chat(&request()).await });
    while server.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    call.abort();
    server.client_gone().await;
}

#[tokio::test]
async fn the_models_of_the_server_are_listed() {
    let body = r#"{"models":[{"name":"a:7b","model":"a:7b","size":1},{"name":"b:latest"}]}"#;
    let server = Canned::serve(vec![Answer::json(200, body), Answer::json(500, "")]).await;
    let ollama = ollama_with(&server, |_| {});
    assert_eq!(ollama.models().await.unwrap(), ["a:7b", "b:latest"]);
    assert!(ollama.models().await.unwrap_err().is_retryable());
}

#[tokio::test]
async fn the_window_is_the_one_that_the_server_has_loaded() {
    let body = r#"{"models":[{"name":"a:7b","context_length":4096},{"name":"m:1"},{"name":"b:latest","context_length":8192}]}"#;
    let answers = (0..4).map(|_| Answer::json(200, body)).chain([Answer::json(404, "404 page not found")]);
    let server = Canned::serve(answers.collect()).await;
    let ollama = ollama_with(&server, |_| {});
    assert_eq!(ollama.window("a:7b").await, Ok(Some(4096)));
    assert_eq!(ollama.window("b").await, Ok(Some(8192)));
    assert_eq!(ollama.window("m:1").await, Ok(None), "an older server");
    assert_eq!(ollama.window("other").await, Ok(None));
    assert!(ollama.window("a:7b").await.is_err());
    assert_eq!(server.seen()[0].line, "GET /api/ps");
}

#[tokio::test]
async fn a_model_that_only_thinks_is_asked_to_be_brief_and_then_not_to_think() {
    let inline = "{\"message\":{\"content\":\"<think>hm, let me see\"},\"done\":false}\n";
    let apart = "{\"message\":{\"content\":\"\",\"thinking\":\"hm\"},\"done\":false}\n";
    let all_thinking = |part: &str| Answer::stream(200, &format!("{part}{LAST}"));
    let word = || Answer::stream(200, &format!("{PART}{LAST}"));
    let answers =
        vec![all_thinking(inline), word(), all_thinking(apart), all_thinking(inline), word(), word()];
    let server = Canned::serve(answers).await;
    let ollama = ollama_with(&server, |_| {});

    let completion = ollama.chat(&request()).await.unwrap();
    assert_eq!((completion.content.as_str(), completion.output_tokens), ("word ", 4), "both are paid for");
    let bodies = |from: usize| server.seen()[from..].iter().map(|it| it.json()).collect::<Vec<_>>();
    let said = |body: &serde_json::Value| body["messages"][0]["content"].as_str().unwrap().to_owned();
    let first = bodies(0);
    assert_eq!(said(&first[0]), "be brief");
    assert_eq!(said(&first[1]), "be brief\n\nThink briefly, then answer.");

    assert_eq!(ollama.chat(&request()).await.unwrap().content, "word ");
    assert_eq!(ollama.chat(&request()).await.unwrap().content, "word ");
    let then = bodies(2);
    let thinks: Vec<_> =
        then.iter().map(|body| body.get("think").and_then(serde_json::Value::as_bool)).collect();
    // The last is of another call: it is remembered.
    assert_eq!(thinks, [None, None, Some(false), Some(false)]);
    assert_eq!(said(&then[3]), "be brief");
}

#[tokio::test]
async fn a_reply_that_is_empty_without_any_thinking_is_not_asked_for_again() {
    let server = Canned::serve(vec![Answer::stream(200, LAST)]).await;
    assert_eq!(ollama_with(&server, |_| {}).chat(&request()).await.unwrap().content, "");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn the_bodies_of_a_task_share_all_bytes_up_to_the_new_message() {
    let answers = (0..2).map(|_| Answer::stream(200, &format!("{PART}{LAST}"))).collect();
    let server = Canned::serve(answers).await;
    let ollama = ollama_with(&server, |_| {});
    let mut request = request();
    ollama.chat(&request).await.unwrap();
    for (role, content) in [(Role::Assistant, "I look."), (Role::User, "Command 1: exit status 0")] {
        request.messages.push(Message { role, content: content.to_owned() });
    }
    ollama.chat(&request).await.unwrap();
    let bodies: Vec<_> = server.seen().into_iter().map(|it| it.body).collect();
    let last_message = "{\"content\":\"be brief\",\"role\":\"system\"}";
    let end = bodies[0].find(last_message).unwrap() + last_message.len();
    assert_eq!(bodies[0][..end], bodies[1][..end], "nothing stands before the messages that differs");
    assert!(bodies[1][end..].starts_with(",{\"content\":\"I look.\""), "{}", bodies[1]);
}

#[tokio::test]
async fn a_schema_is_handed_on() {
    let server = Canned::serve(vec![Answer::stream(200, &format!("{PART}{LAST}"))]).await;
    let schema = json!({"type": "object"});
    let request = ChatRequest { schema: Some(schema.clone()), ..request() };
    ollama_with(&server, |_| {}).chat(&request).await.unwrap();
    assert_eq!(server.seen()[0].json()["format"], schema);
}

#[tokio::test]
async fn a_model_is_loaded_ahead_with_the_window_of_every_later_call() {
    let server = Canned::serve(vec![
        Answer::json(200, r#"{"model":"m:1","response":"","done":true,"done_reason":"load"}"#),
        Answer::json(404, r#"{"error":"model 'm:1' not found"}"#),
        Answer::stream(200, &format!("{PART}{LAST}")),
    ])
    .await;
    let ollama = ollama_with(&server, |_| {});
    ollama.preload("m:1").await.unwrap();
    let missing = ollama.preload("m:1").await.unwrap_err().to_string();
    assert!(missing.contains("ollama pull m:1"), "{missing}");
    ollama.chat(&request()).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].line, "POST /api/generate");
    let (loads, asks) = (seen[0].json(), seen[2].json());
    assert_eq!(loads["options"]["num_ctx"], asks["options"]["num_ctx"], "another one would load it anew");
    assert_eq!(loads["keep_alive"], asks["keep_alive"]);
    assert_eq!(loads.get("prompt"), None);
}
