//! When a failed child is started again, and when no more: pure, in whatever time it is given.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::Exit;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Started again however it ended, unless it was killed.
    Permanent,
    /// Started again after a failure only.
    Transient,
    /// Never started again.
    Temporary,
}

#[derive(Debug, Clone, Copy)]
pub struct Policy {
    pub restart: Restart,
    /// The first delay; each further failure within `period` doubles it, up to `backoff_cap`.
    pub backoff_base: Duration,
    pub backoff_cap: Duration,
    /// Failures within `period` that are forgiven; one more and the child is given up.
    pub max_restarts: usize,
    pub period: Duration,
    /// How often the mailbox is probed. Too seldom: a frozen actor goes unnoticed for that long.
    pub probe_every: Duration,
    /// Without an answer for this long the mailbox counts as frozen. Must exceed the longest `ctx.wait`.
    pub probe_timeout: Duration,
    /// Messages that may wait for it; who sends one more waits. Too small: senders wait for each other. Too large: what an
    /// actor can't keep up with fills the memory before anyone notices.
    pub inbox_room: usize,
}

impl Policy {
    /// For the actors that a node can't be without.
    pub const CORE: Policy = Policy {
        restart: Restart::Permanent,
        backoff_base: Duration::from_millis(200),
        backoff_cap: Duration::from_secs(10),
        max_restarts: 5,
        period: Duration::from_secs(60),
        probe_every: Duration::from_secs(5),
        probe_timeout: Duration::from_secs(30),
        inbox_room: 1024,
    };

    /// For the actors of one task: when they are given up, the task is, and the node goes on.
    pub const TASK: Policy = Policy {
        restart: Restart::Transient,
        backoff_base: Duration::from_millis(200),
        backoff_cap: Duration::from_secs(10),
        max_restarts: 3,
        period: Duration::from_secs(300),
        probe_every: Duration::from_secs(5),
        probe_timeout: Duration::from_secs(30),
        inbox_room: 64,
    };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    RestartAfter(Duration),
    GiveUp,
    /// It ended as it should: nothing to do.
    LetEnd,
}

/// The failures of one child that still count.
#[derive(Debug, Default)]
pub struct Failures {
    recent: VecDeque<Instant>,
}

impl Failures {
    /// What to do about a child that ended with `exit` at `now`. The delay is before jitter.
    pub fn judge(&mut self, policy: &Policy, exit: &Exit, now: Instant) -> Verdict {
        let starts_again = match policy.restart {
            Restart::Permanent => *exit != Exit::Killed,
            Restart::Transient => exit.is_failure() && *exit != Exit::Killed,
            Restart::Temporary => false,
        };
        if !starts_again {
            return Verdict::LetEnd;
        }
        self.recent.push_back(now);
        while self.recent.front().is_some_and(|failed| now.duration_since(*failed) > policy.period) {
            self.recent.pop_front();
        }
        if self.recent.len() > policy.max_restarts {
            return Verdict::GiveUp;
        }
        let doublings = u32::try_from(self.recent.len() - 1).unwrap_or(16).min(16);
        Verdict::RestartAfter((policy.backoff_base * 2u32.pow(doublings)).min(policy.backoff_cap))
    }
}
