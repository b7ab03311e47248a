//! Nodes' networks with one another, over loopback TCP: real libp2p, in one process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bee;
mod hostile;
mod proofs;
mod raw;
mod together;
