//! Each adapter from its section of the settings.

use std::path::PathBuf;
use std::sync::Arc;

use bzzz_actors::ports::escalations::Escalations;
use bzzz_actors::ports::hive::Hive;
use secrecy::SecretString;

use crate::git::{Git, GitLimits, GitOptions, GitSetupError};
use crate::github::{GitHub, GitHubOptions};
use crate::hive::{HiveClient, HiveOptions};
use crate::http::SetupError;
use crate::n8n::{Webhook, WebhookOptions};
use crate::network::{Limits, Networks, PublicInternet, Reporter};
use crate::ollama::{Ollama, OllamaOptions};
use crate::secrets::Secrets;
use crate::settings::{Secret, Settings};

/// The file in the data folder that remembers the listings' validators.
const LISTING_FILE: &str = "listings.json";

pub(super) fn forge(settings: &Settings) -> Result<GitHub, SetupError> {
    let forge = &settings.forge;
    GitHub::new(GitHubOptions {
        api_url: forge.api_url.base().to_owned(),
        token: secret(forge.token.as_ref()).unwrap_or_default(),
        request_timeout: forge.request_timeout.get(),
        write_interval: forge.write_interval.get(),
        listing_file: Some(settings.node.data_dir.join(LISTING_FILE)),
        secrets: secrets(settings),
    })
}

pub(super) async fn git(settings: &Settings) -> Result<Git, GitSetupError> {
    let forge = &settings.forge;
    Git::open(GitOptions {
        git_url: forge.git_url.base().to_owned(),
        token: secret(forge.token.as_ref()),
        data_dir: settings.node.data_dir.clone(),
        author_name: forge.commit_name.clone(),
        author_email: forge.commit_email.clone(),
        allow_file: false,
        limits: GitLimits {
            bundle_bytes: settings.sandbox.export_cap.bytes(),
            allowed_sensitive: settings.task.allowed_paths.clone(),
            ..GitLimits::default()
        },
        secrets: secrets(settings),
    })
    .await
}

pub(super) fn model(settings: &Settings) -> Result<Ollama, SetupError> {
    let model = &settings.model;
    Ollama::new(OllamaOptions {
        temperature: model.temperature as f32,
        keep_alive: model.keep_alive.get(),
        connect_timeout: model.connect_timeout.get(),
        first_byte_timeout: model.first_byte_timeout.get(),
        chunk_timeout: model.chunk_timeout.get(),
        ..OllamaOptions::new(model.url.base(), model.context_tokens)
    })
}

pub(super) fn networks(settings: &Settings, reporter: Reporter) -> Networks {
    Networks::new(&data_folder(settings), Arc::new(PublicInternet::default()), Limits::default(), reporter)
}

/// Always written the same.
pub(super) fn data_folder(settings: &Settings) -> PathBuf {
    let data_dir = &settings.node.data_dir;
    std::fs::canonicalize(data_dir).unwrap_or_else(|_| data_dir.clone())
}

/// Where work that leaves a sandbox is on its way; nothing in it outlives the node that put it there.
pub(crate) fn temp_folder(settings: &Settings) -> PathBuf {
    settings.node.data_dir.join("tmp")
}

pub(super) fn hive(settings: &Settings) -> Result<Option<Arc<dyn Hive>>, SetupError> {
    let hive = &settings.hive;
    let Some(url) = &hive.url else { return Ok(None) };
    let client = HiveClient::new(HiveOptions {
        url: url.base().to_owned(),
        key: secret(hive.key.as_ref()),
        request_timeout: hive.request_timeout.get(),
    })?;
    Ok(Some(Arc::new(client)))
}

pub(super) fn webhook(settings: &Settings) -> Result<Option<Arc<dyn Escalations>>, SetupError> {
    let escalation = &settings.escalation;
    let Some(url) = &escalation.webhook_url else { return Ok(None) };
    let auth = escalation.auth_header.clone().zip(secret(escalation.auth_value.as_ref()));
    let webhook = Webhook::new(WebhookOptions {
        url: url.to_string(),
        auth,
        request_timeout: escalation.request_timeout.get(),
    })?;
    Ok(Some(Arc::new(webhook)))
}

/// The node's own, which must not be in anything that it publishes.
fn secrets(settings: &Settings) -> Secrets {
    let own = [
        ("the node's forge token", &settings.forge.token),
        ("the node's key for Hive", &settings.hive.key),
        ("the node's key for its webhook", &settings.escalation.auth_value),
    ];
    Secrets::with_own(own.into_iter().filter_map(|(what, it)| Some((what, secret(it.as_ref())?))))
}

fn secret(secret: Option<&Secret>) -> Option<SecretString> {
    secret.map(|secret| secret.expose().to_owned().into())
}
