//! Sandboxes as Docker containers.
//!
//! [`DockerSandboxes`] makes them, one a spec, under a name that the spec gives; `container` says what each is made
//! of. The node speaks to the sandboxd inside over the container's standard streams, to which it attaches before the
//! start, so that no word is missed, or over a shorter way that it is offered there: `direct`. The daemon may be
//! another machine's: `address` says which are taken, `transport` how they are reached, and `layer` how sandboxd comes
//! to them.
//!
//! Invariants: no credential, no host path but, read only, sandboxd's own file, the folder of the node's socket and, for a
//! repository with an allow-list, that of the network proxy's; no network interface, no capability. A container
//! whose node is gone ends by itself and is removed by the daemon.

mod address;
mod client;
mod container;
mod context;
mod direct;
mod elsewhere;
mod layer;
mod options;
mod runc;
mod sandbox;
mod seccomp;
mod ssh;
mod transport;
mod unfinished;
mod visit;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Once};

use async_trait::async_trait;
use bollard::Docker;
use bollard::container::AttachContainerResults;
use bollard::models::{Runtime, SystemInfo, SystemVersion};
use bollard::query_parameters::{
    InspectContainerOptions, ListContainersOptionsBuilder, StartContainerOptions,
};
use bzzz_actors::ports::sandbox::{Sandbox, SandboxChoice, SandboxError, SandboxSpec, Sandboxes};
use bzzz_actors::task::{NodeId, RepoId};
use tokio::sync::{Mutex, OnceCell};
use tokio_util::task::TaskTracker;

pub(crate) use self::address::{Address, AddressError};
use self::client::{Daemon, explain, is_missing};
use self::container::{Files, Folders};
pub(crate) use self::context::{certificates_for, found_host};
use self::direct::{DirectSocket, DirectSockets};
use self::layer::Base;
pub use self::options::DockerOptions;
pub(crate) use self::options::{MIN_FREE_BYTES, least_memory};
pub use self::sandbox::DockerSandbox;
use self::sandbox::REMOVAL_TIMEOUT;
use self::unfinished::Unfinished;
pub use self::visit::DockerVisitor;
use crate::network::{Network, Networks};
use crate::sandbox::common;
use crate::sandbox::{SessionOptions, program};

pub struct DockerSandboxes {
    options: DockerOptions,
    /// For those repositories that the operator decided otherwise for, by their names in lower case.
    of_repository: HashMap<String, DockerOptions>,
    networks: Option<Networks>,
    direct: DirectSockets,
    /// Made at the first use that finds a daemon.
    daemon: OnceCell<Daemon>,
    is_podman: OnceCell<bool>,
    /// Held by who makes an image with sandboxd in it, so that the others find it.
    layering: Mutex<()>,
    /// The removals of what did not come to be a sandbox.
    removals: TaskTracker,
    runc_was_judged: Once,
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
        let direct = DirectSockets::new(&options.data_dir);
        Ok(Self {
            options,
            of_repository,
            networks: None,
            direct,
            daemon: OnceCell::new(),
            is_podman: OnceCell::new(),
            layering: Mutex::new(()),
            removals,
            runc_was_judged: Once::new(),
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

    fn options_for(&self, spec: &SandboxSpec, choice: &SandboxChoice) -> Result<DockerOptions, SandboxError> {
        let own = self.of_repository.get(&common::repository_key(&spec.task.repo));
        let mut options = own.unwrap_or(&self.options).clone();
        if let Some(image) = &choice.image {
            options.image.clone_from(image);
        }
        common::allow_chosen(&mut options.allowed_hosts, choice)?;
        Ok(options)
    }

    /// What a container is made with. Podman takes the profile only from a file, Docker only as it is.
    async fn files(&self, daemon: &Daemon, options: &DockerOptions) -> Result<Files, SandboxError> {
        let is_podman = async || {
            let version = daemon.client.version().await.map_err(|e| explain("tell its version", &e))?;
            Ok(client::is_podman(&version))
        };
        let is_podman = *self.is_podman.get_or_try_init(is_podman).await?;
        if !daemon.address.is_here() {
            elsewhere::check_podman(&daemon.address, is_podman)?;
            let base = self.image(daemon, options).await?;
            let _one_at_a_time = self.layering.lock().await;
            let image = layer::on(&daemon.client, &base, &self.removals).await?;
            return Ok(Files { image, sandboxd: None, seccomp: seccomp::profile(), is_podman });
        }
        let folder = self.options.data_dir.join("sandboxd");
        let not_put =
            |e| SandboxError::Unavailable(format!("{}: nothing can be put there: {e}", folder.display()));
        let sandboxd = Some(program::install(&folder).map_err(not_put)?);
        let seccomp = match is_podman {
            true => seccomp::install(&folder).map_err(not_put)?.display().to_string(),
            false => seccomp::profile(),
        };
        Ok(Files { image: options.image.clone(), sandboxd, seccomp, is_podman })
    }

    /// The proxy of a sandbox whose commands may connect to hosts.
    fn network(
        &self,
        daemon: &Daemon,
        options: &DockerOptions,
        spec: &SandboxSpec,
        name: &str,
    ) -> Result<Option<Network>, SandboxError> {
        if !daemon.address.is_here() {
            let repo = spec.task.repo.to_string();
            elsewhere::check_hosts(&daemon.address, [(repo.as_str(), options)].into_iter())?;
        }
        let allowed = &options.allowed_hosts;
        let Some(networks) = self.networks.as_ref().filter(|_| !allowed.is_empty()) else { return Ok(None) };
        networks.open(spec, name, allowed, None).map(Some)
    }

    async fn daemon(&self) -> Result<&Daemon, SandboxError> {
        let DockerOptions { host, certificates, .. } = &self.options;
        self.daemon.get_or_try_init(|| client::connect(host.as_deref(), certificates.as_deref())).await
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
        daemon: &Daemon,
        unfinished: &mut Unfinished,
        name: &str,
        (spec, options): (&SandboxSpec, &DockerOptions),
        folders: Folders<'_>,
    ) -> Result<(), SandboxError> {
        // An image with sandboxd in it may be removed by a node that has another one, just when it was found.
        for is_last in [daemon.address.is_here(), true] {
            let files = self.files(daemon, options).await?;
            let body = container::body(spec, options, &files, folders);
            match unfinished.create(name, body).await {
                Ok(()) => return Ok(()),
                Err(error) if is_missing(&error) && is_last => break,
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(client::not_created(&daemon.address, &error)),
            }
        }
        Err(no_image(&options.image, &daemon.address))
    }

    async fn open(
        &self,
        client: &Docker,
        name: &str,
        attached: AttachContainerResults,
        direct: Option<DirectSocket>,
        network: Option<Network>,
    ) -> Result<DockerSandbox, SandboxError> {
        let options = SessionOptions {
            output_cap_bytes: self.options.output_cap_bytes,
            heartbeat: common::heartbeat(self.options.orphan_grace),
        };
        let temp_dir = self.options.temp_dir.clone();
        sandbox::open(client.clone(), name.to_owned(), attached, direct, options, temp_dir, network).await
    }

    /// The image, as the daemon knows it.
    async fn image<'a>(&self, daemon: &Daemon, options: &'a DockerOptions) -> Result<Base<'a>, SandboxError> {
        match daemon.client.inspect_image(&options.image).await {
            Ok(image) => {
                let config = image.config.unwrap_or_default();
                let is_set = |words: Option<Vec<String>>| words.is_some_and(|words| !words.is_empty());
                Ok(Base {
                    name: &options.image,
                    id: image.id.unwrap_or_default(),
                    has_command: is_set(config.entrypoint) || is_set(config.cmd),
                })
            }
            Err(error) if is_missing(&error) => Err(no_image(&options.image, &daemon.address)),
            Err(error) => Err(explain("look for an image", &error)),
        }
    }

    /// What can't be with a daemon elsewhere.
    fn check_elsewhere(
        &self,
        address: &Address,
        version: &SystemVersion,
        info: &SystemInfo,
    ) -> Result<(), SandboxError> {
        elsewhere::check_machine(address, info)?;
        elsewhere::check_podman(address, client::is_podman(version))?;
        let all = self.of_repository.iter().map(|(name, options)| (name.as_str(), options));
        elsewhere::check_hosts(address, all)
    }

    /// Once: it is for the log.
    fn judge_runc(&self, version: &SystemVersion, default: Option<&str>) {
        let of = |options: &DockerOptions| {
            options.runtime.as_deref().or(default).unwrap_or_default().contains("runc")
        };
        if !self.of_repository.values().chain([&self.options]).any(of) {
            return;
        }
        let components = version.components.iter().flatten();
        for runc in components.filter(|part| part.name == "runc" && runc::has_known_escapes(&part.version)) {
            self.runc_was_judged.call_once(|| {
                tracing::warn!(
                    version = %runc.version,
                    "the daemon's runc has known ways out of a container (CVE-2025-31133, CVE-2025-52565, \
                     CVE-2025-52881), unless the distribution has mended it: update it to 1.2.8, 1.3.3 or later"
                );
            });
        }
    }
}

fn no_image(image: &str, address: &Address) -> SandboxError {
    SandboxError::Misconfigured(match address.is_here() {
        true => format!(
            "the image {image} is not on this machine: make it with `make sandbox-image`, or name another one in \
             sandbox.image"
        ),
        false => format!(
            "the image {image} is not with the Docker daemon at {address}: make it there (`docker --host {address} build \
             -t {image} deploy/sandbox`), or bring it (`docker save {image} | docker --host {address} load`), or name \
             another one in sandbox.image"
        ),
    })
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

#[async_trait]
impl Sandboxes for DockerSandboxes {
    async fn describe(&self) -> Result<String, SandboxError> {
        let daemon = self.daemon().await?;
        let client = &daemon.client;
        let version = client.version().await.map_err(|e| explain("tell its version", &e))?;
        let info = client.info().await.map_err(|e| explain("describe itself", &e))?;
        if !daemon.address.is_here() {
            self.check_elsewhere(&daemon.address, &version, &info)?;
        }
        let image = self.image(daemon, &self.options).await?;
        self.judge_runc(&version, info.default_runtime.as_deref());
        let runtimes = info.runtimes.unwrap_or_default();
        let runtime = self.options.runtime.clone().or(info.default_runtime).unwrap_or_default();
        check_runtime(&runtime, &runtimes)?;
        for options in self.of_repository.values() {
            self.image(daemon, options).await?;
            options.runtime.as_ref().map_or(Ok(()), |runtime| check_runtime(runtime, &runtimes))?;
        }
        let component = version.components.unwrap_or_default().into_iter().find(|part| part.name == runtime);
        let runtime_version = component.map(|part| format!(" {}", part.version)).unwrap_or_default();
        let place = if daemon.address.is_here() { String::new() } else { format!(" at {}", daemon.address) };
        Ok(format!(
            "Docker {}{place} ({runtime}{runtime_version}), image {} ({})",
            version.version.unwrap_or_default(),
            self.options.image,
            image.id.trim_start_matches("sha256:").chars().take(12).collect::<String>(),
        ))
    }

    async fn start_with(
        &self,
        spec: &SandboxSpec,
        choice: &SandboxChoice,
    ) -> Result<Arc<dyn Sandbox>, SandboxError> {
        let options = self.options_for(spec, choice)?;
        let daemon = self.daemon().await?;
        let client = &daemon.client;
        let name = common::name(spec);
        self.remove_left_over(client, &name, spec).await?;

        let mut unfinished = Unfinished::new(client, &self.removals);
        let network = self.network(daemon, &options, spec, &name)?;
        let direct = daemon.address.is_here().then(|| self.direct.make(&name)).transpose().map_err(|e| {
            SandboxError::Unavailable(format!("no folder for the socket of {name} in the data folder: {e}"))
        })?;
        let folders = Folders {
            direct: direct.as_ref().map(DirectSocket::folder),
            network: network.as_ref().map(|network| network.folder.as_path()),
        };
        self.create(daemon, &mut unfinished, &name, (spec, &options), folders).await?;
        let attached =
            sandbox::attach(client, &name).await.map_err(|e| explain("attach to a new container", &e))?;
        client
            .start_container(&name, None::<StartContainerOptions>)
            .await
            .map_err(|e| explain("start a container", &e))?;
        let sandbox = self.open(client, &name, attached, direct, network).await?;
        unfinished.finished();
        Ok(Arc::new(sandbox))
    }

    /// A job of the earlier life's own is cancelled; a command goes on.
    async fn adopt_with(
        &self,
        spec: &SandboxSpec,
        choice: &SandboxChoice,
    ) -> Result<Option<Arc<dyn Sandbox>>, SandboxError> {
        let options = self.options_for(spec, choice)?;
        let daemon = self.daemon().await?;
        let client = &daemon.client;
        let name = common::name(spec);
        let found = self.find(client, &name).await?;
        if !found.is_some_and(|found| found.is_running && found.spec.as_ref() == Some(spec)) {
            return Ok(None);
        }
        match sandbox::attach(client, &name).await {
            Ok(attached) => {
                let network = self.network(daemon, &options, spec, &name)?;
                let direct = daemon.address.is_here().then(|| self.direct.of(&name));
                Ok(Some(Arc::new(self.open(client, &name, attached, direct, network).await?)))
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
        let daemon = self.daemon().await?;
        let client = &daemon.client;
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
        if !daemon.address.is_here() {
            layer::remove_left_over(client).await?;
        }
        if let Some(networks) = &self.networks {
            networks.sweep(&kept);
        }
        self.direct.sweep(&kept);
        Ok(removed)
    }
}
