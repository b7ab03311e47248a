//! Calls of a model server, each part with its own time limit.

use std::time::Duration;

use bzzz_actors::ports::model::{Completion, ModelError};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};

use super::reply::{Dialect, Limits, ReplyReader};
use crate::http::{BaseUrl, PlainHttp, SetupError, client, describe, excerpt, read_to_end};

/// The longest short answer that is read: a list of models.
const MAX_LIST_BYTES: usize = 4 * 1024 * 1024;
/// The longest body of an error that is read.
const MAX_ERROR_BYTES: usize = 64 * 1024;
/// For a list of models, which needs none loaded.
const LIST_TIMEOUT: Duration = Duration::from_secs(15);

#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    pub connect: Duration,
    /// Until the reply's first byte. Loading a model takes minutes, during which the server says nothing; some send the
    /// status before they have read the prompt.
    pub first_byte: Duration,
    /// The longest silence within a reply.
    pub chunk: Duration,
    /// A reply is cut there, as if the model had reached its limit.
    pub reply_bytes: usize,
    /// The longest line of the stream. A longer one ends the call.
    pub line_bytes: usize,
}

impl Default for ServerLimits {
    /// Those that suit a local server.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(5 * 60),
            chunk: Duration::from_secs(60),
            reply_bytes: 1024 * 1024,
            line_bytes: 1024 * 1024,
        }
    }
}

/// A short answer, or one that is no success.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, ModelError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            ModelError::Unavailable(format!(
                "its list of models can't be read, {error}: {}",
                excerpt(&self.body)
            ))
        })
    }
}

/// A whole reply.
pub(crate) struct Said {
    pub(crate) completion: Completion,
    /// The model has thought, and may have said nothing else.
    pub(crate) has_thought: bool,
}

pub(crate) struct Connection {
    client: Client,
    base: BaseUrl,
    limits: ServerLimits,
    authorization: Option<HeaderValue>,
}

impl Connection {
    /// # Errors
    /// An address that can't be used. Nothing is sent yet.
    pub(crate) fn new(
        url: &str,
        limits: ServerLimits,
        authorization: Option<HeaderValue>,
    ) -> Result<Self, SetupError> {
        let base = BaseUrl::parse(url, PlainHttp::Anywhere)?;
        let client = client(&base, limits.connect)?;
        Ok(Self { client, base, limits, authorization })
    }

    pub(crate) fn url(&self, segments: &[&str]) -> Url {
        self.base.join(segments)
    }

    pub(crate) async fn get(&self, url: Url) -> Result<Answer, ModelError> {
        let request = self.client.get(url).timeout(LIST_TIMEOUT);
        let response = self.authorized(request).send().await.map_err(|error| unavailable(&error))?;
        let status = response.status().as_u16();
        let body = read_to_end(response, MAX_LIST_BYTES).await;
        let body = body.map_err(|error| ModelError::Unavailable(error.to_string()))?;
        Ok(Answer { status, body })
    }

    /// For what takes as long as a reply takes to begin, such as the loading of a model.
    pub(crate) async fn post(&self, url: Url, body: &Value) -> Result<Answer, ModelError> {
        let whole = async {
            let response = self.authorized(self.client.post(url).json(body)).send().await;
            let response = response.map_err(|error| unavailable(&error))?;
            let status = response.status().as_u16();
            let body = read_to_end(response, MAX_ERROR_BYTES).await;
            Ok(Answer { status, body: body.map_err(|error| ModelError::Unavailable(error.to_string()))? })
        };
        timeout(self.limits.first_byte, whole).await.map_err(|_| self.never_began())?
    }

    /// Asks for a reply and reads it to its end. `refused` says what an answer without success means.
    pub(crate) async fn chat<D: Dialect>(
        &self,
        url: Url,
        body: &Value,
        output_tokens: u32,
        dialect: D,
        refused: impl Fn(&Answer) -> ModelError,
    ) -> Result<Said, ModelError> {
        let begins_by = Instant::now() + self.limits.first_byte;
        let sent = self.authorized(self.client.post(url).json(body)).send();
        let response = timeout_at(begins_by, sent)
            .await
            .map_err(|_| self.never_began())?
            .map_err(|error| unavailable(&error))?;
        let status = response.status();
        if !status.is_success() {
            let body = timeout(self.limits.chunk, read_to_end(response, MAX_ERROR_BYTES)).await;
            let body = body.ok().and_then(Result::ok).unwrap_or_default();
            return Err(refused(&Answer { status: status.as_u16(), body }));
        }
        let limits = Limits {
            line_bytes: self.limits.line_bytes,
            reply_bytes: self.limits.reply_bytes,
            output_tokens,
        };
        let mut reader = ReplyReader::new(limits, dialect);
        let completion = self.read_reply(response, &mut reader, begins_by).await?;
        Ok(Said { completion, has_thought: reader.has_thought() })
    }

    async fn read_reply<D: Dialect>(
        &self,
        mut response: Response,
        reader: &mut ReplyReader<D>,
        begins_by: Instant,
    ) -> Result<Completion, ModelError> {
        let mut has_begun = false;
        loop {
            let by = if has_begun { Instant::now() + self.limits.chunk } else { begins_by };
            let chunk = match timeout_at(by, response.chunk()).await {
                Ok(chunk) => chunk.map_err(|error| unavailable(&error)),
                Err(_) if has_begun => Err(self.fell_silent()),
                Err(_) => Err(self.never_began()),
            };
            has_begun = true;
            let finished = match chunk {
                Ok(Some(bytes)) => reader.take(&bytes)?,
                Ok(None) => Some(reader.end()?),
                // What makes the reply whole may have come before.
                Err(error) => Some(reader.broken_off().ok_or(error)?),
            };
            if let Some(completion) = finished {
                return Ok(completion);
            }
        }
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value),
            None => request,
        }
    }

    fn never_began(&self) -> ModelError {
        ModelError::Unavailable(format!("no reply began within {:?}", self.limits.first_byte))
    }

    fn fell_silent(&self) -> ModelError {
        ModelError::Unavailable(format!("silent for {:?} in the middle of a reply", self.limits.chunk))
    }
}

fn unavailable(error: &reqwest::Error) -> ModelError {
    ModelError::Unavailable(describe(error))
}
