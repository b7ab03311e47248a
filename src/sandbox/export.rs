//! Code out: the work tree as a git bundle, written down in the sandbox and streamed into a file of the host.

use std::path::Path;
use std::time::Duration;

use bzzz_actors::ports::sandbox::{SandboxError, WorkBundle};
use bzzz_actors::task::Sha;
use sandboxd::Ending;

use super::import::{OWN_CWD, complaint, is_disk_full, problem, script};
use super::session::{OwnJob, Report, Session};

/// A tree of thousands of files takes less than a second. This is for the one that a command filled to the brim.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Above this, objects that earlier exports wrote into the sandbox are thrown away and written again as needed.
const MAX_LOOSE_KIB: u32 = 64 * 1024;

/// The status by which a script says that its complaint is meant for the model as it stands.
const COMPLAINT_STATUS: i32 = 3;

/// The status by which a script says that the work tree is the one that is known.
const UNCHANGED_STATUS: i32 = 4;

const STORE_SCRIPT: &str = include_str!("scripts/store.sh");
const EXPORT_SCRIPT: &str = include_str!("scripts/export.sh");

impl Session {
    /// The work tree as a bundle on top of `base`, in a new file in `folder`, as
    /// [`Sandbox::export_changes`](bzzz_actors::ports::sandbox::Sandbox::export_changes) says.
    ///
    /// # Errors
    /// `Refused` with a text for the model when the tree can't be written down or is too big; `Unavailable` when this
    /// host can't write the file; `Lost`.
    pub async fn export_changes(
        &self,
        base: &Sha,
        known: Option<&Sha>,
        max_bytes: u64,
        folder: &Path,
    ) -> Result<Option<WorkBundle>, SandboxError> {
        let known = known.map_or_else(|| format!("{base}^{{tree}}"), Sha::to_string);
        let variables = format!("base={base}\nknown='{known}'\nunchanged={UNCHANGED_STATUS}");
        let (report, bundle) = self.bundle(&variables, max_bytes, folder).await?;
        match &report.ending {
            Ending::Exited { code: 0 } => Ok(Some(bundle)),
            Ending::Exited { code: UNCHANGED_STATUS } => Ok(None),
            _ => Err(SandboxError::Refused(refusal(&report, max_bytes))),
        }
    }

    /// Lets the script write the bundle, with these variables set before it.
    async fn bundle(
        &self,
        variables: &str,
        max_bytes: u64,
        folder: &Path,
    ) -> Result<(Report, WorkBundle), SandboxError> {
        let _turn = self.turn().await;
        let unwritable =
            |e| SandboxError::Unavailable(format!("{}: no file can be made: {e}", folder.display()));
        let file = tempfile::Builder::new().prefix("work-").suffix(".bundle").tempfile_in(folder);
        let (file, remover) = file.map_err(unwritable)?.into_parts();
        let limit = format!("max_loose_kib={MAX_LOOSE_KIB}");
        let job = OwnJob {
            script: script(&[variables, &limit, STORE_SCRIPT, EXPORT_SCRIPT]),
            cwd: OWN_CWD,
            timeout: TIMEOUT,
            input: None,
            output: Some((Box::new(tokio::fs::File::from_std(file)), max_bytes)),
        };
        let report = self.run_own(job).await?;
        Ok((report, WorkBundle { file: remover.to_path_buf(), remover: Box::new(remover) }))
    }
}

/// What the model is told.
fn refusal(report: &Report, max_bytes: u64) -> String {
    match &report.ending {
        Ending::TooMuchOutput => format!(
            "the changes are larger than the {max_bytes} bytes that may leave the sandbox: remove what was \
             generated or downloaded, or name it in .gitignore"
        ),
        Ending::TimedOut => format!(
            "writing the work tree down took longer than {} s: remove what was generated, or name it in .gitignore",
            TIMEOUT.as_secs()
        ),
        _ if is_disk_full(report) => {
            "the sandbox's disk is full, so the work tree can't be written down: remove large files under /work"
                .to_owned()
        }
        Ending::Exited { code: COMPLAINT_STATUS } => complaint(report),
        _ => format!("git can't write the work tree down: {}", problem(report)),
    }
}
