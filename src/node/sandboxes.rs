//! Which backend makes the sandboxes, from the settings and from what this machine has.

use std::fs;
use std::sync::Arc;

use bzzz_actors::ports::sandbox::{SandboxError, Sandboxes};
use bzzz_actors::task::NodeId;
use tracing::{info, warn};

use super::StartError;
use super::adapters::{self, data_folder, temp_folder};
use crate::bubblewrap::{BubblewrapOptions, BubblewrapSandboxes};
use crate::docker::{DockerOptions, DockerSandboxes};
use crate::folder;
use crate::network::{self, Networks};
use crate::settings::{Sandbox, SandboxBackend, Settings};

/// A backend that was seen to work, and its own words about itself.
pub(super) struct Chosen {
    pub(super) sandboxes: Arc<dyn Sandboxes>,
    pub(super) description: String,
}

impl Chosen {
    async fn try_out(sandboxes: impl Sandboxes + 'static) -> Result<Self, SandboxError> {
        let description = sandboxes.describe().await?;
        Ok(Self { sandboxes: Arc::new(sandboxes), description })
    }
}

/// What makes the sandboxes of nodes that are other processes, for who starts them and clears up after them.
pub struct Backend {
    sandboxes: Arc<dyn Sandboxes>,
    /// For people.
    pub description: String,
}

impl Backend {
    /// As a node with these settings chooses it.
    ///
    /// # Errors
    /// When such a node could not have sandboxes here.
    pub async fn choose(settings: &Settings) -> Result<Self, StartError> {
        let temp = temp_folder(settings);
        let made = fs::create_dir_all(&settings.node.data_dir).and_then(|()| folder::emptied(&temp));
        made.map_err(|source| StartError::Folder { path: temp, source })?;
        let networks = adapters::networks(settings, network::reports().0);
        let Chosen { sandboxes, description } = choose(settings, &networks).await?;
        networks.close().await;
        Ok(Self { sandboxes, description })
    }

    /// Removes what a node has left that did not end in order.
    pub async fn remove_all_of(&self, node: &NodeId) {
        if let Err(error) = self.sandboxes.remove_strays(node, &|_| false).await {
            warn!(%node, %error, "the sandboxes of a node were not removed; they end by themselves");
        }
    }
}

/// # Errors
/// When the one that is set can't be used, or none of them can. Then there is no node: nothing runs without a sandbox.
pub(super) async fn choose(settings: &Settings, networks: &Networks) -> Result<Chosen, SandboxError> {
    let docker = async || Chosen::try_out(docker_sandboxes(settings, networks)?).await;
    let bubblewrap = async || Chosen::try_out(bubblewrap_sandboxes(settings, networks)?).await;
    match settings.sandbox.backend {
        SandboxBackend::Docker => docker().await,
        SandboxBackend::Bubblewrap => bubblewrap().await,
        SandboxBackend::Auto => {
            let why_not_docker = match docker().await {
                Ok(chosen) => {
                    info!("sandboxes are Docker's: a daemon answers and has the image");
                    return Ok(chosen);
                }
                // Who names a runtime wants what it gives, and bubblewrap gives less.
                Err(error) if names_runtime(&settings.sandbox) => return Err(error),
                Err(error) => error,
            };
            match bubblewrap().await {
                Ok(chosen) => {
                    warn!(%why_not_docker, "sandboxes are bubblewrap's, which limits less than Docker");
                    Ok(chosen)
                }
                Err(why_not_bubblewrap) => Err(neither(&why_not_docker, &why_not_bubblewrap)),
            }
        }
    }
}

fn names_runtime(sandbox: &Sandbox) -> bool {
    sandbox.runtime.is_some() || sandbox.repository.iter().any(|it| it.runtime.is_some())
}

/// Of two faults, one that an installation mends says that nothing is wrong with the configuration.
fn neither(docker: &SandboxError, bubblewrap: &SandboxError) -> SandboxError {
    let text = format!("there is nothing to make sandboxes with. Docker: {docker}. Bubblewrap: {bubblewrap}");
    if docker.is_retryable() || bubblewrap.is_retryable() {
        return SandboxError::Unavailable(text);
    }
    SandboxError::Misconfigured(text)
}

fn docker_sandboxes(settings: &Settings, networks: &Networks) -> Result<DockerSandboxes, SandboxError> {
    let sandbox = &settings.sandbox;
    let mut sandboxes =
        DockerSandboxes::new(docker_options(settings, sandbox))?.with_networks(networks.clone());
    for repository in &sandbox.repository {
        let options = docker_options(settings, &sandbox.with(repository));
        let options = DockerOptions { allowed_hosts: repository.allow_hosts.clone(), ..options };
        sandboxes = sandboxes.with_repository(&repository.name, options)?;
    }
    Ok(sandboxes)
}

fn bubblewrap_sandboxes(
    settings: &Settings,
    networks: &Networks,
) -> Result<BubblewrapSandboxes, SandboxError> {
    let sandbox = &settings.sandbox;
    let mut sandboxes =
        BubblewrapSandboxes::new(bubblewrap_options(settings, sandbox))?.with_networks(networks.clone());
    for repository in &sandbox.repository {
        let options = bubblewrap_options(settings, &sandbox.with(repository));
        let options = BubblewrapOptions { allowed_hosts: repository.allow_hosts.clone(), ..options };
        sandboxes = sandboxes.with_repository(&repository.name, options)?;
    }
    Ok(sandboxes)
}

fn docker_options(settings: &Settings, sandbox: &Sandbox) -> DockerOptions {
    DockerOptions {
        host: sandbox.docker_host.clone(),
        certificates: sandbox.docker_certificates.clone(),
        image: sandbox.image.clone(),
        runtime: sandbox.runtime.clone(),
        memory_bytes: sandbox.memory.bytes(),
        cpus: sandbox.cpus,
        pids: sandbox.pids,
        work_bytes: sandbox.work_size.bytes(),
        tmp_bytes: sandbox.tmp_size.bytes(),
        home_bytes: sandbox.home_size.bytes(),
        allowed_hosts: Vec::new(),
        output_cap_bytes: output_cap(settings),
        orphan_grace: settings.claims.ttl.get(),
        // It is how a container tells whose it is: always written the same.
        data_dir: data_folder(settings),
        temp_dir: temp_folder(settings),
    }
}

fn bubblewrap_options(settings: &Settings, sandbox: &Sandbox) -> BubblewrapOptions {
    BubblewrapOptions {
        program: "bwrap".into(),
        memory_bytes: sandbox.memory.bytes(),
        pids: sandbox.pids,
        work_bytes: sandbox.work_size.bytes(),
        tmp_bytes: sandbox.tmp_size.bytes(),
        home_bytes: sandbox.home_size.bytes(),
        allowed_hosts: Vec::new(),
        output_cap_bytes: output_cap(settings),
        orphan_grace: settings.claims.ttl.get(),
        temp_dir: temp_folder(settings),
    }
}

fn output_cap(settings: &Settings) -> u32 {
    u32::try_from(settings.sandbox.output_cap.bytes()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Limits, PublicInternet, reports};
    use crate::settings::Sources;

    #[tokio::test]
    async fn who_names_a_runtime_gets_no_other_backend() {
        let folder = tempfile::tempdir().unwrap();
        let (reporter, _reports) = reports();
        let outside = Arc::new(PublicInternet::default());
        let networks = Networks::new(folder.path(), outside, Limits::default(), reporter);
        let with = |repository: &str| {
            let sources = Sources {
                file: None,
                set: vec![
                    "sandbox.docker_host=unix:///no/such/docker.sock".to_owned(),
                    format!("node.data_dir={}", folder.path().display()),
                    format!("sandbox.repository=[{{name=\"acme/rocket\", {repository}}}]"),
                ],
                environment: Vec::new(),
                working_dir: folder.path().to_owned(),
                host_name: "here".to_owned(),
            };
            Settings::load(&sources).unwrap().settings
        };
        let Err(error) = choose(&with("runtime=\"runsc\""), &networks).await else { panic!() };
        let text = error.to_string();
        assert!(text.contains("/no/such/docker.sock") && !text.contains("ubblewrap"), "{text}");
    }
}
