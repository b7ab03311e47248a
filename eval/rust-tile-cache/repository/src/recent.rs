//! The tiles that are there, and in which order they go.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

pub(crate) struct Recent<K, V> {
    capacity: usize,
    /// The number of the last call for any of them.
    clock: u64,
    entries: HashMap<K, (u64, V)>,
    /// The keys by the number of the last call for each.
    order: BTreeMap<u64, K>,
}

impl<K: Clone + Eq + Hash, V: Clone> Recent<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, clock: 0, entries: HashMap::new(), order: BTreeMap::new() }
    }

    /// The value, which from now on is the one that was asked for last.
    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        let (last, value) = self.entries.get_mut(key)?;
        self.order.remove(last);
        self.clock += 1;
        *last = self.clock;
        self.order.insert(self.clock, key.clone());
        Some(value.clone())
    }

    /// Keeps a value that is not there yet; returns how many had to go for it.
    pub(crate) fn insert(&mut self, key: K, value: V) -> u64 {
        self.clock += 1;
        self.order.insert(self.clock, key.clone());
        self.entries.insert(key, (self.clock, value));
        let mut gone = 0;
        while self.entries.len() > self.capacity {
            let first = self.order.keys().next().copied();
            if let Some(key) = first.and_then(|first| self.order.remove(&first)) {
                self.entries.remove(&key);
                gone += 1;
            }
        }
        gone
    }

    pub(crate) fn remove(&mut self, key: &K) {
        if let Some((last, _)) = self.entries.remove(key) {
            self.order.remove(&last);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}
