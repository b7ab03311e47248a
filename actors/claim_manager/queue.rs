//! What may be tried for, and when: pure, on the monotonic clock.
//!
//! A task waits here until it is tried for: for a place, for those that come before this node, for a peer that says that it
//! works on it, for the end of a pause after a failure. Holds true: what others say delays a try and never prevents it;
//! with nobody else there it is tried for at once, a repository's oldest issue first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::ports::claims::SeenLease;
use crate::ports::swarm::{Announcement, PeerId};
use crate::swarm_actor::Roster;
use crate::task::{RepoId, TaskId};

use super::announced::Announced;
use super::hearsay::{BELIEVED_FOR, Hearsay};
use super::rank::{LONGEST_DELAY, Ranking, Traits, rank};

/// Found tasks that are remembered. More would wait for hours anyway, and are found again.
pub(super) const MAX_WAITING: usize = 1000;
/// Of them those that only a peer has seen: however many it names, there is room for what this node sees.
const MAX_ANNOUNCED: usize = MAX_WAITING / 2;
/// A place that has just become free is said before it is used: others that are free since the same moment rank this node
/// then, and this node them. Longer: places stand idle. Shorter than a word's way: nodes that end tasks together race.
const BREATH: Duration = Duration::from_millis(500);
/// The pause after a try that failed; doubles up to the longest. Longer: a task waits after the git server is back.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);

/// A task as it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// What to work from, if it is not the default branch.
    pub(super) branch: Option<String>,
    pub(super) traits: Traits,
    /// The peer that saw it; `None`: this node has.
    pub(super) from: Option<PeerId>,
    /// Tries that failed, one after the other.
    pub(super) failures: u32,
}

#[derive(Default)]
pub(super) struct Candidates {
    waiting: BTreeMap<TaskId, Candidate>,
    trying: BTreeSet<TaskId>,
    roster: Arc<Roster>,
    hearsay: Hearsay,
    announced: Announced,
    /// Since when this node has had a place: what was found before counts from then.
    free_since: Option<Instant>,
}

struct Candidate {
    found: Found,
    added: Instant,
    not_before: Instant,
    ranking: Ranking,
    is_ranked: bool,
    /// Since when nobody has come to be ahead who was not.
    ahead_since: Instant,
    /// Since when it waits for peers that say they work on it.
    postponed_since: Option<Instant>,
}

impl Candidates {
    /// It may be taken, for all that a look at its claim says.
    pub(super) fn add(&mut self, task: TaskId, branch: Option<String>, now: Instant) {
        let may_try = self.announced.claim_is_free(&task, now);
        // What is known of one that waits is more.
        if may_try && !self.waiting.contains_key(&task) {
            self.insert(task, Found { branch, ..Found::default() }, now, now);
        }
    }

    pub(super) fn found(&mut self, task: TaskId, found: Found, now: Instant) {
        if found.from.is_none() {
            self.announced.resume(&task);
        } else if !self.announced.may_try(&task, now) {
            return;
        }
        self.insert(task, found, now, now);
    }

    fn insert(&mut self, task: TaskId, found: Found, not_before: Instant, now: Instant) {
        if self.trying.contains(&task) {
            return;
        }
        if let Some(known) = self.waiting.get_mut(&task) {
            known.is_ranked &= known.found.traits == found.traits;
            let from = known.found.from.take().and(found.from);
            known.found = Found { from, failures: known.found.failures, ..found };
            return;
        }
        let is_announced = |it: &&Candidate| it.found.from.is_some();
        let has_room = match found.from {
            None => self.waiting.len() < MAX_WAITING,
            Some(_) => self.waiting.values().filter(is_announced).count() < MAX_ANNOUNCED,
        };
        if has_room {
            let candidate = Candidate {
                found,
                added: now,
                not_before,
                ranking: Ranking::default(),
                is_ranked: false,
                ahead_since: now,
                postponed_since: None,
            };
            self.waiting.insert(task, candidate);
        }
    }

    /// Another node has it: until this node sees otherwise, no peer's word brings it back soon.
    pub(super) fn held_elsewhere(&mut self, task: &TaskId, now: Instant) {
        self.waiting.remove(task);
        self.announced.leave(task, now);
    }

    /// The open issues of a repository as this node or the peer `from` has seen them: others are none any more, as far as
    /// only that peer has seen them.
    pub(super) fn listed(&mut self, repo: &RepoId, open: &BTreeSet<u64>, from: Option<&PeerId>) {
        let counts = |it: &Candidate| from.is_none() || it.found.from.as_ref() == from;
        let is_gone = |task: &TaskId| task.repo == *repo && !open.contains(&task.number);
        self.waiting.retain(|task, candidate| !(is_gone(task) && counts(candidate)));
    }

    /// What the peer announced does not count any more.
    pub(super) fn forget_announced_by(&mut self, peer: &PeerId) {
        self.waiting.retain(|_, candidate| candidate.found.from.as_ref() != Some(peer));
    }

    pub(super) fn hear(&mut self, from: &PeerId, announcement: &Announcement, now: Instant) {
        self.hearsay.hear(from, announcement, now);
    }

    pub(super) fn see(&mut self, roster: Arc<Roster>, now: Instant) {
        self.hearsay.see(&roster, now);
        if !ranks_alike(&self.roster, &roster) {
            self.waiting.values_mut().for_each(|candidate| candidate.is_ranked = false);
        }
        self.roster = roster;
    }

    /// A claim reference was seen; returns the peers whose claims it shows to be false.
    pub(super) fn look(&mut self, task: &TaskId, seen: Option<&SeenLease>, now: Instant) -> Vec<PeerId> {
        self.hearsay.look(task, seen, &self.roster, now)
    }

    /// There is no place.
    pub(super) fn no_place(&mut self) {
        self.free_since = None;
    }

    /// The task that is to be tried for next, if any is; `free`: this node's places, at least one.
    pub(super) fn begin(&mut self, free: usize, now: Instant) -> Option<(TaskId, Found)> {
        let has_others = !self.roster.members.is_empty();
        let breath = if has_others { BREATH } else { Duration::ZERO };
        let free_since = *self.free_since.get_or_insert(now + breath);
        if !self.roster.is_settled {
            return None;
        }
        let mut first: Option<(usize, &TaskId)> = None;
        for (task, candidate) in &mut self.waiting {
            candidate.rank(task, &self.roster, free, now);
            let is_known = candidate.found.from.is_none() || self.announced.may_try(task, now);
            let is_taken = self.hearsay.is_taken(task, &self.roster);
            let is_due = is_known && candidate.is_due(is_taken, free_since, now);
            if is_due && first.is_none_or(|(order, _)| candidate.ranking.order < order) {
                first = Some((candidate.ranking.order, task));
            }
        }
        let task = first.map(|(_, task)| task.clone())?;
        let candidate = self.waiting.remove(&task)?;
        self.trying.insert(task.clone());
        Some((task, candidate.found))
    }

    pub(super) fn is_trying(&self, task: &TaskId) -> bool {
        self.trying.contains(task)
    }

    pub(super) fn trying(&self) -> impl Iterator<Item = &TaskId> {
        self.trying.iter()
    }

    pub(super) fn end(&mut self, task: &TaskId) {
        self.trying.remove(task);
    }

    /// A try failed for a reason that may pass.
    pub(super) fn again_later(&mut self, task: TaskId, mut found: Found, now: Instant) {
        let pause = FIRST_PAUSE.saturating_mul(1 << found.failures.min(16)).min(LONGEST_PAUSE);
        found.failures += 1;
        self.insert(task, found, now + pause, now);
    }

    /// It can't be taken as it is; returns the peer that is to blame, if one has announced such too often. `is_wanted`: it is
    /// an open issue with the label.
    pub(super) fn tried_in_vain(
        &mut self,
        task: &TaskId,
        found: &Found,
        is_wanted: bool,
        now: Instant,
    ) -> Option<PeerId> {
        self.announced.pause(task, now);
        // Where nodes may not label, an honest peer announces issues in review too.
        let from = found.from.as_ref().filter(|_| !is_wanted)?;
        self.announced.tried_in_vain(task, now);
        self.announced.was_false(from, now).then(|| from.clone())
    }
}

impl Candidate {
    fn rank(&mut self, task: &TaskId, roster: &Roster, free: usize, now: Instant) {
        if std::mem::replace(&mut self.is_ranked, true) {
            return;
        }
        let ranking = rank(task, &self.found.traits, roster, free);
        if ranking.ahead.iter().any(|peer| !self.ranking.ahead.contains(peer)) {
            self.ahead_since = now;
        }
        self.ranking = ranking;
    }

    fn is_due(&mut self, is_taken: bool, free_since: Instant, now: Instant) -> bool {
        if now < self.not_before || self.ranking.is_for_others {
            return false;
        }
        if is_taken && now < *self.postponed_since.get_or_insert(now) + BELIEVED_FOR {
            return false;
        }
        // Counted from when this node could have: a task that waited for a place has kept nobody waiting.
        let since = self.added.max(free_since);
        let due = since.max(self.ahead_since) + self.ranking.delay();
        now >= due.min(since + LONGEST_DELAY)
    }
}

/// Whether nothing has changed that the order depends on.
fn ranks_alike(one: &Roster, other: &Roster) -> bool {
    let of_members = |roster: &Roster| roster.members.len();
    let is_alike = |(peer, member): (&PeerId, &crate::swarm_actor::Member)| {
        other.members.get(peer).is_some_and(|it| {
            it.availability.free_slots == member.availability.free_slots
                && it.believed == member.believed
                && it.capabilities == member.capabilities
        })
    };
    one.me == other.me
        && one.own == other.own
        && of_members(one) == of_members(other)
        && one.members.iter().all(is_alike)
}

#[cfg(test)]
mod tests {
    use super::super::rank::tests::{member, roster};
    use super::super::samples::{peer, task};
    use super::*;
    use crate::swarm_actor::Member;
    use crate::task::Epoch;

    fn seen_by(peer: Option<&str>) -> Found {
        Found { from: peer.map(|peer| peer.parse().unwrap()), ..Found::default() }
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// This node is `v`.
    fn among(others: &[(&str, Member)]) -> Candidates {
        let mut candidates = Candidates::default();
        let nodes: Vec<(&str, Member)> =
            [("v", member("v", 3))].into_iter().chain(others.iter().cloned()).collect();
        candidates.see(Arc::new(roster(&nodes)), Instant::now());
        candidates
    }

    fn alone() -> Candidates {
        let mut candidates = Candidates::default();
        candidates.see(Arc::new(Roster { is_settled: true, ..Roster::default() }), Instant::now());
        candidates
    }

    fn begun(candidates: &mut Candidates, now: Instant) -> Option<u64> {
        candidates.begin(1, now).map(|(task, _)| task.number)
    }

    /// When, in whole seconds after `start`, the task is tried for.
    fn second_of(candidates: &mut Candidates, number: u64, start: Instant) -> Option<u64> {
        (0..1000).find(|second| begun(candidates, start + s(*second)) == Some(number))
    }

    /// A task for which `w` comes before `v`.
    fn one_of_others() -> u64 {
        let there = roster(&[("v", member("v", 3)), ("w", member("w", 3))]);
        let is_others = |number: &u64| !rank(&task(*number), &Traits::default(), &there, 3).ahead.is_empty();
        (1..100).find(is_others).unwrap()
    }

    #[test]
    fn the_oldest_is_tried_first_and_none_twice_at_once() {
        let (mut candidates, now) = (alone(), Instant::now());
        [3, 1, 3].into_iter().for_each(|number| candidates.found(task(number), seen_by(None), now));
        assert_eq!(begun(&mut candidates, now), Some(1));
        candidates.found(task(1), seen_by(None), now);
        assert_eq!(begun(&mut candidates, now), Some(3));
        assert_eq!(begun(&mut candidates, now), None);
        candidates.end(&task(1));
        candidates.found(task(1), seen_by(None), now);
        assert_eq!(begun(&mut candidates, now), Some(1));
    }

    #[test]
    fn nothing_begins_before_the_swarm_is_settled() {
        let (mut candidates, now) = (Candidates::default(), Instant::now());
        candidates.found(task(1), seen_by(None), now);
        assert_eq!(begun(&mut candidates, now), None);
        candidates.see(Arc::new(Roster { is_settled: true, ..Roster::default() }), now);
        assert_eq!(begun(&mut candidates, now), Some(1));
    }

    #[test]
    fn who_is_not_first_waits_its_turn_and_no_longer_once_the_first_is_gone() {
        let (mut candidates, start) = (among(&[("w", member("w", 3))]), Instant::now());
        let number = one_of_others();
        candidates.found(task(number), seen_by(None), start);
        assert_eq!(second_of(&mut candidates, number, start), Some(4));

        let mut candidates = among(&[("w", member("w", 3))]);
        candidates.found(task(number), seen_by(None), start);
        assert_eq!(begun(&mut candidates, start), None);
        candidates.see(Arc::new(roster(&[("v", member("v", 3))])), start + s(1));
        assert_eq!(begun(&mut candidates, start + s(1)), Some(number));
    }

    #[test]
    fn a_wait_counts_from_when_there_was_a_place() {
        let (mut candidates, start) = (among(&[("w", member("w", 3))]), Instant::now());
        let number = one_of_others();
        candidates.found(task(number), seen_by(None), start);
        candidates.no_place();
        assert_eq!(begun(&mut candidates, start + s(1000)), None, "the other may have a place just now too");
        assert_eq!(begun(&mut candidates, start + s(1003)), None);
        assert_eq!(begun(&mut candidates, start + s(1003) + BREATH), Some(number));
    }

    #[test]
    fn peers_that_come_and_go_hold_nobody_back_for_long() {
        let (mut candidates, start) = (alone(), Instant::now());
        let number = one_of_others();
        candidates.found(task(number), seen_by(None), start);
        let tried = (0..1000).find(|second| {
            // Each second another one is ahead.
            let name = format!("w{second}");
            let nodes = [("v", member("v", 1)), (name.as_str(), member("w", 1_000_000))];
            candidates.see(Arc::new(roster(&nodes)), start + s(*second));
            begun(&mut candidates, start + s(*second)) == Some(number)
        });
        assert_eq!(tried, Some(LONGEST_DELAY.as_secs() + 1));
    }

    #[test]
    fn a_claim_that_was_heard_postpones_for_a_while_and_no_more() {
        let (mut candidates, start) = (among(&[("w", member("w", 0))]), Instant::now());
        let claimed = Announcement::Claimed { task: task(1), epoch: Epoch(1) };
        candidates.hear(&peer("w"), &claimed, start);
        candidates.found(task(1), seen_by(None), start);
        assert_eq!(second_of(&mut candidates, 1, start), Some(BELIEVED_FOR.as_secs()));
        assert_eq!(candidates.look(&task(1), None, start + BELIEVED_FOR), [peer("w")]);
    }

    #[test]
    fn a_peer_that_says_again_and_again_that_it_tries_postpones_once() {
        let (mut candidates, start) = (alone(), Instant::now());
        candidates.found(task(1), seen_by(None), start);
        let tried = (0..1000).find(|second| {
            let mut flapping = member("w", 0);
            flapping.availability.tasks = if second % 2 == 0 { vec![task(1)] } else { vec![] };
            candidates.see(Arc::new(roster(&[("v", member("v", 1)), ("w", flapping)])), start + s(*second));
            second % 2 == 0 && begun(&mut candidates, start + s(*second)) == Some(1)
        });
        assert_eq!(tried, Some(BELIEVED_FOR.as_secs()));
    }

    #[test]
    fn a_try_that_failed_is_made_again_ever_later() {
        let (mut candidates, mut now) = (alone(), Instant::now());
        candidates.found(task(1), seen_by(None), now);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            let (id, found) = candidates.begin(1, now).unwrap();
            candidates.end(&id);
            candidates.again_later(id, found, now);
            let pause = (1..=1000).find(|pause| candidates.waiting[&task(1)].not_before <= now + s(*pause));
            pauses.push(pause.unwrap());
            now += s(pauses[pauses.len() - 1]);
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320]);
    }

    #[test]
    fn a_liars_issues_leave_room_for_others_and_go_with_it() {
        let (mut candidates, now) = (alone(), Instant::now());
        for number in 1..5000 {
            candidates.found(task(number), seen_by(Some("liar")), now);
        }
        assert_eq!(candidates.waiting.len(), MAX_ANNOUNCED);
        candidates.found(task(1), seen_by(None), now);
        candidates.found(task(9999), seen_by(None), now);
        candidates.found(task(1), seen_by(Some("liar")), now);
        candidates.forget_announced_by(&peer("liar"));
        assert_eq!(candidates.waiting.keys().map(|it| it.number).collect::<Vec<_>>(), [1, 9999]);
    }

    #[test]
    fn what_is_not_listed_any_more_is_no_candidate() {
        let (mut candidates, now) = (alone(), Instant::now());
        [1, 2].into_iter().for_each(|number| candidates.found(task(number), seen_by(None), now));
        candidates.listed(&"a/b".parse().unwrap(), &BTreeSet::from([2]), None);
        assert_eq!(begun(&mut candidates, now), Some(2));
        assert_eq!(begun(&mut candidates, now), None);
    }

    #[test]
    fn what_a_peer_names_no_more_was_not_announced_by_it() {
        let (mut candidates, now) = (alone(), Instant::now());
        candidates.found(TaskId::new("c/d".parse().unwrap(), 1), seen_by(Some("w")), now);
        for (number, by) in [(1, Some("w")), (2, Some("w")), (3, Some("x")), (4, None)] {
            candidates.found(task(number), seen_by(by), now);
        }
        candidates.listed(&"a/b".parse().unwrap(), &BTreeSet::from([2]), Some(&peer("w")));
        let waiting: Vec<String> = candidates.waiting.keys().map(ToString::to_string).collect();
        assert_eq!(waiting, ["a/b#2", "a/b#3", "a/b#4", "c/d#1"]);
    }

    #[test]
    fn issues_that_are_there_and_not_free_are_left_alone_for_a_while_and_count_against_nobody() {
        let (mut candidates, now) = (alone(), Instant::now());
        for number in 1..=100 {
            // Of this node's look at the claims, as of a peer's word.
            let found = seen_by(Some("w").filter(|_| number % 2 == 0));
            assert_eq!(candidates.tried_in_vain(&task(number), &found, true, now), None);
            candidates.found(task(number), seen_by(Some("w")), now);
            candidates.add(task(number), None, now + s(1));
        }
        assert_eq!(begun(&mut candidates, now + s(2)), None);
        candidates.found(task(1000), seen_by(Some("w")), now);
        assert_eq!(begun(&mut candidates, now + s(2)), Some(1000), "others are tried");
        candidates.add(task(3), None, now + s(1000));
        assert_eq!(begun(&mut candidates, now + s(1000)), Some(3));
        candidates.found(task(5), seen_by(None), now + s(2));
        assert_eq!(begun(&mut candidates, now + s(2)), Some(5), "this node has listed it");
    }

    #[test]
    fn what_is_held_elsewhere_is_not_brought_back_by_hearsay_at_once() {
        let (mut candidates, now) = (alone(), Instant::now());
        candidates.held_elsewhere(&task(1), now);
        candidates.found(task(1), seen_by(Some("w")), now);
        assert_eq!(begun(&mut candidates, now), None);
        candidates.add(task(1), None, now);
        assert_eq!(begun(&mut candidates, Instant::now()), Some(1));
    }
}
