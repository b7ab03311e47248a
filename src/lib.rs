//! The Bzzz node.

pub mod cli;
pub mod journal;
pub mod settings;
pub mod telemetry;
