//! What a thread outside can see of the actors: which of them is being polled, and whether it ever comes back.
//!
//! A handler that blocks its thread stops every actor of that thread, and with them whoever could notice. So each poll is
//! counted here, and a thread of its own looks at the counts. This crate has neither threads nor a clock: the thread is the
//! program's (`src/cli/watchdog.rs`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::ThreadNumber;

/// The pulses of all supervised actors of a node.
#[derive(Clone, Default)]
pub struct Pulses {
    actors: Arc<Mutex<Vec<Known>>>,
}

struct Known {
    name: String,
    thread: Option<ThreadNumber>,
    polls: Weak<AtomicU64>,
}

/// One actor's polls: odd while it is being polled.
pub(super) struct Pulse {
    polls: Arc<AtomicU64>,
}

/// A poll under way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InPoll {
    pub actor: String,
    /// `None`: the node's own.
    pub thread: Option<ThreadNumber>,
    /// The same number at a later look, on the same thread and of the same actor, means that it is the same poll.
    pub poll: u64,
}

impl Pulses {
    pub(super) fn of(&self, name: &str, thread: Option<ThreadNumber>) -> Pulse {
        let polls = Arc::new(AtomicU64::new(0));
        let mut actors = self.actors.lock().unwrap_or_else(PoisonError::into_inner);
        actors.retain(|known| known.polls.strong_count() > 0);
        actors.push(Known { name: name.to_owned(), thread, polls: Arc::downgrade(&polls) });
        Pulse { polls }
    }

    /// The actors that are being polled now; of each thread at most one.
    pub fn in_poll(&self) -> Vec<InPoll> {
        let actors = self.actors.lock().unwrap_or_else(PoisonError::into_inner);
        let in_poll = |known: &Known| {
            let poll = known.polls.upgrade()?.load(Ordering::Relaxed);
            (poll % 2 == 1).then(|| InPoll { actor: known.name.clone(), thread: known.thread, poll })
        };
        actors.iter().filter_map(in_poll).collect()
    }
}

impl Pulse {
    /// `poll` must not unwind.
    pub(super) fn around<T>(&self, poll: impl FnOnce() -> T) -> T {
        self.polls.fetch_add(1, Ordering::Relaxed);
        let polled = poll();
        self.polls.fetch_add(1, Ordering::Relaxed);
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_is_seen_while_it_lasts_and_the_next_is_another() {
        let pulses = Pulses::default();
        let (pulse, _idle) = (pulses.of("busy", None), pulses.of("idle", None));
        assert_eq!(pulses.in_poll(), []);
        let first = pulse.around(|| pulses.in_poll());
        let second = pulse.around(|| pulses.in_poll());
        assert_eq!(first, [InPoll { actor: "busy".into(), thread: None, poll: 1 }]);
        assert_eq!(second, [InPoll { actor: "busy".into(), thread: None, poll: 3 }]);
        assert_eq!(pulses.in_poll(), []);
    }

    #[test]
    fn actors_that_are_gone_are_forgotten() {
        let pulses = Pulses::default();
        (0..100).for_each(|_| drop(pulses.of("short", None)));
        let _last = pulses.of("last", None);
        assert_eq!(pulses.actors.lock().unwrap().len(), 1);
    }
}
