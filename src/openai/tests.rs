//! The adapter against a server that answers exactly as told.

use std::time::Duration;

use bzzz_actors::ports::model::{ChatRequest, Finish, Message, Model, ModelError, Role};
use serde_json::{Value, json};

use super::{OpenAi, OpenAiOptions};
use crate::http::canned::{Answer, Canned};

fn request() -> ChatRequest {
    ChatRequest {
        model: "m".to_owned(),
        messages: vec![Message { role: Role::System, content: "be brief".to_owned() }],
        max_output_tokens: 64,
        schema: None,
    }
}

fn open_ai_with(server: &Canned, change: impl FnOnce(&mut OpenAiOptions)) -> OpenAi {
    let mut options = OpenAiOptions::new(&server.url, 4096);
    change(&mut options);
    OpenAi::new(options).unwrap()
}

const PART: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"},\"finish_reason\":null}]}\n\n";
const LAST: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
    data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";

fn words() -> Answer {
    Answer::stream(200, &format!("{PART}{PART}{LAST}"))
}

#[tokio::test]
async fn a_chat_is_sent_and_read_to_its_end() {
    let server = Canned::serve(vec![words()]).await;
    let completion = open_ai_with(&server, |_| {}).chat(&request()).await.unwrap();
    assert_eq!((completion.content.as_str(), completion.finish), ("word word ", Finish::Stop));
    assert_eq!((completion.prompt_tokens, completion.output_tokens), (9, 2));
    assert!(completion.duration > Duration::ZERO);
    let seen = &server.seen()[0];
    assert_eq!((seen.line.as_str(), seen.header("authorization")), ("POST /v1/chat/completions", None));
    let mut body = seen.json();
    let temperature = body["temperature"].take();
    assert!((temperature.as_f64().unwrap() - 0.2).abs() < 1e-6);
    assert_eq!(
        body,
        json!({
            "model": "m",
            "messages": [{"role": "system", "content": "be brief"}],
            "stream": true, "stream_options": {"include_usage": true}, "max_tokens": 64, "temperature": null,
        })
    );
}

#[tokio::test]
async fn the_address_may_end_in_v1_and_the_key_goes_along() {
    let list = || Answer::json(200, r#"{"data":[]}"#);
    let server = Canned::serve(vec![list(), list(), words()]).await;
    for end in ["/v1", "/v1/"] {
        let open_ai = open_ai_with(&server, |options| {
            options.url += end;
            options.key = Some("k3y".into());
        });
        open_ai.models().await.unwrap();
    }
    open_ai_with(&server, |options| options.key = Some("k3y".into())).chat(&request()).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].line, "GET /v1/models");
    assert_eq!(seen[1].line, "GET /v1/models");
    assert!(seen.iter().all(|it| it.header("authorization") == Some("Bearer k3y")));
}

#[test]
fn a_key_that_can_not_be_sent_is_refused_and_none_is_ever_shown() {
    let options = |key: &str| OpenAiOptions { key: Some(key.into()), ..OpenAiOptions::new("http://h", 4096) };
    let error = OpenAi::new(options("two\nlines")).err().unwrap().to_string();
    assert!(error.contains("key for the model server") && !error.contains("lines"), "{error}");
    assert!(!format!("{:?}", options("k3y")).contains("k3y"));
}

#[tokio::test]
async fn every_failure_is_told_apart() {
    let redirect = Answer::with_headers(307, &[("location", "http://127.0.0.1:9/v1/chat/completions")], "");
    let server = Canned::serve(vec![
        Answer::json(404, r#"{"error":{"message":"The model `m` does not exist.","type":"NotFoundError"}}"#),
        Answer::json(401, r#"{"error":"Unauthorized, not sk-s3cret"}"#),
        Answer::json(400, r#"{"error":{"message":"no","code":"context_length_exceeded"}}"#),
        Answer::json(400, r#"{"error":{"message":"bad option","code":400}}"#),
        redirect,
        Answer::json(503, r#"{"error":{"message":"Loading model","code":503}}"#),
        Answer::json(429, "slow down"),
        Answer::stream(200, PART),
        Answer::stream(
            200,
            &format!("{PART}data: {{\"error\":{{\"message\":\"died\"}}}}\n\ndata: [DONE]\n\n"),
        ),
        Answer::Drop,
        Answer::half(200, PART),
    ])
    .await;
    let open_ai = open_ai_with(&server, |options| options.key = Some("sk-s3cret".into()));
    let mut errors = Vec::new();
    for _ in 0..11 {
        errors.push(open_ai.chat(&request()).await.unwrap_err());
    }
    assert!(matches!(&errors[0], ModelError::Missing { model, .. } if model == "m"));
    let key = "status 401: Unauthorized, not [the key]; look at the setting `model.key`";
    assert_eq!(errors[1], ModelError::Unavailable(key.to_owned()));
    assert!(matches!(errors[2], ModelError::Overflow(_)));
    assert_eq!(errors[3], ModelError::Refused("status 400: bad option".to_owned()));
    assert_eq!(errors[4], ModelError::Refused("status 307: an empty body".to_owned()), "not followed");
    assert!(errors[5..].iter().all(ModelError::is_retryable), "{errors:?}");
    assert_eq!(server.seen().len(), 11, "nothing is sent twice");
}

#[tokio::test]
async fn a_reply_that_says_how_it_finished_is_whole_without_its_end() {
    let finished = format!("{PART}{}", LAST.replace("data: [DONE]\n\n", ""));
    let begun = format!("HTTP/1.1 200 OK\r\n\r\n{finished}");
    let answers =
        vec![Answer::stream(200, &finished), Answer::half(200, &finished), Answer::Stall(begun.into_bytes())];
    let server = Canned::serve(answers).await;
    let open_ai = open_ai_with(&server, |options| options.limits.chunk = Duration::from_millis(150));
    for _ in 0..3 {
        let completion = open_ai.chat(&request()).await.unwrap();
        assert_eq!((completion.content.as_str(), completion.prompt_tokens), ("word ", 9));
    }
}

#[tokio::test]
async fn reading_the_prompt_may_take_long_after_the_status_was_sent() {
    let begun = "HTTP/1.1 200 OK\r\n\r\n";
    let stall = |body: &str| Answer::Stall(format!("{begun}{body}").into_bytes());
    let server = Canned::serve(vec![stall(""), stall(PART)]).await;
    let open_ai = open_ai_with(&server, |options| {
        options.limits.first_byte = Duration::from_secs(2);
        options.limits.chunk = Duration::from_millis(100);
    });
    let before = open_ai.chat(&request()).await.unwrap_err().to_string();
    assert!(before.contains("no reply began within 2s"), "{before}");
    let within = open_ai.chat(&request()).await.unwrap_err().to_string();
    assert!(within.contains("silent for 100ms"), "{within}");
}

#[tokio::test]
async fn an_endless_stream_is_cut_and_closed() {
    let server = Canned::serve(vec![Answer::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), PART.into())]).await;
    let completion = open_ai_with(&server, |_| {}).chat(&request()).await.unwrap();
    assert_eq!(completion.finish, Finish::Length);
    server.client_gone().await;
}

#[tokio::test]
async fn a_model_that_only_thinks_is_told_not_to_in_the_end() {
    let thought = "data: {\"choices\":[{\"delta\":{\"reasoning\":\"hm\"}}]}\n\n";
    let all_thinking = || Answer::stream(200, &format!("{thought}{LAST}"));
    let server = Canned::serve(vec![all_thinking(), all_thinking(), words(), words()]).await;
    let open_ai = open_ai_with(&server, |_| {});
    for _ in 0..2 {
        assert_eq!(open_ai.chat(&request()).await.unwrap().content, "word word ");
    }
    let told: Vec<Value> = server.seen().iter().map(|it| it.json()["chat_template_kwargs"].clone()).collect();
    let not = json!({"enable_thinking": false});
    assert_eq!(told, [json!(null), json!(null), not.clone(), not]);
    let said = &server.seen()[1].json()["messages"][0]["content"];
    assert_eq!(said, "be brief\n\nThink briefly, then answer.");
}

#[tokio::test]
async fn the_models_of_the_server_are_listed() {
    let llama_cpp = r#"{"models":[{"name":"b"}],"object":"list","data":[{"id":"b","aliases":["b","c"]}]}"#;
    let server = Canned::serve(vec![
        Answer::json(200, r#"{"object":"list","data":[{"id":"a","object":"model"}]}"#),
        Answer::json(200, llama_cpp),
        Answer::json(200, r#"{"object":"list","data":null}"#),
        Answer::json(200, r#"{"error":"Unexpected endpoint or method. (GET /v1/models)"}"#),
        Answer::json(401, r#"{"error":"Unauthorized"}"#),
    ])
    .await;
    let open_ai = open_ai_with(&server, |_| {});
    assert_eq!(open_ai.models().await.unwrap(), ["a"]);
    assert_eq!(open_ai.models().await.unwrap(), ["b", "c"]);
    assert!(open_ai.models().await.unwrap().is_empty());
    let no_list = open_ai.models().await.unwrap_err();
    assert!(no_list.is_retryable() && no_list.to_string().contains("Unexpected endpoint"), "{no_list}");
    let refused = open_ai.models().await.unwrap_err();
    assert!(refused.is_retryable() && refused.to_string().contains("`model.key`"), "{refused}");
}

#[tokio::test]
async fn the_window_is_the_one_that_the_server_has_not_the_one_that_the_model_could_have() {
    let list = |card: &str| Answer::json(200, &format!("{{\"data\":[{{\"id\":\"other\"}},{card}]}}"));
    let trained = r#"{"id":"m","meta":{"n_ctx_train":131072}}"#;
    let server = Canned::serve(vec![
        list(r#"{"id":"m","max_model_len":32768}"#),
        list(r#"{"id":"m","meta":{"n_ctx":8192,"n_ctx_train":131072}}"#),
        list(trained),
        Answer::json(200, r#"{"default_generation_settings":{"id":0,"n_ctx":4096},"total_slots":1}"#),
        list(trained),
        Answer::json(404, r#"{"detail":"Not Found"}"#),
        list(r#"{"id":"m"}"#),
        Answer::json(200, r#"{"error":"Unexpected endpoint or method. (GET /props)"}"#),
        list(r#"{"id":"n","max_model_len":32768}"#),
        Answer::Drop,
    ])
    .await;
    let open_ai = open_ai_with(&server, |_| {});
    for expected in [Some(32768), Some(8192), Some(4096), None, None, None] {
        assert_eq!(open_ai.window("m").await, Ok(expected));
    }
    assert!(open_ai.window("m").await.unwrap_err().is_retryable());
    assert_eq!(server.seen()[3].line, "GET /props?model=m&autoload=false");
}

#[tokio::test]
async fn a_schema_is_handed_on() {
    let server = Canned::serve(vec![words()]).await;
    let schema = json!({"type": "object"});
    let request = ChatRequest { schema: Some(schema.clone()), ..request() };
    open_ai_with(&server, |_| {}).chat(&request).await.unwrap();
    let format = server.seen()[0].json()["response_format"].clone();
    assert_eq!(format, json!({"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}));
}

#[tokio::test]
async fn a_server_that_can_not_be_told_to_stop_thinking_is_not_told_again() {
    let thinking = || {
        let part =
            "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning\":\"hm\"},\"finish_reason\":null}]}\n\n";
        Answer::stream(200, &format!("{part}{LAST}"))
    };
    let unknown = Answer::json(400, r#"{"error":{"message":"unknown field chat_template_kwargs"}}"#);
    let server = Canned::serve(vec![thinking(), thinking(), unknown, words()]).await;
    let open_ai = open_ai_with(&server, |_| {});
    assert_eq!(open_ai.chat(&request()).await.unwrap().content, "");
    assert_eq!(open_ai.chat(&request()).await.unwrap().content, "word word ");
    let told: Vec<_> =
        server.seen().iter().map(|it| it.json().get("chat_template_kwargs").is_some()).collect();
    assert_eq!(told, [false, false, true, false]);
}

#[tokio::test]
async fn an_error_in_place_of_a_list_shows_no_key() {
    let server = Canned::serve(vec![Answer::json(200, r#"{"error":"Invalid API key sk-s3cret-key"}"#)]).await;
    let open_ai = open_ai_with(&server, |options| options.key = Some("sk-s3cret-key".into()));
    let error = open_ai.models().await.unwrap_err().to_string();
    assert!(error.contains("Invalid API key") && !error.contains("s3cret"), "{error}");
}
