//! A local model behind the interface that OpenAI began and vLLM, llama.cpp's server and LM Studio speak
//! (`/v1/chat/completions`), streamed.
//!
//! Holds true: the key is in the requests' header and nowhere else, whatever a server repeats of it; the window is the
//! server's own choice, which nothing here changes; and what `model_server` does.

mod events;
mod refusal;
#[cfg(test)]
mod tests;
mod window;

use async_trait::async_trait;
use bzzz_actors::ports::model::{ChatRequest, Completion, Model, ModelError};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::http::{SetupError, bearer};
use crate::model_server::{Answer, Connection, Ponderous, Said, ServerLimits, Thinking};
use events::Events;
use refusal::Call;
use window::{Models, Props};

#[derive(Debug, Clone)]
pub struct OpenAiOptions {
    /// With or without the `/v1` at its end.
    pub url: String,
    /// Sent as a bearer token. Over plain http it can be read on the way.
    pub key: Option<SecretString>,
    pub temperature: f32,
    pub limits: ServerLimits,
    /// The window that the node reckons with. This interface can't ask for one; who reads that a prompt was too long is
    /// told the number.
    pub context_tokens: u32,
}

impl OpenAiOptions {
    /// The limits that suit a local server.
    pub fn new(url: impl Into<String>, context_tokens: u32) -> Self {
        Self { url: url.into(), key: None, temperature: 0.2, limits: ServerLimits::default(), context_tokens }
    }
}

pub struct OpenAi {
    connection: Connection,
    options: OpenAiOptions,
    ponderous: Ponderous,
}

impl OpenAi {
    /// # Errors
    /// An address or key that can't be used. Nothing is sent yet.
    pub fn new(options: OpenAiOptions) -> Result<Self, SetupError> {
        let url = options.url.trim_end_matches('/');
        let url = url.strip_suffix("/v1").unwrap_or(url);
        let authorization = options.key.as_ref().map(|key| bearer(key, "key for the model server"));
        let connection = Connection::new(url, options.limits, authorization.transpose()?)?;
        Ok(Self { connection, options, ponderous: Ponderous::default() })
    }

    fn body(&self, request: &ChatRequest, thinking: Thinking) -> Value {
        let mut body = json!({
            "model": request.model,
            "messages": thinking.messages(request),
            "stream": true,
            "stream_options": { "include_usage": true },
            "max_tokens": request.max_output_tokens,
            "temperature": self.options.temperature,
        });
        if let Some(schema) = &request.schema {
            body["response_format"] =
                json!({ "type": "json_schema", "json_schema": { "name": "reply", "schema": schema } });
        }
        // vLLM and llama.cpp's server give it to the model's template; some others refuse what they don't know.
        if thinking == Thinking::Not {
            body["chat_template_kwargs"] = json!({ "enable_thinking": false });
        }
        body
    }

    fn call<'a>(&'a self, model: &'a str) -> Call<'a> {
        let key = self.options.key.as_ref().map(|key| key.expose_secret());
        Call { model, key, context_tokens: self.options.context_tokens }
    }

    async fn ask(&self, request: &ChatRequest, thinking: Thinking) -> Result<Said, ModelError> {
        let url = self.connection.url(&["v1", "chat", "completions"]);
        let body = self.body(request, thinking);
        let call = self.call(&request.model);
        let refused = |answer: &Answer| call.refusal(answer.status, &answer.body);
        self.connection.chat(url, &body, request.max_output_tokens, Events::new(call), refused).await
    }

    async fn list(&self) -> Result<Models, ModelError> {
        let answer = self.connection.get(self.connection.url(&["v1", "models"])).await?;
        match answer.is_success() {
            // Some servers tell an error under 200; whatever it repeats of the key is hidden.
            true => answer.read().map_err(|_| self.call("").broken_stream(&answer.body)),
            false => Err(self.call("").refusal(answer.status, &answer.body)),
        }
    }

    /// llama.cpp's server says there what older versions of it do not say in their list; others have no such page.
    async fn props(&self, model: &str) -> Result<Option<Props>, ModelError> {
        let mut url = self.connection.url(&["props"]);
        // One that serves several models is not to load one for this.
        url.query_pairs_mut().append_pair("model", model).append_pair("autoload", "false");
        let answer = self.connection.get(url).await?;
        Ok(if answer.is_success() { answer.read().ok() } else { None })
    }
}

#[async_trait]
impl Model for OpenAi {
    async fn models(&self) -> Result<Vec<String>, ModelError> {
        Ok(self.list().await?.names())
    }

    async fn window(&self, model: &str) -> Result<Option<u32>, ModelError> {
        let models = self.list().await?;
        let Some(card) = models.card(model) else { return Ok(None) };
        match card.window() {
            Some(window) => Ok(Some(window)),
            None => Ok(self.props(model).await?.and_then(|props| props.window())),
        }
    }

    fn remedy(&self, model: &str) -> String {
        refusal::remedy(model)
    }

    async fn chat(&self, request: &ChatRequest) -> Result<Completion, ModelError> {
        self.ponderous.answer(request, |thinking| self.ask(request, thinking)).await
    }
}
