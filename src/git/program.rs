//! Runs the git program. Every git of a node is started here and nowhere else.
//!
//! Holds true for each: nothing of this process's environment but `PATH` reaches it, no system or user configuration,
//! no hook, no transport but the one that it was given; time and output are limited; when the call is dropped or its
//! time is over, the process and its children are killed.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};

use super::command::{GitError, Input, Output, Overflow, Run};

/// The part of standard error that is kept, its end: what git says last is why it failed.
const KEPT_STDERR_BYTES: usize = 16 * 1024;
/// By its path: the standard library then starts it without a copy of this process's page tables, which a large process
/// has many of.
const SHELL: &str = "/bin/sh";
/// The shell's status when there is no such program.
const NOT_FOUND: i32 = 127;

/// The git program and the bare environment that it runs in.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// An empty folder: git looks for more configuration in its home.
    home: Arc<Path>,
}

/// What every command is told, whatever the repository's own configuration says.
const CONFIG: [(&str, &str); 9] = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.askPass", ""),
    ("credential.helper", ""),
    ("protocol.allow", "never"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    // Objects always arrive as packs: one file to write, to check and to drop.
    ("fetch.unpackLimit", "1"),
    ("transfer.unpackLimit", "1"),
];

impl Program {
    pub(super) fn new(home: PathBuf) -> Self {
        Self { home: home.into() }
    }

    pub(super) async fn run(&self, run: Run) -> Result<Output, GitError> {
        let subcommand = run.subcommand;
        let not_started = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::PermissionDenied => {
                GitError::NotStarted { subcommand, problem: error.to_string() }
            }
            _ => GitError::Starved { subcommand, problem: error.to_string() },
        };
        let (input, stdin) = match run.input {
            Input::Nothing => (Vec::new(), Stdio::null()),
            Input::Bytes(ref bytes) => (bytes.clone(), Stdio::piped()),
            Input::File(ref file) => (Vec::new(), file.try_clone().map_err(not_started)?.into()),
        };
        let mut child = self.command(&run).stdin(stdin).spawn().map_err(not_started)?;
        let group = ProcessGroup::of(&child);
        let exchange = exchange(&mut child, input, &run);
        let (stdout, left_out, stderr, status) = tokio::time::timeout(run.timeout, exchange)
            .await
            .map_err(|_| GitError::TimedOut { subcommand, limit: run.timeout })??;
        group.ended();
        if status.code() == Some(NOT_FOUND) {
            return Err(not_started(ErrorKind::NotFound.into()));
        }
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        let stderr = run.secrets.iter().fold(stderr, |text, secret| text.replace(secret.as_str(), "***"));
        Ok(Output { subcommand, status, stdout, left_out, stderr })
    }

    fn command(&self, run: &Run) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(SHELL);
        command
            .arg("-c")
            .arg(run.kernel.script())
            .arg("sh")
            .arg(run.subcommand)
            .args(&run.args)
            .current_dir(&*self.home)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()))
            .env("HOME", &*self.home)
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .envs(run.env.iter().map(|(key, value)| (key, value)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(path) = &run.repository {
            command.env("GIT_DIR", path);
        }
        let own = run.config.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let mut count = 0;
        for (key, value) in CONFIG.into_iter().chain(own) {
            command.env(format!("GIT_CONFIG_KEY_{count}"), key);
            command.env(format!("GIT_CONFIG_VALUE_{count}"), value);
            count += 1;
        }
        command.env("GIT_CONFIG_COUNT", count.to_string());
        command
    }
}

type Exchanged = (Vec<u8>, u64, Vec<u8>, std::process::ExitStatus);

async fn exchange(child: &mut Child, input: Vec<u8>, run: &Run) -> Result<Exchanged, GitError> {
    let failed = GitError::io("git's pipe");
    let stdin = child.stdin.take();
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let ((), (stdout, left_out), stderr, status) = tokio::try_join!(
        async {
            write_all(stdin, &input).await;
            Ok(())
        },
        async {
            let read = read_bounded(stdout.as_mut(), run.max_output, run.overflow).await;
            let read = read.map_err(&failed)?;
            read.ok_or(GitError::TooMuchOutput { subcommand: run.subcommand, max: run.max_output })
        },
        async { read_end(stderr.as_mut(), KEPT_STDERR_BYTES).await.map_err(&failed) },
        async { child.wait().await.map_err(&failed) },
    )?;
    Ok((stdout, left_out, stderr, status))
}

/// A process that stops reading says why on standard error or in its status.
async fn write_all(stdin: Option<ChildStdin>, input: &[u8]) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(input).await;
        let _ = stdin.shutdown().await;
    }
}

/// The first `max` bytes and how many followed; `None` when there are more and that is a failure.
async fn read_bounded(
    from: Option<&mut (impl AsyncRead + Unpin)>,
    max: usize,
    overflow: Overflow,
) -> std::io::Result<Option<(Vec<u8>, u64)>> {
    let (mut kept, mut left_out) = (Vec::new(), 0);
    let Some(from) = from else { return Ok(Some((kept, left_out))) };
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(Some((kept, left_out)));
        }
        let fits = count.min(max - kept.len());
        kept.extend_from_slice(&buffer[..fits]);
        left_out += (count - fits) as u64;
        if left_out > 0 && overflow == Overflow::Fail {
            return Ok(None);
        }
    }
}

/// The last `max` bytes.
async fn read_end(from: Option<&mut (impl AsyncRead + Unpin)>, max: usize) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let Some(from) = from else { return Ok(kept) };
    let mut buffer = vec![0; max];
    loop {
        let count = from.read(&mut buffer).await?;
        kept.extend_from_slice(&buffer[..count]);
        kept.drain(..kept.len().saturating_sub(max));
        if count == 0 {
            return Ok(kept);
        }
    }
}

/// The process and its children, which are killed when this is dropped before the process ended.
struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // It fails only when nothing of the group is left.
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn program() -> (Program, tempfile::TempDir) {
        let home = tempfile::tempdir().unwrap();
        (Program::new(home.path().to_owned()), home)
    }

    #[tokio::test]
    async fn nothing_of_the_environment_reaches_git() {
        let (git, home) = program();
        let output = git.run(Run::new("var").arg("-l")).await.unwrap();
        let text = output.text();
        assert!(text.contains("core.hookspath=/dev/null"), "{text}");
        assert!(text.contains("protocol.allow=never"), "{text}");
        std::fs::write(home.path().join(".gitconfig"), "[alias]\n\tx = !echo reached\n").unwrap();
        assert!(!git.run(Run::new("x")).await.unwrap().is_success(), "an alias of the home folder ran");
        let seen = git.run(Run::new("-c").args(["alias.e=!env", "e"])).await.unwrap().text();
        let names: Vec<&str> = seen.lines().filter_map(|l| l.split_once('=')).map(|(name, _)| name).collect();
        // The rest is what shells set of their own.
        let known = |name: &&str| {
            ["PATH", "HOME", "LC_ALL", "PWD", "SHLVL", "_", "OLDPWD"].contains(name)
                || name.starts_with("GIT_")
        };
        assert!(names.iter().all(known), "{names:?}");
    }

    /// Waits until `condition` holds, for ten seconds at most.
    async fn until(what: &str, condition: impl Fn() -> bool) {
        for _ in 0..1000 {
            if condition() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{what}: not within ten seconds");
    }

    #[tokio::test]
    async fn a_command_that_is_dropped_ends_with_its_children() {
        let (git, home) = program();
        let pid_file = home.path().join("pid");
        let script = format!("alias.e=!echo $$ > {}; exec sleep 60", pid_file.display());
        let running = tokio::spawn(async move { git.run(Run::new("-c").arg(script).arg("e")).await });
        let pid = || std::fs::read_to_string(&pid_file).ok()?.trim().parse().ok();
        until("the grandchild starts", || pid().is_some()).await;
        running.abort();
        let grandchild: u32 = pid().unwrap();
        // Dead is enough: reaping it is up to whoever is this machine's first process.
        let state = || std::fs::read_to_string(format!("/proc/{grandchild}/stat")).unwrap_or_default();
        until("the grandchild is gone", || state().is_empty() || state().contains(") Z")).await;
    }

    #[tokio::test]
    async fn a_command_over_its_time_or_output_is_killed() {
        let (git, _home) = program();
        let slow = Run::new("-c").args(["alias.e=!sleep 60", "e"]).timeout(Duration::from_millis(100));
        assert!(matches!(git.run(slow).await, Err(GitError::TimedOut { .. })));
        let flood = || Run::new("-c").args(["alias.e=!yes | head -c 100000", "e"]);
        let failed = git.run(flood().max_output(1000, Overflow::Fail)).await.unwrap_err();
        assert_eq!(failed, GitError::TooMuchOutput { subcommand: "-c", max: 1000 });
        let cut = git.run(flood().max_output(1000, Overflow::Drop)).await.unwrap();
        assert_eq!((cut.stdout.len(), cut.left_out), (1000, 99_000));
    }

    #[tokio::test]
    async fn of_a_long_complaint_the_end_is_kept() {
        let (git, _home) = program();
        let script = "alias.e=!(yes | head -c 100000; echo; echo fatal: gone) >&2; exit 128";
        let error = git.run(Run::new("-c").args([script, "e"])).await.unwrap().checked().unwrap_err();
        let GitError::Failed { stderr, end, .. } = error else { panic!("{error}") };
        assert!(stderr.ends_with("y; fatal: gone"), "{stderr}");
        assert_eq!((end.signal, end.last_words.as_deref()), (None, Some("gone")));
    }

    #[tokio::test]
    async fn an_error_names_the_command_and_no_secret() {
        let (git, _home) = program();
        let run = Run::new("rev-parse").args(["--verify", "s3cret^{x"]).secret("s3cret");
        let error = git.run(run).await.unwrap().checked().unwrap_err().to_string();
        assert!(error.starts_with("git rev-parse failed (exit status: 128)"), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}
