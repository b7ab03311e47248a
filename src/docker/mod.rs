//! Sandboxes as Docker containers.
//!
//! [`DockerSandboxes`] makes them, one a spec, under a name that the spec gives; `container` says what each is made
//! of. The node speaks to the sandboxd inside over the container's standard streams, to which it attaches before the
//! start, so that no word is missed.
//!
//! Invariants: no credential, no host path but sandboxd's own read-only file and, for a repository with an
//! allow-list, the folder of the network proxy's socket; no network interface, no capability. A container
//! whose node is gone ends by itself and is removed by the daemon.

mod client;
mod container;
mod context;
mod options;
mod sandbox;
mod seccomp;
mod visit;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use bollard::Docker;
use bollard::container::AttachContainerResults;
use bollard::models::{ContainerCreateResponse, Runtime};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
    StartContainerOptions,
};
use bzzz_actors::ports::sandbox::{Sandbox, SandboxError, SandboxSpec, Sandboxes};
use bzzz_actors::task::{NodeId, RepoId};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

pub(crate) use self::client::{DEFAULT_HOST, is_socket};
use self::client::{explain, is_missing};
use self::container::Files;
pub(crate) use self::context::{NO_CONTEXT, found_host};
pub use self::options::DockerOptions;
pub(crate) use self::options::{MIN_FREE_BYTES, least_memory};
pub use self::sandbox::DockerSandbox;
use self::sandbox::REMOVAL_TIMEOUT;
pub use self::visit::DockerVisitor;
use crate::network::{Network, Networks};
use crate::sandbox::common;
use crate::sandbox::{SessionOptions, program};

pub struct DockerSandboxes {
    options: DockerOptions,
    /// For those repositories that the operator decided otherwise for, by their names in lower case.
    of_repository: HashMap<String, DockerOptions>,
    networks: Option<Networks>,
    /// Made at the first use that finds a daemon.
    client: OnceCell<Docker>,
    is_podman: OnceCell<bool>,
    /// The removals of what did not come to be a sandbox.
    removals: TaskTracker,
}

impl DockerSandboxes {
    /// # Errors
    /// `Misconfigured` when an option is wrong. The daemon is not asked yet.
    pub fn new(options: DockerOptions) -> Result<Self, SandboxError> {
        options.validate()?;
        let removals = TaskTracker::new();
        // Closed only means that waiting for it ends when it is empty.
        removals.close();
        let of_repository = HashMap::new();
        Ok(Self {
            options,
            of_repository,
            networks: None,
            client: OnceCell::new(),
            is_podman: OnceCell::new(),
            removals,
        })
    }

    /// Other options for the sandboxes of one repository; the daemon, the folders and the grace stay the same.
    ///
    /// # Errors
    /// `Misconfigured` when an option is wrong.
    pub fn with_repository(mut self, repo: &RepoId, options: DockerOptions) -> Result<Self, SandboxError> {
        options.validate().map_err(|error| common::of_repository(repo, error))?;
        self.of_repository.insert(common::repository_key(repo), options);
        Ok(self)
    }

    /// What serves sandboxes that may connect to hosts. Without it none can.
    pub fn with_networks(mut self, networks: Networks) -> Self {
        self.networks = Some(networks);
        self
    }

    fn options_for(&self, spec: &SandboxSpec) -> &DockerOptions {
        self.of_repository.get(&common::repository_key(&spec.task.repo)).unwrap_or(&self.options)
    }

    /// What a container is made with. Podman takes the profile only from a file, Docker only as it is.
    async fn files(&self, client: &Docker) -> Result<Files, SandboxError> {
        let folder = self.options.data_dir.join("sandboxd");
        let not_put =
            |e| SandboxError::Unavailable(format!("{}: nothing can be put there: {e}", folder.display()));
        let sandboxd = program::install(&folder).map_err(not_put)?;
        let is_podman = self.is_podman.get_or_try_init(|| client::is_podman(client)).await?;
        let seccomp = match is_podman {
            true => seccomp::install(&folder).map_err(not_put)?.display().to_string(),
            false => seccomp::profile(),
        };
        Ok(Files { sandboxd, seccomp, is_podman: *is_podman })
    }

    /// The proxy of a sandbox whose commands may connect to hosts.
    fn network(&self, spec: &SandboxSpec, name: &str) -> Result<Option<Network>, SandboxError> {
        let allowed = &self.options_for(spec).allowed_hosts;
        let Some(networks) = self.networks.as_ref().filter(|_| !allowed.is_empty()) else { return Ok(None) };
        networks.open(spec, name, allowed, None).map(Some)
    }

    async fn client(&self) -> Result<&Docker, SandboxError> {
        self.client.get_or_try_init(|| client::connect(self.options.host.as_deref())).await
    }

    async fn find(&self, client: &Docker, name: &str) -> Result<Option<Found>, SandboxError> {
        match client.inspect_container(name, None::<InspectContainerOptions>).await {
            Ok(found) => Ok(Some(Found {
                spec: found
                    .config
                    .and_then(|config| config.labels)
                    .and_then(|labels| container::spec_of(&labels, &self.options.data_dir)),
                is_running: found.state.and_then(|state| state.running) == Some(true),
            })),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(explain("look for a container", &error)),
        }
    }

    /// Removes what an earlier life of this node left under the name of `spec`.
    async fn remove_left_over(
        &self,
        client: &Docker,
        name: &str,
        spec: &SandboxSpec,
    ) -> Result<(), SandboxError> {
        match self.find(client, name).await? {
            None => Ok(()),
            Some(found) if found.spec.as_ref() == Some(spec) => sandbox::remove(client, name).await,
            Some(_) => Err(SandboxError::Unavailable(format!(
                "the name {name} is taken by a container that is not this node's: remove it, or give this node \
                 another name (node.name)"
            ))),
        }
    }

    async fn create(
        &self,
        unfinished: &mut Unfinished,
        name: &str,
        spec: &SandboxSpec,
        network: Option<&Network>,
    ) -> Result<(), SandboxError> {
        let options = self.options_for(spec);
        let files = self.files(&unfinished.client).await?;
        let network = network.map(|network| network.folder.as_path());
        let body = container::body(spec, options, &files, network);
        let query = CreateContainerOptionsBuilder::default().name(name).build();
        let client = unfinished.client.clone();
        let creating = async move { client.create_container(Some(query), body).await };
        let created = unfinished.creating.insert(tokio::spawn(creating)).await;
        unfinished.creating = None;
        match created {
            Ok(Ok(created)) => {
                unfinished.id = Some(created.id);
                Ok(())
            }
            Ok(Err(error)) if is_missing(&error) => Err(no_image(&options.image)),
            Ok(Err(error)) => Err(explain("create a container", &error)),
            Err(error) => Err(SandboxError::Unavailable(format!("the creation of a container: {error}"))),
        }
    }

    async fn open(
        &self,
        client: &Docker,
        name: &str,
        streams: AttachContainerResults,
        network: Option<Network>,
    ) -> Result<DockerSandbox, SandboxError> {
        let options = SessionOptions {
            output_cap_bytes: self.options.output_cap_bytes,
            heartbeat: common::heartbeat(self.options.orphan_grace),
        };
        let temp_dir = self.options.temp_dir.clone();
        sandbox::open(client.clone(), name.to_owned(), streams, options, temp_dir, network).await
    }

    /// The image, as the daemon knows it.
    async fn image(&self, client: &Docker, options: &DockerOptions) -> Result<String, SandboxError> {
        match client.inspect_image(&options.image).await {
            Ok(image) => Ok(image.id.unwrap_or_default()),
            Err(error) if is_missing(&error) => Err(no_image(&options.image)),
            Err(error) => Err(explain("look for an image", &error)),
        }
    }
}

fn no_image(image: &str) -> SandboxError {
    SandboxError::Misconfigured(format!(
        "the image {image} is not on this machine: make it with `make sandbox-image`, or name another one in \
         sandbox.image"
    ))
}

/// A name with dots is a containerd shim's; the daemon does not list those.
fn check_runtime(runtime: &str, known: &HashMap<String, Runtime>) -> Result<(), SandboxError> {
    if known.contains_key(runtime) || runtime.contains('.') {
        return Ok(());
    }
    let mut known: Vec<_> = known.keys().map(String::as_str).collect();
    known.sort_unstable();
    Err(SandboxError::Misconfigured(format!(
        "Docker has no runtime {runtime}, only {}: install it, or set sandbox.runtime",
        known.join(", ")
    )))
}

/// A container as it was found.
struct Found {
    /// `None` when it is none of ours.
    spec: Option<SandboxSpec>,
    is_running: bool,
}

/// Removes a container that did not come to be a sandbox, also when the caller has gone away: one that was created
/// and never started has no grace that would end it. By its id: its name may be another's by then.
struct Unfinished {
    client: Docker,
    /// The daemon goes on with a creation whose asker is gone, so its answer is waited for.
    creating: Option<JoinHandle<Result<ContainerCreateResponse, bollard::errors::Error>>>,
    id: Option<String>,
    removals: TaskTracker,
}

impl Unfinished {
    fn finished(mut self) {
        self.id = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let (creating, id) = (self.creating.take(), self.id.take());
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if creating.is_none() && id.is_none() {
            return;
        }
        let client = self.client.clone();
        let removal = async move {
            let created = match creating {
                Some(creating) => creating.await.ok().and_then(Result::ok).map(|created| created.id),
                None => id,
            };
            let Some(id) = created else { return };
            if let Err(error) = sandbox::remove(&client, &id).await {
                tracing::warn!(%id, %error, "a container that did not start could not be removed");
            }
        };
        self.removals.spawn_on(removal, &runtime);
    }
}

#[async_trait]
impl Sandboxes for DockerSandboxes {
    async fn describe(&self) -> Result<String, SandboxError> {
        let client = self.client().await?;
        let version = client.version().await.map_err(|e| explain("tell its version", &e))?;
        let info = client.info().await.map_err(|e| explain("describe itself", &e))?;
        let image = self.image(client, &self.options).await?;
        let runtimes = info.runtimes.unwrap_or_default();
        let runtime = self.options.runtime.clone().or(info.default_runtime).unwrap_or_default();
        check_runtime(&runtime, &runtimes)?;
        for options in self.of_repository.values() {
            self.image(client, options).await?;
            options.runtime.as_ref().map_or(Ok(()), |runtime| check_runtime(runtime, &runtimes))?;
        }
        let component = version.components.unwrap_or_default().into_iter().find(|part| part.name == runtime);
        let runtime_version = component.map(|part| format!(" {}", part.version)).unwrap_or_default();
        Ok(format!(
            "Docker {} ({runtime}{runtime_version}), image {} ({})",
            version.version.unwrap_or_default(),
            self.options.image,
            image.trim_start_matches("sha256:").chars().take(12).collect::<String>(),
        ))
    }

    async fn start(&self, spec: &SandboxSpec) -> Result<Arc<dyn Sandbox>, SandboxError> {
        let client = self.client().await?;
        let name = common::name(spec);
        self.remove_left_over(client, &name, spec).await?;

        let mut unfinished =
            Unfinished { client: client.clone(), creating: None, id: None, removals: self.removals.clone() };
        let network = self.network(spec, &name)?;
        self.create(&mut unfinished, &name, spec, network.as_ref()).await?;
        let streams =
            sandbox::attach(client, &name).await.map_err(|e| explain("attach to a new container", &e))?;
        client
            .start_container(&name, None::<StartContainerOptions>)
            .await
            .map_err(|e| explain("start a container", &e))?;
        let sandbox = self.open(client, &name, streams, network).await?;
        unfinished.finished();
        Ok(Arc::new(sandbox))
    }

    /// A job of the earlier life's own is cancelled; a command goes on.
    async fn adopt(&self, spec: &SandboxSpec) -> Result<Option<Arc<dyn Sandbox>>, SandboxError> {
        let client = self.client().await?;
        let name = common::name(spec);
        let found = self.find(client, &name).await?;
        if !found.is_some_and(|found| found.is_running && found.spec.as_ref() == Some(spec)) {
            return Ok(None);
        }
        match sandbox::attach(client, &name).await {
            Ok(streams) => {
                let network = self.network(spec, &name)?;
                Ok(Some(Arc::new(self.open(client, &name, streams, network).await?)))
            }
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(explain("attach to a container", &error)),
        }
    }

    async fn remove_strays(
        &self,
        node: &NodeId,
        keep: &(dyn for<'a> Fn(&'a SandboxSpec) -> bool + Send + Sync),
    ) -> Result<usize, SandboxError> {
        let client = self.client().await?;
        // One that is being created is not listed yet. Should it take longer, the next start of the node removes it.
        let _ = tokio::time::timeout(REMOVAL_TIMEOUT, self.removals.wait()).await;
        let query = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&container::label_filter(node.as_str(), &self.options.data_dir))
            .build();
        let found = client.list_containers(Some(query)).await.map_err(|e| explain("list containers", &e))?;
        let (mut removed, mut kept) = (0, HashSet::new());
        for container in found {
            let labels = container.labels.as_ref();
            let spec = labels.and_then(|labels| container::spec_of(labels, &self.options.data_dir));
            let Some(id) = container.id else { continue };
            if let Some(spec) = spec.filter(|spec| keep(spec)) {
                kept.insert(common::name(&spec));
                continue;
            }
            sandbox::remove(client, &id).await?;
            removed += 1;
        }
        if let Some(networks) = &self.networks {
            networks.sweep(&kept);
        }
        Ok(removed)
    }
}
