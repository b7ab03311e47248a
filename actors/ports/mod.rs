//! One trait for each outside system. An adapter in `src/` implements it; tests implement it in memory.
//!
//! Invariant: nothing in this crate names a protocol, a library or an address of an outside system.

pub mod claims;
pub mod code;
pub mod escalations;
pub mod forge;
pub mod hive;
pub mod journal;
pub mod model;
pub mod sandbox;
pub mod swarm;
