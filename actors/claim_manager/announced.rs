//! Issues that only a peer has seen: pure, on the monotonic clock. A try for one costs requests of the forge's quota, so
//! that tries in vain are counted, and who announces what is not there is not listened to any more.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::ports::swarm::PeerId;
use crate::task::{RepoId, TaskId};

/// Tries in vain for announced issues in a repository and an hour; more wait for this node's own look. More: a liar costs
/// so many requests an hour of every node.
const MAX_IN_VAIN: u32 = 20;
const HOUR: Duration = Duration::from_secs(3600);
/// An issue may be closed between the look and the try. More than this in an hour are no accident.
const MAX_FALSE: u32 = 5;
/// An announced issue that could not be taken is tried again after this time, doubled each time up to the longest. Whoever polls
/// the repository sees sooner that it has changed, and tries itself.
const FIRST_PAUSE: Duration = Duration::from_secs(5 * 60);
const LONGEST_PAUSE: Duration = Duration::from_secs(4 * 3600);
/// Tasks and repositories that are remembered; past it everything is forgotten.
const MAX_REMEMBERED: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Announced {
    false_tasks: HashMap<PeerId, Count>,
    in_vain: HashMap<RepoId, Count>,
    paused: HashMap<TaskId, Pause>,
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    until: Instant,
    length: Duration,
    /// Its claim was another's: nothing is known of the issue.
    is_for_claim: bool,
}

/// In the hour that began then.
#[derive(Debug, Clone, Copy)]
struct Count {
    since: Instant,
    count: u32,
}

impl Count {
    fn one_more(&mut self, now: Instant) -> u32 {
        if now.duration_since(self.since) >= HOUR {
            *self = Self { since: now, count: 0 };
        }
        self.count += 1;
        self.count
    }
}

impl Announced {
    pub(super) fn may_try(&self, task: &TaskId, now: Instant) -> bool {
        let is_paused = self.is_paused(task, now);
        let is_spent = |it: &Count| it.count >= MAX_IN_VAIN && now.duration_since(it.since) < HOUR;
        !is_paused && !self.in_vain.get(&task.repo).is_some_and(is_spent)
    }

    fn is_paused(&self, task: &TaskId, now: Instant) -> bool {
        self.paused.get(task).is_some_and(|pause| now < pause.until)
    }

    /// It can't be taken; it is not to be tried again at each announcement.
    pub(super) fn pause(&mut self, task: &TaskId, now: Instant) {
        self.make_room();
        let before = self.paused.get(task).map_or(FIRST_PAUSE / 2, |pause| pause.length);
        let length = (before * 2).min(LONGEST_PAUSE);
        self.paused.insert(task.clone(), Pause { until: now + length, length, is_for_claim: false });
    }

    /// It is held: worth a look at its reference now and then, which costs no request.
    pub(super) fn leave(&mut self, task: &TaskId, now: Instant) {
        self.make_room();
        let pause = Pause { until: now + FIRST_PAUSE, length: FIRST_PAUSE, is_for_claim: true };
        self.paused.insert(task.clone(), pause);
    }

    /// Its claim can be taken, which says nothing of the issue; returns whether that was not lately seen to keep everyone away.
    pub(super) fn claim_is_free(&mut self, task: &TaskId, now: Instant) -> bool {
        if self.paused.get(task).is_some_and(|pause| pause.is_for_claim) {
            self.paused.remove(task);
        }
        !self.is_paused(task, now)
    }

    fn make_room(&mut self) {
        if self.paused.len() >= MAX_REMEMBERED {
            self.paused.clear();
        }
    }

    /// This node has seen for itself that it is there.
    pub(super) fn resume(&mut self, task: &TaskId) {
        self.paused.remove(task);
    }

    /// There is no such issue.
    pub(super) fn tried_in_vain(&mut self, task: &TaskId, now: Instant) {
        if self.in_vain.len() >= MAX_REMEMBERED {
            self.in_vain.clear();
        }
        self.in_vain.entry(task.repo.clone()).or_insert(Count { since: now, count: 0 }).one_more(now);
    }

    /// What it announced is no issue that anybody wants done; says whether that is once too often.
    pub(super) fn was_false(&mut self, by: &PeerId, now: Instant) -> bool {
        if self.false_tasks.len() >= MAX_REMEMBERED {
            self.false_tasks.clear();
        }
        let count = self.false_tasks.entry(by.clone()).or_insert(Count { since: now, count: 0 });
        count.one_more(now) == MAX_FALSE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(number: u64) -> TaskId {
        TaskId::new("a/b".parse().unwrap(), number)
    }

    #[test]
    fn tries_in_vain_are_bounded_for_a_repository_and_an_hour() {
        let (mut announced, start) = (Announced::default(), Instant::now());
        for number in 1..=u64::from(MAX_IN_VAIN) {
            assert!(announced.may_try(&task(number), start));
            announced.tried_in_vain(&task(number), start);
        }
        assert!(!announced.may_try(&task(1000), start + HOUR / 2));
        assert!(announced.may_try(&TaskId::new("c/d".parse().unwrap(), 1), start));
        assert!(announced.may_try(&task(1000), start + HOUR));
    }

    #[test]
    fn what_could_not_be_taken_is_tried_ever_more_seldom_until_it_is_seen() {
        let (mut announced, mut now) = (Announced::default(), Instant::now());
        let mut pauses = Vec::new();
        for _ in 0..8 {
            announced.pause(&task(1), now);
            let minutes = (1..=1000)
                .find(|minutes| announced.may_try(&task(1), now + Duration::from_secs(60 * minutes)))
                .unwrap();
            pauses.push(minutes);
            now += Duration::from_secs(60 * minutes);
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 240, 240]);
        announced.pause(&task(1), now);
        announced.resume(&task(1));
        assert!(announced.may_try(&task(1), now));
    }

    #[test]
    fn a_few_false_issues_are_forgiven() {
        let (mut announced, start) = (Announced::default(), Instant::now());
        let liar = "x".parse().unwrap();
        let mut minutes = (0..20).map(|minute| start + Duration::from_secs(60 * minute));
        assert_eq!(minutes.by_ref().take_while(|now| !announced.was_false(&liar, *now)).count(), 4);
        let slow = "y".parse().unwrap();
        assert!((0..50).all(|twice_an_hour| !announced.was_false(&slow, start + HOUR / 2 * twice_an_hour)));
    }
}
