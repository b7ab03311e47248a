//! A model server: messages in, one reply out.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Down, overloaded, a broken stream, a time-out: asking again may succeed.
    #[error("the model server is not available: {0}")]
    Unavailable(String),
    /// `remedy` is [`Model::remedy`]'s.
    #[error("the model {model} is not on the server: {remedy}")]
    Missing { model: String, remedy: String },
    /// The prompt does not fit into the model's window.
    #[error("the prompt is longer than the model's window: {0}")]
    Overflow(String),
    /// The server refuses the request as such.
    #[error("the model server refused the request: {0}")]
    Refused(String),
}

impl ModelError {
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    System,
    User,
    Assistant,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub role: Role,
    pub content: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatRequest {
    pub model: String,
    pub messages: Vec<Message>,
    /// The reply ends there with [`Finish::Length`].
    pub max_output_tokens: u32,
    /// The JSON schema that the server is asked to hold the reply to. It may not.
    pub schema: Option<serde_json::Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    Stop,
    /// Cut at `max_output_tokens` or at the adapter's cap on bytes.
    Length,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// Without the model's thinking.
    pub content: String,
    pub finish: Finish,
    /// As the server counted; 0 when it does not say.
    pub prompt_tokens: u32,
    pub output_tokens: u32,
    pub duration: Duration,
}

#[async_trait]
pub trait Model: Send + Sync {
    /// The names of the models that the server has.
    async fn models(&self) -> Result<Vec<String>, ModelError>;

    /// The window that the server has loaded the model with, in tokens; `None` when the server does not say, or has not
    /// loaded it. It can be smaller than the one that was asked for.
    async fn window(&self, model: &str) -> Result<Option<u32>, ModelError>;

    /// What a person does about a model that the server does not have, in the words of its kind of server.
    fn remedy(&self, model: &str) -> String;

    async fn chat(&self, request: &ChatRequest) -> Result<Completion, ModelError>;

    /// Has the server load the model, so that the first question need not wait for it. Nothing where servers have their
    /// model loaded at all times.
    async fn preload(&self, _model: &str) -> Result<(), ModelError> {
        Ok(())
    }
}

/// Who says which model a task gets, where the operator wants to be asked.
#[async_trait]
pub trait ModelSelection: Send + Sync {
    /// One of `models` for what `prompt` asks for. The error is for people.
    async fn select(&self, models: &[String], prompt: &str) -> Result<String, String>;
}
