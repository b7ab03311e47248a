//! Which backend makes the sandboxes, from the settings and from what this machine has.

use std::sync::Arc;

use bzzz_actors::ports::sandbox::{SandboxError, Sandboxes};
use tracing::{info, warn};

use super::adapters::temp_folder;
use crate::bubblewrap::{BubblewrapOptions, BubblewrapSandboxes};
use crate::docker::{DockerOptions, DockerSandboxes};
use crate::settings::{SandboxBackend, Settings};

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

/// # Errors
/// When the one that is set can't be used, or none of them can. Then there is no node: nothing runs without a sandbox.
pub(super) async fn choose(settings: &Settings) -> Result<Chosen, SandboxError> {
    let docker = async || Chosen::try_out(DockerSandboxes::new(docker_options(settings))?).await;
    let bubblewrap = async || Chosen::try_out(BubblewrapSandboxes::new(bubblewrap_options(settings))?).await;
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
                Err(error) if settings.sandbox.runtime.is_some() => return Err(error),
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

/// Of two faults, one that an installation mends says that nothing is wrong with the configuration.
fn neither(docker: &SandboxError, bubblewrap: &SandboxError) -> SandboxError {
    let text = format!("there is nothing to make sandboxes with. Docker: {docker}. Bubblewrap: {bubblewrap}");
    if docker.is_retryable() || bubblewrap.is_retryable() {
        return SandboxError::Unavailable(text);
    }
    SandboxError::Misconfigured(text)
}

fn docker_options(settings: &Settings) -> DockerOptions {
    let sandbox = &settings.sandbox;
    DockerOptions {
        host: sandbox.docker_host.clone(),
        image: sandbox.image.clone(),
        runtime: sandbox.runtime.clone(),
        memory_bytes: sandbox.memory.bytes(),
        cpus: sandbox.cpus,
        pids: sandbox.pids,
        work_bytes: sandbox.work_size.bytes(),
        tmp_bytes: sandbox.tmp_size.bytes(),
        home_bytes: sandbox.home_size.bytes(),
        output_cap_bytes: output_cap(settings),
        orphan_grace: settings.claims.ttl.get(),
        // It is how a container tells whose it is: always written the same.
        data_dir: std::fs::canonicalize(&settings.node.data_dir)
            .unwrap_or_else(|_| settings.node.data_dir.clone()),
        temp_dir: temp_folder(settings),
    }
}

fn bubblewrap_options(settings: &Settings) -> BubblewrapOptions {
    let sandbox = &settings.sandbox;
    BubblewrapOptions {
        program: "bwrap".into(),
        memory_bytes: sandbox.memory.bytes(),
        pids: sandbox.pids,
        work_bytes: sandbox.work_size.bytes(),
        tmp_bytes: sandbox.tmp_size.bytes(),
        home_bytes: sandbox.home_size.bytes(),
        output_cap_bytes: output_cap(settings),
        orphan_grace: settings.claims.ttl.get(),
        temp_dir: temp_folder(settings),
    }
}

fn output_cap(settings: &Settings) -> u32 {
    u32::try_from(settings.sandbox.output_cap.bytes()).unwrap_or(u32::MAX)
}
