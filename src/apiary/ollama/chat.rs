//! `/api/chat`: finding the reply, and the window that the conversation must fit.

use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::models::{DEFAULT_NUM_CTX, is_known, unknown};
use super::script::line_value;
use super::stream::{Kind, Reply, answer};
use super::{Ollama, bad_request};
use crate::apiary::faults::StreamFault;

/// What a message costs besides its text, in tokens.
const MESSAGE_TOKENS: u64 = 4;

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Message {
    pub(crate) role: String,
    #[serde(default)]
    pub(crate) content: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Options {
    pub(crate) num_ctx: Option<u64>,
    /// Negative: no limit.
    pub(crate) num_predict: Option<i64>,
}

#[derive(Deserialize)]
struct ChatRequest {
    #[serde(default)]
    model: String,
    #[serde(default)]
    messages: Vec<Message>,
    stream: Option<bool>,
    truncate: Option<bool>,
    #[serde(default)]
    options: Options,
    keep_alive: Option<Value>,
}

/// The estimate that stands in for a tokenizer.
pub(crate) fn tokens(text: &str) -> u64 {
    (text.len() as u64).div_ceil(4)
}

pub(crate) fn cost(messages: &[Message]) -> u64 {
    messages.iter().map(|m| tokens(&m.content) + MESSAGE_TOKENS).sum()
}

/// The tokens that the model gets to see: what does not fit is left out, oldest first, but system messages and the
/// last message. When even those do not fit, their front is cut down to half of the window.
fn seen_tokens(messages: &[Message], num_ctx: u64) -> u64 {
    let mut seen = messages.to_vec();
    while cost(&seen) > num_ctx {
        let last = seen.len().saturating_sub(1);
        let Some(oldest) = seen[..last].iter().position(|m| m.role != "system") else {
            return num_ctx / 2;
        };
        seen.remove(oldest);
    }
    cost(&seen)
}

/// The error of `truncate: false`, as llama.cpp's server words it and Ollama hands it on.
pub(crate) fn too_long(tokens: u64, num_ctx: u64) -> HttpResponse {
    let message = format!(
        "request ({tokens} tokens) exceeds the available context size ({num_ctx} tokens), try increasing it"
    );
    let inner = json!({ "error": {
        "code": 400,
        "message": message,
        "type": "exceed_context_size_error",
        "n_prompt_tokens": tokens,
        "n_ctx": num_ctx,
    }});
    bad_request(inner.to_string())
}

pub(crate) async fn chat(ollama: web::Data<Ollama>, http: HttpRequest, body: web::Bytes) -> HttpResponse {
    let request: ChatRequest = match ollama.read(&body) {
        Ok(request) => request,
        Err(e) => return bad_request(e.to_string()),
    };
    if request.model.is_empty() {
        return bad_request("model is required");
    }
    if !is_known(&request.model) {
        return unknown(&request.model);
    }
    let fault = http.extensions_mut().remove::<StreamFault>();
    let (largest, fault) = match fault {
        Some(StreamFault::SmallWindow(tokens)) => (Some(tokens), None),
        other => (None, other),
    };
    let num_ctx = request.options.num_ctx.unwrap_or(DEFAULT_NUM_CTX).min(largest.unwrap_or(u64::MAX));
    let loaded_now = ollama.load(num_ctx, largest.is_none(), request.keep_alive.as_ref());
    let kind = Kind::Chat;
    if request.messages.is_empty() {
        return answer(Reply::without_text(kind, &request.model, request.keep_alive.as_ref()), false, None);
    }
    let asked = cost(&request.messages);
    if asked > num_ctx && request.truncate == Some(false) && largest.is_none() {
        return too_long(asked, num_ctx);
    }
    let prompt_tokens = seen_tokens(&request.messages, num_ctx);
    let text = reply_text(&ollama, &request.messages);
    let reply =
        Reply::new(kind, &request.model, &text, request.options.num_predict, prompt_tokens, loaded_now);
    answer(reply, request.stream.unwrap_or(true), fault)
}

/// How a node begins that summarises its conversation, before the number of replies that are gone.
const SUMMARY: &str = "To save room, the first ";

/// The replies that the conversation no longer holds. The model reads of them, as a true one would.
fn summarised(messages: &[Message]) -> usize {
    let said = messages.iter().filter(|m| m.role == "user").find_map(|m| m.content.split_once(SUMMARY));
    said.and_then(|(_, rest)| rest.split(' ').next()?.parse().ok()).unwrap_or(0)
}

/// The task stands in the system message; how far the conversation is, in the number of the model's own replies.
pub(crate) fn reply_text(ollama: &Ollama, messages: &[Message]) -> String {
    let of_role = |role: &'static str| messages.iter().filter(move |m| m.role == role);
    let system: Vec<&str> = of_role("system").map(|m| m.content.as_str()).collect();
    let system = system.join("\n");
    let (task, role) = (line_value(&system, "Task"), line_value(&system, "Role"));
    let replies = of_role("assistant").count() + summarised(messages);
    ollama.lock().script.reply(task, role, replies).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(role: &str, length: usize) -> Message {
        Message { role: role.into(), content: "x".repeat(length) }
    }

    #[test]
    fn the_oldest_go_first_and_system_and_last_stay() {
        let conversation =
            [message("system", 40), message("user", 400), message("assistant", 40), message("user", 40)];
        assert_eq!(cost(&conversation), 14 + 104 + 14 + 14);
        assert_eq!(seen_tokens(&conversation, 1000), 146);
        assert_eq!(seen_tokens(&conversation, 145), 42);
        assert_eq!(seen_tokens(&conversation, 30), 28);
        assert_eq!(seen_tokens(&conversation, 20), 10);
    }
}
