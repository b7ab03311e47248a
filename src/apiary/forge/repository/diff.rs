//! Differences between two commits, file by file and as one text.

use std::collections::HashMap;

use super::Repository;
use crate::apiary::git::GitError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Added,
    Removed,
    Modified,
    Renamed,
    /// The mode or type only.
    Changed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChangedFile {
    pub(crate) path: String,
    pub(crate) previous_path: Option<String>,
    pub(crate) kind: ChangeKind,
    /// The blob's id after the change; before it, for a removed file.
    pub(crate) sha: String,
    pub(crate) additions: u64,
    pub(crate) deletions: u64,
    /// The hunks; `None` for a binary file or when nothing but the name changed.
    pub(crate) patch: Option<String>,
}

const COMMON: [&str; 5] = ["diff", "-M", "--no-color", "--no-ext-diff", "--no-textconv"];

impl Repository {
    /// The files that differ between two commits or trees.
    pub(crate) async fn changed_files(&self, from: &str, to: &str) -> Result<Vec<ChangedFile>, GitError> {
        let raw = self
            .git(COMMON)
            .args(["--raw", "--numstat", "-z", "--abbrev=40", "--end-of-options", from, to])
            .output()
            .await?;
        let mut files = parse_raw(&String::from_utf8_lossy(&raw));
        let patches = patches(&self.patch(from, to).await?);
        // Git writes the patches in the order of the raw lines.
        if patches.len() == files.len() {
            for (file, patch) in files.iter_mut().zip(patches) {
                file.patch = patch;
            }
        }
        Ok(files)
    }

    /// The difference as one text.
    pub(crate) async fn patch(&self, from: &str, to: &str) -> Result<String, GitError> {
        let patch = self.git(COMMON).args(["-p", "--end-of-options", from, to]).output().await?;
        Ok(String::from_utf8_lossy(&patch).into_owned())
    }
}

/// Reads `--raw --numstat -z`: first one record for each file that begins with a colon, then the counts.
fn parse_raw(text: &str) -> Vec<ChangedFile> {
    let mut files = Vec::new();
    let mut counts: HashMap<String, (u64, u64)> = HashMap::new();
    let mut fields = text.split('\0');
    while let Some(field) = fields.next() {
        if let Some(meta) = field.strip_prefix(':') {
            let meta: Vec<&str> = meta.split(' ').collect();
            let [_, _, before, after, status] = meta[..] else { continue };
            let Some(first) = fields.next() else { break };
            let is_rename = status.starts_with(['R', 'C']);
            let renamed_to = if is_rename { fields.next() } else { None };
            let kind = match status.as_bytes().first() {
                Some(b'A' | b'C') => ChangeKind::Added,
                Some(b'D') => ChangeKind::Removed,
                Some(b'R') => ChangeKind::Renamed,
                Some(b'M') if before != after => ChangeKind::Modified,
                _ => ChangeKind::Changed,
            };
            files.push(ChangedFile {
                path: renamed_to.unwrap_or(first).to_owned(),
                previous_path: renamed_to.map(|_| first.to_owned()),
                kind,
                sha: if kind == ChangeKind::Removed { before } else { after }.to_owned(),
                additions: 0,
                deletions: 0,
                patch: None,
            });
        } else if let Some((additions, rest)) = field.split_once('\t')
            && let Some((deletions, path)) = rest.split_once('\t')
        {
            // A rename has an empty path here, then the old and the new one.
            let path = if path.is_empty() { fields.nth(1).unwrap_or_default() } else { path };
            // Binary files have dashes for counts.
            let count = |text: &str| text.parse().unwrap_or(0);
            counts.insert(path.to_owned(), (count(additions), count(deletions)));
        }
    }
    for file in &mut files {
        (file.additions, file.deletions) = counts.get(&file.path).copied().unwrap_or_default();
    }
    files
}

/// The hunks of each file of a patch, in its order.
fn patches(text: &str) -> Vec<Option<String>> {
    let mut all: Vec<Option<String>> = Vec::new();
    for line in text.split_inclusive('\n') {
        // Lines of content never begin so: each has a sign before it.
        if line.starts_with("diff --git ") {
            all.push(None);
        } else if let Some(last) = all.last_mut() {
            match last {
                Some(hunks) => hunks.push_str(line),
                None if line.starts_with("@@ ") => *last = Some(line.to_owned()),
                None => {}
            }
        }
    }
    let without_line_end = |hunks: String| hunks.trim_end_matches('\n').to_owned();
    all.into_iter().map(|hunks| hunks.map(without_line_end)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_records_and_counts_are_joined_renames_included() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let text = format!(
            ":100644 100644 {a} {b} M\0src/x y.rs\0:100644 100644 {a} {b} R090\0old\0new\0\
             :100644 000000 {a} {zero} D\0gone\0:100644 100755 {a} {a} M\0tool\0\
             3\t1\tsrc/x y.rs\x002\t0\t\0old\0new\0-\t-\tgone\x000\t0\ttool\0",
            zero = "0".repeat(40),
        );
        let files = parse_raw(&text);
        let short: Vec<_> =
            files.iter().map(|f| (f.path.as_str(), f.kind, f.additions, f.deletions)).collect();
        assert_eq!(
            short,
            [
                ("src/x y.rs", ChangeKind::Modified, 3, 1),
                ("new", ChangeKind::Renamed, 2, 0),
                ("gone", ChangeKind::Removed, 0, 0),
                ("tool", ChangeKind::Changed, 0, 0),
            ]
        );
        assert_eq!(files[1].previous_path.as_deref(), Some("old"));
        assert_eq!((files[0].sha.as_str(), files[2].sha.as_str()), (b.as_str(), a.as_str()));
    }

    #[test]
    fn a_line_of_content_that_looks_like_a_header_stays_content() {
        let text = "diff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n\
                    +diff --git b\ndiff --git a/y b/y\nsimilarity index 100%\nrename from y\nrename to z\n";
        assert_eq!(patches(text), [Some("@@ -1 +1 @@\n-a\n+diff --git b".to_owned()), None]);
    }
}
