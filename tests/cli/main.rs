//! The program as a person or a service manager runs it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod config;
mod journal_crash;
