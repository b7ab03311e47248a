//! Takes the work of a sandbox in: objects only, checked before anything of them is kept.
//!
//! The bundle is untrusted. Its header is parsed here, its pack is indexed in a throw-away repository under limits of
//! size, time, processor and memory, and its tree is compared with the base by rules in [`super::changes`],
//! [`super::paths`] and [`super::contents`]. No git command that follows references, filters or configuration of the
//! bundle ever sees it.

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bzzz_actors::ports::code::{CodeError, ImportedTree};
use bzzz_actors::ports::sandbox::WorkBundle;
use bzzz_actors::task::{PathPattern, Sha};
use rustix::process::Signal;

use super::bundle::{self, MAX_HEADER_BYTES};
use super::case::check_case;
use super::changes::{self, Change};
use super::command::{End, GitError, Input, KernelLimits, Overflow, Run};
use super::contents::aside;
use super::failure::{code_error, disk_error};
use super::limits::GitLimits;
use super::objects::{self, ObjectInfo};
use super::program::Program;
use super::remote::is_host_trouble;
use crate::secrets::Secrets;

/// The part of a diff that is kept as text.
const MAX_DIFF_BYTES: usize = 256 * 1024;
/// Each changed path costs some hundred bytes in the list of them.
const MAX_RAW_BYTES_PER_FILE: usize = 512;
/// The names of a million files. A repository with more can't be worked on.
const MAX_ENTRIES_BYTES: usize = 128 * 1024 * 1024;

pub(super) struct Import<'a> {
    pub(super) program: &'a Program,
    pub(super) limits: &'a GitLimits,
    pub(super) secrets: &'a Secrets,
    pub(super) base: &'a Sha,
    /// All that may be changed, if it names any.
    pub(super) paths: &'a [PathPattern],
    /// The throw-away repository, which reads the mirror's objects too.
    pub(super) repository: PathBuf,
}

pub(super) fn refused(text: impl Into<String>) -> CodeError {
    CodeError::Refused(text.into())
}

/// A command on what the bundle brought has failed. One that the limits on it ended would end so each time: that is the
/// bundle's doing, and trying again would only cost as much again.
///
/// What git says quotes the bundle, which may use any words: only those that it ends with count, see [`End`].
pub(super) fn bundle_error(error: GitError) -> CodeError {
    let text = error.to_string();
    match error {
        GitError::TimedOut { limit, .. } => {
            refused(format!("the change takes more than {limit:?} to unpack and to compare: make it smaller"))
        }
        GitError::TooMuchOutput { .. } => {
            refused(format!("the change takes more than may be used to compare it: make it smaller ({text})"))
        }
        GitError::Failed { end, .. } => match cause_of(&end) {
            Cause::Limit => refused(format!(
                "the change takes more than may be used to compare it: make it smaller ({text})"
            )),
            Cause::Host => CodeError::Unavailable(text),
            Cause::Other => CodeError::Failed(text),
        },
        other => code_error(other),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Cause {
    /// The end of the memory or of the processor time that it was given.
    Limit,
    /// This host has too little of something else.
    Host,
    Other,
}

fn cause_of(end: &End) -> Cause {
    const MEMORY: [&str; 4] = ["out of memory", "cannot allocate memory", "malloc failed", "over limit"];
    let last_words = end.last_words.as_deref().unwrap_or_default();
    let lower = last_words.to_ascii_lowercase();
    if end.signal == Some(Signal::XCPU.as_raw()) || MEMORY.iter().any(|words| lower.contains(words)) {
        Cause::Limit
    } else if end.signal.is_none() && is_host_trouble(last_words) {
        Cause::Host
    } else {
        Cause::Other
    }
}

impl Import<'_> {
    /// Indexes the bundle's pack and checks its tree. The pack stays in the throw-away repository.
    pub(super) async fn take(&self, bundle: &WorkBundle) -> Result<ImportedTree, CodeError> {
        let (header, pack) = self.open(&bundle.file)?;
        self.index(pack).await?;
        self.take_commit(&header.tip).await
    }

    /// Checks the tree of a commit that is in the throw-away repository.
    pub(super) async fn take_commit(&self, tip: &Sha) -> Result<ImportedTree, CodeError> {
        let tree = self.tree_of(tip).await?;
        let entries = self.entries(&tree).await?;
        let changes = self.changes(&tree).await?;
        changes::check_shape(&changes, self.limits).map_err(refused)?;
        changes::check_paths(&changes, self.paths).map_err(refused)?;
        let changes =
            aside(move || check_case(&changes, &entries).map(|()| changes)).await?.map_err(refused)?;
        self.check_contents(&changes).await?;
        let (insertions, deletions) = self.numstat(&tree).await?;
        let diff = self.diff(&tree).await?;
        let files = u32::try_from(changes.len()).unwrap_or(u32::MAX);
        Ok(ImportedTree { tree, files, insertions, deletions, diff })
    }

    fn open(&self, path: &Path) -> Result<(bundle::Header, std::fs::File), CodeError> {
        let broken = |error: std::io::Error| CodeError::Unavailable(format!("{}: {error}", path.display()));
        let mut file = std::fs::File::open(path).map_err(broken)?;
        let length = file.metadata().map_err(broken)?.len();
        if length > self.limits.bundle_bytes {
            return Err(refused(format!(
                "the change is too large: {length} bytes packed, and at most {} are taken",
                self.limits.bundle_bytes
            )));
        }
        let mut start = Vec::new();
        (&mut file).take(MAX_HEADER_BYTES as u64).read_to_end(&mut start).map_err(broken)?;
        let header = bundle::parse_header(&start)
            .map_err(|problem| refused(format!("the work can't be taken out of the sandbox: {problem}")))?;
        if header.prerequisite != *self.base {
            return Err(refused(format!(
                "the work does not build on the commit that the task began with ({}): reset to it and keep the files",
                self.base.short()
            )));
        }
        file.seek(SeekFrom::Start(header.pack_at as u64)).map_err(broken)?;
        Ok((header, file))
    }

    /// A command on what the bundle brought.
    pub(super) fn run(&self, subcommand: &'static str) -> Run {
        Run::new(subcommand)
            .in_repository(&self.repository)
            .timeout(self.limits.import_timeout)
            .kernel_limits(KernelLimits {
                cpu: Some(self.limits.import_timeout),
                data_bytes: Some(self.limits.import_memory_bytes),
                // A thin pack is completed with what it builds on.
                file_bytes: Some(self.limits.bundle_bytes.saturating_add(self.limits.changed_bytes)),
            })
    }

    async fn index(&self, pack: std::fs::File) -> Result<(), CodeError> {
        let run = self
            .run("index-pack")
            .args(["--strict=badFilemode=error", "--fix-thin", "--stdin", "--threads=1"])
            .arg(format!("--max-input-size={}", self.limits.bundle_bytes))
            .input(Input::File(pack));
        match self.program.run(run).await.and_then(|output| output.checked()) {
            Ok(_) => Ok(()),
            // What git runs out of here is the memory that it was given for this.
            Err(ref error @ GitError::Failed { ref end, .. }) if cause_of(end) != Cause::Host => {
                Err(refused(format!("git does not accept what the sandbox made: {error}")))
            }
            Err(other) => Err(bundle_error(other)),
        }
    }

    async fn tree_of(&self, tip: &Sha) -> Result<Sha, CodeError> {
        let names = [format!("{tip}^{{tree}}")];
        let infos = objects::infos(self.program, self.run("cat-file"), &names).await.map_err(bundle_error)?;
        match infos.into_iter().next().flatten() {
            Some(ObjectInfo { id, kind, .. }) if kind == "tree" => Ok(id),
            _ => Err(refused("the bundle has no commit with a tree")),
        }
    }

    /// All files and folders of the tree, each its kind, a space, and its path. Unlike a comparison, the list comes as it
    /// is made: of a tree in which a few folders stand for billions, its limit is soon reached.
    async fn entries(&self, tree: &Sha) -> Result<Vec<u8>, CodeError> {
        let run = self
            .run("ls-tree")
            .args(["-r", "-t", "-z", "--full-tree", "--format=%(objecttype) %(path)", tree.as_str()])
            .max_output(MAX_ENTRIES_BYTES, Overflow::Fail);
        match self.program.run(run).await.and_then(|output| output.checked()) {
            Ok(output) => Ok(output.stdout),
            Err(GitError::TooMuchOutput { .. }) => Err(refused(
                "the work tree has more files and folders than can be looked through: remove what does not belong to the \
                 task",
            )),
            Err(error) => Err(bundle_error(error)),
        }
    }

    async fn changes(&self, tree: &Sha) -> Result<Vec<Change>, CodeError> {
        // One more than may be: a list that is too long is told with its length as far as it goes.
        let max = (self.limits.changed_files + 1) * MAX_RAW_BYTES_PER_FILE;
        let run = self
            .run("diff-tree")
            .args(["-r", "-z", "--raw", "--no-abbrev", "--no-renames"])
            .arg(format!("{}^{{tree}}", self.base))
            .arg(tree.as_str())
            .max_output(max, Overflow::Fail);
        match self.program.run(run).await.and_then(|output| output.checked()) {
            Ok(output) => changes::parse_raw(&output.stdout)
                .ok_or_else(|| CodeError::Failed("git diff-tree: its answer can't be read".to_owned())),
            Err(GitError::TooMuchOutput { .. }) => Err(refused(format!(
                "more files were changed than are taken ({}): remove what does not belong to the task",
                self.limits.changed_files
            ))),
            Err(error) => Err(bundle_error(error)),
        }
    }

    fn diff_tree(&self, tree: &Sha, format: &[&str]) -> Run {
        self.run("diff-tree")
            .args(format)
            .args(["-r", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color"])
            .arg(format!("{}^{{tree}}", self.base))
            .arg(tree.as_str())
    }

    async fn numstat(&self, tree: &Sha) -> Result<(u32, u32), CodeError> {
        let max = (self.limits.changed_files + 1) * MAX_RAW_BYTES_PER_FILE * 4;
        let run = self.diff_tree(tree, &["--numstat", "-z"]).max_output(max, Overflow::Fail);
        let output = self.program.run(run).await.and_then(|output| output.checked()).map_err(bundle_error)?;
        Ok(changes::sum_numstat(&output.stdout))
    }

    async fn diff(&self, tree: &Sha) -> Result<String, CodeError> {
        let run = self.diff_tree(tree, &["-p"]).max_output(MAX_DIFF_BYTES, Overflow::Drop);
        let output = self.program.run(run).await.and_then(|output| output.checked()).map_err(bundle_error)?;
        Ok(changes::visible(&output.stdout, output.left_out))
    }
}

/// An empty repository at `path` that reads the objects at `alternates` too.
pub(super) async fn init_borrowing(
    program: &Program,
    path: &Path,
    alternates: &Path,
) -> Result<(), CodeError> {
    let init = Run::new("init").args(["--quiet", "--bare", "--template=", "--initial-branch=work"]).arg(path);
    program.run(init).await.and_then(|output| output.checked()).map_err(code_error)?;
    let line = format!("{}\n", alternates.display());
    std::fs::create_dir_all(path.join("objects/info")).map_err(disk_error)?;
    std::fs::write(path.join("objects/info/alternates"), line).map_err(disk_error)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;
    use crate::git::command::Output;

    fn error(status: i32, stderr: &str) -> GitError {
        let status = std::process::ExitStatus::from_raw(status);
        let (stdout, stderr) = (Vec::new(), stderr.to_owned());
        Output { subcommand: "diff-tree", status, stdout, left_out: 0, stderr }.failure()
    }

    const DIED: i32 = 128 << 8;

    #[test]
    fn only_what_git_ends_with_counts() {
        let cause = |status, stderr: &str| match error(status, stderr) {
            GitError::Failed { end, .. } => cause_of(&end),
            other => panic!("{other}"),
        };
        for (status, stderr, expected) in [
            (DIED, "fatal: write error: No space left on device\n", Cause::Host),
            (
                DIED,
                "fatal: unable to open '/d/mirrors/acme/memory.git/x.idx': Too many open files",
                Cause::Host,
            ),
            (DIED, "fatal: unable to create '/d/SIGXCPU.git/x.pack': Input/output error", Cause::Host),
            (DIED, "fatal: Out of memory, malloc failed (tried to allocate 10 bytes)", Cause::Limit),
            (DIED, "fatal: mmap failed: Cannot allocate memory", Cause::Limit),
            (24, "", Cause::Limit),
            (25, "fatal: write error: No space left on device", Cause::Other),
            (DIED, "fatal: unable to read tree (aaaa)", Cause::Other),
            (
                DIED,
                "error: object aaaa: gitmodulesName: disallowed submodule name: ../No space left on device\n\
                 fatal: fsck error in packed object\n",
                Cause::Other,
            ),
            (
                DIED,
                "error: object aaaa: gitmodulesUrl: x\nfatal: write error: Input/output error\nfatal: no\n",
                Cause::Other,
            ),
            (
                DIED,
                "error: object aaaa: path 'SIGXCPU of memory: Out of memory'\nfatal: fsck error\n",
                Cause::Other,
            ),
            (DIED, "error: object aaaa: No space left on device", Cause::Other),
        ] {
            assert_eq!(cause(status, stderr), expected, "{status} {stderr}");
        }
    }

    #[test]
    fn what_the_bundle_does_is_refused_and_what_the_host_lacks_is_tried_again() {
        let full = "fatal: write error: No space left on device";
        assert!(matches!(bundle_error(error(DIED, full)), CodeError::Unavailable(_)));
        assert!(matches!(bundle_error(error(24, "")), CodeError::Refused(_)));
        assert!(matches!(bundle_error(error(9, full)), CodeError::Unavailable(_)));
        let quoted = "error: a file 'timed out; No space left on device'\nfatal: unable to read aaaa";
        assert!(matches!(bundle_error(error(DIED, quoted)), CodeError::Failed(_)));
        let too_much = GitError::TooMuchOutput { subcommand: "cat-file", max: 1 };
        assert!(matches!(bundle_error(too_much), CodeError::Refused(_)));
    }
}
