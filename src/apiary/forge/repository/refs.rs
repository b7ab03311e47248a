//! References: reading, and changing them by compare-and-swap.

use super::Repository;
use crate::apiary::git::GitError;

/// "Must not exist", in the words of `git update-ref`.
const ABSENT: &str = "0000000000000000000000000000000000000000";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefInfo {
    /// Whole, beginning with `refs/`.
    pub(crate) name: String,
    pub(crate) sha: String,
    /// `commit`, `tag`, `tree` or `blob`.
    pub(crate) kind: String,
}

/// How an update of a reference ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Updated {
    Done,
    /// The reference is not at the value that was named.
    Refused,
}

pub(crate) fn is_full_sha(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether `name` is a whole, well-formed reference: the rules of `git check-ref-format`, and two slashes as GitHub
/// demands.
pub(crate) fn is_ref_name(name: &str) -> bool {
    let bad_char = |c: char| c.is_ascii_control() || " ~^:?*[\\".contains(c);
    let bad_part = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
    name.starts_with("refs/")
        && name.len() <= 255
        && name.matches('/').count() >= 2
        && !name.contains("..")
        && !name.contains("@{")
        && !name.ends_with('.')
        && !name.contains(bad_char)
        && !name.split('/').any(bad_part)
}

impl Repository {
    /// All references whose names begin with `prefix`, by name. A prefix that is no part of a reference's name finds
    /// none.
    pub(crate) async fn refs(&self, prefix: &str) -> Result<Vec<RefInfo>, GitError> {
        let format = "--format=%(refname) %(objectname) %(objecttype)";
        let text = self.git(["for-each-ref", format]).text().await?;
        let info = |line: &str| {
            let mut parts = line.split(' ');
            Some(RefInfo {
                name: parts.next()?.to_owned(),
                sha: parts.next()?.to_owned(),
                kind: parts.next()?.to_owned(),
            })
        };
        Ok(text.lines().filter_map(info).filter(|r| r.name.starts_with(prefix)).collect())
    }

    pub(crate) async fn read_ref(&self, name: &str) -> Result<Option<RefInfo>, GitError> {
        Ok(self.refs(name).await?.into_iter().find(|r| r.name == name))
    }

    /// Moves a reference to `to` if it is at `from` now (`None`: if it does not exist).
    pub(crate) async fn swap_ref(
        &self,
        name: &str,
        from: Option<&str>,
        to: &str,
    ) -> Result<Updated, GitError> {
        self.update_ref(&["update-ref", name, to, from.unwrap_or(ABSENT)]).await
    }

    /// Moves a reference to `to`, wherever it is now.
    pub(crate) async fn set_ref(&self, name: &str, to: &str) -> Result<(), GitError> {
        self.git(["update-ref", name, to]).output().await.map(drop)
    }

    /// Deletes a reference if it is at `from`.
    pub(crate) async fn delete_ref(&self, name: &str, from: &str) -> Result<Updated, GitError> {
        self.update_ref(&["update-ref", "-d", name, from]).await
    }

    async fn update_ref(&self, args: &[&str]) -> Result<Updated, GitError> {
        let ran = self.git.at(self.path()).args(args).run().await?;
        let lost = ["cannot lock ref", "reference already exists", "but expected"];
        if ran.status.success() {
            Ok(Updated::Done)
        } else if lost.iter().any(|text| ran.stderr.contains(text)) {
            Ok(Updated::Refused)
        } else {
            Err(GitError::Failed { command: "update-ref".into(), status: ran.status, stderr: ran.stderr })
        }
    }

    /// The type of an object, when it exists.
    pub(crate) async fn object_kind(&self, sha: &str) -> Result<Option<String>, GitError> {
        if !is_full_sha(sha) {
            return Ok(None);
        }
        let ran = self.git(["cat-file", "-t", sha]).run().await?;
        Ok(ran.status.success().then(|| String::from_utf8_lossy(&ran.stdout).trim().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::is_ref_name;

    #[test]
    fn ref_names_follow_the_rules_of_git() {
        for good in ["refs/heads/main", "refs/bzzz/claims/1", "refs/heads/bzzz/issue-1", "refs/tags/v1.0"] {
            assert!(is_ref_name(good), "{good}");
        }
        for bad in [
            "refs/heads",
            "heads/main",
            "refs/heads/",
            "refs/heads/a..b",
            "refs/heads/.a",
            "refs/heads/a.lock",
            "refs/heads/a b",
            "refs/heads/a~1",
            "refs//heads/a",
            "refs/heads/a@{1}",
            "refs/heads/a.",
            "--help",
        ] {
            assert!(!is_ref_name(bad), "{bad}");
        }
    }
}
