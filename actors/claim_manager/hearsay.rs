//! What peers say that they work on: pure, on the monotonic clock. It only ever postpones a try, for a bounded time; then
//! the reference is looked at, and who said what it does not show is not believed any more.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::ports::claims::SeenLease;
use crate::ports::swarm::{Announcement, PeerId};
use crate::swarm_actor::Roster;
use crate::task::{Epoch, TaskId};

/// A try is postponed at most this long by what peers say. Shorter than the time from a node's try to its claim: races.
/// Longer: a liar keeps a task lying for that long.
pub(super) const BELIEVED_FOR: Duration = Duration::from_secs(60);
/// A claim that was heard less than this ago may be newer than what the reference was seen at.
const SETTLES_WITHIN: Duration = Duration::from_secs(30);
/// However often it was renewed since: who first claimed a task that long ago must stand at its reference by now.
const SETTLED_AFTER: Duration = Duration::from_secs(600);
/// What was claimed longer ago says nothing.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);
/// Claims kept of each peer; the oldest go first.
const MAX_OF_PEER: usize = 500;

#[derive(Debug, Default)]
pub(super) struct Hearsay {
    claimed: HashMap<TaskId, BTreeMap<PeerId, Claimed>>,
    /// What those in the roster say that they work on, or try to.
    worked_on: HashSet<TaskId>,
}

#[derive(Debug, Clone, Copy)]
struct Claimed {
    epoch: Epoch,
    /// Since when with this epoch.
    at: Instant,
    /// Since when with any.
    first: Instant,
}

impl Claimed {
    fn is_settled(&self, now: Instant) -> bool {
        now.duration_since(self.at) >= SETTLES_WITHIN || now.duration_since(self.first) >= SETTLED_AFTER
    }
}

impl Hearsay {
    pub(super) fn hear(&mut self, from: &PeerId, announcement: &Announcement, now: Instant) {
        let task = announcement.task();
        if !matches!(announcement, Announcement::Claimed { .. }) {
            self.forget(task, from);
            return;
        }
        let of_peer =
            self.claimed.iter().filter_map(|(task, by)| by.get(from).map(|claimed| (claimed.at, task)));
        let (count, oldest) = (of_peer.clone().count(), of_peer.min().map(|(_, task)| task.clone()));
        if count >= MAX_OF_PEER
            && let Some(oldest) = oldest
        {
            self.forget(&oldest, from);
        }
        let new = Claimed { epoch: announcement.epoch(), at: now, first: now };
        let claimed = self.claimed.entry(task.clone()).or_default().entry(from.clone()).or_insert(new);
        if claimed.epoch < new.epoch {
            *claimed = Claimed { first: claimed.first, ..new };
        }
    }

    fn forget(&mut self, task: &TaskId, by: &PeerId) {
        if let Some(of_task) = self.claimed.get_mut(task) {
            of_task.remove(by);
            if of_task.is_empty() {
                self.claimed.remove(task);
            }
        }
    }

    pub(super) fn see(&mut self, roster: &Roster, now: Instant) {
        let believed = roster.members.values().filter(|member| member.believed.claims);
        self.worked_on = believed.flat_map(|member| member.availability.tasks.iter().cloned()).collect();
        for of_task in self.claimed.values_mut() {
            of_task.retain(|_, claimed| now.duration_since(claimed.at) < FORGOTTEN_AFTER);
        }
        self.claimed.retain(|_, of_task| !of_task.is_empty());
    }

    /// Whether a peer that is there and believed says that it works on the task, or tries to.
    pub(super) fn is_taken(&self, task: &TaskId, roster: &Roster) -> bool {
        let is_there = |peer: &PeerId| roster.members.get(peer).is_some_and(|member| member.believed.claims);
        self.worked_on.contains(task) || self.claimed.get(task).is_some_and(|by| by.keys().any(is_there))
    }

    /// The reference was seen: whose claims it shows to be false. All of them are settled by that.
    pub(super) fn look(
        &mut self,
        task: &TaskId,
        seen: Option<&SeenLease>,
        roster: &Roster,
        now: Instant,
    ) -> Vec<PeerId> {
        let of_task = self.claimed.remove(task).unwrap_or_default();
        let (young, old): (BTreeMap<_, _>, BTreeMap<_, _>) =
            of_task.into_iter().partition(|(_, claimed)| !claimed.is_settled(now));
        if !young.is_empty() {
            self.claimed.insert(task.clone(), young);
        }
        let is_false = |(peer, claimed): &(PeerId, Claimed)| {
            let node = roster.members.get(peer).map(|member| &member.capabilities.node);
            match seen {
                None => true,
                // Of another version: nothing can be said.
                Some(SeenLease { record: None, .. }) => false,
                Some(SeenLease { record: Some(record), .. }) => {
                    // Of one that is gone it is not known any more which name it had.
                    let is_anothers = node.is_some_and(|node| record.node != *node);
                    record.epoch < claimed.epoch || (record.epoch == claimed.epoch && is_anothers)
                }
            }
        };
        old.into_iter().filter(is_false).map(|(peer, _)| peer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::rank::tests::{member, roster};
    use super::super::samples::{peer, task};
    use super::*;
    use crate::ports::claims::{LeaseRecord, LeaseState};

    fn claimed(number: u64, epoch: u64) -> Announcement {
        Announcement::Claimed { task: task(number), epoch: Epoch(epoch) }
    }

    fn lease(node: &str, epoch: u64) -> SeenLease {
        let record = LeaseRecord {
            v: 1,
            task: task(1),
            node: node.parse().unwrap(),
            epoch: Epoch(epoch),
            nonce: String::new(),
            ttl_s: 900,
            state: LeaseState::Held,
        };
        SeenLease { sha: "a".repeat(40).parse().unwrap(), record: Some(record) }
    }

    #[test]
    fn who_says_that_it_works_on_something_is_believed_while_it_is_there() {
        let mut works = member("w", 3);
        works.availability.tasks = vec![task(2)];
        let mut there = roster(&[("v", member("v", 3)), ("w", works)]);
        let (mut hearsay, now) = (Hearsay::default(), Instant::now());
        hearsay.hear(&peer("w"), &claimed(1, 1), now);
        hearsay.hear(&peer("gone"), &claimed(3, 1), now);
        let taken = |hearsay: &mut Hearsay, roster: &Roster| {
            hearsay.see(roster, now);
            [1, 2, 3].map(|it| hearsay.is_taken(&task(it), roster))
        };
        assert_eq!(taken(&mut hearsay, &there), [true, true, false]);
        let failed = Announcement::Failed { task: task(1), epoch: Epoch(1), reason: String::new() };
        hearsay.hear(&peer("w"), &failed, now);
        assert_eq!(taken(&mut hearsay, &there), [false, true, false]);
        there.members.values_mut().for_each(|member| member.believed.claims = false);
        assert_eq!(taken(&mut hearsay, &there), [false; 3]);
    }

    #[test]
    fn only_a_claim_that_the_reference_contradicts_is_false() {
        let there = roster(&[("v", member("v", 3)), ("x", member("w", 3))]);
        let cases = [
            (None, 1, true),
            (Some(lease("w", 1)), 1, false),
            (Some(lease("other", 1)), 1, true),
            (Some(lease("other", 2)), 1, false),
            (Some(lease("w", 1)), 2, true),
            (Some(SeenLease { record: None, ..lease("w", 1) }), 1, false),
        ];
        for (seen, epoch, is_false) in cases {
            let (mut hearsay, start) = (Hearsay::default(), Instant::now());
            hearsay.hear(&peer("x"), &claimed(1, epoch), start);
            assert_eq!(hearsay.look(&task(1), seen.as_ref(), &there, start), [], "it is too young");
            let liars = hearsay.look(&task(1), seen.as_ref(), &there, start + BELIEVED_FOR);
            assert_eq!(!liars.is_empty(), is_false, "{seen:?}");
            assert!(!hearsay.is_taken(&task(1), &there), "settled");
        }
    }

    #[test]
    fn who_is_gone_is_no_liar_for_what_it_claimed_truly() {
        let left = roster(&[("v", member("v", 3))]);
        for (epoch, is_false) in [(1, false), (2, true)] {
            let (mut hearsay, start) = (Hearsay::default(), Instant::now());
            hearsay.hear(&peer("x"), &claimed(1, epoch), start);
            let liars = hearsay.look(&task(1), Some(&lease("w", 1)), &left, start + BELIEVED_FOR);
            assert_eq!(!liars.is_empty(), is_false, "{epoch}");
        }
    }

    #[test]
    fn claiming_again_and_again_makes_no_claim_young() {
        let there = roster(&[("v", member("v", 3)), ("x", member("w", 3))]);
        let (mut hearsay, start) = (Hearsay::default(), Instant::now());
        let second = |second| start + Duration::from_secs(second);
        (0..40).for_each(|at| hearsay.hear(&peer("x"), &claimed(1, 1), second(at)));
        assert_eq!(hearsay.look(&task(1), None, &there, second(40)), [peer("x")]);
        for at in 0..700 {
            hearsay.hear(&peer("x"), &claimed(1, at), second(at));
        }
        assert_eq!(hearsay.look(&task(1), None, &there, second(700)), [peer("x")]);
    }

    #[test]
    fn a_peer_that_claims_everything_fills_nothing() {
        let (mut hearsay, start) = (Hearsay::default(), Instant::now());
        for number in 1..2000 {
            hearsay.hear(&peer("x"), &claimed(number, 1), start + Duration::from_millis(number));
        }
        assert_eq!(hearsay.claimed.len(), MAX_OF_PEER);
        assert!(hearsay.claimed.contains_key(&task(1999)) && !hearsay.claimed.contains_key(&task(1)));
        hearsay.see(&Roster::default(), start + FORGOTTEN_AFTER * 2);
        assert!(hearsay.claimed.is_empty());
    }
}
