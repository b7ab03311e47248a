//! Ollama: its HTTP interface, and a model that reads its replies from a script. Beside it, on the same address and from
//! the same script, the interface of OpenAI-compatible servers, as vLLM has it.
//!
//! Nothing is generated: the model's name says so (`scripted:latest`), and which reply comes follows from the request
//! alone, so a restart or a repeated request gets the same one. Tokens are estimated as four bytes each.

mod chat;
mod completions;
mod generate;
mod models;
mod script;
mod stream;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use actix_web::http::Method;
use actix_web::{HttpResponse, web};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(crate) use completions::error as completions_error;
pub use models::MODEL;
pub use script::ModelScript;

use models::Loaded;

/// Request bodies that are kept; the oldest are forgotten.
const MAX_REQUESTS: usize = 2_000;

pub struct Ollama {
    state: Mutex<State>,
    /// Asked for by `/v1` alone: Ollama itself knows none.
    key: Option<String>,
}

struct State {
    script: ModelScript,
    requests: VecDeque<Value>,
    loaded: Option<Loaded>,
}

impl Ollama {
    pub(crate) fn new(script: ModelScript, key: Option<String>) -> Self {
        let state = State { script, requests: VecDeque::new(), loaded: None };
        Self { state: Mutex::new(state), key }
    }

    /// What the model replies from now on.
    pub fn set_script(&self, script: ModelScript) {
        self.lock().script = script;
    }

    /// The bodies sent to `/api/chat`, `/api/generate` and `/v1/chat/completions`, oldest first.
    pub fn requests(&self) -> Vec<Value> {
        self.lock().requests.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request's body, which is kept even when it is not what it should be.
    fn read<T: DeserializeOwned>(&self, body: &[u8]) -> serde_json::Result<T> {
        let value: Value = serde_json::from_slice(body)?;
        self.keep(value.clone());
        serde_json::from_value(value)
    }

    fn keep(&self, request: Value) {
        let mut state = self.lock();
        if state.requests.len() == MAX_REQUESTS {
            state.requests.pop_front();
        }
        state.requests.push_back(request);
    }
}

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/").get(running).route(web::method(Method::HEAD).to(running)))
        .route("/api/version", web::get().to(models::version))
        .route("/api/tags", web::get().to(models::tags))
        .route("/api/ps", web::get().to(models::ps))
        .route("/api/show", web::post().to(models::show))
        .route("/api/chat", web::post().to(chat::chat))
        .route("/api/generate", web::post().to(generate::generate))
        .route("/v1/models", web::get().to(completions::models))
        .route("/v1/chat/completions", web::post().to(completions::chat))
        .route("/_apiary/chats", web::get().to(chats))
        .default_service(web::to(async || HttpResponse::NotFound().body("404 page not found")));
}

async fn running() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("Ollama is running")
}

/// The requests' bodies, for tests in other processes.
async fn chats(ollama: web::Data<Ollama>) -> HttpResponse {
    HttpResponse::Ok().json(ollama.requests())
}

fn bad_request(error: impl Into<String>) -> HttpResponse {
    HttpResponse::BadRequest().json(json!({ "error": error.into() }))
}
