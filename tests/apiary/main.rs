//! The apiary as its clients meet it: octocrab, git, plain HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod git;
mod meadow;
mod pulls;
mod rest;
