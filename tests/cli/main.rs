//! The program as a person or a service manager runs it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod audit;
#[path = "../support/bubblewrap.rs"]
mod bubblewrap;
mod config;
#[path = "../support/containers.rs"]
mod containers;
mod demo;
mod eval;
mod journal_crash;
mod killed;
mod program;
mod run;
mod secrets;
mod tasks;
