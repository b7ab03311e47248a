//! The apiary as its clients meet it: octocrab, git, plain HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// octocrab's futures are large; a test's stack holds a few of them.
#![allow(clippy::large_futures)]

mod completions;
mod examples;
mod faults;
mod git;
mod meadow;
mod ollama;
mod pages;
mod pulls;
mod reports;
mod rest;
mod table;
