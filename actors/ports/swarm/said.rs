//! What nodes say to one another. Every field is a peer's word.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::PeerId;
use crate::task::{Epoch, NodeId, RepoId, TaskId};
use crate::trail::TrailHead;

/// What a node says of its tasks when they change hands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Announcement {
    Claimed { task: TaskId, epoch: Epoch },
    Completed { task: TaskId, epoch: Epoch, pull_request: String },
    Failed { task: TaskId, epoch: Epoch, reason: String },
    Released { task: TaskId, epoch: Epoch },
}

impl Announcement {
    pub fn task(&self) -> &TaskId {
        match self {
            Self::Claimed { task, .. }
            | Self::Completed { task, .. }
            | Self::Failed { task, .. }
            | Self::Released { task, .. } => task,
        }
    }

    pub fn epoch(&self) -> Epoch {
        match self {
            Self::Claimed { epoch, .. }
            | Self::Completed { epoch, .. }
            | Self::Failed { epoch, .. }
            | Self::Released { epoch, .. } => *epoch,
        }
    }
}

/// The issues of a repository as its poller saw them last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TasksSeen {
    pub repo: RepoId,
    /// Open issues with the task label that a node may begin with.
    pub free: Vec<u64>,
    /// Open issues with the task label that wait for a person.
    pub called: Vec<u64>,
    /// All other open issues with the task label.
    pub other: Vec<u64>,
    /// When the poller means to look again.
    pub next_in_s: u64,
    /// Of the free ones, the labels by which nodes choose; those without any are left out.
    #[serde(default)]
    pub labels: BTreeMap<u64, Vec<String>>,
    /// What most of the repository is written in, as the forge names it.
    #[serde(default)]
    pub language: Option<String>,
}

/// What a node is and can do; said when it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    pub node: NodeId,
    /// Of the program, such as "0.1.0".
    pub version: String,
    /// Issues with one of these labels suit the node best. Empty: all alike.
    pub labels: Vec<String>,
    /// Repositories in one of these languages suit the node best. Empty: all alike.
    pub languages: Vec<String>,
    /// The models that its servers have, of those that it is set up to use. Empty: it can't work now.
    pub models: Vec<String>,
    pub max_tasks: u32,
    /// What it watches, and where: nodes that look for the claims or the work of a repository in different places can't keep
    /// out of each other's way.
    pub repositories: Vec<Watched>,
}

impl Capabilities {
    /// Forges don't tell capitals in names apart.
    pub fn watches(&self, repo: &RepoId) -> bool {
        self.repositories.iter().any(|it| it.repo.is_same(repo))
    }
}

/// A repository, and where its branches and claims are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    pub repo: RepoId,
    /// `None`: in the repository itself.
    pub elsewhere: Option<Elsewhere>,
}

/// Where the branches and claims of a repository are that is worked on from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    pub branches: RepoId,
    pub claims: RepoId,
}

impl Elsewhere {
    pub fn is_same(&self, other: &Self) -> bool {
        self.branches.is_same(&other.branches) && self.claims.is_same(&other.claims)
    }
}

/// Said every `swarm.availability_interval`, and when it changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Availability {
    /// Tasks that it would take now.
    pub free_slots: u32,
    /// What it works on.
    pub tasks: Vec<TaskId>,
}

/// How far a task is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub task: TaskId,
    pub epoch: Epoch,
    pub phase: String,
    pub steps: u32,
}

/// A node's trail does not go on from a head that the author has witnessed. The node itself can tell whether it signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contradiction {
    pub of: PeerId,
    pub witnessed: TrailHead,
}

/// One thing that a node says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    TasksSeen(TasksSeen),
    Task(Announcement),
    Progress(Progress),
    Capabilities(Capabilities),
    Availability(Availability),
    /// For others to witness.
    AuditHead(TrailHead),
    Contradiction(Contradiction),
}

impl Said {
    /// Of all that an author says under one key, the last counts.
    pub fn key(&self) -> String {
        match self {
            Self::TasksSeen(seen) => format!("seen {}", seen.repo),
            Self::Task(announcement) => format!("task {}", announcement.task()),
            Self::Progress(progress) => format!("progress {}", progress.task),
            Self::Capabilities(_) => "capabilities".to_owned(),
            Self::Availability(_) => "availability".to_owned(),
            Self::AuditHead(_) => "audit head".to_owned(),
            Self::Contradiction(it) => format!("contradiction {}", it.of),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_on_something_takes_its_place() {
        let task: TaskId = "a/b#1".parse().unwrap();
        let epoch = Epoch::FIRST;
        let claimed = Announcement::Claimed { task: task.clone(), epoch };
        let released = Announcement::Released { task, epoch };
        assert_eq!(Said::Task(claimed).key(), Said::Task(released).key());
    }
}
