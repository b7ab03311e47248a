//! Unix sockets for one sandbox each, in folders that are mounted into it.
//!
//! A folder, not the socket in it, is the mount: a node that comes back makes a new socket there. It is named by a hash of the
//! sandbox's name, so that the node of the next life finds it.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;
use tracing::warn;

/// How much of a hash names a folder.
const HASH_DIGITS: usize = 16;

/// Only the node's user gets to the sockets on the host; in a sandbox the folder itself is the mount, and its user is
/// another.
pub(crate) const OUTER_MODE: u32 = 0o700;
pub(crate) const FOLDER_MODE: u32 = 0o755;
const SOCKET_MODE: u32 = 0o666;

pub(crate) fn hash(name: &[u8]) -> String {
    blake3::hash(name).to_hex()[..HASH_DIGITS].to_owned()
}

/// The folder of a sandbox, whether it is there or not.
pub(crate) fn folder_of(sandbox: &str, all: &Path) -> PathBuf {
    all.join(hash(sandbox.as_bytes()))
}

/// A folder of this mode, whatever the process's mask.
pub(crate) fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(problem) if problem.kind() != io::ErrorKind::AlreadyExists => return Err(problem),
        _ => {}
    }
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// A new socket in place of the one there. By way of the folder's descriptor: a socket's path may be 107 bytes long, and a
/// data folder may stand deep.
pub(crate) fn bind(folder: &Path, name: &str) -> io::Result<UnixListener> {
    let socket = folder.join(name);
    match fs::remove_file(&socket) {
        Err(problem) if problem.kind() != io::ErrorKind::NotFound => return Err(problem),
        _ => {}
    }
    let descriptor = File::open(folder)?;
    let listener = UnixListener::bind(format!("/proc/self/fd/{}/{name}", descriptor.as_raw_fd()))?;
    fs::set_permissions(&socket, Permissions::from_mode(SOCKET_MODE))?;
    Ok(listener)
}

/// Removes the folders in `all` that are none of those `wanted`.
pub(crate) fn sweep(all: &Path, wanted: &HashSet<PathBuf>) {
    let found = match fs::read_dir(all) {
        Ok(found) => found,
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => return,
        Err(problem) => return warn!(folder = %all.display(), %problem, "not swept"),
    };
    for folder in found.filter_map(Result::ok).map(|entry| entry.path()) {
        if !wanted.contains(&folder) {
            crate::folder::remove(&folder);
        }
    }
}
