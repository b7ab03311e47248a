//! When the forge may be asked again: the pause between writes, and the forge's own "not before".

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What a limited call waits when the forge does not say how long; doubled each time that it happens in a row.
const UNSTATED_WAIT: Duration = Duration::from_secs(60);
/// The longest wait that is taken from the forge or reached by doubling: its quota is counted by the hour.
const MAX_WAIT: Duration = Duration::from_secs(3600);
/// How far ahead a write may be queued. A later one is told to come back, so that no caller sleeps in here for long.
const MAX_QUEUED_AHEAD: Duration = Duration::from_secs(10);

/// Shared by all calls with one token. Nothing sleeps while it is locked.
#[derive(Debug)]
pub(super) struct Pacing {
    write_interval: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next_write: Option<Instant>,
    blocked_until: Option<Instant>,
    unstated_in_a_row: u32,
}

impl Pacing {
    pub(super) fn new(write_interval: Duration) -> Self {
        Self { write_interval, state: Mutex::default() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // The state is three numbers: a panic elsewhere can't leave it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `Err` holds what is left of a wait that the forge asked for.
    pub(super) fn may_ask(&self, now: Instant) -> Result<(), Duration> {
        match self.state().blocked_until {
            Some(until) if until > now => Err(until - now),
            _ => Ok(()),
        }
    }

    /// The moment at which the next write may be sent; it is taken by this call. `Err` holds how long to stay away.
    pub(super) fn take_write_slot(&self, now: Instant) -> Result<Instant, Duration> {
        let mut state = self.state();
        let slot = state.next_write.map_or(now, |next| next.max(now));
        if slot - now > MAX_QUEUED_AHEAD {
            return Err(slot - now);
        }
        state.next_write = Some(slot + self.write_interval);
        Ok(slot)
    }

    /// The forge limited a call. Returns how long all calls now stay away.
    pub(super) fn limited(&self, now: Instant, stated: Option<Duration>) -> Duration {
        let mut state = self.state();
        let wait = match stated {
            // A whole second at least: the forge counts in seconds, and zero would be asked again at once.
            Some(wait) => wait.max(Duration::from_secs(1)),
            None => {
                let doublings = state.unstated_in_a_row.min(6);
                state.unstated_in_a_row += 1;
                UNSTATED_WAIT * 2_u32.pow(doublings)
            }
        };
        let wait = wait.min(MAX_WAIT);
        state.blocked_until = Some(state.blocked_until.map_or(now + wait, |until| until.max(now + wait)));
        wait
    }

    pub(super) fn answered(&self) {
        self.state().unstated_in_a_row = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_spaced_and_a_long_queue_is_turned_away() {
        let pacing = Pacing::new(Duration::from_secs(4));
        let now = Instant::now();
        let waits: Vec<_> =
            (0..4).map(|_| pacing.take_write_slot(now).map(|slot| (slot - now).as_secs())).collect();
        assert_eq!(waits, [Ok(0), Ok(4), Ok(8), Err(Duration::from_secs(12))]);
        let later = now + Duration::from_secs(60);
        assert_eq!(pacing.take_write_slot(later), Ok(later));
    }

    #[test]
    fn an_unstated_wait_doubles_until_a_call_succeeds() {
        let pacing = Pacing::new(Duration::ZERO);
        let now = Instant::now();
        assert_eq!(pacing.limited(now, None).as_secs(), 60);
        assert_eq!(pacing.limited(now, None).as_secs(), 120);
        pacing.answered();
        assert_eq!(pacing.limited(now, None).as_secs(), 60);
        for _ in 0..40 {
            assert!(pacing.limited(now, None) <= MAX_WAIT);
        }
    }

    #[test]
    fn a_stated_wait_holds_every_call_back_and_is_bounded() {
        let pacing = Pacing::new(Duration::ZERO);
        let now = Instant::now();
        assert_eq!(pacing.may_ask(now), Ok(()));
        pacing.limited(now, Some(Duration::from_secs(7)));
        assert_eq!(pacing.may_ask(now + Duration::from_secs(3)), Err(Duration::from_secs(4)));
        assert_eq!(pacing.may_ask(now + Duration::from_secs(7)), Ok(()));
        assert_eq!(pacing.limited(now, Some(Duration::from_secs(1_000_000))), MAX_WAIT);
        assert_eq!(pacing.limited(now, Some(Duration::ZERO)), Duration::from_secs(1));
    }
}
