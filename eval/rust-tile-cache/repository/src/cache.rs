//! The cache.

use std::hash::Hash;
use std::sync::{Arc, Mutex};

use crate::recent::Recent;
use crate::stats::Stats;

pub struct Cache<K, V> {
    state: Mutex<State<K, V>>,
}

struct State<K, V> {
    tiles: Recent<K, Arc<V>>,
    stats: Stats,
}

impl<K: Clone + Eq + Hash, V> Cache<K, V> {
    /// A cache that keeps so many tiles.
    pub fn new(capacity: usize) -> Self {
        Self { state: Mutex::new(State { tiles: Recent::new(capacity), stats: Stats::default() }) }
    }

    /// The tile, made by the function if it is not there.
    pub fn get<E>(&self, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<Arc<V>, E> {
        let mut state = self.state.lock().unwrap();
        if let Some(tile) = state.tiles.get(&key) {
            state.stats.hits += 1;
            return Ok(tile);
        }
        state.stats.misses += 1;
        let tile = Arc::new(make()?);
        state.stats.evicted += state.tiles.insert(key, tile.clone());
        Ok(tile)
    }

    /// Forgets a tile, so that it is made anew when it is asked for again.
    pub fn forget(&self, key: &K) {
        self.state.lock().unwrap().tiles.remove(key);
    }

    /// How many tiles are there.
    pub fn len(&self) -> usize {
        self.state.lock().unwrap().tiles.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn stats(&self) -> Stats {
        self.state.lock().unwrap().stats
    }
}
