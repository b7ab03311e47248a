//! What the cache counts.

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Calls that got a tile without calling their function.
    pub hits: u64,
    /// Calls that called their function.
    pub misses: u64,
    /// Tiles that had to go for others.
    pub evicted: u64,
}
