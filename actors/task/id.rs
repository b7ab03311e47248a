//! Names of things: repositories, tasks, nodes, commits. Each is valid by construction.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A name that is not of the form its type asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not {expected}")]
pub struct InvalidName {
    given: String,
    expected: &'static str,
}

impl InvalidName {
    pub(crate) fn new(given: &str, expected: &'static str) -> Self {
        Self { given: given.chars().take(200).collect(), expected }
    }
}

/// Writes the string conversions that every name shares: parse, print, and serde by the two.
macro_rules! by_its_text {
    ($name:ty) => {
        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.to_string()
            }
        }
    };
}
pub(crate) use by_its_text;

/// A repository of the forge: `owner/name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepoId {
    owner: String,
    name: String,
}

impl RepoId {
    pub fn owner(&self) -> &str {
        &self.owner
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a forge, which doesn't tell capitals apart, means the same by both.
    pub fn is_same(&self, other: &Self) -> bool {
        self.owner.eq_ignore_ascii_case(&other.owner) && self.name.eq_ignore_ascii_case(&other.name)
    }
}

/// Owner and name become parts of URLs and of paths on disk: nothing but GitHub's own alphabet may pass.
fn is_path_segment(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !text.is_empty() && text.len() <= 100 && !text.starts_with(['.', '-']) && text.chars().all(allowed)
}

impl FromStr for RepoId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match text.split_once('/') {
            Some((owner, name)) if is_path_segment(owner) && is_path_segment(name) => {
                Ok(Self { owner: owner.to_owned(), name: name.to_owned() })
            }
            _ => Err(InvalidName::new(text, "a repository of the form owner/name")),
        }
    }
}

impl fmt::Display for RepoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}
by_its_text!(RepoId);

/// A task: one issue of one repository, `owner/name#number`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskId {
    pub repo: RepoId,
    pub number: u64,
}

impl TaskId {
    pub fn new(repo: RepoId, number: u64) -> Self {
        Self { repo, number }
    }

    /// The branch that a task's work is published on. It is computed, never taken from anyone.
    pub fn branch(&self) -> String {
        format!("bzzz/issue-{}", self.number)
    }

    /// The task's name where `/` and `#` can't stand: in file, container and reference names.
    pub fn slug(&self) -> String {
        format!("{}.{}.{}", self.repo.owner, self.repo.name, self.number)
    }
}

impl FromStr for TaskId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = || InvalidName::new(text, "a task of the form owner/name#number");
        let (repo, number) = text.split_once('#').ok_or_else(invalid)?;
        let number = number.parse().ok().filter(|n| *n > 0).ok_or_else(invalid)?;
        Ok(Self { repo: repo.parse().map_err(|_| invalid())?, number })
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.repo, self.number)
    }
}
by_its_text!(TaskId);

/// A node's name, unique among the nodes that share repositories. It stands in leases, labels and comments.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(String);

impl NodeId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if is_path_segment(text) && text.len() <= 63 {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName::new(text, "a node name: 1 to 63 letters, digits, '-', '_' or '.'"))
        }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
by_its_text!(NodeId);

/// A git object's id, whole and in lower case: 40 hexadecimal digits, or 64 in a SHA-256 repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha(String);

impl Sha {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, for people.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl FromStr for Sha {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
        if matches!(text.len(), 40 | 64) && text.chars().all(hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName::new(text, "a whole git object id"))
        }
    }
}

impl fmt::Display for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
by_its_text!(Sha);

/// Counts the owners that a task has had; the fencing token of its lease. The first owner's is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Epoch(pub u64);

impl Epoch {
    pub const FIRST: Epoch = Epoch(1);

    pub fn next(self) -> Epoch {
        Epoch(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_reads_back_as_it_prints() {
        let task: TaskId = "acme/rocket.rs#42".parse().unwrap();
        assert_eq!(task.to_string().parse::<TaskId>().unwrap(), task);
        assert_eq!(task.branch(), "bzzz/issue-42");
        assert_eq!(serde_json::to_string(&task).unwrap(), "\"acme/rocket.rs#42\"");
    }

    #[test]
    fn names_that_could_leave_their_folder_are_refused() {
        for bad in ["../etc", "a/..", "a/.git", "a/b/c", "a", "/b", "a/", "a/-b", "a/b c", "a/b\n"] {
            assert!(bad.parse::<RepoId>().is_err(), "{bad:?}");
        }
        for bad in ["a/b#0", "a/b#-1", "a/b", "a/b#1#2", "#1"] {
            assert!(bad.parse::<TaskId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_abbreviated_sha_is_refused() {
        assert!("abc123".parse::<Sha>().is_err());
        assert!("A".repeat(40).parse::<Sha>().is_err());
        assert!("a".repeat(40).parse::<Sha>().is_ok());
    }
}
