//! The short way to a sandboxd on this machine: a socket in a folder that is mounted into its container.
//!
//! Attached standard streams go through containerd's shim and the daemon, which costs most of what a short command takes.
//! The session begins there all the same, and stays there where the socket can't be used: with a daemon elsewhere, in a
//! virtual machine, under a runtime or a policy that lets nobody through. Nobody listens on the socket but while sandboxd is
//! greeted.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::net::UnixListener;
use tracing::debug;

use crate::folder;
use crate::socket::{self, FOLDER_MODE, OUTER_MODE, folder_of, make_folder};

/// In the data folder. Not among what a starting node throws away: a sandbox that goes on has a folder of it mounted.
const FOLDER: &str = "direct";

/// The socket's name in its folder.
const SOCKET: &str = "node";

/// Where a container has the folder.
pub(super) const MOUNT: &str = "/direct";

/// Further arguments of sandboxd.
pub(super) fn arguments() -> [String; 2] {
    ["--direct".to_owned(), format!("{MOUNT}/{SOCKET}")]
}

/// The sockets of a node.
pub(super) struct DirectSockets {
    folder: PathBuf,
    /// The folders of sandboxes that are, or are being made.
    used: Mutex<Vec<Weak<PathBuf>>>,
}

impl DirectSockets {
    pub(super) fn new(data_dir: &Path) -> Self {
        Self { folder: data_dir.join(FOLDER), used: Mutex::default() }
    }

    /// Makes the folder of a sandbox that is to be.
    pub(super) fn make(&self, sandbox: &str) -> io::Result<DirectSocket> {
        let socket = self.of(sandbox);
        make_folder(&self.folder, OUTER_MODE)?;
        make_folder(&socket.folder, FOLDER_MODE)?;
        Ok(socket)
    }

    /// That of a sandbox that is.
    pub(super) fn of(&self, sandbox: &str) -> DirectSocket {
        let folder = Arc::new(folder_of(sandbox, &self.folder));
        self.used().push(Arc::downgrade(&folder));
        DirectSocket { folder }
    }

    /// Removes those of other sandboxes than these and the ones in use.
    pub(super) fn sweep(&self, kept: &HashSet<String>) {
        let kept = kept.iter().map(|name| folder_of(name, &self.folder));
        let used = self
            .used()
            .iter()
            .filter_map(Weak::upgrade)
            .map(|folder| folder.to_path_buf())
            .collect::<Vec<_>>();
        socket::sweep(&self.folder, &kept.chain(used).collect());
    }

    fn used(&self) -> MutexGuard<'_, Vec<Weak<PathBuf>>> {
        // Nothing that is done under the lock can leave it half changed.
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|folder| folder.strong_count() > 0);
        used
    }
}

/// The socket of one sandbox.
pub(super) struct DirectSocket {
    folder: Arc<PathBuf>,
}

impl DirectSocket {
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// `None` when it can't be: the standard streams are there.
    pub(super) fn listen(&self) -> Option<UnixListener> {
        let listener = socket::bind(&self.folder, SOCKET);
        let cannot =
            |problem: &io::Error| debug!(folder = %self.folder.display(), %problem, "no direct socket");
        listener.inspect_err(cannot).ok()
    }

    /// The folder stays, for a node that comes back.
    pub(super) fn close(&self) {
        // A command that connects to what is left is refused all the same.
        let _ = std::fs::remove_file(self.folder.join(SOCKET));
    }

    pub(super) fn remove(&self) {
        folder::remove(&self.folder);
    }
}
