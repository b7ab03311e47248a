//! Reads one file of a commit as text.

use bzzz_actors::ports::code::CodeError;
use bzzz_actors::task::{RepoId, Sha};

use super::Git;
use super::command::{GitError, Overflow, Run};
use super::failure::code_error;

/// The longest file that is read: what the port promises.
const MAX_BYTES: usize = 64 * 1024;

impl Git {
    pub(super) async fn text_of(
        &self,
        repo: &RepoId,
        commit: &Sha,
        path: &str,
    ) -> Result<Option<String>, CodeError> {
        let refused = |problem: &str| CodeError::Refused(format!("{path} of {repo} {problem}"));
        if super::paths::problem_of(path.as_bytes()).is_some() {
            return Err(refused("is not a path in a repository"));
        }
        let mirror = self.mirrors.hold_with(repo, commit).await?;
        let list = Run::new("ls-tree").in_repository(&mirror.path).args([
            "-z",
            "--full-tree",
            commit.as_str(),
            path,
        ]);
        let output = self.program.run(list).await.and_then(|output| output.checked()).map_err(code_error)?;
        let entry = output.text();
        let Some((meta, _)) = entry.split_once('\t') else { return Ok(None) };
        let fields: Vec<&str> = meta.split(' ').collect();
        let ["100644" | "100755", "blob", id] = fields.as_slice() else {
            return Err(refused("is not a regular file"));
        };
        let read = Run::new("cat-file")
            .in_repository(&mirror.path)
            .args(["blob", id])
            .max_output(MAX_BYTES, Overflow::Fail);
        match self.program.run(read).await.and_then(|output| output.checked()) {
            Ok(output) => String::from_utf8(output.stdout).map(Some).map_err(|_| refused("is not UTF-8")),
            Err(GitError::TooMuchOutput { .. }) => Err(refused("is longer than 64 KiB")),
            Err(error) => Err(code_error(error)),
        }
    }
}
