//! The way into a sandbox for a person who looks into it: a socket on the host, whose other side is sandboxd's.
//!
//! A folder of the node's user alone holds one folder for each sandbox, which says in its name whose it is and holds the
//! socket. Who may connect is decided by these folders: no process of a sandbox sees them. The node makes the socket and
//! hands it on; it neither listens nor knows who comes. Nothing of it outlives the sandbox: a folder whose socket nobody
//! listens on is one that a node left which was killed, and a starting node throws it away with its other temporary ones.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use bzzz_actors::ports::sandbox::{Purpose, SandboxSpec};
use bzzz_actors::task::{Epoch, NodeId, RepoId, TaskId};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// In the node's folder of temporary files.
const FOLDER: &str = "visits";

/// The socket's name in the folder of its sandbox.
const SOCKET: &str = "door";

/// Visits that wait until sandboxd has time for them. More are refused.
const BACKLOG: i32 = 8;

/// Between the parts of a folder's name. No part of a task's name has it.
const BETWEEN: char = '~';

/// The folders of the sandboxes of one node.
pub(super) fn folder(temp_dir: &Path) -> PathBuf {
    temp_dir.join(FOLDER)
}

/// Removed when it is dropped.
pub(super) struct Entrance {
    folder: PathBuf,
}

impl Entrance {
    /// A new one, and the socket that is to be sandboxd's.
    pub(super) fn make(temp_dir: &Path, spec: &SandboxSpec) -> io::Result<(Self, OwnedFd)> {
        let all = folder(temp_dir);
        DirBuilder::new().mode(0o700).recursive(true).create(&all)?;
        // Of its own, also where one that is being ended stands under the same spec.
        let number = getrandom::u64().map_err(io::Error::other)?;
        let entrance = Self { folder: all.join(format!("{}{BETWEEN}{number:016x}", name(spec))) };
        DirBuilder::new().mode(0o700).create(&entrance.folder)?;
        let listener = bind(&entrance.folder)?;
        Ok((entrance, listener))
    }
}

impl Drop for Entrance {
    fn drop(&mut self) {
        if let Err(problem) = fs::remove_dir_all(&self.folder) {
            let folder = self.folder.display();
            tracing::warn!(%folder, %problem, "not removed; the next start of the node removes it");
        }
    }
}

fn name(spec: &SandboxSpec) -> String {
    let TaskId { repo, number } = &spec.task;
    let parts = [
        repo.owner().to_owned(),
        repo.name().to_owned(),
        number.to_string(),
        spec.epoch.to_string(),
        spec.purpose.as_str().to_owned(),
    ];
    parts.join(&BETWEEN.to_string())
}

/// Whose sandbox a folder is for; `None` when it is for none.
pub(super) fn spec(name: &str, node: &NodeId) -> Option<SandboxSpec> {
    let mut parts = name.split(BETWEEN);
    let (owner, repo) = (parts.next()?, parts.next()?);
    let repo: RepoId = format!("{owner}/{repo}").parse().ok()?;
    let task = TaskId::new(repo, parts.next()?.parse().ok()?);
    let epoch = Epoch(parts.next()?.parse().ok()?);
    let said = parts.next()?;
    let purpose = [Purpose::Work, Purpose::Check].into_iter().find(|it| it.as_str() == said)?;
    // Behind it the number, and nothing more.
    (parts.count() == 1).then(|| SandboxSpec { node: node.clone(), task, epoch, purpose })
}

/// By way of the folder's descriptor: a socket's path may be 107 bytes long, and a data folder may stand deep.
fn address(folder: &File) -> io::Result<SocketAddrUnix> {
    Ok(SocketAddrUnix::new(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()))?)
}

fn socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

fn bind(folder: &Path) -> io::Result<OwnedFd> {
    let (folder, listener) = (File::open(folder)?, socket()?);
    rustix::net::bind(&listener, &address(&folder)?)?;
    rustix::net::listen(&listener, BACKLOG)?;
    Ok(listener)
}

/// Connects to the sandboxd behind the socket in `folder`.
///
/// # Errors
/// `ConnectionRefused` or `NotFound` when there is none any more; `WouldBlock` when it is busy.
pub(super) fn connect(folder: &Path) -> io::Result<OwnedFd> {
    let (folder, connection) = (File::open(folder)?, socket()?);
    rustix::net::connect(&connection, &address(&folder)?)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn some() -> SandboxSpec {
        SandboxSpec {
            node: "node-1".parse().unwrap(),
            task: "acme/rocket.rs#42".parse().unwrap(),
            epoch: Epoch(3),
            purpose: Purpose::Check,
        }
    }

    #[test]
    fn a_spec_is_read_back_from_its_folder_and_nothing_else_is() {
        let node = some().node;
        let good = format!("{}~01ab", name(&some()));
        assert_eq!(spec(&good, &node), Some(some()));
        let bad = ["", "acme~rocket.rs~42~3~check", "acme~rocket.rs~42~3~check~1~2", "acme~..~42~3~check~1"];
        for bad in bad.into_iter().chain(["acme~rocket~x~3~check~1", "acme~rocket~1~3~cheque~1"]) {
            assert_eq!(spec(bad, &node), None, "{bad}");
        }
    }

    #[test]
    fn it_is_the_nodes_users_alone_however_deep_it_stands_and_goes_with_its_sandbox() {
        let outer = tempfile::tempdir().unwrap();
        let temp_dir = outer.path().join("a".repeat(200));
        let (first, listener) = Entrance::make(&temp_dir, &some()).unwrap();
        let (second, _other) = Entrance::make(&temp_dir, &some()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder(&temp_dir)), mode(&first.folder)), (0o700, 0o700));
        connect(&first.folder).unwrap();

        drop(listener);
        // A program that another test starts just now has the socket too, until it is that program.
        let refused = loop {
            match connect(&first.folder) {
                Ok(_) => std::thread::yield_now(),
                Err(refused) => break refused,
            }
        };
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        drop(first);
        let left: Vec<_> =
            fs::read_dir(folder(&temp_dir)).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, std::slice::from_ref(&second.folder));
    }
}
