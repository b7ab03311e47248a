//! When something that is polled has its turn again: pure, on the monotonic clock.

use std::time::Duration;

use tokio::time::Instant;

/// A thing that fails is asked ever more seldom, but at least this often.
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);

#[derive(Debug)]
pub(super) struct Turn {
    not_before: Instant,
    is_under_way: bool,
    failures_in_row: u32,
}

impl Turn {
    pub(super) fn now() -> Self {
        Self { not_before: Instant::now(), is_under_way: false, failures_in_row: 0 }
    }

    /// Whether its turn has come; if so it is taken until the outcome is told.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let has_come = !self.is_under_way && now >= self.not_before;
        self.is_under_way |= has_come;
        has_come
    }

    /// `asked_for`: the least pause that the other side asks for.
    pub(super) fn succeeded(&mut self, interval: Duration, asked_for: Option<Duration>) {
        self.failures_in_row = 0;
        self.again_in(interval.max(asked_for.unwrap_or_default()));
    }

    pub(super) fn failed(&mut self, interval: Duration, asked_for: Option<Duration>) {
        self.failures_in_row += 1;
        let doubled = interval * 2u32.pow((self.failures_in_row - 1).min(10));
        let own = doubled.min(LONGEST_PAUSE.max(interval));
        self.again_in(asked_for.unwrap_or_default().max(own));
    }

    fn again_in(&mut self, pause: Duration) {
        self.is_under_way = false;
        self.not_before = Instant::now() + pause;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn one_request_at_a_time_and_not_before_it_is_allowed() {
        let mut turn = Turn::now();
        assert!(turn.take(Instant::now()));
        assert!(!turn.take(Instant::now()), "it is under way");
        turn.succeeded(MINUTE, Some(MINUTE * 2));
        assert!(!turn.take(Instant::now() + MINUTE));
        assert!(turn.take(Instant::now() + MINUTE * 2));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_slow_it_down_and_a_success_makes_up_for_all() {
        let mut turn = Turn::now();
        for minutes in [1, 2, 4, 8, 15, 15] {
            turn.failed(MINUTE, None);
            assert!(!turn.take(Instant::now() + MINUTE * minutes - Duration::from_secs(1)));
            assert!(turn.take(Instant::now() + MINUTE * minutes), "{minutes}");
        }
        turn.failed(MINUTE, Some(MINUTE * 60));
        assert!(!turn.take(Instant::now() + MINUTE * 59), "the other side's wish counts");
        turn.succeeded(MINUTE, None);
        turn.failed(MINUTE, None);
        assert!(turn.take(Instant::now() + MINUTE));
    }
}
