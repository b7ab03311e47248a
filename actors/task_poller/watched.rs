//! A watched repository: when this node looks, and what it was told: pure, on the monotonic clock.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::ports::swarm::{PeerId, TasksSeen};
use crate::swarm_actor::Roster;
use crate::task::RepoId;
use crate::task::text::one_line;

use super::Due;
use super::schedule::{Pace, Turn};
use super::sharing::{Looks, Part};

/// An honest peer says no more often what it saw; the least time between two looks is longer.
const LEAST_BETWEEN_WORDS: Duration = Duration::from_secs(2);
/// Issues in one announcement. A repository with more is looked at by each node for itself.
pub(super) const MAX_ANNOUNCED: usize = 4000;
/// On a peer's word alone, issues under way are looked at no more often.
const LOOK_PAUSE: Duration = Duration::from_secs(5 * 60);

/// Of a language's name.
const MAX_LANGUAGE_BYTES: usize = 100;

pub(super) struct Watched {
    pub(super) turn: Turn,
    pub(super) pace: Pace,
    part: Part,
    looks: Looks,
    /// What it looked like the last time.
    state: Option<u64>,
    is_admitted: bool,
    is_probed: bool,
    /// This node can't work on it.
    pub(super) is_refused: bool,
    /// What Hive wants its tasks to work from.
    pub(super) branch: Option<String>,
    language: Option<String>,
    /// When each peer was listened to last.
    heard: HashMap<PeerId, Instant>,
    announced: Option<(PeerId, TasksSeen)>,
    pub(super) is_passing_on: bool,
    looked: Option<Instant>,
}

impl Watched {
    pub(super) fn new(least: Duration, slowest: Duration) -> Self {
        Self {
            turn: Turn::now(),
            pace: Pace::new(least, slowest),
            part: Part::alone(),
            looks: Looks::default(),
            state: None,
            is_admitted: false,
            is_probed: false,
            is_refused: false,
            branch: None,
            language: None,
            heard: HashMap::new(),
            announced: None,
            is_passing_on: false,
            looked: None,
        }
    }

    pub(super) fn see(&mut self, repo: &RepoId, roster: &Roster) {
        self.part = Part::of(repo, roster);
        self.heard.retain(|peer, _| roster.members.contains_key(peer));
    }

    /// Whether this node is to look now; if so the turn is taken. One that can't work on it asks for itself only.
    pub(super) fn take_turn(&mut self, settled: Instant, now: Instant) -> bool {
        let is_due = self.is_refused || now >= self.part.due(&self.looks, settled, self.pace.now());
        is_due && self.turn.take(now)
    }

    pub(super) fn due(&self, repo: &RepoId) -> Due {
        Due {
            repo: repo.clone(),
            is_admitted: self.is_admitted,
            is_probed: self.is_probed,
            branch: self.branch.clone(),
            language: self.language.clone(),
            is_first: self.part.is_first(),
        }
    }

    /// This node has looked; returns the time until its next look.
    pub(super) fn polled(&mut self, seen: &TasksSeen, state: u64, has_asked: bool, now: Instant) -> Duration {
        self.is_admitted |= has_asked;
        (self.is_probed, self.is_refused) = (true, false);
        self.language.clone_from(&seen.language);
        self.looks.own = Some(now);
        let is_changed = self.state.replace(state) != Some(state);
        self.pace.after(is_changed)
    }

    /// Whether what the peer says is to be used.
    pub(super) fn hear(&mut self, from: &PeerId, seen: &TasksSeen, now: Instant) -> bool {
        let is_flood =
            self.heard.get(from).is_some_and(|last| now.duration_since(*last) < LEAST_BETWEEN_WORDS);
        let issues = seen.free.len() + seen.called.len() + seen.other.len();
        if is_flood || issues > MAX_ANNOUNCED {
            return false;
        }
        self.heard.insert(from.clone(), now);
        if self.part.is_ahead(from) {
            if !self.is_admitted {
                self.language =
                    seen.language.as_deref().map(one_line).filter(|it| it.len() <= MAX_LANGUAGE_BYTES);
            }
            let longest = self.pace.slowest() * 2;
            let next_in = Duration::from_secs(seen.next_in_s).clamp(LEAST_BETWEEN_WORDS, longest);
            self.looks.heard = Some((now, next_in));
        }
        self.announced = Some((from.clone(), seen.clone()));
        true
    }

    /// The last thing heard, if nothing is being passed on; then something is.
    pub(super) fn take_announced(&mut self) -> Option<(PeerId, TasksSeen)> {
        if self.is_passing_on || self.is_refused {
            return None;
        }
        let announced = self.announced.take()?;
        self.is_passing_on = true;
        Some(announced)
    }

    pub(super) fn may_look(&self, now: Instant) -> bool {
        self.looked.is_none_or(|looked| now.duration_since(looked) >= LOOK_PAUSE)
    }

    pub(super) fn passed_on(&mut self, has_looked: bool, now: Instant) {
        self.is_probed = true;
        if has_looked {
            self.looked = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(next_in_s: u64, free: Vec<u64>) -> TasksSeen {
        TasksSeen {
            repo: "a/b".parse().unwrap(),
            free,
            called: vec![],
            other: vec![],
            next_in_s,
            labels: Default::default(),
            language: None,
        }
    }

    #[test]
    fn a_flood_of_words_and_a_flood_of_issues_are_not_used() {
        let mut watched = Watched::new(Duration::from_secs(60), Duration::from_secs(300));
        let (now, peer) = (Instant::now(), "x".parse().unwrap());
        assert!(watched.hear(&peer, &seen(60, vec![1]), now));
        assert!(!watched.hear(&peer, &seen(60, vec![2]), now + LEAST_BETWEEN_WORDS / 2));
        let later = now + LEAST_BETWEEN_WORDS;
        assert!(!watched.hear(&peer, &seen(60, (0..=4000).collect()), later));
        assert!(watched.hear(&peer, &seen(60, vec![3]), later));
        assert_eq!(watched.take_announced().unwrap().1.free, [3]);
        assert!(watched.hear(&peer, &seen(60, vec![4]), later + LEAST_BETWEEN_WORDS));
        assert!(watched.take_announced().is_none(), "one after the other");
    }

    #[test]
    fn on_a_peers_word_issues_are_looked_at_now_and_then() {
        let mut watched = Watched::new(Duration::from_secs(60), Duration::from_secs(300));
        let now = Instant::now();
        assert!(watched.may_look(now));
        watched.passed_on(false, now);
        assert!(watched.may_look(now));
        watched.passed_on(true, now);
        assert!(!watched.may_look(now + LOOK_PAUSE / 2));
        assert!(watched.may_look(now + LOOK_PAUSE));
    }
}
