//! The interface of OpenAI-compatible servers, `/v1/chat/completions` and `/v1/models`, as vLLM has it: the window is the
//! server's, and what does not fit into it with the reply that is asked for is refused.

use actix_web::http::StatusCode;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::Bytes;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Ollama;
use super::chat::{Message, cost, reply_text};
use super::models::{MAX_CONTEXT, MODEL, is_known};
use super::stream::{AGAIN, Pieces, Speech};
use crate::apiary::clock;
use crate::apiary::faults::StreamFault;

#[derive(Deserialize)]
struct CompletionRequest {
    model: String,
    messages: Vec<Message>,
    #[serde(default)]
    stream: bool,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u32>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

/// An error as vLLM words its own.
pub(crate) fn error(message: &str, status: u16) -> Value {
    let kind = match status {
        400 => "BadRequestError",
        404 => "NotFoundError",
        _ => "InternalServerError",
    };
    json!({ "error": { "message": message, "type": kind, "param": null, "code": status } })
}

fn refused(status: StatusCode, message: &str) -> HttpResponse {
    HttpResponse::build(status).json(error(message, status.as_u16()))
}

impl Ollama {
    fn knows_key(&self, http: &HttpRequest) -> bool {
        let sent = http.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(key) = &self.key else { return true };
        sent.and_then(|text| text.strip_prefix("Bearer ")) == Some(key)
    }
}

fn unauthorized() -> HttpResponse {
    HttpResponse::Unauthorized().json(json!({ "error": "Unauthorized" }))
}

/// The window, in tokens, and what else the request meets.
fn window_and_fault(http: &HttpRequest) -> (u64, Option<StreamFault>) {
    match http.extensions_mut().remove::<StreamFault>() {
        Some(StreamFault::SmallWindow(tokens)) => (tokens, None),
        other => (MAX_CONTEXT, other),
    }
}

pub(crate) async fn models(ollama: web::Data<Ollama>, http: HttpRequest) -> HttpResponse {
    if !ollama.knows_key(&http) {
        return unauthorized();
    }
    let (window, _) = window_and_fault(&http);
    HttpResponse::Ok().json(json!({ "object": "list", "data": [{
        "id": MODEL,
        "object": "model",
        "created": clock::unix(),
        "owned_by": "apiary",
        "root": MODEL,
        "parent": null,
        "max_model_len": window,
    }] }))
}

pub(crate) async fn chat(ollama: web::Data<Ollama>, http: HttpRequest, body: web::Bytes) -> HttpResponse {
    if !ollama.knows_key(&http) {
        return unauthorized();
    }
    let request: CompletionRequest = match ollama.read(&body) {
        Ok(request) => request,
        Err(e) => return refused(StatusCode::BAD_REQUEST, &e.to_string()),
    };
    if !is_known(&request.model) {
        let message = format!("The model `{}` does not exist.", request.model);
        return refused(StatusCode::NOT_FOUND, &message);
    }
    let (window, fault) = window_and_fault(&http);
    let prompt_tokens = cost(&request.messages);
    let asked = u64::from(request.max_tokens.unwrap_or(0));
    if prompt_tokens + asked > window {
        let message = format!(
            "This model's maximum context length is {window} tokens. However, you requested {asked} output tokens and \
             your prompt contains at least {prompt_tokens} input tokens. Please reduce the length of the input prompt."
        );
        return refused(StatusCode::BAD_REQUEST, &message);
    }
    let text = reply_text(&ollama, &request.messages);
    let speech = Speech::new(&text, request.max_tokens.map(i64::from));
    let completion = Completion { model: request.model, speech, prompt_tokens };
    if request.stream {
        let counts = request.stream_options.is_some_and(|options| options.include_usage);
        return completion.pieces(counts).send(fault);
    }
    match fault {
        Some(StreamFault::Error(text)) => refused(StatusCode::INTERNAL_SERVER_ERROR, &text),
        _ => HttpResponse::Ok().json(completion.whole()),
    }
}

struct Completion {
    model: String,
    speech: Speech,
    prompt_tokens: u64,
}

impl Completion {
    fn usage(&self) -> Value {
        let (asked, said) = (self.prompt_tokens, self.speech.tokens);
        json!({ "prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said })
    }

    fn object(&self, kind: &str, choices: Value) -> Value {
        json!({
            "id": "chatcmpl-scripted",
            "object": kind,
            "created": clock::unix(),
            "model": self.model,
            "choices": choices,
        })
    }

    fn whole(&self) -> Value {
        let message = json!({ "role": "assistant", "content": self.speech.chunks.concat() });
        let choice = json!({ "index": 0, "message": message, "finish_reason": self.speech.reason });
        let mut whole = self.object("chat.completion", json!([choice]));
        whole["usage"] = self.usage();
        whole
    }

    fn part(&self, delta: &Value, finish_reason: Option<&str>) -> Bytes {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish_reason });
        event(&self.object("chat.completion.chunk", json!([choice])))
    }

    fn pieces(&self, counts: bool) -> Pieces {
        let said = |text: &str| self.part(&json!({ "content": text }), None);
        let begun = self.part(&json!({ "role": "assistant", "content": "" }), None);
        let mut end = vec![self.part(&json!({}), Some(self.speech.reason))];
        if counts {
            let mut counted = self.object("chat.completion.chunk", json!([]));
            counted["usage"] = self.usage();
            end.push(event(&counted));
        }
        end.push(Bytes::from_static(b"data: [DONE]\n\n"));
        Pieces {
            content_type: "text/event-stream; charset=utf-8",
            parts: std::iter::once(begun).chain(self.speech.chunks.iter().map(|text| said(text))).collect(),
            end,
            again: said(AGAIN),
            error: |text| event(&error(text, 500)),
        }
    }
}

fn event(data: &Value) -> Bytes {
    format!("data: {data}\n\n").into()
}
