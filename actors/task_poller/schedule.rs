//! When something that is polled has its turn again: pure, on the monotonic clock.

use std::time::Duration;

use tokio::time::Instant;

/// A thing that fails is asked ever more seldom, but at least this often.
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);

/// How much longer each pause is than the one before while nothing changes, as a fraction. More: what comes after a quiet
/// while is found later. Less: a quiet repository is asked more often.
const SLOWING: (u32, u32) = (3, 2);

/// The time between two looks: short after a change, and ever longer while nothing changes.
#[derive(Debug)]
pub(super) struct Pace {
    least: Duration,
    slowest: Duration,
    now: Duration,
}

impl Pace {
    pub(super) fn new(least: Duration, slowest: Duration) -> Self {
        Self { least, slowest: slowest.max(least), now: least }
    }

    /// The time until the next look after one that has seen a change, or none.
    pub(super) fn after(&mut self, is_changed: bool) -> Duration {
        let (by, of) = SLOWING;
        self.now = if is_changed { self.least } else { (self.now * by / of).min(self.slowest) };
        self.now
    }

    pub(super) fn now(&self) -> Duration {
        self.now
    }

    pub(super) fn slowest(&self) -> Duration {
        self.slowest
    }
}

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

    #[test]
    fn it_slows_down_while_nothing_changes() {
        let mut pace = Pace::new(MINUTE, 5 * MINUTE);
        let seconds = [true, false, false, false, false, false, true, false];
        let seconds = seconds.map(|is_changed| pace.after(is_changed).as_secs());
        assert_eq!(seconds, [60, 90, 135, 202, 300, 300, 60, 90]);
    }

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
