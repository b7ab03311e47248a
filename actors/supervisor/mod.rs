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
#[allow(clippy::disallowed_methods, reason = "it is what everything else sends through")]
mod inbox;
mod policy;
mod pulse;
#[cfg(test)]
mod tests;
mod thread;
mod tree;

pub use child::{Child, ChildEvent, Exit, Order, Probe, Report, Supervision, What};
pub use inbox::{Inbox, Letter};
pub use policy::{Failures, Policy, Restart, Verdict};
pub use pulse::{InPoll, Pulses};
pub use thread::{NewThread, Thread, ThreadNumber, Threads};
pub use tree::{Stoppable, Tree};

/// What every supervised actor says the same way: it is rebuilt from its dependencies, it answers probes, and its messages
/// come as letters.
#[macro_export]
macro_rules! supervised {
    ($actor:ty $(: $($message:ty),+ $(,)?)?) => {
        impl actix::Supervised for $actor {
            fn restarting(&mut self, _: &mut actix::Context<Self>) {
                *self = Self::new(self.deps.clone());
            }
        }

        impl actix::Handler<$crate::supervisor::Probe> for $actor {
            type Result = ();

            fn handle(&mut self, _: $crate::supervisor::Probe, _: &mut actix::Context<Self>) {}
        }

        $($(
            impl actix::Handler<$crate::supervisor::Letter<$message>> for $actor {
                type Result = <Self as actix::Handler<$message>>::Result;

                fn handle(
                    &mut self,
                    letter: $crate::supervisor::Letter<$message>,
                    ctx: &mut actix::Context<Self>,
                ) -> Self::Result {
                    actix::Handler::<$message>::handle(self, letter.open(), ctx)
                }
            }
        )+)?
    };
}
