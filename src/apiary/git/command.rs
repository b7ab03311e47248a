//! One git command, run to its end.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::Git;

/// A command on a repository of a demo or a test takes milliseconds; one that takes this long hangs.
const COMMAND_TIME_LIMIT: Duration = Duration::from_secs(60);
/// The most that is kept of a command's output. A diff beyond it is an error, not half a diff.
const MAX_OUTPUT_BYTES: u64 = 32 * 1024 * 1024;
const MAX_STDERR_BYTES: u64 = 64 * 1024;

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

impl<'a> GitCommand<'a> {
    pub(crate) fn new(git: &'a Arc<Git>, path: &'a Path) -> Self {
        Self { git, path, args: Vec::new(), env: Vec::new(), input: Vec::new() }
    }

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
        let (stdin, stdout, stderr) = (running.stdin.take(), running.stdout.take(), running.stderr.take());
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
        let status = running.wait().await?;
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
