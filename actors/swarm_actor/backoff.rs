//! When a network that ended is opened again: pure, on the monotonic clock.

use std::time::Duration;

use tokio::time::Instant;

/// The first pause; doubles up to the longest. Shorter: a network that ends at once keeps the processor busy.
const FIRST: Duration = Duration::from_secs(1);
/// Longer: a node stays alone after its port or interface has come back.
const LONGEST: Duration = Duration::from_secs(60);
/// A network that lasted this long had no trouble with its start.
const IS_WELL_AFTER: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    opened: Option<Instant>,
}

impl Backoff {
    pub(super) fn opened(&mut self, now: Instant) {
        self.opened = Some(now);
    }

    /// The pause before the next try, without jitter.
    pub(super) fn ended(&mut self, now: Instant) -> Duration {
        let was_well = self.opened.take().is_some_and(|opened| now.duration_since(opened) >= IS_WELL_AFTER);
        if was_well {
            self.failures = 0;
        }
        let pause = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures += 1;
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_slows_down_until_a_network_has_lasted() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        let mut pause = |lasted_s: Option<u64>| {
            if let Some(lasted_s) = lasted_s {
                backoff.opened(now);
                return backoff.ended(now + Duration::from_secs(lasted_s)).as_secs();
            }
            backoff.ended(now).as_secs()
        };
        assert_eq!(
            [None, None, Some(1), Some(59), None, None, None].map(&mut pause),
            [1, 2, 4, 8, 16, 32, 60]
        );
        assert_eq!(pause(None), 60);
        assert_eq!(pause(Some(60)), 1);
    }
}
