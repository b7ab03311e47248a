//! The other nodes. Everything heard from them is a hint that is right to miss.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::task::{Epoch, NodeId, TaskId};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SwarmError {
    #[error("no peer is connected")]
    Alone,
    #[error("the swarm's network is not available: {0}")]
    Unavailable(String),
}

/// What a node says on the coordination topic about its tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Announcement {
    Claimed { task: TaskId, epoch: Epoch },
    Completed { task: TaskId, epoch: Epoch, pull_request: String },
    Failed { task: TaskId, epoch: Epoch, reason: String },
    Released { task: TaskId, epoch: Epoch },
}

#[async_trait]
pub trait Swarm: Send + Sync {
    /// `Err(Alone)` is the normal state of a single node.
    async fn announce(&self, announcement: &Announcement) -> Result<(), SwarmError>;

    /// The other nodes that are there now.
    async fn roster(&self) -> Vec<NodeId>;
}
