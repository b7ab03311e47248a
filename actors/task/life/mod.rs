//! A task's life: one pure function from a state and an event to the next state and the effect that is due.
//!
//! ```text
//!                another node won
//! Unclaimed ◄───────────────────── Claiming          Escalating ─► Parked ── a person answers ─► Preparing
//!     │ a lease is about to be written ▲ │ won          ▲ no advice
//!     └────────────────────────────────┘ ▼              │
//!                                    Preparing      AskingPeers ── advice ──► Thinking
//!                    sandbox lost ─► │  (sandbox,      ▲
//!                                    ▼   code in)      │ asks for help
//!                Planning ─► Discussing ─────────► Thinking ◄─────────► Running one command
//!                (model)     (peers)                   │ ▲
//!                                          says done   │ │ refused, checks failed, or: here is your diff, look again
//!                                                      ▼ │
//!                                                  Exporting ─► Checking in a clean sandbox
//!                                                                  │ passed, and looked at
//!                                                                  ▼
//!                            InReview ◄─ Proposing ◄─ Publishing
//!                                │       (pull request) (branch and lease, both or neither)
//!                                ▼ merged or closed
//! LeaseLost, Cancelled, GaveUp ─► CleaningUp ─► Ended
//! ```
//!
//! A model that goes in circles is told so once (`stuck.rs`); when it goes on, `AskingPeers` is next as if it had asked. What a
//! conversation that outgrows the model's window leaves out is an event too (`Compacted`).
//!
//! Beside the phases goes the saving of the work (`Checkpointed`, after each command that changed it): whenever the
//! sandbox is lost, `Preparing` makes one with the newest work that was saved.
//!
//! What holds, for every sequence of events (`properties.rs` tests it):
//! - a push is due only while the lease is held and after the checks have passed on the very tree that is pushed;
//! - an event that the state has no place for changes nothing, so that folding is total;
//! - a task that is taken up again and again without getting on reaches a limit (`max_taken_up`);
//! - every state but the resting ones (`Unclaimed`, `Ended`) has an effect due when a node comes back to it;
//! - a command is never run again: a node that comes back to `Running` recalls its outcome, and one whose sandbox is gone
//!   goes on without it;
//! - a sandbox that is found is taken over only when the code was in it and it was not lost since.

mod effect;
mod limits;
mod notices;
mod phase;
#[cfg(test)]
mod properties;
mod state;
mod step;
mod stuck;
mod worked;

pub use effect::Effect;
pub use limits::{Exhausted, Limits, out_of_time};
pub(crate) use notices::GAVE_UP;
pub use phase::{End, Phase};
pub use state::{Checked, Proposal, Task};
pub use stuck::{Circling, Sign};
pub use worked::worked;
