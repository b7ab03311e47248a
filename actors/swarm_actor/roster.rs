//! The nodes that are there, as far as this one knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::ports::swarm::{Availability, Capabilities, PeerId, Progress};
use crate::task::{NodeId, RepoId};
use crate::trail::TrailHead;

/// What is known of the other nodes. Peers of which only the connection is known are not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roster {
    /// This node's own key; `None` while it is by itself.
    pub me: Option<PeerId>,
    /// What this node says of itself; `None` until it has.
    pub own: Option<Capabilities>,
    pub members: BTreeMap<PeerId, Member>,
    /// Enough was heard of the others, or waited for, that claims may begin.
    pub is_settled: bool,
    /// A head that this node signed and that its journal does not lead to: it was rolled back or rewritten. Such a node
    /// takes no tasks.
    pub lost: Option<TrailHead>,
}

/// Another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Shared by all rosters since it was said.
    pub capabilities: Arc<Capabilities>,
    pub availability: Availability,
    /// Of the tasks in `availability`, as far as it has said so.
    pub progress: Vec<Progress>,
    pub last_heard: Instant,
    /// Whether there is a connection to it; without one it is heard through others.
    pub is_connected: bool,
    pub believed: Believed,
    pub history: History,
}

/// What this node has seen of another one's audit trail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum History {
    #[default]
    Unseen,
    /// It went on from each head to the next.
    Proven,
    /// It says that it has grown and does not prove it, for a day.
    Unproven,
    /// It signed heads that do not go on from one another.
    Contradicted,
}

/// What of a peer's words still counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Believed {
    /// That it works on something.
    pub claims: bool,
    /// What issues there are.
    pub tasks: bool,
}

impl Roster {
    pub fn member(&self, node: &NodeId) -> Option<&Member> {
        self.members.values().find(|member| member.capabilities.node == *node)
    }

    /// The others that watch a repository.
    pub fn watching<'a>(&'a self, repo: &'a RepoId) -> impl Iterator<Item = (&'a PeerId, &'a Member)> {
        self.members.iter().filter(move |(_, member)| member.capabilities.watches(repo))
    }
}
