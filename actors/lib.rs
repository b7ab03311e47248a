//! What a Bzzz node decides.
//!
//! This crate holds the life of a task, the rules of claims, the protocol with the model, and the actors that
//! carry them. It does no I/O: every outside system stands behind a trait in [`ports`], and time is tokio's, so
//! that all of it runs in virtual time under test. The crate `bzzz` (`src/`) implements the ports and starts the
//! actors; nothing here knows of it.

#[cfg(panic = "abort")]
compile_error!("a node contains the panic of one actor by unwinding: build it with panic = \"unwind\"");

pub mod antennae;
pub mod audit_logger;
pub mod claim_manager;
pub mod crash_points;
pub mod escalation_actor;
pub mod jitter;
pub mod node;
pub mod outbox;
pub mod ports;
pub mod reasoner_actor;
pub mod sandbox_actor;
pub mod supervisor;
pub mod swarm_actor;
pub mod task;
pub mod task_poller;
pub mod task_runner;
pub mod task_supervisor;
pub mod trail;
pub mod trust;
