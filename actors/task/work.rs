//! What a task's events speak of: commands and their outcomes, the produced work, checks, reviews.

use serde::{Deserialize, Serialize};

use super::id::{InvalidName, Sha};
use crate::trail::TrailHead;

/// Where the work starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The branch that the pull request will ask to merge into.
    pub branch: String,
    pub commit: Sha,
}

/// What one reply of the model asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Step {
    Run {
        command: String,
        /// More time than a command has by itself, in seconds; the operator's limit stands above it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_s: Option<u32>,
    },
    Done {
        title: String,
        body: String,
    },
    Help {
        question: String,
    },
    /// The reply follows no part of the protocol; `problem` is told to the model.
    Malformed {
        problem: String,
    },
}

/// What a reply cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelUse {
    pub model: String,
    pub prompt_tokens: u32,
    pub output_tokens: u32,
    pub duration_ms: u64,
}

/// What became of a connection that a command in a sandbox asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum ConnectionOutcome {
    /// It stood, and one side ended it.
    Closed,
    /// It stood, and a limit ended it, or the end of the sandbox.
    Cut { why: String },
    /// It was allowed, and could not be made.
    Failed { why: String },
    /// It was not allowed, and nothing was sent anywhere.
    Refused { why: String },
}

/// How a command came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Ending {
    Exited {
        code: i32,
    },
    Signalled {
        signal: i32,
    },
    /// Killed, with all its children, at its deadline.
    TimedOut {
        after_ms: u64,
    },
    /// The node or the sandbox died while the command ran; nobody knows what it did.
    Unknown,
}

impl Ending {
    pub fn is_success(&self) -> bool {
        *self == Self::Exited { code: 0 }
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited { code } => write!(f, "exit status {code}"),
            Self::Signalled { signal } => write!(f, "killed by signal {signal}"),
            Self::TimedOut { after_ms } => {
                write!(f, "killed after {:.1} s (time limit)", *after_ms as f64 / 1e3)
            }
            Self::Unknown => f.write_str("outcome unknown"),
        }
    }
}

/// Names bytes in the journal's blob store: the BLAKE3 hash, 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BlobRef(pub String);

/// A command's outcome as it stands in the journal and as the model sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    pub ending: Ending,
    pub duration_ms: u64,
    /// The output as text; the middle of a long one is left out and its length said.
    pub shown: String,
    /// The whole output up to the sandbox's cap, when `shown` is not all of it.
    pub whole: Option<BlobRef>,
    /// The sandbox ran out of memory while the command ran.
    pub out_of_memory: bool,
}

/// What a sandbox made, imported and checked by the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Produced {
    pub tree: Sha,
    pub files: u32,
    pub insertions: u32,
    pub deletions: u32,
    /// The whole diff against the base, as text.
    pub diff: BlobRef,
    /// The diff as the model sees it, the middle of a long one left out.
    pub shown: String,
}

/// What became of a branch that an earlier owner of the task had pushed and opened no pull request of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Inherited {
    /// The task goes on from it, on the base that it has.
    Taken { commit: Sha, produced: Produced },
    /// It can't be gone on from: the task begins anew.
    Left { commit: Sha, why: String },
}

impl Inherited {
    /// The work that the task goes on from.
    pub fn taken(&self) -> Option<&Produced> {
        match self {
            Self::Taken { produced, .. } => Some(produced),
            Self::Left { .. } => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    pub command: String,
    pub outcome: Observed,
}

impl CheckResult {
    pub fn passed(&self) -> bool {
        self.outcome.ending.is_success()
    }
}

/// A peer's word on a plan or a question: advice, quoted to the model as untrusted text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    pub author: String,
    pub objects: bool,
    pub text: String,
}

/// The journal's last entry, by which all before it can be told to be what was recorded: each hash holds the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalHead {
    /// Its number; 0 while the journal is empty.
    pub entry: u64,
    /// In hexadecimal.
    pub hash: String,
    /// Of the trail over the same entries; unknown where somebody names the entry alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trail: Option<TrailHead>,
}

/// As it is handed to people, and taken from them: `<entry>:<hash>`.
impl std::fmt::Display for JournalHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.entry, self.hash)
    }
}

impl std::str::FromStr for JournalHead {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let is_hash = |hash: &&str| hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit());
        let read = text.split_once(':').and_then(|(entry, hash)| {
            Some(Self {
                entry: entry.parse().ok().filter(|entry| *entry > 0)?,
                hash: Some(hash).filter(is_hash)?.to_ascii_lowercase(),
                trail: None,
            })
        });
        read.ok_or_else(|| {
            InvalidName::new(
                text,
                "an entry's number and its hash, 64 hexadecimal digits, with \":\" between them",
            )
        })
    }
}

/// The moment in which work was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    pub head: JournalHead,
    /// How long the task had been worked on until then.
    pub worked_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequestRef {
    pub number: u64,
    pub url: String,
}
