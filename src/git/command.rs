//! A git command as it is to be run, what may go wrong with it, and what it leaves.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bzzz_actors::task::printable;

/// For commands that work on this host alone and on little.
pub(super) const LOCAL_TIMEOUT: Duration = Duration::from_secs(30);
/// Output that is known to be small: an object's id, a reference list.
pub(super) const SMALL_OUTPUT_BYTES: usize = 1024 * 1024;
/// The longest text of git's that is passed on in an error, in bytes.
const MAX_ERROR_BYTES: usize = 500;

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// A git command did not do what was asked. Each text names the subcommand; none holds a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum GitError {
    #[error("git {subcommand} can't be started: {problem}. Is git installed?")]
    NotStarted { subcommand: &'static str, problem: String },
    #[error("git {subcommand} was killed: no end within {limit:?}")]
    TimedOut { subcommand: &'static str, limit: Duration },
    #[error("git {subcommand} was killed: more than {max} bytes of output")]
    TooMuchOutput { subcommand: &'static str, max: usize },
    #[error("git {subcommand} failed ({how}): {stderr}")]
    Failed { subcommand: &'static str, how: String, stderr: String, end: End },
    /// This host had too little of something to run it to its end.
    #[error("git {subcommand} could not run: {problem}")]
    Starved { subcommand: &'static str, problem: String },
    #[error("{what}: {problem}")]
    Io { what: &'static str, problem: String },
}

/// What tells why a git failed whose other words may quote anybody: an object, a path, a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct End {
    /// What killed it.
    pub(super) signal: Option<i32>,
    /// Git's last line, with which it gave up, without `fatal: `; none where it ended otherwise. Whatever it quotes
    /// stands in the lines before: this one names objects and this host's files, and nothing of what is in them.
    pub(super) last_words: Option<String>,
}

impl End {
    fn of(output: &Output) -> Self {
        let last_line = output.stderr.lines().map(str::trim).rfind(|line| !line.is_empty());
        let last_words = last_line.and_then(|line| line.strip_prefix("fatal: ")).map(str::to_owned);
        Self { signal: output.status.signal(), last_words }
    }
}

impl GitError {
    pub(super) fn io(what: &'static str) -> impl Fn(std::io::Error) -> Self {
        move |error| Self::Io { what, problem: error.to_string() }
    }
}

#[derive(Debug)]
pub(super) enum Input {
    Nothing,
    Bytes(Vec<u8>),
    /// Read from where the file stands.
    File(std::fs::File),
}

/// What becomes of output beyond the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overflow {
    Fail,
    /// It is read, counted and dropped.
    Drop,
}

/// What the kernel holds the process and its children to. A shell sets them before it becomes git: set from outside,
/// they would come too late for a quick one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct KernelLimits {
    pub(super) cpu: Option<Duration>,
    /// Memory that is the process's own; files that it maps do not count.
    pub(super) data_bytes: Option<u64>,
    /// The longest file that it may write.
    pub(super) file_bytes: Option<u64>,
}

impl KernelLimits {
    /// The shell's words. Where a limit can't be set, the process has a lower one already.
    pub(super) fn script(&self) -> String {
        let wanted = [
            // A crash leaves no copy of the memory, which holds the token.
            ('c', Some(0)),
            ('t', self.cpu.map(|cpu| cpu.as_secs().max(1))),
            ('d', self.data_bytes.map(|bytes| bytes / 1024)),
            ('f', self.file_bytes.map(|bytes| bytes / 512)),
        ];
        let set = wanted.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let lines: Vec<String> =
            set.map(|(name, value)| format!("ulimit -S -{name} {value} 2>/dev/null\n")).collect();
        format!("{}exec git \"$@\"", lines.concat())
    }
}

/// One git command.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) subcommand: &'static str,
    pub(super) args: Vec<OsString>,
    pub(super) repository: Option<PathBuf>,
    pub(super) config: Vec<(String, String)>,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) input: Input,
    pub(super) max_output: usize,
    pub(super) overflow: Overflow,
    pub(super) timeout: Duration,
    pub(super) kernel: KernelLimits,
    pub(super) secrets: Vec<String>,
}

impl Run {
    pub(super) fn new(subcommand: &'static str) -> Self {
        Self {
            subcommand,
            args: Vec::new(),
            repository: None,
            config: Vec::new(),
            env: Vec::new(),
            input: Input::Nothing,
            max_output: SMALL_OUTPUT_BYTES,
            overflow: Overflow::Fail,
            timeout: LOCAL_TIMEOUT,
            kernel: KernelLimits::default(),
            secrets: Vec::new(),
        }
    }

    pub(super) fn in_repository(mut self, path: &Path) -> Self {
        self.repository = Some(path.to_owned());
        self
    }

    pub(super) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub(super) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    pub(super) fn config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.push((key.into(), value.into()));
        self
    }

    pub(super) fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    pub(super) fn input(mut self, input: Input) -> Self {
        self.input = input;
        self
    }

    pub(super) fn max_output(mut self, bytes: usize, overflow: Overflow) -> Self {
        (self.max_output, self.overflow) = (bytes, overflow);
        self
    }

    pub(super) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub(super) fn kernel_limits(mut self, limits: KernelLimits) -> Self {
        self.kernel = limits;
        self
    }

    /// A text that no error may show.
    pub(super) fn secret(mut self, text: impl Into<String>) -> Self {
        self.secrets.push(text.into());
        self
    }
}

/// What a command that came to its own end left.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) subcommand: &'static str,
    pub(super) status: std::process::ExitStatus,
    pub(super) stdout: Vec<u8>,
    /// Bytes of standard output beyond the limit, where they are dropped.
    pub(super) left_out: u64,
    /// The end of what it said there.
    pub(super) stderr: String,
}

impl Output {
    pub(super) fn is_success(&self) -> bool {
        self.status.success()
    }

    pub(super) fn checked(self) -> Result<Self, GitError> {
        if self.is_success() { Ok(self) } else { Err(self.failure()) }
    }

    pub(super) fn failure(&self) -> GitError {
        // Nobody here sends these, and no limit of ours: most often the kernel does, for want of memory.
        if matches!(self.status.signal(), Some(SIGKILL | SIGTERM)) {
            let problem = format!("it was killed from outside ({})", self.status);
            return GitError::Starved { subcommand: self.subcommand, problem };
        }
        GitError::Failed {
            subcommand: self.subcommand,
            how: self.status.to_string(),
            stderr: one_line(&self.stderr),
            end: End::of(self),
        }
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }
}

/// Git's messages in one line: what it ends with is what failed.
fn one_line(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let text = printable(&lines.join("; "));
    let start = text.ceil_char_boundary(text.len().saturating_sub(MAX_ERROR_BYTES));
    text[start..].to_owned()
}
