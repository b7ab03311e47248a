//! Supervision: a panic, a hang or a stop of one actor ends neither the node nor another actor.
//!
//! actix's own `Supervisor` does not survive a panic, so a child here is a task that owns the actor's `ContextFut`,
//! polls it inside `catch_unwind`, and revives it with `ContextFut::restart`. The address and the queue survive; only
//! the message whose handling failed is lost, and its sender sees `MailboxError::Closed`, which means "outcome
//! unknown". After a restart an actor is a new value (`restarting` builds it from its dependencies) that recovers
//! what it needs from the journal, as it does when the node starts.
//!
//! Hangs are found in three layers: a mailbox that does not move by [`Probe`]; work that does not end by a deadline where the
//! work is (`task_runner/deadline.rs` for a task's effects, a named constant beside each other job); a poll that does not
//! return by the program's watchdog, which looks at [`Pulses`].
//!
//! Invariant: nothing but this module and the actor shells knows actix.

mod child;
mod policy;
mod pulse;
#[cfg(test)]
mod tests;
mod tree;

pub use child::{Child, ChildEvent, Exit, Order, Probe, Report, What, supervise};
pub use policy::{Failures, Policy, Restart, Verdict};
pub use pulse::{InPoll, Pulses};
pub use tree::{Stoppable, Tree};

/// What every supervised actor says the same way: it is rebuilt from its dependencies, and it answers probes.
#[macro_export]
macro_rules! supervised {
    ($actor:ty) => {
        impl actix::Supervised for $actor {
            fn restarting(&mut self, _: &mut actix::Context<Self>) {
                *self = Self::new(self.deps.clone());
            }
        }

        impl actix::Handler<$crate::supervisor::Probe> for $actor {
            type Result = ();

            fn handle(&mut self, _: $crate::supervisor::Probe, _: &mut actix::Context<Self>) {}
        }
    };
}
