//! `SwarmActor`: this node among the others.
//!
//! Owns: the connection to the swarm. Told: `Announce`, `Roster`. Tells: nobody yet. Holds true: nothing said here is
//! needed for a task to go on. On a restart: nothing is lost, the port keeps the connection.

use std::sync::Arc;

use actix::prelude::*;

use crate::ports::swarm::{Announcement, Swarm, SwarmError};
use crate::task::NodeId;

#[derive(Message)]
#[rtype(result = "Result<(), SwarmError>")]
pub struct Announce(pub Announcement);

/// The other nodes that are there now.
#[derive(Message)]
#[rtype(result = "Vec<NodeId>")]
pub struct Roster;

#[derive(Clone)]
pub struct SwarmDeps {
    pub swarm: Arc<dyn Swarm>,
}

pub struct SwarmActor {
    deps: SwarmDeps,
}

impl SwarmActor {
    pub fn new(deps: SwarmDeps) -> Self {
        Self { deps }
    }
}

impl Actor for SwarmActor {
    type Context = Context<Self>;
}

crate::supervised!(SwarmActor: Announce, Roster);

impl Handler<Announce> for SwarmActor {
    type Result = ResponseActFuture<Self, Result<(), SwarmError>>;

    fn handle(&mut self, Announce(announcement): Announce, _: &mut Context<Self>) -> Self::Result {
        let swarm = self.deps.swarm.clone();
        let announced = async move {
            match swarm.announce(&announcement).await {
                // Nobody to tell is as good as told.
                Err(SwarmError::Alone) => Ok(()),
                other => other,
            }
        };
        Box::pin(announced.into_actor(self))
    }
}

impl Handler<Roster> for SwarmActor {
    type Result = ResponseActFuture<Self, Vec<NodeId>>;

    fn handle(&mut self, _: Roster, _: &mut Context<Self>) -> Self::Result {
        let swarm = self.deps.swarm.clone();
        Box::pin(async move { swarm.roster().await }.into_actor(self))
    }
}
