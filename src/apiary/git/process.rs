//! A process: started in a place of its own, supervised to its end, and ended with all its children.

use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
use tokio::time::{sleep, timeout};

use super::{Git, GitError};

/// How long the children of a killed process are waited for. They were killed with it, but this process is not told of
/// their end; where nobody reaps orphans they stay as zombies.
const GROUP_END_LIMIT: Duration = Duration::from_millis(100);
const GROUP_LOOK_INTERVAL: Duration = Duration::from_millis(1);

impl Git {
    /// Starts `command` once there is a free place for it.
    pub(crate) async fn start(&self, command: Command) -> Result<Running, GitError> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| GitError::Stopping)?;
        self.spawn(command, slot)
    }

    fn spawn(&self, mut command: Command, slot: OwnedSemaphorePermit) -> Result<Running, GitError> {
        // Counted before it is asked whether this stops: stopping waits for what is counted.
        let place = Place::take(&self.living, slot);
        let Some(runtime) = self.runtime.as_ref().filter(|_| !*self.stopping.borrow()) else {
            return Err(GitError::Stopping);
        };
        let _entered = runtime.enter();
        let mut child = command.spawn()?;
        let group = Group::of(&child).ok_or_else(|| io::Error::other("a process ended before it began"))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (guard, dropped) = oneshot::channel();
        let (report, exited) = oneshot::channel();
        let mut stopping = self.stopping.subscribe();
        runtime.spawn(async move {
            let end = async {
                tokio::select! {
                    _ = dropped => {}
                    _ = stopping.wait_for(|stops| *stops) => {}
                }
            };
            // The guard may be gone: then nobody wants to know.
            let _ = report.send(supervise(child, group, end).await);
            drop(place);
        });
        Ok(Running { stdin, stdout, stderr, exited, _guard: guard })
    }
}

/// A process's place among those that may run at once, and in the count of those that live.
struct Place {
    living: Arc<watch::Sender<usize>>,
    _slot: OwnedSemaphorePermit,
}

impl Place {
    fn take(living: &Arc<watch::Sender<usize>>, slot: OwnedSemaphorePermit) -> Self {
        living.send_modify(|count| *count += 1);
        Self { living: Arc::clone(living), _slot: slot }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.living.send_modify(|count| *count -= 1);
    }
}

/// A git process and its pipes; dropping kills it with all its children.
pub(crate) struct Running {
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) stdout: Option<ChildStdout>,
    pub(crate) stderr: Option<ChildStderr>,
    exited: oneshot::Receiver<io::Result<ExitStatus>>,
    _guard: oneshot::Sender<()>,
}

impl Running {
    /// Waits for its end. Only once: the status is handed over.
    pub(crate) async fn wait(&mut self) -> io::Result<ExitStatus> {
        (&mut self.exited).await.map_err(|_| io::Error::other("the process is not supervised any more"))?
    }
}

/// The process group of a child that was not reaped yet; killed when it is dropped, unless it ended by itself.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Option<Self> {
        let pid = i32::try_from(child.id()?).ok().and_then(Pid::from_raw)?;
        Some(Self(Some(pid)))
    }

    fn kill(&self) {
        if let Some(pid) = self.0 {
            // Fails only when the group is gone already.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }

    /// Its leader was reaped: the number may be another group's soon.
    fn forget(&mut self) -> Option<Pid> {
        self.0.take()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for the end of a process, or for `end`: then its group is killed.
async fn supervise(
    mut child: Child,
    mut group: Group,
    end: impl Future<Output = ()>,
) -> io::Result<ExitStatus> {
    tokio::select! {
        status = child.wait() => {
            group.forget();
            return status;
        }
        () = end => group.kill(),
    }
    let status = child.wait().await;
    if let Some(pid) = group.forget() {
        let gone = async {
            while test_kill_process_group(pid).is_ok() {
                sleep(GROUP_LOOK_INTERVAL).await;
            }
        };
        let _ = timeout(GROUP_END_LIMIT, gone).await;
    }
    status
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::Path;

    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn stopping_ends_a_command_that_waits_and_refuses_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let git = Git::locate(folder.path()).unwrap();
        let mut command = git.command(OsStr::new("git"));
        command.args(["hash-object", "--stdin"]);
        let mut waiting = git.start(command).await.unwrap();
        git.stop().await;
        assert_eq!(*git.living.borrow(), 0);
        assert!(!waiting.wait().await.unwrap().success());
        let refused = git.at(folder.path()).args(["version"]).run().await.err();
        assert!(matches!(refused, Some(GitError::Stopping)));
    }

    #[tokio::test]
    async fn a_dropped_guard_ends_the_process_and_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let git = Git::locate(folder.path()).unwrap();
        let mut command = git.command(OsStr::new("sh"));
        command.args(["-c", "sh -c 'echo $$; exec cat' & wait"]);
        let mut running = git.start(command).await.unwrap();
        let mut child = [0; 32];
        let read = running.stdout.as_mut().unwrap().read(&mut child).await.unwrap();
        let child: i32 = str::from_utf8(&child[..read]).unwrap().trim().parse().unwrap();
        drop(running);
        let mut living = git.living.subscribe();
        living.wait_for(|count| *count == 0).await.unwrap();
        let stat = std::fs::read_to_string(Path::new("/proc").join(child.to_string()).join("stat"));
        let is_dead = stat.map_or(true, |stat| stat.contains(") Z "));
        assert!(is_dead, "the child outlived its parent");
    }
}
