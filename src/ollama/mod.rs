//! A local model behind Ollama's own interface (`/api/chat`), streamed.
//!
//! Holds true: every caller sends the same window and launch options, since any difference makes the server load the
//! model anew; a reply is whole or an error, never a part that passes for all of it; a call that is dropped closes its
//! connection, which ends the generation.

mod refusal;
mod reply;
#[cfg(test)]
mod tests;
mod thinking;

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bzzz_actors::ports::model::{ChatRequest, Completion, Model, ModelError};
use reqwest::{Client, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tracing::warn;

use crate::http::{BaseUrl, PlainHttp, SetupError, client, describe, excerpt, read_to_end};
use refusal::refusal;
use reply::{Limits, ReplyReader};

/// Ollama's name for what is meant without a tag.
const LATEST: &str = ":latest";
/// The longest list of models that is read.
const MAX_LIST_BYTES: usize = 4 * 1024 * 1024;
/// The longest body of an error that is read.
const MAX_ERROR_BYTES: usize = 64 * 1024;
/// For a list of models, which needs none loaded.
const LIST_TIMEOUT: Duration = Duration::from_secs(15);

#[derive(Debug, Clone)]
pub struct OllamaOptions {
    pub url: String,
    /// The window, for every call: a call with another one would load the model anew.
    pub context_tokens: u32,
    pub temperature: f32,
    /// How long the model stays loaded after a call: longer than the longest command, or each step pays a load.
    pub keep_alive: Duration,
    pub connect_timeout: Duration,
    /// Until the reply begins. Loading a model takes minutes, during which the server says nothing.
    pub first_byte_timeout: Duration,
    /// The longest silence within a reply.
    pub chunk_timeout: Duration,
    /// A reply is cut there, as if the model had reached its limit.
    pub max_reply_bytes: usize,
    /// The longest line of the stream. A longer one ends the call.
    pub max_line_bytes: usize,
}

impl OllamaOptions {
    /// The limits that suit a local server.
    pub fn new(url: impl Into<String>, context_tokens: u32) -> Self {
        Self {
            url: url.into(),
            context_tokens,
            temperature: 0.2,
            keep_alive: Duration::from_secs(30 * 60),
            connect_timeout: Duration::from_secs(5),
            first_byte_timeout: Duration::from_secs(5 * 60),
            chunk_timeout: Duration::from_secs(60),
            max_reply_bytes: 1024 * 1024,
            max_line_bytes: 1024 * 1024,
        }
    }
}

pub struct Ollama {
    client: Client,
    base: BaseUrl,
    options: OllamaOptions,
    /// Models that come to no end of their thinking, and are told not to think.
    ponderous: Mutex<HashSet<String>>,
}

/// How a model is asked that may think before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thinking {
    AsItDoes,
    Briefly,
    Not,
}

/// Said with the question when the answer to it was all thinking.
const BE_BRIEF: &str = "\n\nThink briefly, then answer.";

impl Ollama {
    /// # Errors
    /// An address that can't be used. Nothing is sent yet.
    pub fn new(options: OllamaOptions) -> Result<Self, SetupError> {
        let base = BaseUrl::parse(&options.url, PlainHttp::Anywhere)?;
        let client = client(&base, options.connect_timeout)?;
        Ok(Self { client, base, options, ponderous: Mutex::default() })
    }

    fn body(&self, request: &ChatRequest, thinking: Thinking) -> Value {
        let mut messages = request.messages.clone();
        if let (Thinking::Briefly, Some(last)) = (thinking, messages.last_mut()) {
            last.content += BE_BRIEF;
        }
        let mut body = json!({
            "model": request.model,
            "messages": messages,
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

    async fn list<T: DeserializeOwned>(&self, what: &str) -> Result<Listed<T>, ModelError> {
        let request = self.client.get(self.base.join(&["api", what])).timeout(LIST_TIMEOUT);
        let response = request.send().await.map_err(|error| ModelError::Unavailable(describe(&error)))?;
        let status = response.status();
        let body = read_to_end(response, MAX_LIST_BYTES).await;
        let body = body.map_err(|error| ModelError::Unavailable(error.to_string()))?;
        if !status.is_success() {
            return Err(refusal(status.as_u16(), &body, ""));
        }
        serde_json::from_slice(&body).map_err(|error| {
            ModelError::Unavailable(format!("its list of models can't be read, {error}: {}", excerpt(&body)))
        })
    }

    async fn read_reply(&self, mut response: Response, model: &ChatRequest) -> Result<Said, ModelError> {
        let limits = Limits {
            line_bytes: self.options.max_line_bytes,
            reply_bytes: self.options.max_reply_bytes,
            output_tokens: model.max_output_tokens,
        };
        let mut reader = ReplyReader::new(limits);
        loop {
            let chunk = timeout(self.options.chunk_timeout, response.chunk()).await.map_err(|_| {
                ModelError::Unavailable(format!(
                    "silent for {:?} in the middle of a reply",
                    self.options.chunk_timeout
                ))
            })?;
            let chunk = chunk.map_err(|error| ModelError::Unavailable(describe(&error)))?;
            let finished = match &chunk {
                Some(bytes) => reader.take(bytes)?,
                None => Some(reader.end()?),
            };
            if let Some(completion) = finished {
                return Ok(Said { completion, has_thought: reader.has_thought() });
            }
        }
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
        let response = self.post("generate", &body, model).await?;
        read_to_end(response, MAX_ERROR_BYTES)
            .await
            .map(drop)
            .map_err(|error| ModelError::Unavailable(error.to_string()))
    }

    /// A model that only thought is asked again to be brief, and then not to think, as which it is asked from then on.
    async fn chat(&self, request: &ChatRequest) -> Result<Completion, ModelError> {
        let started = Instant::now();
        let is_ponderous = self.ponderous().contains(&request.model);
        let ways: &[Thinking] = match is_ponderous {
            true => &[Thinking::Not],
            false => &[Thinking::AsItDoes, Thinking::Briefly, Thinking::Not],
        };
        let mut output_tokens = 0_u32;
        let mut said = None;
        for way in ways {
            let Said { completion, has_thought } = self.ask(request, *way).await?;
            output_tokens = output_tokens.saturating_add(completion.output_tokens);
            let is_all_thinking = has_thought && completion.content.trim().is_empty();
            said = Some(completion);
            if !is_all_thinking {
                break;
            }
            // Now, since the call may be given up before the next answer.
            if *way == Thinking::Briefly {
                warn!(
                    model = request.model,
                    "it comes to no end of its thinking: it is asked without from here on"
                );
                self.ponderous().insert(request.model.clone());
            }
        }
        let nothing = || ModelError::Unavailable("it was not asked".to_owned());
        Ok(Completion { duration: started.elapsed(), output_tokens, ..said.ok_or_else(nothing)? })
    }
}

/// A whole reply.
struct Said {
    completion: Completion,
    has_thought: bool,
}

impl Ollama {
    fn ponderous(&self) -> MutexGuard<'_, HashSet<String>> {
        self.ponderous.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, request: &ChatRequest, thinking: Thinking) -> Result<Said, ModelError> {
        let response = self.post("chat", &self.body(request, thinking), &request.model).await?;
        self.read_reply(response, request).await
    }

    fn keep_alive(&self) -> String {
        format!("{}s", self.options.keep_alive.as_secs())
    }

    /// The beginning of an answer.
    async fn post(&self, what: &str, body: &Value, model: &str) -> Result<Response, ModelError> {
        let sent = self.client.post(self.base.join(&["api", what])).json(body).send();
        let response = timeout(self.options.first_byte_timeout, sent)
            .await
            .map_err(|_| {
                ModelError::Unavailable(format!(
                    "no reply began within {:?}",
                    self.options.first_byte_timeout
                ))
            })?
            .map_err(|error| ModelError::Unavailable(describe(&error)))?;
        let status = response.status();
        if !status.is_success() {
            let body = timeout(self.options.chunk_timeout, read_to_end(response, MAX_ERROR_BYTES)).await;
            let body = body.ok().and_then(Result::ok).unwrap_or_default();
            return Err(refusal(status.as_u16(), &body, model));
        }
        Ok(response)
    }
}
