//! A cache of map tiles that are made when they are first asked for.

mod cache;
mod recent;
mod stats;
mod tile;

pub use cache::Cache;
pub use stats::Stats;
pub use tile::{OutOfRange, TileId};
