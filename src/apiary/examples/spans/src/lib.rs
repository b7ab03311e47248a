//! Merges spans of numbers.

pub mod merge;
pub mod span;

pub use merge::merge;
pub use span::Span;
