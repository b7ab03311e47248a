//! A local model behind Ollama's own interface (`/api/chat`), streamed.
//!
//! Holds true: every caller sends the same window and launch options, since any difference makes the server load the
//! model anew; and what `model_server` does.

mod lines;
mod refusal;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use bzzz_actors::ports::model::{ChatRequest, Completion, Model, ModelError};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::http::SetupError;
use crate::model_server::{Answer, Connection, Ponderous, Said, ServerLimits, Thinking};
use lines::Lines;
use refusal::refusal;

/// Ollama's name for what is meant without a tag.
const LATEST: &str = ":latest";

#[derive(Debug, Clone)]
pub struct OllamaOptions {
    pub url: String,
    /// The window, for every call: a call with another one would load the model anew.
    pub context_tokens: u32,
    pub temperature: f32,
    /// How long the model stays loaded after a call: longer than the longest command, or each step pays a load.
    pub keep_alive: Duration,
    pub limits: ServerLimits,
}

impl OllamaOptions {
    /// The limits that suit a local server.
    pub fn new(url: impl Into<String>, context_tokens: u32) -> Self {
        Self {
            url: url.into(),
            context_tokens,
            temperature: 0.2,
            keep_alive: Duration::from_secs(30 * 60),
            limits: ServerLimits::default(),
        }
    }
}

pub struct Ollama {
    connection: Connection,
    options: OllamaOptions,
    ponderous: Ponderous,
}

impl Ollama {
    /// # Errors
    /// An address that can't be used. Nothing is sent yet.
    pub fn new(options: OllamaOptions) -> Result<Self, SetupError> {
        let connection = Connection::new(&options.url, options.limits, None)?;
        Ok(Self { connection, options, ponderous: Ponderous::default() })
    }

    fn body(&self, request: &ChatRequest, thinking: Thinking) -> Value {
        let mut body = json!({
            "model": request.model,
            "messages": thinking.messages(request),
            "stream": true,
            // Newer servers then answer with an error where they would drop the oldest messages unsaid.
            "truncate": false,
            "shift": false,
            "keep_alive": self.keep_alive(),
            "options": {
                "num_ctx": self.options.context_tokens,
                "num_predict": request.max_output_tokens,
                "temperature": self.options.temperature,
            },
        });
        if let Some(schema) = &request.schema {
            body["format"] = schema.clone();
        }
        // Servers and models that know no thinking refuse it, so it is not said before it must be.
        if thinking == Thinking::Not {
            body["think"] = json!(false);
        }
        body
    }

    fn keep_alive(&self) -> String {
        format!("{}s", self.options.keep_alive.as_secs())
    }

    async fn ask(&self, request: &ChatRequest, thinking: Thinking) -> Result<Said, ModelError> {
        let url = self.connection.url(&["api", "chat"]);
        let body = self.body(request, thinking);
        let refused = |answer: &Answer| refusal(answer.status, &answer.body, &request.model);
        self.connection.chat(url, &body, request.max_output_tokens, Lines, refused).await
    }

    async fn list<T: DeserializeOwned>(&self, what: &str) -> Result<Listed<T>, ModelError> {
        let answer = self.connection.get(self.connection.url(&["api", what])).await?;
        if answer.is_success() { answer.read() } else { Err(refusal(answer.status, &answer.body, "")) }
    }
}

#[derive(Deserialize)]
struct Listed<T> {
    models: Vec<T>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
}

/// Of what is in memory. Older servers don't say the window.
#[derive(Deserialize)]
struct Loaded {
    name: String,
    context_length: Option<u32>,
}

#[async_trait]
impl Model for Ollama {
    async fn models(&self) -> Result<Vec<String>, ModelError> {
        let there: Listed<Tag> = self.list("tags").await?;
        Ok(there.models.into_iter().map(|tag| tag.name).collect())
    }

    async fn window(&self, model: &str) -> Result<Option<u32>, ModelError> {
        let loaded: Listed<Loaded> = self.list("ps").await?;
        let is_it = |name: &str| name == model || name.strip_suffix(LATEST) == Some(model);
        Ok(loaded.models.into_iter().find(|it| is_it(&it.name)).and_then(|it| it.context_length))
    }

    /// As a call without a prompt does, with the window that every later call has.
    async fn preload(&self, model: &str) -> Result<(), ModelError> {
        let body = json!({
            "model": model,
            "stream": false,
            "keep_alive": self.keep_alive(),
            "options": { "num_ctx": self.options.context_tokens },
        });
        let answer = self.connection.post(self.connection.url(&["api", "generate"]), &body).await?;
        if answer.is_success() { Ok(()) } else { Err(refusal(answer.status, &answer.body, model)) }
    }

    fn remedy(&self, model: &str) -> String {
        refusal::remedy(model)
    }

    async fn chat(&self, request: &ChatRequest) -> Result<Completion, ModelError> {
        self.ponderous.answer(request, |thinking| self.ask(request, thinking)).await
    }
}
