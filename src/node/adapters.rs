//! Each adapter from its section of the settings.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bzzz_actors::ports::escalations::Escalations;
use bzzz_actors::ports::hive::Hive;
use bzzz_actors::ports::model::{Model, ModelSelection};
use bzzz_actors::ports::swarm::{Alone, Swarm};
use bzzz_actors::reasoner_actor::ModelServer;
use secrecy::SecretString;
use tokio::sync::watch;

use super::configure::as_usize;
use crate::forks::Forks;
use crate::git::{Git, GitLimits, GitOptions, GitSetupError};
use crate::github::{GitHub, GitHubOptions};
use crate::hive::{HiveClient, HiveOptions};
use crate::http::SetupError;
use crate::model_server::ServerLimits;
use crate::n8n::{SelectionWebhook, Webhook, WebhookOptions};
use crate::network::{Limits, Networks, PublicInternet, Reporter};
use crate::ollama::{Ollama, OllamaOptions};
use crate::openai::{OpenAi, OpenAiOptions};
use crate::secrets::Secrets;
use crate::settings::{self, HttpUrl, Provider, Secret, Settings};
use crate::swarm::{Libp2p, Options, Prover, SwarmSetupError};

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
        forks: Forks::new(&forge.fork),
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
        forks: Forks::new(&forge.fork),
        limits: GitLimits {
            bundle_bytes: settings.sandbox.export_cap.bytes(),
            allowed_sensitive: settings.task.allowed_paths.clone(),
            ..GitLimits::default()
        },
        secrets: secrets(settings),
    })
    .await
}

/// For a look at the server, with what it needs in `folder`: the data folder may be a running node's.
pub(crate) async fn claims_reader(settings: &Settings, folder: &Path) -> Result<Git, GitSetupError> {
    let mut settings = settings.clone();
    settings.node.data_dir = folder.to_owned();
    git(&settings).await
}

/// The one of the section itself, and those beside it.
pub(crate) fn models(settings: &Settings) -> Result<Vec<ModelServer>, SetupError> {
    let model = &settings.model;
    let first = (model.provider, &model.url, &model.key, model.calls_in_flight);
    let further = model.server.iter().map(|it| {
        let calls = it.calls_in_flight.unwrap_or(model.calls_in_flight);
        (it.provider.unwrap_or(model.provider), &it.url, &it.key, calls)
    });
    let server = |(provider, url, key, calls): (Provider, &HttpUrl, &Option<Secret>, u32)| {
        let adapter: Arc<dyn Model> = match provider {
            Provider::Ollama => Arc::new(Ollama::new(ollama(model, url))?),
            Provider::OpenAi => Arc::new(OpenAi::new(open_ai(model, url, key.as_ref()))?),
        };
        Ok(ModelServer { name: url.base().to_owned(), model: adapter, calls_in_flight: as_usize(calls) })
    };
    std::iter::once(first).chain(further).map(server).collect()
}

fn ollama(model: &settings::Model, url: &HttpUrl) -> OllamaOptions {
    OllamaOptions {
        temperature: model.temperature as f32,
        keep_alive: model.keep_alive.get(),
        limits: server_limits(model),
        ..OllamaOptions::new(url.base(), model.context_tokens)
    }
}

fn server_limits(model: &settings::Model) -> ServerLimits {
    ServerLimits {
        connect: model.connect_timeout.get(),
        first_byte: model.first_byte_timeout.get(),
        chunk: model.chunk_timeout.get(),
        ..ServerLimits::default()
    }
}

fn open_ai(model: &settings::Model, url: &HttpUrl, key: Option<&Secret>) -> OpenAiOptions {
    OpenAiOptions {
        key: secret(key),
        temperature: model.temperature as f32,
        limits: server_limits(model),
        ..OpenAiOptions::new(url.base(), model.context_tokens)
    }
}

pub(super) fn selection(settings: &Settings) -> Result<Option<Arc<dyn ModelSelection>>, SetupError> {
    let Some(url) = &settings.model.selection_url else { return Ok(None) };
    let timeout = settings.model.selection_timeout.get();
    Ok(Some(Arc::new(SelectionWebhook::new(&url.to_string(), timeout)?)))
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

pub(crate) fn hive(settings: &Settings) -> Result<Option<Arc<dyn Hive>>, SetupError> {
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

/// The other nodes, and the addresses by which they reach this one. Without a swarm there are none.
pub(super) type Others = (Arc<dyn Swarm>, Option<watch::Receiver<Vec<String>>>);

/// `prover`: of this node's audit trail, for its peers.
pub(super) fn swarm(settings: &Settings, prover: Option<Arc<dyn Prover>>) -> Result<Others, SwarmSetupError> {
    if !settings.swarm.enabled {
        return Ok((Arc::new(Alone), None));
    }
    let options = Options::of_settings(&settings.node.data_dir, &settings.swarm)?;
    let network = Libp2p::new(Options { prover, ..options })?;
    let addresses = network.addresses();
    Ok((Arc::new(network), Some(addresses)))
}

/// The node's own, which must not be in anything that it publishes.
fn secrets(settings: &Settings) -> Secrets {
    let own = [
        ("the node's forge token", &settings.forge.token),
        ("the node's key for Hive", &settings.hive.key),
        ("the node's key for its webhook", &settings.escalation.auth_value),
        ("the node's key for its model server", &settings.model.key),
    ];
    let further = settings.model.server.iter().map(|it| ("the node's key for a model server", &it.key));
    let own = own.into_iter().chain(further);
    Secrets::with_own(own.filter_map(|(what, it)| Some((what, secret(it.as_ref())?))))
}

fn secret(secret: Option<&Secret>) -> Option<SecretString> {
    secret.map(|secret| secret.expose().to_owned().into())
}
