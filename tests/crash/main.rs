//! The real program killed at every crash point and started again, and under random trouble (`make chaos`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod blocked;
mod chaos;
#[path = "../support/containers.rs"]
mod containers;
mod docker_restarts;
#[path = "../support/dockerd.rs"]
mod dockerd;
mod matrix;
mod panic;
#[path = "../cli/program.rs"]
mod program;
mod record;
#[path = "../node/replies.rs"]
#[allow(dead_code, reason = "the whole-node tests use the rest")]
mod replies;
mod scenario;
mod story;
mod verdict;
mod world;
