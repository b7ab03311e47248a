//! `OutboxCourier`: tells others what the journal says they are to be told.
//!
//! Owns: the deliveries under way. Told: nothing; it follows the journal. Tells: Hive, the page, the swarm and
//! the escalation webhook. Holds true: a notice is delivered at least once or dropped with a reason; one task's notices
//! to one system keep their order; a system that is away holds up no other. On a restart: what was under way is
//! delivered again, which every notice allows.

mod deliver;
mod held_up;
mod lane;

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use crate::audit_logger::AuditLog;
use crate::escalation_actor::EscalationActor;
use crate::jitter::Jitter;
use crate::ports::forge::Forge;
use crate::ports::hive::Hive;
use crate::supervisor::Inbox;
use crate::swarm_actor::SwarmActor;
use crate::task::{Lane, NodeId};

use deliver::Recipients;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxPace {
    /// A notice that could not be delivered for this long is dropped: news that old help nobody.
    pub max_age: Duration,
    /// Notices of one lane that may wait. Beyond it the oldest are dropped, so that a system that is away for long
    /// does not fill the disk.
    pub max_pending: usize,
    /// The pause after a failed delivery; doubles up to the longest.
    pub retry_min: Duration,
    pub retry_max: Duration,
}

#[derive(Clone)]
pub struct OutboxDeps {
    pub node: NodeId,
    pub log: AuditLog,
    /// `None` when no Hive is configured: its notices are dropped.
    pub hive: Option<Arc<dyn Hive>>,
    pub forge: Arc<dyn Forge>,
    pub swarm: Inbox<SwarmActor>,
    pub escalations: Inbox<EscalationActor>,
    pub pace: OutboxPace,
    pub jitter: Jitter,
    /// Milliseconds since 1970, UTC: the clock that the journal stamps with.
    pub wall_clock_ms: fn() -> u64,
}

pub struct OutboxCourier {
    deps: OutboxDeps,
}

impl OutboxCourier {
    pub fn new(deps: OutboxDeps) -> Self {
        Self { deps }
    }
}

impl Actor for OutboxCourier {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        for lane in Lane::ALL {
            let recipients = Recipients::new(&self.deps);
            ctx.spawn(lane::serve(lane, recipients, self.deps.clone()).into_actor(self));
        }
    }
}

crate::supervised!(OutboxCourier);
