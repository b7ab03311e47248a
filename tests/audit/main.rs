//! Trails as others see them: JavaScript's Hypercore opens their files and replicates them, and another node keeps a copy.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod copies;
mod javascript;
mod nodes;
mod replication;
mod trail;
