//! Whole nodes in virtual time, every port in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod collection;
mod giving_back;
mod going_down;
mod hangs;
mod leases;
mod main_job;
mod models;
mod outside;
mod panics;
mod policy;
mod polling;
mod proposal;
mod protocol;
mod reasoning;
mod restarts;
mod returns;
mod swarm;
mod taking_over;
mod trouble;
mod trust;
mod watching;
mod witness;
mod world;

/// What the model says.
const PLAN: &str = "1. Fuel it.";
const WRITE: &str = "I fuel it.\n```sh\nwrite fuel\n```";
const LOOK: &str = "I look.\n```sh\nls\n```";
const DONE: &str = "```done\nFuel the rocket\n\nIt had none.\n```";
const HANG: &str = "```sh\nhang\n```";

/// The issue that a new world has.
fn one() -> bzzz_actors::task::TaskId {
    world::task("acme/rocket#1")
}
