//! An effect that fails in a way that may pass is tried again, ever more slowly, and the journal hears of it once.

use std::time::Duration;

pub(super) struct Stalls {
    min: Duration,
    max: Duration,
    tries: u32,
}

impl Stalls {
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, tries: 0 }
    }

    /// Another effect begins: its first stall is news, and its first pause short.
    pub(super) fn begin(&mut self) {
        self.tries = 0;
    }

    /// The pause before the next try; never shorter than what the other side asked for.
    pub(super) fn pause(&mut self, asked_for: Option<Duration>) -> Duration {
        let own = (self.min * 2u32.pow(self.tries.min(16))).min(self.max);
        self.tries += 1;
        asked_for.unwrap_or_default().max(own)
    }

    /// Whether the stall that was just counted is the effect's first.
    pub(super) fn is_news(&self) -> bool {
        self.tries == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_its_limit_and_obeys_the_other_side() {
        let second = Duration::from_secs(1);
        let mut stalls = Stalls::new(second, second * 5);
        assert_eq!([(); 4].map(|()| stalls.pause(None)), [1, 2, 4, 5].map(Duration::from_secs));
        assert_eq!(stalls.pause(Some(second * 60)), second * 60);
        stalls.begin();
        assert_eq!(stalls.pause(None), second);
    }

    #[test]
    fn a_stall_is_news_once() {
        let mut stalls = Stalls::new(Duration::ZERO, Duration::ZERO);
        let mut stall = || {
            stalls.pause(None);
            stalls.is_news()
        };
        assert_eq!([(); 3].map(|()| stall()), [true, false, false]);
        stalls.begin();
        stalls.pause(None);
        assert!(stalls.is_news());
    }
}
