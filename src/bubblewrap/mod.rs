//! Sandboxes without a daemon: namespaces that bubblewrap makes on this machine, with the machine's own `/usr`.
//!
//! [`BubblewrapSandboxes`] makes them; `arguments` says what each is made of, `seccomp` what it may ask of the kernel,
//! `process` how it is started, limited and ended, and `proof` that all of it holds on this machine: before that,
//! there is no sandbox. The node speaks to the sandboxd inside over its standard streams. A person looks into one by its
//! `entrance`: `visit` is that person's side of it, and `streams` what comes of it.
//!
//! Invariants: no credential, nothing of the host but programs and libraries and, for a repository with an allow-list, the
//! folder of the network proxy's socket; nothing of it writable, no network interface but loopback, no capability, and on
//! the host a user who is not root. A sandbox ends with its node, so one of an earlier life is never found. What is not limited,
//! unlike in a container: the memory of all processes together, the number of files, and processor time.

mod arguments;
mod entrance;
mod options;
mod process;
mod proof;
mod sandbox;
mod seccomp;
mod streams;
mod visit;

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bzzz_actors::ports::sandbox::{Sandbox, SandboxChoice, SandboxError, SandboxSpec, Sandboxes};
use bzzz_actors::task::{NodeId, RepoId};
use tokio::sync::OnceCell;
use tokio_util::task::TaskTracker;

use self::entrance::Entrance;
pub use self::options::BubblewrapOptions;
use self::process::{Process, Start};
pub use self::sandbox::BubblewrapSandbox;
use self::sandbox::Place;
pub use self::visit::BubblewrapVisitor;
use crate::network::{HostName, Network, Networks};
use crate::sandbox::common;

/// The sandboxes of this process. An actor that starts anew after a panic finds its own here.
type Standing = Mutex<HashMap<SandboxSpec, Arc<BubblewrapSandbox>>>;

fn lock(standing: &Standing) -> MutexGuard<'_, HashMap<SandboxSpec, Arc<BubblewrapSandbox>>> {
    // Nothing that is done under the lock can leave the map half changed.
    standing.lock().unwrap_or_else(PoisonError::into_inner)
}

pub struct BubblewrapSandboxes {
    options: BubblewrapOptions,
    /// For those repositories that the operator decided otherwise for.
    of_repository: HashMap<String, BubblewrapOptions>,
    networks: Option<Networks>,
    filters: Arc<[Vec<u8>]>,
    /// Made at the first use: a sandbox was, and held.
    proven: OnceCell<Proven>,
    standing: Arc<Standing>,
    /// Those that are being started, whether or not somebody waits for them.
    starts: TaskTracker,
}

/// The program that was seen to make sandboxes that hold.
struct Proven {
    program: PathBuf,
    version: String,
}

impl BubblewrapSandboxes {
    /// # Errors
    /// `Misconfigured` when an option is wrong, or this architecture is not known. Nothing is started yet.
    pub fn new(options: BubblewrapOptions) -> Result<Self, SandboxError> {
        options.validate()?;
        let filters = seccomp::filters()?.into();
        let starts = TaskTracker::new();
        // Closed only means that waiting for it ends when it is empty.
        starts.close();
        let of_repository = HashMap::new();
        let (proven, standing) = (OnceCell::new(), Arc::default());
        Ok(Self { options, of_repository, networks: None, filters, proven, standing, starts })
    }

    /// What serves sandboxes that may connect to hosts. Without it none can.
    pub fn with_networks(mut self, networks: Networks) -> Self {
        self.networks = Some(match process::is_root() {
            true => networks.for_users(),
            false => networks,
        });
        self
    }

    /// Other options for the sandboxes of one repository; the program, the folder and the grace stay the same.
    ///
    /// # Errors
    /// `Misconfigured` when an option is wrong.
    pub fn with_repository(
        mut self,
        repo: &RepoId,
        options: BubblewrapOptions,
    ) -> Result<Self, SandboxError> {
        options.validate().map_err(|error| common::of_repository(repo, error))?;
        self.of_repository.insert(common::repository_key(repo), options);
        Ok(self)
    }

    /// An image that was chosen means nothing here: every sandbox has this machine's programs.
    fn options_for(
        &self,
        spec: &SandboxSpec,
        choice: &SandboxChoice,
    ) -> Result<BubblewrapOptions, SandboxError> {
        let own = self.of_repository.get(&common::repository_key(&spec.task.repo));
        let mut options = own.unwrap_or(&self.options).clone();
        common::allow_chosen(&mut options.allowed_hosts, choice)?;
        Ok(options)
    }

    /// The proxy of a sandbox whose commands may connect to hosts.
    fn network(
        &self,
        allowed: &[HostName],
        spec: &SandboxSpec,
        name: &str,
        user: Option<u32>,
    ) -> Result<Option<Network>, SandboxError> {
        let Some(networks) = self.networks.as_ref().filter(|_| !allowed.is_empty()) else { return Ok(None) };
        networks.open(spec, name, allowed, user).map(Some)
    }

    /// By which a person may look into a sandbox that has a place among others.
    fn entrance(&self, place: Option<&Place>) -> Result<Option<(Entrance, OwnedFd)>, SandboxError> {
        let temp_dir = &self.options.temp_dir;
        let made = place.map(|place| Entrance::make(temp_dir, &place.spec)).transpose();
        made.map_err(|problem| {
            let folder = temp_dir.display();
            SandboxError::Unavailable(format!("no socket for a look into a sandbox in {folder}: {problem}"))
        })
    }

    async fn proven(&self) -> Result<&Proven, SandboxError> {
        self.proven.get_or_try_init(|| self.prove()).await
    }

    async fn prove(&self) -> Result<Proven, SandboxError> {
        let program = proof::find(&self.options.program)?;
        let version = proof::version(&program).await?;
        let made = self.make(&program, &self.options, "bzzz-self-test".to_owned(), None).await;
        let sandbox = made.map_err(proof::not_made)?;
        let proven = proof::examine(&sandbox, &self.options).await;
        sandbox.destroy().await?;
        proven?;
        Ok(Proven { program, version })
    }

    async fn make(
        &self,
        program: &Path,
        options: &BubblewrapOptions,
        name: String,
        place: Option<Place>,
    ) -> Result<BubblewrapSandbox, SandboxError> {
        let user = process::new_user()?;
        let network = match &place {
            Some(place) => self.network(&options.allowed_hosts, &place.spec, &name, user)?,
            None => None,
        };
        let (entrance, visits) = self.entrance(place.as_ref())?.unzip();
        let start = Start {
            program: program.to_owned(),
            filters: self.filters.clone(),
            options: options.clone(),
            user,
            network: network.as_ref().map(|network| network.folder.clone()),
            visits,
        };
        // A task of its own: a start must not be given up halfway. Nobody waits for it then, and it ends as it is dropped.
        let started = self.starts.spawn(Process::start(start)).await;
        let started = started.map_err(|e| SandboxError::Unavailable(format!("a sandbox's start: {e}")))??;
        sandbox::open(started, options, name, place, entrance, network).await
    }

    fn found(&self, spec: &SandboxSpec) -> Option<Arc<BubblewrapSandbox>> {
        lock(&self.standing).get(spec).cloned()
    }
}

#[async_trait]
impl Sandboxes for BubblewrapSandboxes {
    async fn describe(&self) -> Result<String, SandboxError> {
        let version = &self.proven().await?.version;
        Ok(format!("bubblewrap {version}, with this machine's /usr"))
    }

    async fn start_with(
        &self,
        spec: &SandboxSpec,
        choice: &SandboxChoice,
    ) -> Result<Arc<dyn Sandbox>, SandboxError> {
        let options = self.options_for(spec, choice)?;
        let program = &self.proven().await?.program;
        if let Some(left_over) = self.found(spec) {
            left_over.destroy().await?;
        }
        let place = Some(Place { spec: spec.clone(), among: Arc::downgrade(&self.standing) });
        let sandbox = Arc::new(self.make(program, &options, common::name(spec), place).await?);
        lock(&self.standing).insert(spec.clone(), sandbox.clone());
        Ok(sandbox)
    }

    /// Only one that this process made is ever found, its network with it: the others ended with theirs.
    async fn adopt_with(
        &self,
        spec: &SandboxSpec,
        _: &SandboxChoice,
    ) -> Result<Option<Arc<dyn Sandbox>>, SandboxError> {
        let Some(sandbox) = self.found(spec) else { return Ok(None) };
        // Its streams are gone with the conversation: nobody can speak to it any more.
        if sandbox.is_lost() || sandbox.enclosure.process.has_ended().await {
            sandbox.destroy().await?;
            return Ok(None);
        }
        Ok(Some(sandbox))
    }

    async fn remove_strays(
        &self,
        node: &NodeId,
        keep: &(dyn for<'a> Fn(&'a SandboxSpec) -> bool + Send + Sync),
    ) -> Result<usize, SandboxError> {
        // What is left of one that takes longer ends with the node.
        let _ = tokio::time::timeout(process::START_TIMEOUT, self.starts.wait()).await;
        let is_stray = |spec: &SandboxSpec| spec.node == *node && !keep(spec);
        let strays: Vec<_> = {
            let standing = lock(&self.standing);
            standing.iter().filter(|(spec, _)| is_stray(spec)).map(|(_, sandbox)| sandbox.clone()).collect()
        };
        for stray in &strays {
            stray.destroy().await?;
        }
        if let Some(networks) = &self.networks {
            // Those that still stand are open.
            networks.sweep(&HashSet::new());
        }
        Ok(strays.len())
    }
}
