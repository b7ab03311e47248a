//! The tasks whose next notice could not be delivered, and when each is tried again. One that keeps failing is tried
//! ever more slowly, and slows no other.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::jitter::Jitter;
use crate::ports::journal::Pending;
use crate::task::TaskId;

use super::OutboxPace;

pub(super) struct HeldUp {
    pace: OutboxPace,
    jitter: Jitter,
    tasks: HashMap<TaskId, Delay>,
}

struct Delay {
    failures: u32,
    until: Instant,
}

impl HeldUp {
    pub(super) fn new(pace: OutboxPace, jitter: Jitter) -> Self {
        Self { pace, jitter, tasks: HashMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(super) fn is_due(&self, task: &TaskId, now: Instant) -> bool {
        self.tasks.get(task).is_none_or(|delay| now >= delay.until)
    }

    pub(super) fn failed(&mut self, task: TaskId, now: Instant) {
        let delay = self.tasks.entry(task).or_insert(Delay { failures: 0, until: now });
        let doubled = self.pace.retry_min * 2u32.pow(delay.failures.min(16));
        delay.until = now + (self.jitter)(doubled.min(self.pace.retry_max));
        delay.failures += 1;
    }

    pub(super) fn delivered(&mut self, task: &TaskId) {
        self.tasks.remove(task);
    }

    /// Lets go of those that are due and have nothing among what waits: their notices were dropped.
    pub(super) fn forget_settled(&mut self, waiting: &[Pending], now: Instant) {
        self.tasks.retain(|task, delay| delay.until > now || waiting.iter().any(|it| it.task == *task));
    }

    /// When the first of them is due; `None` when none is held up.
    pub(super) fn next_try(&self) -> Option<Instant> {
        self.tasks.values().map(|delay| delay.until).min()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_task_waits_for_itself_ever_longer() {
        let second = Duration::from_secs(1);
        let pace = OutboxPace { max_age: second, max_pending: 1, retry_min: second, retry_max: second * 3 };
        let mut held_up = HeldUp::new(pace, Arc::new(|delay| delay));
        let task = |number| TaskId::new("a/b".parse().unwrap(), number);
        let now = Instant::now();
        let mut delays = Vec::new();
        for _ in 0..3 {
            held_up.failed(task(1), now);
            delays.push(held_up.next_try().unwrap() - now);
        }
        assert_eq!(delays, [1, 2, 3].map(Duration::from_secs));
        assert!(!held_up.is_due(&task(1), now) && held_up.is_due(&task(1), now + second * 3));
        held_up.failed(task(2), now);
        assert_eq!(held_up.next_try(), Some(now + second));
        held_up.delivered(&task(1));
        assert!(held_up.is_due(&task(1), now) && !held_up.is_due(&task(2), now));
        held_up.forget_settled(&[], now);
        assert_eq!(held_up.len(), 1, "it is not due, so nobody looked whether it waits");
        held_up.forget_settled(&[], now + second);
        assert_eq!(held_up.next_try(), None);
    }
}
