//! `Antennae`: the meta-discussion of plans and questions among the nodes.
//!
//! Owns: open discussions. Told: `DiscussPlan`, `AskPeers`. Tells: nobody yet. Holds true: advice is never needed; a
//! node with no peers goes on at once. On a restart: open discussions are lost, their askers ask again.
//!
//! A lone node is all that this version knows: every discussion closes at once with no reviews.

use actix::prelude::*;

use crate::swarm_actor::SwarmView;
use crate::task::{Epoch, Review, TaskId};

/// What the peers say to a plan; empty when there is nobody to say anything.
#[derive(Message)]
#[rtype(result = "Vec<Review>")]
pub struct DiscussPlan {
    pub task: TaskId,
    pub epoch: Epoch,
    pub plan: String,
}

/// What the peers advise; empty when there is nobody, or nobody knows.
#[derive(Message)]
#[rtype(result = "Vec<Review>")]
pub struct AskPeers {
    pub task: TaskId,
    pub epoch: Epoch,
    pub question: String,
}

#[derive(Clone)]
pub struct AntennaeDeps {
    pub swarm: SwarmView,
}

pub struct Antennae {
    deps: AntennaeDeps,
}

impl Antennae {
    pub fn new(deps: AntennaeDeps) -> Self {
        Self { deps }
    }

    /// Peers that are there have no words for plans in this version, so the answer is the same with any roster.
    fn discuss(&self, task: TaskId) -> ResponseActFuture<Self, Vec<Review>> {
        let peers = self.deps.swarm.roster().members.len();
        tracing::debug!(%task, peers, "discussion closed without reviews");
        Box::pin(async { Vec::new() }.into_actor(self))
    }
}

impl Actor for Antennae {
    type Context = Context<Self>;
}

crate::supervised!(Antennae: DiscussPlan, AskPeers);

impl Handler<DiscussPlan> for Antennae {
    type Result = ResponseActFuture<Self, Vec<Review>>;

    fn handle(&mut self, ask: DiscussPlan, _: &mut Context<Self>) -> Self::Result {
        self.discuss(ask.task)
    }
}

impl Handler<AskPeers> for Antennae {
    type Result = ResponseActFuture<Self, Vec<Review>>;

    fn handle(&mut self, ask: AskPeers, _: &mut Context<Self>) -> Self::Result {
        self.discuss(ask.task)
    }
}
