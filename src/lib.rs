//! The Bzzz node.

pub mod github;
pub mod hive;
pub mod http;
pub mod ollama;
