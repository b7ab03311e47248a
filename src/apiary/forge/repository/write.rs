//! Making repositories and commits in them.

use std::io::Write;
use std::path::Path;

use super::{Repository, Updated};
use crate::apiary::git::GitError;

/// Added to every repository's configuration: what GitHub's allow, a limit for a push, and nothing that runs on its
/// own. `refs/pull` is what the forge keeps of pull requests: it can be fetched and not pushed to. What is lost with
/// the power is seeded anew; waiting for the disk would cost every push some ten milliseconds.
const SETTINGS: &str = "
[http]
\treceivepack = true
\tuploadpack = true
[uploadpack]
\tallowFilter = true
\tallowAnySHA1InWant = true
[receive]
\tdenyDeletes = false
\tdenyNonFastForwards = false
\tfsckObjects = true
\tmaxInputSize = 268435456
\tautogc = false
\thideRefs = refs/pull
[gc]
\tauto = 0
[core]
\tfsync = none
";

/// A file to be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewFile<'a> {
    /// Relative, with slashes.
    pub(crate) path: &'a str,
    pub(crate) bytes: &'a [u8],
    pub(crate) executable: bool,
}

pub(crate) struct Author<'a> {
    pub(crate) name: &'a str,
    pub(crate) email: &'a str,
    /// Seconds since 1970.
    pub(crate) at: u64,
}

impl Repository {
    /// Makes the repository, without commits.
    pub(crate) async fn init(&self, default_branch: &str) -> Result<(), GitError> {
        std::fs::create_dir_all(self.path())?;
        let branch = format!("--initial-branch={default_branch}");
        self.git(["init", "--quiet", "--bare", "--template=", &branch]).output().await?;
        let mut config = std::fs::OpenOptions::new().append(true).open(self.path().join("config"))?;
        Ok(config.write_all(SETTINGS.as_bytes())?)
    }

    /// Hides references from fetches and refuses pushes to them: "deny updating a hidden ref".
    pub(crate) async fn hide_refs(&self, prefix: &str) -> Result<(), GitError> {
        self.git(["config", "--add", "transfer.hideRefs", prefix]).output().await.map(drop)
    }

    /// Copies all of another repository's objects, and the branches and tags.
    pub(crate) async fn copy_from(&self, other: &Path) -> Result<(), GitError> {
        self.fetch(other, "+refs/heads/*:refs/heads/*").await?;
        self.fetch(other, "+refs/tags/*:refs/tags/*").await
    }

    /// Fetches one reference from another repository of the forge.
    pub(crate) async fn fetch(&self, other: &Path, refspec: &str) -> Result<(), GitError> {
        let other = other.to_string_lossy();
        self.git(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", &other, refspec])
            .output()
            .await
            .map(drop)
    }

    /// Commits `files` on top of what the branch has, or as its first commit, and returns the commit.
    pub(crate) async fn commit_files(
        &self,
        branch: &str,
        files: &[NewFile<'_>],
        removed: &[&str],
        author: &Author<'_>,
        message: &str,
    ) -> Result<String, GitError> {
        let name = format!("refs/heads/{branch}");
        let parent = self.read_ref(&name).await?.map(|r| r.sha);
        let stream = import_stream(&name, parent.as_deref(), files, removed, author, message);
        self.git(["fast-import", "--quiet", "--date-format=raw"]).input(stream).output().await?;
        let made = self.read_ref(&name).await?.map(|r| r.sha);
        made.ok_or_else(|| GitError::Unreadable { command: "fast-import", problem: "no commit made".into() })
    }

    /// A commit of a tree with these parents; no reference is moved.
    pub(crate) async fn commit_tree(
        &self,
        tree: &str,
        parents: &[&str],
        author: &Author<'_>,
        message: &str,
    ) -> Result<String, GitError> {
        let date = format!("{} +0000", author.at);
        let parents = parents.iter().flat_map(|p| ["-p", p]);
        self.git(["commit-tree", tree])
            .args(parents)
            .env("GIT_AUTHOR_NAME", author.name)
            .env("GIT_AUTHOR_EMAIL", author.email)
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_NAME", "Apiary")
            .env("GIT_COMMITTER_EMAIL", "noreply@apiary.invalid")
            .env("GIT_COMMITTER_DATE", &date)
            .input(message.as_bytes().to_vec())
            .text()
            .await
    }

    /// Moves a branch from one commit to another.
    pub(crate) async fn advance(&self, branch: &str, from: &str, to: &str) -> Result<Updated, GitError> {
        self.swap_ref(&format!("refs/heads/{branch}"), Some(from), to).await
    }
}

fn import_stream(
    reference: &str,
    parent: Option<&str>,
    files: &[NewFile<'_>],
    removed: &[&str],
    author: &Author<'_>,
    message: &str,
) -> Vec<u8> {
    let mut stream = Vec::new();
    let data = |stream: &mut Vec<u8>, bytes: &[u8]| {
        stream.extend_from_slice(format!("data {}\n", bytes.len()).as_bytes());
        stream.extend_from_slice(bytes);
        stream.push(b'\n');
    };
    let person = format!("{} <{}> {} +0000", author.name, author.email, author.at);
    let head = format!("commit {reference}\nauthor {person}\ncommitter {person}\n");
    stream.extend_from_slice(head.as_bytes());
    data(&mut stream, message.as_bytes());
    if let Some(parent) = parent {
        stream.extend_from_slice(format!("from {parent}\n").as_bytes());
    }
    for path in removed {
        stream.extend_from_slice(format!("D {}\n", quoted(path)).as_bytes());
    }
    for file in files {
        let mode = if file.executable { "100755" } else { "100644" };
        stream.extend_from_slice(format!("M {mode} inline {}\n", quoted(file.path)).as_bytes());
        data(&mut stream, file.bytes);
    }
    stream.extend_from_slice(b"done\n");
    stream
}

/// A path as `git fast-import` reads it, whatever is in it.
fn quoted(path: &str) -> String {
    let mut quoted = String::from("\"");
    for c in path.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
