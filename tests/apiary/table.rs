//! Ollama as it is: what is known of its servers, a test for each, over the node's adapter against the apiary's faults.

use std::time::Duration;

use bzzz::apiary::StandIn;
use bzzz::apiary::faults::{Fault, Rule, When};
use bzzz::apiary::ollama::{MODEL, ModelScript};
use bzzz::ollama::{Ollama, OllamaOptions};
use bzzz_actors::ports::model::{ChatRequest, Finish, Message, Model, ModelError, Role};
use bzzz_actors::reasoner_actor::{Seen, Windows};
use serde_json::Value;

use crate::meadow::Meadow;

const WINDOW: u32 = 4096;
const LOOK: &str = "Let me look.\n\n```sh\nls -la\n```\n";

async fn meadow(replies: &[&str]) -> Meadow {
    let mut script = ModelScript::default();
    script.set("meadow/ledger#1", replies.iter().copied());
    Meadow::with(|options| options.model_script = script).await
}

fn ollama(meadow: &Meadow) -> Ollama {
    ollama_with(meadow, |_| {})
}

fn ollama_with(meadow: &Meadow, change: impl FnOnce(&mut OllamaOptions)) -> Ollama {
    let mut options = OllamaOptions::new(meadow.apiary.ollama_url(), WINDOW);
    change(&mut options);
    Ollama::new(options).unwrap()
}

fn message(role: Role, content: impl Into<String>) -> Message {
    Message { role, content: content.into() }
}

fn question() -> ChatRequest {
    ChatRequest {
        model: MODEL.to_owned(),
        messages: vec![
            message(Role::System, "You work on a task.\nTask: meadow/ledger#1"),
            message(Role::User, "Go on."),
        ],
        max_output_tokens: 256,
        schema: None,
    }
}

fn long_question(bytes: usize) -> ChatRequest {
    let mut question = question();
    question.messages.push(message(Role::Assistant, LOOK));
    question.messages.push(message(Role::User, "x".repeat(bytes)));
    question.messages.push(message(Role::Assistant, LOOK));
    question.messages.push(message(Role::User, "Go on."));
    question
}

fn fail(meadow: &Meadow, fault: Fault) {
    meadow.apiary.faults(StandIn::Ollama).add(Rule::new("POST", "/api/chat", fault).times(1)).unwrap();
}

fn bodies(meadow: &Meadow) -> Vec<Value> {
    meadow.apiary.ollama().requests()
}

#[tokio::test]
async fn overflow_is_an_error_of_newer_servers() {
    let meadow = meadow(&[LOOK]).await;
    let error = ollama(&meadow).chat(&long_question(40_000)).await.unwrap_err();
    assert!(matches!(&error, ModelError::Overflow(why) if why.contains("exceeds")), "{error}");
    let body = &bodies(&meadow)[0];
    assert_eq!((&body["truncate"], &body["shift"]), (&Value::Bool(false), &Value::Bool(false)));
}

#[tokio::test]
async fn overflow_of_older_servers_is_seen_by_their_count() {
    let meadow = meadow(&[LOOK; 3]).await;
    fail(&meadow, Fault::SmallWindow { tokens: 2048 });
    let question = long_question(14_000);
    let counted = ollama(&meadow).chat(&question).await.unwrap().prompt_tokens;
    let prompt_bytes = question.messages.iter().map(|it| it.content.len()).sum();
    let seen = Seen { model: MODEL.to_owned(), prompt_bytes, prompt_tokens: counted };
    assert!(Windows::default().shortfall(&seen, None).is_some(), "it counted {counted} tokens");
}

#[tokio::test]
async fn every_call_asks_for_the_same_window() {
    let meadow = meadow(&[LOOK; 3]).await;
    let ollama = ollama(&meadow);
    ollama.preload(MODEL).await.unwrap();
    ollama.chat(&question()).await.unwrap();
    ollama.chat(&ChatRequest { max_output_tokens: 64, ..long_question(100) }).await.unwrap();
    let windows: Vec<_> = bodies(&meadow).iter().map(|body| body["options"]["num_ctx"].as_u64()).collect();
    assert_eq!(windows, [Some(WINDOW.into()); 3]);
}

#[tokio::test]
async fn the_window_is_the_one_of_the_loaded_model() {
    let meadow = meadow(&[LOOK]).await;
    let ollama = ollama(&meadow);
    assert_eq!(ollama.window(MODEL).await, Ok(None), "nothing is loaded");
    ollama.chat(&question()).await.unwrap();
    assert_eq!(ollama.window(MODEL).await, Ok(Some(WINDOW)), "not the 131072 that the model could have");
}

#[tokio::test]
async fn the_interface_without_a_window_is_not_used() {
    let meadow = meadow(&[LOOK]).await;
    let ollama = ollama(&meadow);
    ollama.preload(MODEL).await.unwrap();
    ollama.models().await.unwrap();
    ollama.chat(&question()).await.unwrap();
    ollama.window(MODEL).await.unwrap();
    let paths: Vec<_> = meadow.apiary.requests(StandIn::Ollama).into_iter().map(|it| it.path).collect();
    assert_eq!(paths, ["/api/generate", "/api/tags", "/api/chat", "/api/ps"]);
}

#[tokio::test]
async fn a_reply_has_a_limit_and_says_that_it_reached_it() {
    let meadow = meadow(&[LOOK]).await;
    let short = ChatRequest { max_output_tokens: 3, ..question() };
    let completion = ollama(&meadow).chat(&short).await.unwrap();
    assert_eq!(completion.finish, Finish::Length);
    assert!(completion.content.len() < LOOK.len(), "{completion:?}");
    assert_eq!(bodies(&meadow)[0]["options"]["num_predict"], 3);
}

#[tokio::test]
async fn a_model_that_loads_is_waited_for_and_silence_is_not() {
    let meadow = meadow(&[LOOK; 3]).await;
    fail(&meadow, Fault::Latency { ms: 300 });
    let patient = ollama(&meadow);
    assert_eq!(patient.chat(&question()).await.unwrap().content, LOOK);

    let hasty = ollama_with(&meadow, |options| {
        options.limits.first_byte = Duration::from_millis(200);
        options.limits.chunk = Duration::from_millis(200);
    });
    fail(&meadow, Fault::Latency { ms: 60_000 });
    let late = hasty.chat(&question()).await.unwrap_err();
    assert!(late.is_retryable() && late.to_string().contains("no reply began"), "{late}");

    let impatient = ollama_with(&meadow, |options| options.limits.chunk = Duration::from_millis(200));
    fail(&meadow, Fault::StalledStream);
    let silent = impatient.chat(&question()).await.unwrap_err();
    assert!(silent.is_retryable() && silent.to_string().contains("in the middle of a reply"), "{silent}");
}

#[tokio::test]
async fn a_stream_with_an_error_or_without_its_end_is_a_failure() {
    let meadow = meadow(&[LOOK]).await;
    let ollama = ollama(&meadow);
    for (fault, words) in [
        (Fault::StreamError { message: "the runner died".into() }, "the runner died"),
        (Fault::StreamWithoutDone, "ended"),
        (Fault::HalfBody, ""),
        (Fault::Drop { when: When::After }, ""),
    ] {
        fail(&meadow, fault);
        let error = ollama.chat(&question()).await.unwrap_err();
        assert!(error.is_retryable() && error.to_string().contains(words), "{error}");
    }
    assert_eq!(ollama.chat(&question()).await.unwrap().content, LOOK);
}

#[tokio::test]
async fn thinking_is_no_reply_and_without_end_is_turned_off() {
    let meadow = meadow(&[&format!("<think>Hm.\n```sh\nrm\n```</think>{LOOK}"), "<think>Hm, hm, hm"]).await;
    let ollama = ollama(&meadow);
    assert_eq!(ollama.chat(&question()).await.unwrap().content.trim(), LOOK.trim());

    let mut second = question();
    second.messages.extend([message(Role::Assistant, LOOK), message(Role::User, "Go on.")]);
    assert_eq!(ollama.chat(&second).await.unwrap().content, "");
    let bodies = bodies(&meadow);
    let last = |body: &Value| body["messages"].as_array().unwrap().last().unwrap()["content"].clone();
    assert_eq!(bodies.len(), 4, "as it does, briefly, not at all");
    assert_eq!((&last(&bodies[1]), bodies[1].get("think")), (&Value::from("Go on."), None));
    assert!(last(&bodies[2]).as_str().unwrap().contains("Think briefly"), "{}", bodies[2]);
    assert_eq!((&last(&bodies[3]), &bodies[3]["think"]), (&Value::from("Go on."), &Value::Bool(false)));
}

#[tokio::test]
async fn a_full_queue_is_asked_again_later() {
    let meadow = meadow(&[LOOK]).await;
    fail(&meadow, Fault::Status { status: 503, when: When::Before });
    let ollama = ollama(&meadow);
    let busy = ollama.chat(&question()).await.unwrap_err();
    assert!(matches!(&busy, ModelError::Unavailable(_)), "{busy}");
    assert_eq!(ollama.chat(&question()).await.unwrap().content, LOOK);
}

#[tokio::test]
async fn nothing_before_the_new_message_changes() {
    let meadow = meadow(&[LOOK; 3]).await;
    let ollama = ollama(&meadow);
    let mut conversation = question();
    for _ in 0..3 {
        let reply = ollama.chat(&conversation).await.unwrap().content;
        conversation.messages.extend([message(Role::Assistant, reply), message(Role::User, "Go on.")]);
    }
    let mut bodies = bodies(&meadow);
    let messages: Vec<Vec<Value>> =
        bodies.iter_mut().map(|body| body["messages"].take().as_array().unwrap().clone()).collect();
    assert!(bodies.windows(2).all(|two| two[0] == two[1]), "{bodies:?}");
    assert!(messages.windows(2).all(|two| two[1].starts_with(&two[0])), "{messages:?}");
}
