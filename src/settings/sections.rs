//! The sections of the configuration as types. `config/default.toml` says what each key means, its unit and the
//! consequence of changing it; the two have the same keys, which `defaults_and_types_have_the_same_keys` tests.

use std::net::SocketAddr;
use std::path::PathBuf;

use bzzz_actors::ports::swarm::PeerId;
use bzzz_actors::task::{NodeId, PathPattern, RepoId};
use bzzz_actors::trail::Key;
use serde::{Deserialize, Serialize};

use super::address::HttpUrl;
use super::secret::Secret;
use super::units::{HumanDuration, HumanSize};
use crate::forks::Fork;
use crate::network::HostName;

/// Every setting of a node, checked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub node: Node,
    pub forge: Forge,
    pub claims: Claims,
    pub hive: Hive,
    pub model: Model,
    pub sandbox: Sandbox,
    pub task: Task,
    pub escalation: Escalation,
    pub swarm: Swarm,
    pub audit: Audit,
    pub outbox: Outbox,
    pub log: Log,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    pub name: NodeId,
    /// Absolute.
    pub data_dir: PathBuf,
    pub max_tasks: u32,
    /// Empty: all alike.
    pub labels: Vec<String>,
    /// Empty: all alike.
    pub languages: Vec<String>,
    pub drain_grace: HumanDuration,
    pub blocked_after: HumanDuration,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forge {
    pub api_url: HttpUrl,
    pub git_url: HttpUrl,
    /// From `token` or from the file.
    #[serde(with = "or_empty")]
    pub token: Option<Secret>,
    #[serde(with = "or_empty")]
    pub token_file: Option<PathBuf>,
    pub task_label: String,
    /// Empty: whoever may triage.
    pub label_setters: Vec<String>,
    pub repositories: Vec<RepoId>,
    /// Those that the token may not push to.
    pub fork: Vec<Fork>,
    pub poll_interval: HumanDuration,
    pub slowest_poll_interval: HumanDuration,
    pub request_timeout: HumanDuration,
    pub write_interval: HumanDuration,
    pub commit_name: String,
    pub commit_email: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    pub ttl: HumanDuration,
    pub renew_every: HumanDuration,
    pub grace: HumanDuration,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hive {
    #[serde(with = "or_empty")]
    pub url: Option<HttpUrl>,
    /// From `key` or from the file.
    #[serde(with = "or_empty")]
    pub key: Option<Secret>,
    #[serde(with = "or_empty")]
    pub key_file: Option<PathBuf>,
    pub poll_interval: HumanDuration,
    pub request_timeout: HumanDuration,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    #[serde(with = "by_text")]
    pub provider: Provider,
    pub url: HttpUrl,
    /// From `key` or from the file.
    #[serde(with = "or_empty")]
    pub key: Option<Secret>,
    #[serde(with = "or_empty")]
    pub key_file: Option<PathBuf>,
    /// In order of preference; at least one.
    pub names: Vec<String>,
    pub json_models: Vec<String>,
    pub context_tokens: u32,
    pub max_output_tokens: u32,
    pub temperature: f64,
    pub keep_alive: HumanDuration,
    pub calls_in_flight: u32,
    pub connect_timeout: HumanDuration,
    pub first_byte_timeout: HumanDuration,
    pub chunk_timeout: HumanDuration,
    #[serde(with = "or_empty")]
    pub selection_url: Option<HttpUrl>,
    pub selection_timeout: HumanDuration,
    pub route: Vec<ModelRoute>,
    pub server: Vec<ModelServer>,
}

/// The interface that a model server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    Ollama,
    /// `/v1/chat/completions`.
    OpenAi,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelRole {
    Plan,
    Work,
    Review,
}

/// Other models for a part of what is asked. What is not given matches everything.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRoute {
    pub names: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<ModelRole>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// A server beside the one of [`Model`]. What is not given is as there, but for the key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelServer {
    pub url: HttpUrl,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// Absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// From the file.
    #[serde(skip)]
    pub key: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls_in_flight: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SandboxBackend {
    /// Docker where it can be used, else bubblewrap.
    Auto,
    Docker,
    Bubblewrap,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sandbox {
    #[serde(with = "by_text")]
    pub backend: SandboxBackend,
    /// From here or as the `docker` command finds it; `None`: the usual socket.
    #[serde(with = "or_empty")]
    pub docker_host: Option<String>,
    /// The folder with `ca.pem`, `cert.pem` and `key.pem`; from here or as the `docker` command finds it.
    #[serde(with = "or_empty")]
    pub docker_certificates: Option<PathBuf>,
    pub image: String,
    /// `None`: the daemon's default.
    #[serde(with = "or_empty")]
    pub runtime: Option<String>,
    pub memory: HumanSize,
    pub cpus: f64,
    pub pids: u32,
    pub work_size: HumanSize,
    pub tmp_size: HumanSize,
    pub home_size: HumanSize,
    pub command_timeout: HumanDuration,
    pub longest_command: HumanDuration,
    pub output_cap: HumanSize,
    pub export_cap: HumanSize,
    pub choosable_images: Vec<String>,
    pub askable_hosts: Vec<HostName>,
    pub max_setup: u32,
    pub setup_timeout: HumanDuration,
    pub repository: Vec<RepositorySandbox>,
}

/// What the operator decides otherwise for one repository: its sandboxes, where not given as in [`Sandbox`], and what counts
/// in place of its own file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepositorySandbox {
    pub name: RepoId,
    /// Without any there is no network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_hosts: Vec<HostName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<HumanSize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_size: Option<HumanSize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tmp_size: Option<HumanSize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home_size: Option<HumanSize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choosable_images: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub askable_hosts: Option<Vec<HostName>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<PathPattern>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
}

impl Sandbox {
    /// The section as it counts for one repository.
    pub fn with(&self, repository: &RepositorySandbox) -> Self {
        Self {
            image: repository.image.as_ref().unwrap_or(&self.image).clone(),
            runtime: repository.runtime.clone().or_else(|| self.runtime.clone()),
            memory: repository.memory.unwrap_or(self.memory),
            cpus: repository.cpus.unwrap_or(self.cpus),
            pids: repository.pids.unwrap_or(self.pids),
            work_size: repository.work_size.unwrap_or(self.work_size),
            tmp_size: repository.tmp_size.unwrap_or(self.tmp_size),
            home_size: repository.home_size.unwrap_or(self.home_size),
            choosable_images: repository.choosable_images.as_ref().unwrap_or(&self.choosable_images).clone(),
            askable_hosts: repository.askable_hosts.as_ref().unwrap_or(&self.askable_hosts).clone(),
            ..self.clone()
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Otherwise refused; empty: none is allowed.
    pub allowed_paths: Vec<String>,
    pub max_steps: u32,
    pub max_tokens: u32,
    pub max_malformed: u32,
    pub max_check_rounds: u32,
    pub max_sandbox_losses: u32,
    pub wall_time: HumanDuration,
    pub check_timeout: HumanDuration,
    pub max_wait_for_human: HumanDuration,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Escalation {
    #[serde(with = "or_empty")]
    pub webhook_url: Option<HttpUrl>,
    #[serde(with = "or_empty")]
    pub auth_header: Option<String>,
    /// From `auth_value` or from the file.
    #[serde(with = "or_empty")]
    pub auth_value: Option<Secret>,
    #[serde(with = "or_empty")]
    pub auth_value_file: Option<PathBuf>,
    pub request_timeout: HumanDuration,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Swarm {
    pub enabled: bool,
    pub name: String,
    /// Multiaddresses.
    pub listen: Vec<String>,
    /// Multiaddresses by which others reach it.
    pub announce: Vec<String>,
    pub mdns: bool,
    /// Multiaddresses that end with `/p2p/<peer id>`.
    pub bootstrap: Vec<String>,
    pub allow: Vec<PeerId>,
    /// Absolute.
    #[serde(with = "or_empty")]
    pub key_file: Option<PathBuf>,
    pub relay: bool,
    pub max_peers: u32,
    pub availability_interval: HumanDuration,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    #[serde(with = "or_empty")]
    pub listen: Option<SocketAddr>,
    pub follow: Vec<FollowedTrail>,
    /// Absolute.
    #[serde(with = "or_empty")]
    pub archive: Option<PathBuf>,
    /// Besides the one that is written to.
    pub keep_segments: u32,
}

/// The trail of another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FollowedTrail {
    /// The audit key.
    pub key: Key,
    /// Host and port.
    pub address: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outbox {
    pub max_age: HumanDuration,
    pub max_pending: u32,
    pub retry_min: HumanDuration,
    pub retry_max: HumanDuration,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    #[serde(with = "by_text")]
    pub format: LogFormat,
    #[serde(with = "by_text")]
    pub level: LogLevel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Serde of an optional value whose absence is the empty text: TOML has no null, and an environment variable that is
/// set to nothing means the same.
mod or_empty {
    use secrecy::{ExposeSecret, SecretString};
    use serde::de::value::StrDeserializer;
    use serde::de::{Deserialize, Deserializer};
    use serde::ser::{Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => value.serialize(serializer),
            None => serializer.serialize_str(""),
        }
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: for<'t> Deserialize<'t>,
        D: Deserializer<'de>,
    {
        // The text may be a secret: this type wipes its memory.
        let text = SecretString::deserialize(deserializer)?;
        if text.expose_secret().is_empty() {
            return Ok(None);
        }
        T::deserialize(StrDeserializer::new(text.expose_secret())).map(Some)
    }
}

/// Serde of an enum by its text, so that an unknown one is told the known ones: the configuration crate's own enum
/// deserializer does not name them.
mod by_text {
    use serde::de::value::StringDeserializer;
    use serde::de::{Deserialize, Deserializer, IntoDeserializer};
    use serde::ser::{Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        let text: StringDeserializer<D::Error> = String::deserialize(deserializer)?.into_deserializer();
        T::deserialize(text)
    }
}
