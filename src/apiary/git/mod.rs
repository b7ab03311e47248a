//! Git as a process: the one place of the apiary that starts any.
//!
//! Every process has a cleared environment without system or user configuration, a process group of its own, a time
//! limit, and an end: when its guard is dropped, or when the apiary stops, its whole group is killed and reaped. The
//! waiting is done by a runtime of this module's own, since the runtimes of those who ask may end first.

mod command;
mod process;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

pub(crate) use command::{GitCommand, GitError};
pub(crate) use process::Running;

use super::error::ApiaryError;

/// Git processes at once; more wait for their turn. Enough that racers in a test race in git, not here.
const MAX_PROCESSES: usize = 48;
/// How long stopping waits for killed processes to be reaped.
const END_TIME_LIMIT: Duration = Duration::from_secs(5);

pub(crate) struct Git {
    http_backend: PathBuf,
    home: PathBuf,
    path: OsString,
    slots: Arc<Semaphore>,
    /// True from the moment on which nothing new is started and everything ends.
    stopping: watch::Sender<bool>,
    /// How many processes are not reaped yet.
    living: Arc<watch::Sender<usize>>,
    /// Gone only while this is dropped.
    runtime: Option<Runtime>,
}

impl Drop for Git {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting here could block a runtime's thread; what still runs is killed as its supervisor goes.
            runtime.shutdown_background();
        }
    }
}

impl Git {
    /// Finds git and its `http-backend`.
    pub(crate) fn locate(home: &Path) -> Result<Arc<Self>, ApiaryError> {
        let missing = |problem: String| ApiaryError::GitMissing { problem };
        let output = std::process::Command::new("git")
            .arg("--exec-path")
            .output()
            .map_err(|e| missing(format!("git does not start ({e})")))?;
        let exec_path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let http_backend = Path::new(&exec_path).join("git-http-backend");
        if !output.status.success() || !http_backend.is_file() {
            return Err(missing(format!("{} is not there", http_backend.display())));
        }
        // Relative paths would be taken from a repository's folder.
        let home =
            std::path::absolute(home).map_err(|source| ApiaryError::Io { path: home.to_owned(), source })?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("apiary-git")
            .enable_all()
            .build()
            .map_err(|e| ApiaryError::Servers { problem: e.to_string() })?;
        Ok(Arc::new(Self {
            http_backend,
            home,
            path: std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()),
            slots: Arc::new(Semaphore::new(MAX_PROCESSES)),
            stopping: watch::Sender::new(false),
            living: Arc::new(watch::Sender::new(0)),
            runtime: Some(runtime),
        }))
    }

    /// A command on the repository at `path`.
    pub(crate) fn at<'a>(self: &'a Arc<Self>, path: &'a Path) -> GitCommand<'a> {
        GitCommand::new(self, path)
    }

    /// The CGI program that speaks git's smart HTTP, with nothing in its environment but what every command has.
    pub(crate) fn http_backend(&self) -> Command {
        self.command(self.http_backend.as_os_str())
    }

    fn command(&self, program: &OsStr) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", &self.home)
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            // The folder may be a volume that another user owns.
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "safe.directory")
            .env("GIT_CONFIG_VALUE_0", "*")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    /// From now on nothing is started, and everything that runs is killed.
    pub(crate) fn begin_to_stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Kills what runs and waits until it is reaped.
    pub(crate) async fn stop(&self) {
        self.begin_to_stop();
        let mut living = self.living.subscribe();
        if timeout(END_TIME_LIMIT, living.wait_for(|count| *count == 0)).await.is_err() {
            tracing::warn!("git processes of the apiary were killed but not reaped");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_configuration_of_the_user_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".gitconfig"), "[user]\n\tname = somebody\n").unwrap();
        let git = Git::locate(folder.path()).unwrap();
        let ran = git.at(folder.path()).args(["config", "user.name"]).run().await.unwrap();
        assert_eq!((ran.status.code(), ran.stdout.as_slice()), (Some(1), b"".as_slice()));
    }
}
