//! The model's description, and whether it is loaded.

use std::time::{Duration, Instant};

use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

use super::{Ollama, bad_request};
use crate::apiary::clock;

/// The only model. Its name says what it is.
pub const MODEL: &str = "scripted:latest";
/// The version whose behaviour is stood in for.
const VERSION: &str = "0.33.3";
/// The window of a machine with a small GPU.
pub(crate) const DEFAULT_NUM_CTX: u64 = 4096;
/// What `/api/show` says the model could have, and the window of the other interface, which can't be asked for one.
pub(crate) const MAX_CONTEXT: u64 = 131_072;
const DEFAULT_KEEP_ALIVE: Duration = Duration::from_secs(300);
/// Used for "for ever": a negative `keep_alive`.
const LONG: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
const MODIFIED_AT: &str = "2026-01-01T00:00:00Z";
const SIZE: u64 = 4096;

/// The model in memory.
pub(crate) struct Loaded {
    num_ctx: u64,
    /// An older server does not tell its window.
    tells: bool,
    expires: Instant,
    expires_at: String,
}

/// Whether `name` is the model, with or without its tag.
pub(crate) fn is_known(name: &str) -> bool {
    name == MODEL || Some(name) == MODEL.strip_suffix(":latest")
}

pub(crate) fn unknown(name: &str) -> HttpResponse {
    HttpResponse::NotFound().json(json!({ "error": format!("model '{name}' not found") }))
}

impl Ollama {
    /// Loads the model with a window, or keeps it; true when it was not there in this size.
    pub(crate) fn load(&self, num_ctx: u64, tells: bool, keep_alive: Option<&Value>) -> bool {
        let keep = keep_alive.map_or(DEFAULT_KEEP_ALIVE, keep_alive_duration);
        let mut state = self.lock();
        let there = state.loaded.as_ref().is_some_and(|l| l.num_ctx == num_ctx && l.expires > Instant::now());
        state.loaded = (!keep.is_zero()).then(|| Loaded {
            num_ctx,
            tells,
            expires: Instant::now() + keep,
            expires_at: clock::after(keep),
        });
        !there
    }
}

/// `keep_alive` as Ollama reads it: seconds as a number, or a text such as `5m`; negative is for ever.
fn keep_alive_duration(value: &Value) -> Duration {
    if let Some(seconds) = value.as_f64() {
        return Duration::try_from_secs_f64(seconds).unwrap_or(LONG).min(LONG);
    }
    match value.as_str() {
        Some(text) if text.starts_with('-') => LONG,
        Some(text) => humantime::parse_duration(text).unwrap_or(DEFAULT_KEEP_ALIVE).min(LONG),
        None => DEFAULT_KEEP_ALIVE,
    }
}

fn details() -> Value {
    json!({
        "parent_model": "",
        "format": "script",
        "family": "scripted",
        "families": ["scripted"],
        "parameter_size": "0",
        "quantization_level": "none",
    })
}

fn digest() -> String {
    blake3::hash(MODEL.as_bytes()).to_hex().to_string()
}

pub(crate) async fn version() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "version": VERSION }))
}

pub(crate) async fn tags() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "models": [{
        "name": MODEL,
        "model": MODEL,
        "modified_at": MODIFIED_AT,
        "size": SIZE,
        "digest": digest(),
        "details": details(),
    }] }))
}

pub(crate) async fn ps(ollama: web::Data<Ollama>) -> HttpResponse {
    let state = ollama.lock();
    let loaded = state.loaded.as_ref().filter(|l| l.expires > Instant::now());
    let models: Vec<Value> = loaded
        .map(|loaded| {
            let mut model = json!({
                "name": MODEL,
                "model": MODEL,
                "size": SIZE,
                "size_vram": 0,
                "digest": digest(),
                "details": details(),
                "expires_at": loaded.expires_at,
            });
            if loaded.tells {
                model["context_length"] = json!(loaded.num_ctx);
            }
            model
        })
        .into_iter()
        .collect();
    HttpResponse::Ok().json(json!({ "models": models }))
}

pub(crate) async fn show(body: web::Bytes) -> HttpResponse {
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        return bad_request("invalid JSON");
    };
    let name = request["model"].as_str().or_else(|| request["name"].as_str()).unwrap_or_default();
    if name.is_empty() {
        return bad_request("model is required");
    }
    if !is_known(name) {
        return unknown(name);
    }
    HttpResponse::Ok().json(json!({
        "license": "",
        "modelfile": format!("FROM {MODEL}\n"),
        "parameters": "",
        "template": "{{ .Prompt }}",
        "details": details(),
        "model_info": {
            "general.architecture": "scripted",
            "general.parameter_count": 0,
            "scripted.context_length": MAX_CONTEXT,
        },
        "capabilities": ["completion"],
        "modified_at": MODIFIED_AT,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keep_alive_is_read_in_every_form() {
        let seconds = |value: Value| keep_alive_duration(&value).as_secs();
        assert_eq!((seconds(json!(0)), seconds(json!(90)), seconds(json!("10m"))), (0, 90, 600));
        assert_eq!((seconds(json!(-1)), seconds(json!("-1"))), (LONG.as_secs(), LONG.as_secs()));
        assert_eq!((seconds(json!("soon")), seconds(json!(null))), (300, 300));
    }
}
