//! Code in: a tar of `.git` streamed to a sandbox and checked out there, and the work done before on top of it.

use std::path::Path;
use std::time::Duration;

use bzzz_actors::ports::code::CodeIn;
use bzzz_actors::ports::sandbox::SandboxError;
use sandboxd::Ending;

use super::session::{OwnJob, Report, Session, Source};

/// A repository of a few hundred MB takes seconds. One that takes longer than this is stuck or far too big.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Where a job of the session's own starts: there need be no work tree yet.
pub(super) const OWN_CWD: &str = "/";

const STORE_SCRIPT: &str = include_str!("scripts/store.sh");
const IMPORT_SCRIPT: &str = include_str!("scripts/import.sh");
const CHANGES_SCRIPT: &str = include_str!("scripts/changes.sh");

/// The most of a script's complaint that is shown.
const MAX_COMPLAINT_BYTES: usize = 2000;

impl Session {
    /// Puts `code` into the empty work tree, as [`Sandbox::import`](bzzz_actors::ports::sandbox::Sandbox::import) says.
    ///
    /// # Errors
    /// `Misconfigured` when it does not fit; `Unavailable` when this host can't read it; `Refused` when git or tar
    /// can't; `Lost`.
    pub async fn import(&self, code: &CodeIn) -> Result<(), SandboxError> {
        let _turn = self.turn().await;
        let base = format!("base={}", code.base);
        let archive = open(&code.archive).await?;
        self.put(script(&[&base, STORE_SCRIPT, IMPORT_SCRIPT]), archive).await?;
        if let Some((bundle, commit)) = &code.changes {
            let commit = format!("commit={commit}");
            let bundle = open(bundle).await?;
            self.put(script(&[&base, &commit, STORE_SCRIPT, CHANGES_SCRIPT]), bundle).await?;
        }
        Ok(())
    }

    async fn put(&self, script: String, input: Source) -> Result<(), SandboxError> {
        let job = OwnJob { script, cwd: OWN_CWD, timeout: TIMEOUT, input: Some(input), output: None };
        let report = self.run_own(job).await?;
        match &report.ending {
            Ending::Exited { code: 0 } => Ok(()),
            _ if is_disk_full(&report) => Err(SandboxError::Misconfigured(
                "the repository does not fit into the sandbox: raise the size of its /work (sandbox.work_size), \
                 and its memory with it"
                    .to_owned(),
            )),
            _ => Err(SandboxError::Refused(format!("the code can't be put into the sandbox: {}", problem(&report)))),
        }
    }
}

/// One script of several. Ids of commits are safe in it: they are hexadecimal by construction.
pub(super) fn script(parts: &[&str]) -> String {
    parts.join("\n")
}

async fn open(path: &Path) -> Result<Source, SandboxError> {
    match tokio::fs::File::open(path).await {
        Ok(file) => Ok(Box::new(file)),
        Err(problem) => {
            Err(SandboxError::Unavailable(format!("{} can't be read: {problem}", path.display())))
        }
    }
}

pub(super) fn is_disk_full(report: &Report) -> bool {
    complaint(report).contains("No space left on device")
}

/// What went wrong, in one text: how the script ended, and the last of what it said.
pub(super) fn problem(report: &Report) -> String {
    let how = match &report.ending {
        Ending::Exited { code } => format!("exit status {code}"),
        Ending::Signalled { .. } if report.oom_kills > 0 => "the sandbox's memory is full".to_owned(),
        Ending::Signalled { signal } => format!("killed by signal {signal}"),
        Ending::TimedOut => format!("it took longer than {} s", TIMEOUT.as_secs()),
        Ending::Cancelled => "it was cancelled".to_owned(),
        Ending::TooMuchOutput => "it wrote too much".to_owned(),
        Ending::NotStarted { why } => format!("no shell could be started: {why}"),
    };
    match complaint(report) {
        said if said.is_empty() => how,
        said => format!("{said} ({how})"),
    }
}

/// The end of what a script said on standard error, printable.
pub(super) fn complaint(report: &Report) -> String {
    let said = [report.head.as_slice(), &report.tail].concat();
    let text = bzzz_actors::task::printable(&String::from_utf8_lossy(&said));
    let text = text.trim();
    text[text.ceil_char_boundary(text.len().saturating_sub(MAX_COMPLAINT_BYTES))..].to_owned()
}
