//! Many nodes: real processes, each on a host of its own (a network namespace), with cables that can be cut. Needs root and
//! Docker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod colony;
#[path = "../support/containers.rs"]
mod containers;
#[path = "../crash/chaos/dice.rs"]
#[allow(dead_code, reason = "the chaos runs use the rest")]
mod dice;
mod discovery;
mod door;
mod history;
mod loss;
mod net;
#[path = "../cli/program.rs"]
mod program;
mod relay;
#[path = "../node/replies.rs"]
#[allow(dead_code, reason = "the whole-node tests use the rest")]
mod replies;
mod trouble;
mod verdict;
mod warnings;
mod work;
