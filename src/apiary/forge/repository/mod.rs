//! One bare repository, by git's plumbing commands: references, commits, trees, differences, merges.
//!
//! Names that come from outside are checked before they reach a command line, or stand behind `--end-of-options`.

mod diff;
mod log;
mod merge;
mod refs;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub(crate) use diff::{ChangeKind, ChangedFile};
pub(crate) use log::CommitInfo;
pub(crate) use merge::Merged;
pub(crate) use refs::{RefInfo, Updated, is_full_sha, is_ref_name};
pub(crate) use write::{Author, NewFile};

use crate::apiary::git::{Git, GitCommand, GitError};

/// A blob longer than this is not shown: GitHub's limit of its contents interface.
const MAX_BLOB_BYTES: u64 = 1024 * 1024;

pub(crate) struct Repository {
    git: Arc<Git>,
    path: PathBuf,
}

/// A file or folder of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TreeEntry {
    pub(crate) mode: String,
    /// `blob`, `tree` or `commit`.
    pub(crate) kind: String,
    pub(crate) sha: String,
    /// Bytes; 0 for a folder.
    pub(crate) size: u64,
    /// From the root of the repository.
    pub(crate) path: String,
}

impl Repository {
    pub(crate) fn new(git: Arc<Git>, path: PathBuf) -> Self {
        Self { git, path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn git<const N: usize>(&self, args: [&str; N]) -> GitCommand<'_> {
        self.git.at(&self.path).args(args)
    }

    /// The commit that `revision` names: a whole or abbreviated id, a branch, a tag, a whole reference.
    pub(crate) async fn commit_id(&self, revision: &str) -> Result<Option<String>, GitError> {
        if revision.is_empty() || revision.contains(['^', '~', ':', '@', '\n', '\0']) {
            return Ok(None);
        }
        let commit = format!("{revision}^{{commit}}");
        let args = ["rev-parse", "--verify", "--quiet", "--end-of-options", &commit];
        let ran = self.git(args).run().await?;
        Ok(ran.status.success().then(|| String::from_utf8_lossy(&ran.stdout).trim().to_owned()))
    }

    /// Whether there is any commit at all.
    pub(crate) async fn is_empty(&self) -> Result<bool, GitError> {
        Ok(self.git(["for-each-ref", "--count=1", "refs/heads"]).output().await?.is_empty())
    }

    /// The entry at `path` in a commit; the root is the empty path.
    pub(crate) async fn entry(&self, commit: &str, path: &str) -> Result<Option<TreeEntry>, GitError> {
        if path.is_empty() {
            let sha = self.git(["rev-parse", &format!("{commit}^{{tree}}")]).text().await?;
            return Ok(Some(TreeEntry {
                mode: "040000".into(),
                kind: "tree".into(),
                sha,
                size: 0,
                path: String::new(),
            }));
        }
        let mut found = self.ls_tree(&[commit, "--", path]).await?;
        found.retain(|e| e.path == path);
        Ok(found.pop())
    }

    /// What stands directly in a folder of a commit; `folder` is an entry of the kind `tree`.
    pub(crate) async fn folder(&self, folder: &TreeEntry) -> Result<Vec<TreeEntry>, GitError> {
        let mut entries = self.ls_tree(&[&folder.sha]).await?;
        if !folder.path.is_empty() {
            for entry in &mut entries {
                entry.path = format!("{}/{}", folder.path, entry.path);
            }
        }
        Ok(entries)
    }

    async fn ls_tree(&self, what: &[&str]) -> Result<Vec<TreeEntry>, GitError> {
        let listing = self.git(["ls-tree", "-z", "-l", "--full-tree"]).args(what).output().await?;
        let text = String::from_utf8_lossy(&listing);
        let entry = |line: &str| {
            let (meta, path) = line.split_once('\t')?;
            let mut meta = meta.split_ascii_whitespace();
            Some(TreeEntry {
                mode: meta.next()?.to_owned(),
                kind: meta.next()?.to_owned(),
                sha: meta.next()?.to_owned(),
                size: meta.next()?.parse().unwrap_or(0),
                path: path.to_owned(),
            })
        };
        Ok(text.split('\0').filter_map(entry).collect())
    }

    /// A blob's bytes; `None` when it is longer than [`MAX_BLOB_BYTES`].
    pub(crate) async fn blob(&self, entry: &TreeEntry) -> Result<Option<Vec<u8>>, GitError> {
        if entry.size > MAX_BLOB_BYTES {
            return Ok(None);
        }
        Ok(Some(self.git(["cat-file", "blob", &entry.sha]).output().await?))
    }

    /// A file's bytes in a commit.
    pub(crate) async fn file(&self, commit: &str, path: &str) -> Result<Option<Vec<u8>>, GitError> {
        match self.entry(commit, path).await? {
            Some(entry) if entry.kind == "blob" => self.blob(&entry).await,
            _ => Ok(None),
        }
    }
}

/// Base64 in lines of 60, as GitHub writes contents.
pub(crate) fn base64_lines(bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let mut lines = String::with_capacity(text.len() + text.len() / 60 + 1);
    for line in text.as_bytes().chunks(60) {
        lines.extend(line.iter().map(|b| char::from(*b)));
        lines.push('\n');
    }
    lines
}
