//! Who may take a task: pure decisions over what was seen, on this node's own monotonic clock.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use crate::ports::claims::{LeaseRecord, LeaseState, SeenLease};
use crate::task::{Epoch, NodeId, RepoId, Sha, TaskId};

/// No node's record makes others wait longer than this, whatever it says.
const MAX_FOREIGN_TTL: Duration = Duration::from_secs(24 * 3600);
/// No task has had so many owners: a record that says so is none, and would leave no epoch for the next.
const MAX_EPOCH: Epoch = Epoch(1 << 53);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// A lease that nobody renewed for this long may be taken over. Short: a slow push loses tasks. Long: a dead
    /// node's tasks wait.
    pub ttl: Duration,
    /// Renewals come this often, with jitter; must leave room for several tries within `ttl`.
    pub renew_every: Duration,
    /// Others wait this much longer than `ttl`, for the time that a renewal is under way.
    pub grace: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// Write a lease of this epoch on top of `previous`.
    Take { previous: Option<Sha>, epoch: Epoch },
    /// It is another's, for all that is known.
    Leave { holder: String },
}

/// How long a lease lasts for those who watch it.
pub(super) fn ttl_of(record: &LeaseRecord, timing: &Timing) -> Duration {
    Duration::from_secs(record.ttl_s).clamp(timing.ttl, MAX_FOREIGN_TTL.max(timing.ttl))
}

/// Whose lease ends where one is written on top of `seen`, if it was not given back.
pub(super) fn owner_of(seen: Option<&SeenLease>) -> Option<NodeId> {
    let record = seen?.record.as_ref()?;
    (record.state != LeaseState::Released).then(|| record.node.clone())
}

/// What was seen of others' leases, and since when. Lost on a restart: then everyone waits again, which is safe.
#[derive(Debug, Default)]
pub(super) struct Watch {
    seen: HashMap<TaskId, (Sha, Instant)>,
}

impl Watch {
    /// Whether a task may be taken whose claim reference is `seen`. `last_epoch` is the last that this node used.
    pub(super) fn decide(
        &mut self,
        task: &TaskId,
        seen: Option<&SeenLease>,
        last_epoch: Epoch,
        now: Instant,
        timing: &Timing,
    ) -> Decision {
        let Some(lease) = seen else {
            self.seen.remove(task);
            return Decision::Take { previous: None, epoch: last_epoch.next() };
        };
        let Some(record) = lease.record.as_ref().filter(|record| record.epoch < MAX_EPOCH) else {
            return Decision::Leave { holder: "an owner whose record this version can't read".to_owned() };
        };
        let take =
            Decision::Take { previous: Some(lease.sha.clone()), epoch: record.epoch.max(last_epoch).next() };
        if record.state == LeaseState::Released {
            self.seen.remove(task);
            return take;
        }
        let ttl = ttl_of(record, timing);
        let since = self.same_since(task, &lease.sha, now);
        if now.duration_since(since) >= ttl + timing.grace {
            return take;
        }
        Decision::Leave { holder: record.node.to_string() }
    }

    /// Of a repository's tasks, only the open ones can be taken.
    pub(super) fn keep_only(&mut self, repo: &RepoId, open: &BTreeSet<u64>) {
        self.seen.retain(|task, _| task.repo != *repo || open.contains(&task.number));
    }

    pub(super) fn forget(&mut self, task: &TaskId) {
        self.seen.remove(task);
    }

    /// Since when the claim reference of `task` has been seen at `sha`.
    fn same_since(&mut self, task: &TaskId, sha: &Sha, now: Instant) -> Instant {
        let entry = self.seen.entry(task.clone()).or_insert_with(|| (sha.clone(), now));
        if entry.0 != *sha {
            *entry = (sha.clone(), now);
        }
        entry.1
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::TIMING;
    use super::*;

    fn task() -> TaskId {
        "a/b#1".parse().unwrap()
    }

    fn sha(digit: char) -> Sha {
        digit.to_string().repeat(40).parse().unwrap()
    }

    fn lease(digit: char, state: LeaseState) -> SeenLease {
        let record = LeaseRecord {
            v: 1,
            task: task(),
            node: "other".parse().unwrap(),
            epoch: Epoch(4),
            nonce: String::new(),
            ttl_s: 900,
            state,
        };
        SeenLease { sha: sha(digit), record: Some(record) }
    }

    fn held_by_other() -> Decision {
        Decision::Leave { holder: "other".into() }
    }

    #[test]
    fn a_free_or_released_task_is_taken_at_once() {
        let (mut watch, now) = (Watch::default(), Instant::now());
        let free = watch.decide(&task(), None, Epoch(0), now, &TIMING);
        assert_eq!(free, Decision::Take { previous: None, epoch: Epoch(1) });
        let released = lease('a', LeaseState::Released);
        let released = watch.decide(&task(), Some(&released), Epoch(0), now, &TIMING);
        assert_eq!(released, Decision::Take { previous: Some(sha('a')), epoch: Epoch(5) });
    }

    #[test]
    fn a_held_lease_is_taken_only_after_it_stood_still_for_ttl_and_grace() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let held = lease('a', LeaseState::Held);
        let mut decide = |lease: &SeenLease, after_s| {
            watch.decide(&task(), Some(lease), Epoch(0), start + Duration::from_secs(after_s), &TIMING)
        };
        assert_eq!(decide(&held, 0), held_by_other());
        assert_eq!(decide(&held, 1019), held_by_other());
        let renewed = lease('b', LeaseState::Held);
        assert_eq!(decide(&renewed, 1020), held_by_other(), "a renewal starts the wait anew");
        assert_eq!(decide(&renewed, 1020 + 1019), held_by_other());
        let take = Decision::Take { previous: Some(sha('b')), epoch: Epoch(5) };
        assert_eq!(decide(&renewed, 1020 + 1020), take);
    }

    #[test]
    fn a_record_can_neither_shorten_nor_stretch_the_wait_beyond_measure() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let with_ttl = |ttl_s| {
            let mut lease = lease('a', LeaseState::Held);
            lease.record = lease.record.map(|record| LeaseRecord { ttl_s, ..record });
            lease
        };
        let mut decide = |lease: &SeenLease, after_s| {
            watch.decide(&task(), Some(lease), Epoch(0), start + Duration::from_secs(after_s), &TIMING)
        };
        decide(&with_ttl(0), 0);
        assert_eq!(decide(&with_ttl(0), 1019), held_by_other());
        assert!(matches!(decide(&with_ttl(u64::MAX), 25 * 3600), Decision::Take { .. }));
    }

    #[test]
    fn a_record_of_another_version_is_left_alone() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let unreadable = SeenLease { sha: sha('a'), record: None };
        for days in [0, 1, 100] {
            let now = start + Duration::from_secs(days * 86_400);
            let decision = watch.decide(&task(), Some(&unreadable), Epoch(0), now, &TIMING);
            assert!(matches!(decision, Decision::Leave { .. }));
        }
    }
}
