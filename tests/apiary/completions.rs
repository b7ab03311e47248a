//! The interface of OpenAI-compatible servers: as any client meets it, and a conversation over the node's adapter.

use std::time::Duration;

use bzzz::apiary::StandIn;
use bzzz::apiary::faults::{Fault, Rule, When};
use bzzz::apiary::ollama::{MODEL, ModelScript};
use bzzz::model_server::ServerLimits;
use bzzz::openai::{OpenAi, OpenAiOptions};
use bzzz_actors::ports::model::{ChatRequest, Completion, Finish, Message, Model, ModelError, Role};
use bzzz_actors::reasoner_actor::read_step;
use bzzz_actors::task::Step;
use serde_json::{Value, json};

use crate::meadow::{Meadow, client};

const REPLIES: [&str; 3] = [
    "1. Look.\n2. Fix it.",
    "Let me look.\n\n```sh\nls -la\n```\n",
    "```done\ntitle: Grüß Gott\n\nIt is fixed.\n```",
];

async fn meadow() -> Meadow {
    let mut script = ModelScript::default();
    script.set("meadow/ledger#1", REPLIES);
    Meadow::with(|options| {
        options.model_script = script;
        options.model_key = Some("k3y".to_owned());
    })
    .await
}

fn question(change: Value) -> Value {
    let mut body = json!({ "model": MODEL, "messages": [
        { "role": "system", "content": "You work on a task.\nTask: meadow/ledger#1" },
        { "role": "user", "content": "Go on." },
    ] });
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    body
}

async fn asked(meadow: &Meadow, change: Value) -> reqwest::Response {
    let url = format!("{}/v1/chat/completions", meadow.apiary.ollama_url());
    client().post(url).bearer_auth("k3y").json(&question(change)).send().await.unwrap()
}

#[tokio::test]
async fn a_reply_streams_as_events_and_ends_in_its_count_and_done() {
    let meadow = meadow().await;
    let options = json!({ "stream": true, "stream_options": { "include_usage": true }, "max_tokens": 64 });
    let answer = asked(&meadow, options).await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream; charset=utf-8");
    let text = answer.text().await.unwrap();
    let events: Vec<&str> =
        text.split_terminator("\n\n").map(|it| it.strip_prefix("data: ").unwrap()).collect();
    let (done, pieces) = events.split_last().unwrap();
    assert_eq!(*done, "[DONE]");
    let pieces: Vec<Value> = pieces.iter().map(|it| serde_json::from_str(it).unwrap()).collect();
    let said =
        |piece: &Value| piece["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned();
    assert_eq!(pieces.iter().map(said).collect::<String>(), REPLIES[0]);
    let [.., finished, counted] = pieces.as_slice() else { panic!("{text}") };
    assert_eq!(finished["choices"][0]["finish_reason"], "stop");
    assert_eq!(counted["choices"], json!([]));
    assert!(counted["usage"]["prompt_tokens"].as_u64().unwrap() > 0, "{counted}");
    assert!(!asked(&meadow, json!({ "stream": true })).await.text().await.unwrap().contains("usage"));

    let whole: Value = asked(&meadow, json!({ "max_tokens": 2 })).await.json().await.unwrap();
    let choice = &whole["choices"][0];
    assert_eq!(
        (&choice["message"]["content"], &choice["finish_reason"]),
        (&json!("1. Look."), &json!("length"))
    );
    assert_eq!(whole["usage"]["completion_tokens"], 2);
}

#[tokio::test]
async fn what_it_can_not_answer_is_said_as_vllm_says_it() {
    let meadow = meadow().await;
    let unknown = asked(&meadow, json!({ "model": "llama9" })).await;
    assert_eq!(unknown.status(), 404);
    assert_eq!(
        unknown.json::<Value>().await.unwrap()["error"]["message"],
        "The model `llama9` does not exist."
    );
    let too_long = asked(&meadow, json!({ "max_tokens": 200_000 })).await;
    assert_eq!(too_long.status(), 400);
    assert!(too_long.text().await.unwrap().contains("maximum context length is 131072 tokens"));
    for key in [None, Some("other")] {
        let request = client().get(format!("{}/v1/models", meadow.apiary.ollama_url()));
        let request = key.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
        assert_eq!(request.send().await.unwrap().status(), 401);
    }
    let ollamas_own = client().get(format!("{}/api/tags", meadow.apiary.ollama_url()));
    assert_eq!(ollamas_own.send().await.unwrap().status(), 200, "which knows no key");
}

fn open_ai(meadow: &Meadow, key: &str) -> OpenAi {
    OpenAi::new(OpenAiOptions {
        key: Some(key.into()),
        limits: ServerLimits { chunk: Duration::from_secs(1), ..ServerLimits::default() },
        ..OpenAiOptions::new(meadow.apiary.ollama_url(), 8192)
    })
    .unwrap()
}

fn message(role: Role, content: &str) -> Message {
    Message { role, content: content.to_owned() }
}

fn task() -> ChatRequest {
    ChatRequest {
        model: MODEL.to_owned(),
        messages: vec![
            message(Role::System, "You work on a task.\nTask: meadow/ledger#1"),
            message(Role::User, "Draft a plan."),
        ],
        max_output_tokens: 256,
        schema: None,
    }
}

/// Asks until there is an answer, as a node does, and counts the failures.
async fn ask(model: &OpenAi, request: &ChatRequest) -> (Completion, usize) {
    for failures in 0.. {
        match model.chat(request).await {
            Ok(completion) => return (completion, failures),
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    }
    unreachable!()
}

#[tokio::test]
async fn a_whole_conversation_goes_over_the_adapter_whatever_happens_to_its_streams() {
    let meadow = meadow().await;
    let model = open_ai(&meadow, "k3y");
    assert_eq!(model.models().await.unwrap(), [MODEL]);
    assert_eq!(model.window(MODEL).await, Ok(Some(131_072)));
    let faults = [
        vec![Fault::StreamWithoutDone, Fault::StreamError { message: "the engine died".into() }],
        vec![Fault::StalledStream, Fault::Status { status: 503, when: When::Before }],
        vec![
            Fault::Html { status: 200 },
            Fault::Drop { when: When::Before },
            Fault::HalfBody,
            Fault::EmptyBody,
        ],
    ];
    let mut request = task();
    let mut said = Vec::new();
    for faults in faults {
        let expected = faults.len();
        for fault in faults {
            let rule = Rule::new("POST", "/v1/chat/completions", fault).times(1);
            meadow.apiary.faults(StandIn::Ollama).add(rule).unwrap();
        }
        let (completion, failures) = ask(&model, &request).await;
        assert_eq!((failures, completion.finish), (expected, Finish::Stop));
        assert!(completion.prompt_tokens > 0 && completion.output_tokens > 0);
        request.messages.push(message(Role::Assistant, &completion.content));
        request.messages.push(message(Role::User, "Go on."));
        said.push(completion.content);
    }
    assert_eq!(said, REPLIES);
    assert!(matches!(read_step(&said[1], Finish::Stop), Step::Run { .. }));
    assert!(matches!(read_step(&said[2], Finish::Stop), Step::Done { .. }));
    assert_eq!(meadow.apiary.ollama().requests().last().unwrap()["messages"].as_array().unwrap().len(), 6);
}

#[tokio::test]
async fn what_will_not_pass_by_itself_is_told_apart() {
    let meadow = meadow().await;
    let refused = open_ai(&meadow, "wr0ng").chat(&task()).await.unwrap_err();
    assert!(refused.is_retryable() && refused.to_string().contains("`model.key`"), "{refused}");
    let model = open_ai(&meadow, "k3y");
    let unknown = ChatRequest { model: "llama9".to_owned(), ..task() };
    let missing = model.chat(&unknown).await.unwrap_err();
    assert!(matches!(&missing, ModelError::Missing { model, .. } if model == "llama9"), "{missing}");

    let small = Rule { path: "/v1/".to_owned(), ..Rule::any(Fault::SmallWindow { tokens: 260 }) };
    meadow.apiary.faults(StandIn::Ollama).add(small).unwrap();
    let overflow = model.chat(&task()).await.unwrap_err();
    assert!(matches!(overflow, ModelError::Overflow(_)), "{overflow}");
    assert_eq!(model.window(MODEL).await, Ok(Some(260)));
    meadow.apiary.faults(StandIn::Ollama).clear();

    meadow.apiary.faults(StandIn::Ollama).add(Rule::any(Fault::EndlessStream)).unwrap();
    let endless = ChatRequest { max_output_tokens: 1, ..task() };
    let small = OpenAi::new(OpenAiOptions {
        key: Some("k3y".into()),
        limits: ServerLimits { reply_bytes: 100, ..ServerLimits::default() },
        ..OpenAiOptions::new(meadow.apiary.ollama_url(), 8192)
    });
    let cut = small.unwrap().chat(&endless).await.unwrap();
    assert_eq!((cut.finish, cut.content.len()), (Finish::Length, 100));
}
