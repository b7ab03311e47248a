//! An effect that fails in a way that may pass is tried again, ever more slowly, and the journal hears of it once.

use std::time::Duration;

pub(super) struct Stalls {
    min: Duration,
    max: Duration,
    tries: u32,
    last_problem: Option<String>,
}

impl Stalls {
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, tries: 0, last_problem: None }
    }

    /// Another effect begins: its first stall is news, and its first pause short.
    pub(super) fn begin(&mut self) {
        self.tries = 0;
        self.last_problem = None;
    }

    /// The pause before the next try; never shorter than what the other side asked for.
    pub(super) fn pause(&mut self, asked_for: Option<Duration>) -> Duration {
        let own = (self.min * 2u32.pow(self.tries.min(16))).min(self.max);
        self.tries += 1;
        asked_for.unwrap_or_default().max(own)
    }

    pub(super) fn is_news(&mut self, problem: &str) -> bool {
        let is_news = self.last_problem.as_deref() != Some(problem);
        self.last_problem = Some(problem.to_owned());
        is_news
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
    fn the_same_problem_is_news_once() {
        let mut stalls = Stalls::new(Duration::ZERO, Duration::ZERO);
        assert_eq!(["a", "a", "b", "a"].map(|it| stalls.is_news(it)), [true, false, true, true]);
        stalls.begin();
        assert!(stalls.is_news("a"));
    }
}
