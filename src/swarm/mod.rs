//! The swarm port of a node that knows no other nodes.

use async_trait::async_trait;
use bzzz_actors::ports::swarm::{Announcement, Swarm, SwarmError};
use bzzz_actors::task::NodeId;

/// A node by itself: nobody hears what it announces.
pub struct Alone;

#[async_trait]
impl Swarm for Alone {
    async fn announce(&self, _: &Announcement) -> Result<(), SwarmError> {
        Err(SwarmError::Alone)
    }

    async fn roster(&self) -> Vec<NodeId> {
        Vec::new()
    }
}
