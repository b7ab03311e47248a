//! Whole nodes: the apiary over real HTTP and git, real sandboxes, and the node as `bzzz run` starts it.
//!
//! In nearly every test one task suffers and a healthy one beside it must come to its pull request; what became of
//! the suffering one is read from the journal, and every journal is verified at the end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// A test's future holds a node's; it lives on the stack of a test thread of its own.
#![allow(clippy::large_futures)]

mod bee;
#[path = "../support/bubblewrap.rs"]
mod bubblewrap;
mod cable;
mod checks;
mod claims;
mod collection;
mod commands;
#[path = "../support/containers.rs"]
mod containers;
mod forge;
mod forks;
mod hill;
mod hive;
mod issues;
mod model;
mod network;
mod people;
mod policy;
mod proposal;
mod replies;
mod stage;
mod story;
mod taking_over;
mod trust;
mod visits;
