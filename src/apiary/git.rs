//! Git as a process: the one place of the apiary that starts any.
//!
//! Every process has a cleared environment without system or user configuration, a process group of its own, a time
//! limit, and an end: when its guard is dropped, or when the apiary stops, its whole group is killed.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::error::ApiaryError;

/// Git processes at once; more wait for their turn. Enough that racers in a test race in git, not here.
const MAX_PROCESSES: usize = 48;
/// A command on a repository of a demo or a test takes milliseconds; one that takes this long hangs.
const COMMAND_TIME_LIMIT: Duration = Duration::from_secs(60);
/// The most that is kept of a command's output. A diff beyond it is an error, not half a diff.
const MAX_OUTPUT_BYTES: u64 = 32 * 1024 * 1024;
const MAX_STDERR_BYTES: u64 = 64 * 1024;
/// How long stopping waits for killed processes to be reaped.
const END_TIME_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub(crate) enum GitError {
    #[error("git {command} failed ({status}): {stderr}")]
    Failed { command: String, status: ExitStatus, stderr: String },
    #[error("git {command} did not end within {} s", COMMAND_TIME_LIMIT.as_secs())]
    TimedOut { command: String },
    #[error("git {command} wrote more than {MAX_OUTPUT_BYTES} bytes")]
    TooMuch { command: String },
    #[error("git {command} wrote what this can't read: {problem}")]
    Unreadable { command: &'static str, problem: String },
    #[error("git: {0}")]
    Io(#[from] io::Error),
    #[error("the apiary is stopping")]
    Stopping,
}

pub(crate) struct Git {
    http_backend: PathBuf,
    home: PathBuf,
    path: OsString,
    slots: Arc<Semaphore>,
    live: Mutex<Live>,
    ended: Notify,
}

#[derive(Default)]
struct Live {
    processes: BTreeSet<u32>,
    refuses_new: bool,
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
        Ok(Arc::new(Self {
            http_backend,
            home,
            path: std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()),
            slots: Arc::new(Semaphore::new(MAX_PROCESSES)),
            live: Mutex::default(),
            ended: Notify::new(),
        }))
    }

    /// A command on the repository at `path`.
    pub(crate) fn at<'a>(self: &'a Arc<Self>, path: &'a Path) -> GitCommand<'a> {
        GitCommand { git: self, path, args: Vec::new(), env: Vec::new(), input: Vec::new() }
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

    /// Starts `command` once there is a free place for it.
    pub(crate) async fn start(self: &Arc<Self>, mut command: Command) -> Result<Running, GitError> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| GitError::Stopping)?;
        let mut live = self.live();
        if live.refuses_new {
            return Err(GitError::Stopping);
        }
        let child = command.spawn()?;
        let pid = child.id().ok_or_else(|| io::Error::other("a process ended before it began"))?;
        live.processes.insert(pid);
        drop(live);
        Ok(Running { child, pid, git: Arc::clone(self), _slot: slot })
    }

    pub(crate) fn refuse_new(&self) {
        self.live().refuses_new = true;
    }

    pub(crate) fn kill_all(&self) {
        for pid in &self.live().processes {
            kill_group(*pid);
        }
    }

    /// Kills what runs and waits until their guards are gone.
    pub(crate) async fn end_all(&self) {
        let gone = async {
            loop {
                let ended = self.ended.notified();
                self.kill_all();
                if self.live().processes.is_empty() {
                    break;
                }
                ended.await;
            }
        };
        if timeout(END_TIME_LIMIT, gone).await.is_err() {
            tracing::warn!("git processes of the apiary were killed but not reaped");
        }
    }

    fn live(&self) -> std::sync::MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A git process and its group; dropping kills them.
pub(crate) struct Running {
    pub(crate) child: Child,
    pid: u32,
    git: Arc<Git>,
    _slot: OwnedSemaphorePermit,
}

impl Drop for Running {
    fn drop(&mut self) {
        let is_reaped = self.child.id().is_none();
        if !is_reaped {
            kill_group(self.pid);
        }
        self.git.live().processes.remove(&self.pid);
        self.git.ended.notify_waiters();
    }
}

fn kill_group(pid: u32) {
    let group = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // Fails only when the group is gone already.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

/// One command, built up and run to its end.
pub(crate) struct GitCommand<'a> {
    git: &'a Arc<Git>,
    path: &'a Path,
    args: Vec<OsString>,
    env: Vec<(&'static str, String)>,
    input: Vec<u8>,
}

/// A command that ended, whatever its status.
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl GitCommand<'_> {
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    pub(crate) fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    pub(crate) fn input(mut self, input: Vec<u8>) -> Self {
        self.input = input;
        self
    }

    /// Runs it and returns its output.
    ///
    /// # Errors
    /// Also when it exits with another status than 0.
    pub(crate) async fn output(self) -> Result<Vec<u8>, GitError> {
        let command = self.name();
        let Ran { status, stdout, stderr } = self.run().await?;
        if status.success() { Ok(stdout) } else { Err(GitError::Failed { command, status, stderr }) }
    }

    /// As [`GitCommand::output`], as text without the line end at its end.
    pub(crate) async fn text(self) -> Result<String, GitError> {
        let output = self.output().await?;
        Ok(String::from_utf8_lossy(&output).trim_end_matches('\n').to_owned())
    }

    /// Runs it to its end, whatever its status.
    pub(crate) async fn run(self) -> Result<Ran, GitError> {
        let name = self.name();
        timeout(COMMAND_TIME_LIMIT, self.run_unlimited())
            .await
            .map_err(|_| GitError::TimedOut { command: name })?
    }

    async fn run_unlimited(self) -> Result<Ran, GitError> {
        let name = self.name();
        let mut command = self.git.command(OsStr::new("git"));
        command.arg("--git-dir").arg(self.path).args(&self.args).envs(self.env);
        let mut running = self.git.start(command).await?;
        let (stdin, stdout, stderr) =
            (running.child.stdin.take(), running.child.stdout.take(), running.child.stderr.take());
        let input = self.input;
        let write = async move {
            if let Some(mut stdin) = stdin {
                // A command that does not want all of its input says so by its status.
                let _ = stdin.write_all(&input).await;
            }
        };
        let ((), stdout, stderr) =
            tokio::join!(write, read_up_to(stdout, MAX_OUTPUT_BYTES), read_up_to(stderr, MAX_STDERR_BYTES));
        let (stdout, stderr) = (stdout?, stderr?);
        if stdout.len() as u64 > MAX_OUTPUT_BYTES {
            return Err(GitError::TooMuch { command: name });
        }
        let status = running.child.wait().await?;
        Ok(Ran { status, stdout, stderr: String::from_utf8_lossy(&stderr).trim().to_owned() })
    }

    /// The subcommand, for error messages.
    fn name(&self) -> String {
        self.args.first().map(|a| a.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

/// Reads to the end, or one byte past `limit`.
async fn read_up_to(pipe: Option<impl AsyncRead + Unpin>, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(limit + 1).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stopping_ends_a_command_that_waits_and_refuses_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let git = Git::locate(folder.path()).unwrap();
        let mut command = git.command(OsStr::new("git"));
        command.args(["hash-object", "--stdin"]);
        let mut waiting = git.start(command).await.unwrap();
        let pid = waiting.pid;
        git.refuse_new();
        let ended = tokio::spawn(async move { waiting.child.wait().await.unwrap() });
        git.end_all().await;
        assert!(!ended.await.unwrap().success());
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
        let refused = git.at(folder.path()).args(["version"]).run().await.err();
        assert!(matches!(refused, Some(GitError::Stopping)));
    }

    #[tokio::test]
    async fn no_configuration_of_the_user_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".gitconfig"), "[user]\n\tname = somebody\n").unwrap();
        let git = Git::locate(folder.path()).unwrap();
        let ran = git.at(folder.path()).args(["config", "user.name"]).run().await.unwrap();
        assert_eq!((ran.status.code(), ran.stdout.as_slice()), (Some(1), b"".as_slice()));
    }
}
