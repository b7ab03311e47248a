//! The network of sandboxes whose repository the operator gave an allow-list, or let choose from one: a proxy in the node's
//! process, behind a unix socket of each sandbox's own.
//!
//! A sandbox has no network interface either way. The folder of the socket is mounted into it, read only, and sandboxd relays a
//! port of its loopback interface there. `proxy` decides, by the operator's list alone: HTTP CONNECT to port 443 of an exact
//! host whose name leads to a public address, which is resolved once; `transfer` keeps the limits; `record` tells the journal.
//!
//! Invariants: the folder is named by the sandbox's name alone, so that a node that comes back makes the socket anew where the
//! sandbox of its earlier life looks for it. Nothing here reads what passes: an allowed host may be anything's front, and is
//! trusted by the operator as a whole.

mod address;
mod host;
mod limits;
mod outside;
mod proxy;
mod record;
mod refusal;
mod request;
#[cfg(test)]
mod tests;
mod transfer;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bzzz_actors::ports::sandbox::{SandboxError, SandboxSpec};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use host::HostName;
pub use limits::Limits;
pub use outside::{Outside, PublicInternet};
use proxy::Proxy;
pub use record::{MAX_ALLOWED, MAX_REFUSED, Reporter, Reports, reports};

use crate::folder;
use crate::socket::{self, FOLDER_MODE, OUTER_MODE, hash, make_folder};

/// In the data folder. Not among what a starting node throws away: a sandbox that goes on has a folder of it mounted.
const FOLDER: &str = "network";

/// Where sandboxes find theirs that are other users on the host: the way through the data folder may not be open to them.
/// Only root makes such sandboxes.
const FOLDER_FOR_USERS: &str = "/run/bzzz";

/// The socket's name in its folder.
const SOCKET: &str = "proxy";

/// Where a sandbox finds the folder.
pub(crate) const MOUNT: &str = "/network";

/// Where each folder is for one user: all may pass, and each comes to its own only.
const PASSAGE_MODE: u32 = 0o711;
const OWN_MODE: u32 = 0o700;

/// Where sandboxd finds the socket.
pub(crate) fn socket_in_sandbox() -> String {
    format!("{MOUNT}/{SOCKET}")
}

/// What commands are told of the proxy, in the variables that programs look for. For plain http too: the proxy's refusal has
/// words.
pub(crate) fn environment() -> Vec<(&'static str, String)> {
    let proxy = format!("http://127.0.0.1:{}", sandboxd::RELAY_PORT);
    let none = "localhost,127.0.0.1,::1";
    let proxies = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];
    let mut variables: Vec<_> = proxies.map(|name| (name, proxy.clone())).into();
    variables.extend(["NO_PROXY", "no_proxy"].map(|name| (name, none.to_owned())));
    variables
}

/// The proxies of a node.
#[derive(Clone)]
pub struct Networks {
    folder: PathBuf,
    /// Each sandbox is a user of its own on the host.
    is_for_users: bool,
    outside: Arc<dyn Outside>,
    limits: Limits,
    reporter: Reporter,
    /// By the sandbox's name.
    open: Arc<Mutex<HashMap<String, CancellationToken>>>,
    running: TaskTracker,
}

impl Networks {
    /// # Arguments
    /// `outside` is [`PublicInternet`] anywhere but in tests.
    pub fn new(data_dir: &Path, outside: Arc<dyn Outside>, limits: Limits, reporter: Reporter) -> Self {
        let running = TaskTracker::new();
        running.close();
        let folder = data_dir.join(FOLDER);
        Self { folder, is_for_users: false, outside, limits, reporter, open: Arc::default(), running }
    }

    /// The same, for sandboxes each of which is a user of its own on the host.
    pub(crate) fn for_users(self) -> Self {
        let hash = hash(self.folder.as_os_str().as_bytes());
        Self { folder: Path::new(FOLDER_FOR_USERS).join(hash), is_for_users: true, ..self }
    }

    /// Makes the socket of the sandbox `name`, in place of the one there if there is one, and serves it. `user` is who the
    /// sandbox is on the host, if that is not who the node is.
    ///
    /// # Errors
    /// `Unavailable` when the folder or the socket can't be made.
    pub(crate) fn open(
        &self,
        spec: &SandboxSpec,
        name: &str,
        allowed: &[HostName],
        user: Option<u32>,
    ) -> Result<Network, SandboxError> {
        let opened = self.make(spec, name, allowed, user);
        opened.map_err(|problem| {
            let folder = self.folder.display();
            SandboxError::Unavailable(format!("no socket for the network proxy in {folder}: {problem}"))
        })
    }

    fn make(
        &self,
        spec: &SandboxSpec,
        name: &str,
        allowed: &[HostName],
        user: Option<u32>,
    ) -> io::Result<Network> {
        let ended = CancellationToken::new();
        // First of all, so that nobody sweeps its folder away.
        let before = self.lock().insert(name.to_owned(), ended.clone());
        if let Some(before) = before {
            before.cancel();
        }
        let network = Network {
            name: name.to_owned(),
            folder: self.folder_of(name),
            allowed: allowed.iter().map(HostName::to_string).collect(),
            ended: ended.clone(),
            networks: self.clone(),
        };
        self.make_folders(&network.folder, user)?;
        let listener = socket::bind(&network.folder, SOCKET)?;
        let proxy = Arc::new(Proxy {
            task: spec.task.clone(),
            epoch: spec.epoch,
            allowed: allowed.to_vec(),
            limits: self.limits,
            outside: self.outside.clone(),
            reporter: self.reporter.clone(),
            left: self.limits.sandbox_bytes.into(),
            ended,
        });
        self.running.spawn(proxy.serve(listener, self.running.clone()));
        Ok(network)
    }

    fn make_folders(&self, of_sandbox: &Path, user: Option<u32>) -> io::Result<()> {
        let _nobody_removes = self.lock();
        if self.is_for_users {
            make_folder(Path::new(FOLDER_FOR_USERS), PASSAGE_MODE)?;
        }
        make_folder(&self.folder, if self.is_for_users { PASSAGE_MODE } else { OUTER_MODE })?;
        make_folder(of_sandbox, if user.is_some() { OWN_MODE } else { FOLDER_MODE })?;
        match user {
            Some(_) => chown(of_sandbox, user, user),
            None => Ok(()),
        }
    }

    /// The folder of a sandbox's socket, whether it is there or not.
    fn folder_of(&self, name: &str) -> PathBuf {
        socket::folder_of(name, &self.folder)
    }

    /// Removes the folders that belong to none of the sandboxes `kept`, and to none that is open.
    pub fn sweep(&self, kept: &HashSet<String>) {
        let wanted: HashSet<PathBuf> = {
            let open = self.lock();
            kept.iter().chain(open.keys()).map(|name| self.folder_of(name)).collect()
        };
        socket::sweep(&self.folder, &wanted);
    }

    /// Ends every proxy, and returns when all their connections are over and reported.
    pub async fn close(&self) {
        for (_, ended) in self.lock().drain() {
            ended.cancel();
        }
        self.running.wait().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, CancellationToken>> {
        // Nothing that is done under the lock can leave the map half changed.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The proxy of one sandbox. It ends when this is dropped; its socket stays, if somebody may take the sandbox over.
pub struct Network {
    name: String,
    /// To be mounted at [`MOUNT`].
    pub(crate) folder: PathBuf,
    pub(crate) allowed: Vec<String>,
    ended: CancellationToken,
    networks: Networks,
}

impl Network {
    /// The end of the sandbox: nothing stays.
    pub fn remove(&self) {
        if !self.end() {
            return;
        }
        folder::remove(&self.folder);
        if self.networks.is_for_users {
            let _nobody_opens = self.networks.lock();
            // Unless there are others in it.
            let _ = fs::remove_dir(&self.networks.folder);
        }
    }

    /// Returns whether there is no other of its name by now.
    fn end(&self) -> bool {
        self.ended.cancel();
        let mut open = self.networks.lock();
        let is_last = open.get(&self.name).is_none_or(CancellationToken::is_cancelled);
        if is_last {
            open.remove(&self.name);
        }
        is_last
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        match self.networks.is_for_users {
            // Such a sandbox does not outlive its node.
            true => self.remove(),
            false => drop(self.end()),
        }
    }
}
