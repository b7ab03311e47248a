//! Reports on a cash book that is kept as text.

pub mod amount;
pub mod journal;
pub mod report;
