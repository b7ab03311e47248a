//! Sandboxes of a real Docker daemon.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod code;
mod commands;
mod daemon;
mod isolation;
mod lifecycle;
mod network;
