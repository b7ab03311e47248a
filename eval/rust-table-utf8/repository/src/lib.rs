//! Prints tab-separated values as a table.

pub mod cell;
pub mod table;

pub use table::Table;
