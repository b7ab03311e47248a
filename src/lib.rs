//! The Bzzz node.

pub mod git;
pub mod github;
pub mod hive;
pub mod http;
pub mod n8n;
pub mod ollama;
