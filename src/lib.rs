//! The Bzzz node.

pub mod docker;
pub mod sandbox;
