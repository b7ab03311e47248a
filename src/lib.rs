//! The Bzzz node.

pub mod github;
pub mod http;
