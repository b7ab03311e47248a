//! The Bzzz node.

pub mod apiary;
