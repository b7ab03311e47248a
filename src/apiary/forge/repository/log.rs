//! Commits: reading and listing them.

use super::Repository;
use crate::apiary::clock;
use crate::apiary::git::GitError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) email: String,
    /// RFC 3339, UTC.
    pub(crate) date: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommitInfo {
    pub(crate) sha: String,
    pub(crate) tree: String,
    pub(crate) parents: Vec<String>,
    pub(crate) author: Person,
    pub(crate) committer: Person,
    pub(crate) message: String,
}

/// The fields of [`CommitInfo`] in the order in which they are read; with `-z`, one more NUL ends each commit.
const FORMAT: &str = "--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%at%x00%cn%x00%ce%x00%ct%x00%B";
const FIELDS: usize = 10;

impl Repository {
    /// One commit, by its whole id.
    pub(crate) async fn commit(&self, sha: &str) -> Result<CommitInfo, GitError> {
        let output = self.git(["log", "-z", "-1", FORMAT, "--end-of-options", sha]).output().await?;
        parse(&output)?
            .pop()
            .ok_or_else(|| GitError::Unreadable { command: "log", problem: "no commit".into() })
    }

    /// The commits reachable from `tip` and not from `from`, newest first, at most `limit`.
    pub(crate) async fn log(
        &self,
        from: Option<&str>,
        tip: &str,
        path: Option<&str>,
        limit: usize,
    ) -> Result<Vec<CommitInfo>, GitError> {
        let range = from.map_or_else(|| tip.to_owned(), |from| format!("{from}..{tip}"));
        let limit = format!("-{limit}");
        let command = self.git(["log", "-z", &limit, FORMAT, "--end-of-options", &range, "--"]);
        parse(&command.args(path).output().await?)
    }

    /// How many commits are reachable from `tip` and not from `from`.
    pub(crate) async fn count(&self, from: &str, tip: &str) -> Result<usize, GitError> {
        let count = self.git(["rev-list", "--count", &format!("{from}..{tip}")]).text().await?;
        count.parse().map_err(|_| GitError::Unreadable { command: "rev-list", problem: count })
    }

    /// The best common ancestor; `None` when the histories have nothing in common.
    pub(crate) async fn merge_base(&self, one: &str, other: &str) -> Result<Option<String>, GitError> {
        let ran = self.git(["merge-base", one, other]).run().await?;
        match ran.status.code() {
            Some(0) => Ok(Some(String::from_utf8_lossy(&ran.stdout).trim().to_owned())),
            Some(1) => Ok(None),
            _ => {
                Err(GitError::Failed { command: "merge-base".into(), status: ran.status, stderr: ran.stderr })
            }
        }
    }
}

fn parse(output: &[u8]) -> Result<Vec<CommitInfo>, GitError> {
    let text = String::from_utf8_lossy(output);
    let mut fields: Vec<&str> = text.split('\0').collect();
    // Each commit ends in a NUL, so there is one empty field too many.
    fields.pop();
    let person = |f: &[&str]| Person {
        name: f[0].to_owned(),
        email: f[1].to_owned(),
        date: clock::from_unix(f[2].parse().unwrap_or_default()),
    };
    let commits = fields.chunks_exact(FIELDS);
    if !commits.remainder().is_empty() {
        return Err(GitError::Unreadable { command: "log", problem: "a commit is cut off".into() });
    }
    let commit = |f: &[&str]| CommitInfo {
        sha: f[0].to_owned(),
        tree: f[1].to_owned(),
        parents: f[2].split_ascii_whitespace().map(str::to_owned).collect(),
        author: person(&f[3..6]),
        committer: person(&f[6..9]),
        message: f[9].trim_end_matches('\n').to_owned(),
    };
    Ok(commits.map(commit).collect())
}
