//! A task's branch that an earlier owner pushed, taken in as work done so far.
//!
//! Whoever may push may have made it: it is fetched into a throw-away repository under the limits of a sandbox's bundle,
//! its tree is compared with the base by the same rules, and only then its pack comes to the task's store.

use std::path::Path;

use bzzz_actors::ports::claims::ClaimsError;
use bzzz_actors::ports::code::{CodeError, ImportedTree, Pushed};
use bzzz_actors::task::{Base, PathPattern, Sha, TaskId};

use super::Git;
use super::command::{GitError, KernelLimits, Run};
use super::failure::{code_error, disk_error};
use super::import::{Import, init_borrowing, refused};
use super::mirror::has_hit_limit;
use super::names::branch_ref;
use super::remote::{Failure, failure_of};

/// Where the branch stands in the throw-away repository.
const FETCHED: &str = "refs/heads/pushed";
/// What the server is told that is here already.
const KNOWN: &str = "refs/heads/known";

fn from_claims(error: ClaimsError) -> CodeError {
    match error {
        ClaimsError::Unclear(problem) => CodeError::Unavailable(problem),
        ClaimsError::Denied { repo, message } => CodeError::Denied { repo, message },
        ClaimsError::EmptyRepository { repo } => CodeError::EmptyRepository { repo },
        ClaimsError::Failed(problem) => CodeError::Failed(problem),
    }
}

impl Git {
    pub(super) async fn pushed_branch(
        &self,
        task: &TaskId,
        newest: &Base,
    ) -> Result<Option<Pushed>, CodeError> {
        let Some(commit) = self.read_server_branch(task).await.map_err(from_claims)? else { return Ok(None) };
        let mirror = self.mirrors.hold_with(&task.repo, &newest.commit).await?;
        let folder = self.home.work_folder().map_err(disk_error)?;
        let scratch = folder.path().join("pushed.git");
        init_borrowing(&self.program, &scratch, &mirror.path.join("objects")).await?;
        let base = match self.fetch_pushed(task, &newest.commit, &scratch).await {
            Ok(tip) if tip == commit => self.base_of(&scratch, newest, &tip).await?,
            Ok(_) => return Err(moved(task)),
            Err(CodeError::Refused(why)) => Err(why),
            Err(error) => return Err(error),
        };
        Ok(Some(Pushed { commit, base }))
    }

    pub(super) async fn inherit_branch(
        &self,
        task: &TaskId,
        base: &Sha,
        pushed: &Sha,
        paths: &[PathPattern],
    ) -> Result<ImportedTree, CodeError> {
        let take = async |import: &Import<'_>| {
            if self.fetch_pushed(task, base, &import.repository).await? != *pushed {
                return Err(moved(task));
            }
            import.take_commit(pushed).await
        };
        self.import_by(task, base, paths, take).await
    }

    /// Fetches the task's branch into the repository `scratch`, which reads a mirror that has `known`; returns its tip.
    async fn fetch_pushed(&self, task: &TaskId, known: &Sha, scratch: &Path) -> Result<Sha, CodeError> {
        let update = Run::new("update-ref").in_repository(scratch).args([KNOWN, known.as_str()]);
        self.program.run(update).await.and_then(|output| output.checked()).map_err(code_error)?;
        let limits = &self.options.limits;
        let max = limits.bundle_bytes.saturating_add(limits.changed_bytes);
        let fetch = Run::new("fetch")
            .in_repository(scratch)
            .args(["--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"])
            .arg(self.remote.url(self.options.forks.branches(&task.repo)))
            .arg(format!("+{}:{FETCHED}", branch_ref(task)))
            // One pack, so that one limit holds all of it.
            .config("fetch.unpackLimit", "1")
            .config("fetch.fsckObjects", "true")
            .config("fetch.fsck.badFilemode", "error")
            .timeout(limits.fetch_timeout)
            .kernel_limits(KernelLimits {
                data_bytes: Some(limits.import_memory_bytes),
                file_bytes: Some(max),
                ..KernelLimits::default()
            });
        let output = self.program.run(self.remote.allow(fetch)).await.map_err(code_error)?;
        if !output.is_success() {
            if has_hit_limit(scratch, max) {
                return Err(refused(format!("it is larger than what is taken, {max} bytes")));
            }
            return Err(fetch_error(task, &output.stderr, output.failure()));
        }
        let tip = Run::new("rev-parse").in_repository(scratch).args(["--verify", "--quiet", FETCHED]);
        let output = self.program.run(tip).await.and_then(|output| output.checked()).map_err(code_error)?;
        output.text().parse().map_err(|error| CodeError::Failed(format!("git: {error}")))
    }

    /// The newest commit that `tip` has in common with the branch to work from; or why there is nothing to go on from.
    async fn base_of(
        &self,
        scratch: &Path,
        newest: &Base,
        tip: &Sha,
    ) -> Result<Result<Base, String>, CodeError> {
        let run = Run::new("merge-base").in_repository(scratch).args([newest.commit.as_str(), tip.as_str()]);
        let output = self.program.run(run).await.map_err(code_error)?;
        let found = match output.is_success() {
            true => output.text().lines().next().and_then(|line| line.parse::<Sha>().ok()),
            false => None,
        };
        Ok(match found {
            Some(commit) if commit == *tip => Err(format!("{} has all of it already", newest.branch)),
            Some(commit) => Ok(Base { branch: newest.branch.clone(), commit }),
            None => Err(format!("it has no commit in common with {}", newest.branch)),
        })
    }
}

/// Somebody pushes to it just now; the next look sees what comes of that.
fn moved(task: &TaskId) -> CodeError {
    CodeError::Unavailable(format!("the branch {} moves while it is looked at", task.branch()))
}

fn fetch_error(task: &TaskId, stderr: &str, error: GitError) -> CodeError {
    if stderr.to_ascii_lowercase().contains("couldn't find remote ref") {
        return moved(task);
    }
    match failure_of(stderr) {
        Failure::Denied => CodeError::Denied { repo: task.repo.clone(), message: error.to_string() },
        Failure::Passing => CodeError::Unavailable(error.to_string()),
        // Objects that git does not accept, most likely.
        Failure::Other => refused(error.to_string()),
    }
}
