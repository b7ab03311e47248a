//! The Bzzz node.

pub mod cli;
pub mod settings;
pub mod telemetry;
