//! Hive over its REST interface, as its backend really behaves.
//!
//! Holds true: a project or field that this version can't read is left out and logged, never an error for the others;
//! Hive's answer decides nothing but whether it was told.

mod wire;

#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use bzzz_actors::ports::hive::{Hive, HiveError, HiveProject, HiveStatus};
use bzzz_actors::task::NodeId;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Client, RequestBuilder};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::http::{BaseUrl, PlainHttp, SetupError, bearer, client, describe, excerpt, read_to_end};
use wire::{ActiveRepositories, Detail, Success};

/// The longest answer that is read: some thousand projects.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
/// Part of the request's whole time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub struct HiveOptions {
    /// Without the `/api/bzzz` of its calls.
    pub url: String,
    /// Sent as a bearer token. Over plain http it can be read on the way.
    pub key: Option<SecretString>,
    /// For a whole call with its answer; a call that takes longer waits in the outbox.
    pub request_timeout: Duration,
}

pub struct HiveClient {
    client: Client,
    base: BaseUrl,
    authorization: Option<HeaderValue>,
    timeout: Duration,
}

impl HiveClient {
    /// # Errors
    /// An address or key that can't be used. Nothing is sent yet.
    pub fn new(options: HiveOptions) -> Result<Self, SetupError> {
        let base = BaseUrl::parse(&options.url, PlainHttp::Anywhere)?;
        Ok(Self {
            client: client(&base, CONNECT_TIMEOUT)?,
            base,
            authorization: options.key.map(|key| bearer(&key, "key for Hive")).transpose()?,
            timeout: options.request_timeout,
        })
    }

    fn path(&self, rest: &[&str]) -> reqwest::Url {
        let mut segments = vec!["api", "bzzz"];
        segments.extend(rest);
        self.base.join(&segments)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Vec<u8>, HiveError> {
        let request = match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value),
            None => request,
        };
        let unavailable = |error: reqwest::Error| HiveError::Unavailable(describe(&error));
        let response = request.timeout(self.timeout).send().await.map_err(unavailable)?;
        let status = response.status().as_u16();
        let body = read_to_end(response, MAX_BODY_BYTES).await;
        if (200..300).contains(&status) {
            return body.map_err(|error| HiveError::Unavailable(error.to_string()));
        }
        Err(refusal(status, &body.unwrap_or_default()))
    }

    /// Sends a call whose answer is `{"success": …}`.
    async fn tell(&self, request: RequestBuilder) -> Result<(), HiveError> {
        let body = self.send(request).await?;
        let Success { success } = parse(&body)?;
        if success { Ok(()) } else { Err(HiveError::Refused(excerpt(&body))) }
    }
}

fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, HiveError> {
    serde_json::from_slice(body).map_err(|error| {
        HiveError::Unavailable(format!("its answer can't be read, {error}: {}", excerpt(body)))
    })
}

/// Words by which Hive's 500 shows that the request itself is wrong, in lower case: its validation errors have no
/// status of their own.
const VALIDATION_WORDS: [&str; 6] = ["required", "missing", "invalid", "not found", "validation", "must be"];

fn refusal(status: u16, body: &[u8]) -> HiveError {
    let detail = serde_json::from_slice::<Detail>(body).ok().map(Detail::into_text);
    let reads_as_validation = detail.as_ref().is_some_and(|text| {
        let text = text.to_ascii_lowercase();
        VALIDATION_WORDS.iter().any(|word| text.contains(word))
    });
    let text = format!("status {status}: {}", detail.unwrap_or_else(|| excerpt(body)));
    match status {
        500 if reads_as_validation => HiveError::Refused(text),
        // A key that is refused is about to be replaced.
        401 | 403 | 408 | 429 | 500..=599 => HiveError::Unavailable(text),
        _ => HiveError::Refused(text),
    }
}

#[async_trait]
impl Hive for HiveClient {
    async fn active_projects(&self) -> Result<Vec<HiveProject>, HiveError> {
        let body = self.send(self.client.get(self.path(&["active-repos"]))).await?;
        let ActiveRepositories { repositories } = parse(&body)?;
        Ok(repositories.into_iter().filter_map(wire::project).collect())
    }

    async fn register_claim(&self, project_id: &str, number: u64, node: &NodeId) -> Result<(), HiveError> {
        let body = json!({ "task_number": number, "agent_id": node });
        self.tell(self.client.post(self.path(&["projects", project_id, "claim"])).json(&body)).await
    }

    async fn report_status(
        &self,
        project_id: &str,
        number: u64,
        status: HiveStatus,
        metadata: &Value,
    ) -> Result<(), HiveError> {
        let body = json!({ "task_number": number, "status": status, "metadata": metadata });
        self.tell(self.client.put(self.path(&["projects", project_id, "status"])).json(&body)).await
    }
}
