//! The selection of a model over a webhook: `{models, prompt}` out, `{model}` back.

use std::time::Duration;

use async_trait::async_trait;
use bzzz_actors::ports::model::ModelSelection;
use serde::Deserialize;
use serde_json::json;

use super::hook::{Hook, parse_first};
use crate::http::{SetupError, describe, excerpt, read_to_end};

/// The longest reply that is read.
const MAX_REPLY_BYTES: usize = 64 * 1024;

pub struct SelectionWebhook(Hook);

impl SelectionWebhook {
    /// # Errors
    /// An address that can't be used. Nothing is sent yet.
    pub fn new(url: &str, timeout: Duration) -> Result<Self, SetupError> {
        Hook::new(url, timeout).map(Self)
    }
}

#[derive(Deserialize)]
struct Selected {
    model: String,
}

#[async_trait]
impl ModelSelection for SelectionWebhook {
    async fn select(&self, models: &[String], prompt: &str) -> Result<String, String> {
        let request = self.0.post().json(&json!({ "models": models, "prompt": prompt }));
        let response = request.send().await.map_err(|error| describe(&error))?;
        let status = response.status();
        let body = read_to_end(response, MAX_REPLY_BYTES).await.map_err(|error| error.to_string())?;
        if !status.is_success() {
            return Err(format!("the webhook answered {status}: {}", excerpt(&body)));
        }
        let selected: Option<Selected> = parse_first(&body);
        selected.map(|it| it.model).ok_or_else(|| format!("the webhook names no model: {}", excerpt(&body)))
    }
}
