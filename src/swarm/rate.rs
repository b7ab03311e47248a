//! How much one may say: a bucket of tokens each, pure.

use std::collections::HashMap;
use std::hash::Hash;

use tokio::time::Instant;

/// Whose rates are kept. Of more, full buckets are forgotten, which changes nothing; then all.
const MAX_BUCKETS: usize = 4096;

#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    pub(super) a_second: f64,
    pub(super) at_once: f64,
}

impl Rate {
    pub(super) const fn times(self, factor: f64) -> Self {
        Self { a_second: self.a_second * factor, at_once: self.at_once * factor }
    }
}

#[derive(Debug)]
pub(super) struct Rates<K> {
    rate: Rate,
    buckets: HashMap<K, (f64, Instant)>,
}

impl<K: Hash + Eq + Clone> Rates<K> {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, buckets: HashMap::new() }
    }

    /// Takes a token, if there is one.
    pub(super) fn allows(&mut self, key: &K, now: Instant) -> bool {
        let rate = self.rate;
        let filled = |(tokens, at): (f64, Instant)| {
            let more = now.saturating_duration_since(at).as_secs_f64() * rate.a_second;
            (tokens + more).min(rate.at_once)
        };
        if self.buckets.len() >= MAX_BUCKETS && !self.buckets.contains_key(key) {
            self.buckets.retain(|_, bucket| filled(*bucket) < rate.at_once);
            if self.buckets.len() >= MAX_BUCKETS {
                self.buckets.clear();
            }
        }
        let bucket = self.buckets.entry(key.clone()).or_insert((rate.at_once, now));
        let tokens = filled(*bucket);
        let is_allowed = tokens >= 1.0;
        *bucket = (if is_allowed { tokens - 1.0 } else { tokens }, now);
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Duration;

    use super::*;

    #[test]
    fn so_many_at_once_and_then_so_many_a_second() {
        let now = Instant::now();
        let mut rates = Rates::new(Rate { a_second: 2.0, at_once: 3.0 });
        let mut allowed = |key, now| (0..10).filter(|_| rates.allows(&key, now)).count();
        assert_eq!(allowed("a", now), 3);
        assert_eq!(allowed("b", now), 3, "each has its own");
        assert_eq!(allowed("a", now + Duration::from_secs(1)), 2);
        assert_eq!(allowed("a", now + Duration::from_secs(60)), 3);
    }

    #[test]
    fn nobody_fills_the_list() {
        let now = Instant::now();
        let mut rates = Rates::new(Rate { a_second: 1.0, at_once: 1.0 });
        for key in 0..3 * MAX_BUCKETS {
            rates.allows(&key, now);
        }
        assert!(rates.buckets.len() <= MAX_BUCKETS);
    }
}
