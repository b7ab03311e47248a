//! `/api/generate`: one prompt without a conversation. The task stands in `system`, or in the prompt itself.

use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::Value;

use super::chat::{Options, tokens, too_long};
use super::models::{DEFAULT_NUM_CTX, is_known, unknown};
use super::script::line_value;
use super::stream::{Kind, Reply, answer};
use super::{Ollama, bad_request};
use crate::apiary::faults::StreamFault;

#[derive(Deserialize)]
struct GenerateRequest {
    #[serde(default)]
    model: String,
    #[serde(default)]
    prompt: String,
    #[serde(default)]
    system: String,
    stream: Option<bool>,
    truncate: Option<bool>,
    #[serde(default)]
    options: Options,
    keep_alive: Option<Value>,
}

pub(crate) async fn generate(ollama: web::Data<Ollama>, http: HttpRequest, body: web::Bytes) -> HttpResponse {
    let request: GenerateRequest = match ollama.read(&body) {
        Ok(request) => request,
        Err(e) => return bad_request(e.to_string()),
    };
    if request.model.is_empty() {
        return bad_request("model is required");
    }
    if !is_known(&request.model) {
        return unknown(&request.model);
    }
    let num_ctx = request.options.num_ctx.unwrap_or(DEFAULT_NUM_CTX);
    let loaded_now = ollama.load(num_ctx, true, request.keep_alive.as_ref());
    let kind = Kind::Generate;
    if request.prompt.is_empty() {
        return answer(Reply::without_text(kind, &request.model, request.keep_alive.as_ref()), false, None);
    }
    let asked = tokens(&request.system) + tokens(&request.prompt);
    if asked > num_ctx && request.truncate == Some(false) {
        return too_long(asked, num_ctx);
    }
    let prompt_tokens = if asked > num_ctx { num_ctx / 2 } else { asked };
    let find = |name| line_value(&request.system, name).or_else(|| line_value(&request.prompt, name));
    let text = ollama.lock().script.reply(find("Task"), find("Role"), 0).to_owned();
    let reply =
        Reply::new(kind, &request.model, &text, request.options.num_predict, prompt_tokens, loaded_now);
    let fault = http.extensions_mut().remove::<StreamFault>();
    answer(reply, request.stream.unwrap_or(true), fault)
}
