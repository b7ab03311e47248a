//! Escalations over a webhook, as N8N and its like offer.
//!
//! Holds true: the same escalation always carries the same `Idempotency-Key`, so a workflow can tell a repetition; an
//! answer in the webhook's reply is optional and untrusted text.

mod hook;
mod selection;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use bzzz_actors::ports::escalations::{Escalation, EscalationError, Escalations};
use bzzz_actors::task::printable;
use reqwest::header::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

pub use selection::SelectionWebhook;

use crate::http::{SetupError, describe, excerpt, read_to_end};
use hook::{Hook, parse_first};

/// The longest reply that is read; a longer one counts as no answer.
const MAX_REPLY_BYTES: usize = 256 * 1024;
/// The longest answer that is passed on, in bytes: it goes into the model's prompt.
const MAX_ANSWER_BYTES: usize = 16 * 1024;

#[derive(Debug, Clone)]
pub struct WebhookOptions {
    pub url: String,
    /// A header that the webhook checks, such as `X-Webhook-Key`, and its value.
    pub auth: Option<(String, SecretString)>,
    /// For a whole call with its answer; a call that takes longer waits in the outbox.
    pub request_timeout: Duration,
}

pub struct Webhook {
    hook: Hook,
    auth: Option<(HeaderName, HeaderValue)>,
}

impl Webhook {
    /// # Errors
    /// An address or header that can't be used. Nothing is sent yet.
    pub fn new(options: WebhookOptions) -> Result<Self, SetupError> {
        let auth = options.auth.map(|(name, value)| auth_header(name, &value)).transpose()?;
        Ok(Self { hook: Hook::new(&options.url, options.request_timeout)?, auth })
    }
}

fn auth_header(name: String, value: &SecretString) -> Result<(HeaderName, HeaderValue), SetupError> {
    let value = HeaderValue::from_str(value.expose_secret());
    let mut value = value.map_err(|_| SetupError::Secret { what: "value of the webhook's header" })?;
    value.set_sensitive(true);
    let parsed = HeaderName::from_bytes(name.as_bytes());
    Ok((parsed.map_err(|_| SetupError::HeaderName { what: format!("{name:?}") })?, value))
}

#[derive(Deserialize)]
struct Reply {
    answer: Option<String>,
}

fn answer_in(body: &[u8]) -> Option<String> {
    let reply: Reply = parse_first(body)?;
    let mut answer = printable(reply.answer?.trim());
    answer.truncate(answer.floor_char_boundary(MAX_ANSWER_BYTES));
    (!answer.is_empty()).then_some(answer)
}

#[async_trait]
impl Escalations for Webhook {
    async fn raise(&self, escalation: &Escalation) -> Result<Option<String>, EscalationError> {
        let key = HeaderValue::from_str(&escalation.key).map_err(|_| {
            EscalationError::Refused(format!("the key {:?} can't stand in a header", escalation.key))
        })?;
        let mut request = self.hook.post().header("Idempotency-Key", key).json(escalation);
        if let Some((name, value)) = &self.auth {
            request = request.header(name, value);
        }
        let unavailable = |error: reqwest::Error| EscalationError::Unavailable(describe(&error));
        let response = request.send().await.map_err(unavailable)?;
        let status = response.status().as_u16();
        let body = read_to_end(response, MAX_REPLY_BYTES).await;
        match status {
            // The workflow was told, whatever became of its reply.
            200..=299 => Ok(body.ok().and_then(|body| answer_in(&body))),
            408 | 429 | 500..=599 => {
                Err(EscalationError::Unavailable(problem(status, &body.unwrap_or_default())))
            }
            _ => Err(EscalationError::Refused(problem(status, &body.unwrap_or_default()))),
        }
    }
}

fn problem(status: u16, body: &[u8]) -> String {
    let hint = match status {
        300..=399 => " (a redirect, which is not followed: set the webhook's own address)",
        404 => " (no such webhook: is the workflow active?)",
        _ => "",
    };
    format!("status {status}{hint}: {}", excerpt(body))
}
