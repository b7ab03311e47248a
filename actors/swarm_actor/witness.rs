//! What this node has seen of the others' audit trails: pure, on the monotonic clock.
//!
//! Of each peer the last head is kept that is proven to go on from all before it. A head that is heard stands beside it so:
//!
//! ```text
//! the same            nothing
//! further             the peer is asked for the growth between both; one that does not hold is a contradiction
//! another audit key, or another root at the same place
//!                     a contradiction, whichever was signed first
//! less far            perhaps a rollback, perhaps an old word: see below
//! ```
//!
//! The network lets nothing older follow on something newer, but only as long as it is open: later, others may tell of a head
//! that is older than the witnessed one, and its author, who has just started, may not have said one yet. So a shorter trail
//! counts only after an exchange of state with the peer itself that brought no other head, and if the peer, asked for the
//! witnessed one, says that it has it no more, or does not answer several times. An honest node can't come to that: it says a
//! head when it is durable, and says one each time that its network opens.
//!
//! Holds true: no silence is a contradiction of a trail that grows; one question is under way for each peer, and few over all;
//! what is kept is bounded.

#[cfg(test)]
#[path = "witness/tests.rs"]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::ports::journal::Witnessed;
use crate::ports::swarm::PeerId;
use crate::trail::TrailHead;

use super::History;

/// Peers whose heads are kept for good: only those to which there was a connection, so that nobody makes them up by the
/// thousands. Of more, the later ones are not witnessed here.
const MAX_WITNESSED: usize = 2000;
/// With those of which only a head was heard.
const MAX_KNOWN: usize = 3000;
/// Over all peers. More: a node that comes back to a large swarm asks all at once.
const MAX_ASKED: usize = 4;
/// After a question in vain; twice as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);
/// So often in a row a peer may say that it can't prove its growth: its disk may have failed to read once.
const MAX_REFUSALS: u32 = 3;
/// So often a peer whose last word is a shorter trail may leave open whether it has the longer one.
const MAX_SILENCES: u32 = 3;
/// Of being connected without a proof, until people are told. Shorter: nodes of a bad link are called suspicious.
const UNPROVEN_FOR: Duration = Duration::from_secs(24 * 60 * 60);
const UNPROVEN_AFTER: u32 = 10;

#[derive(Debug, Default)]
pub(super) struct Witness {
    /// What the journal has is known.
    is_loaded: bool,
    known: BTreeMap<PeerId, Known>,
    looked_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Known {
    is_connected: bool,
    witnessed: Option<TrailHead>,
    contradicted_by: Option<TrailHead>,
    /// The last one, while nothing is settled about it.
    heard: Option<TrailHead>,
    /// An exchange of state with the peer itself has ended since then.
    is_last: bool,
    is_asked: bool,
    not_before: Option<Instant>,
    /// Questions in a row that brought nothing, and those of them that the peer answered with no.
    in_vain: u32,
    refused: u32,
    /// Questions for the longer trail, since it showed the shorter one, to which it said nothing.
    silences: u32,
    unproven: Duration,
    is_called_unproven: bool,
}

/// How a head stands to the witnessed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Same,
    Further,
    LessFar,
    OtherKey,
    Fork,
}

/// For the growth between two heads, because of the one that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) peer: PeerId,
    pub(super) from: TrailHead,
    pub(super) to: TrailHead,
    shown: TrailHead,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Holds,
    DoesNotHold(String),
    /// It says that it has no proof.
    Refused,
    /// Or rubbish: nobody signed that.
    Silent,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// What is witnessed of the peer has changed.
    Proven(PeerId),
    Contradicted(Box<Contradicted>),
    /// It has not proven its history for a day.
    Unproven(PeerId),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Contradicted {
    pub(super) peer: PeerId,
    pub(super) witnessed: TrailHead,
    pub(super) shown: TrailHead,
    pub(super) why: String,
}

impl Witness {
    pub(super) fn is_loaded(&self) -> bool {
        self.is_loaded
    }

    /// What earlier lives of this node have seen. What was heard until now is looked at.
    pub(super) fn load(&mut self, witnessed: Vec<Witnessed>) -> Vec<Finding> {
        self.is_loaded = true;
        for Witnessed { peer, head, contradicted_by, .. } in witnessed {
            let known = self.known.entry(peer).or_default();
            (known.witnessed, known.contradicted_by) = (Some(head), contradicted_by);
        }
        let peers: Vec<PeerId> = self.known.keys().cloned().collect();
        peers.iter().filter_map(|peer| self.judge(peer)).collect()
    }

    /// As the journal keeps it.
    pub(super) fn record(&self, peer: &PeerId, at_ms: u64) -> Option<Witnessed> {
        let known = self.known.get(peer)?;
        let (head, contradicted_by) = (known.witnessed?, known.contradicted_by);
        Some(Witnessed { peer: peer.clone(), head, at_ms, contradicted_by })
    }

    pub(super) fn history(&self, peer: &PeerId) -> History {
        match self.known.get(peer) {
            Some(known) if known.contradicted_by.is_some() => History::Contradicted,
            Some(known) if known.is_called_unproven => History::Unproven,
            Some(known) if known.witnessed.is_some() => History::Proven,
            _ => History::Unseen,
        }
    }

    /// The heads from which peers' trails do not go on, of those that signed another one with the same audit key.
    pub(super) fn contradicted(&self) -> impl Iterator<Item = (&PeerId, TrailHead)> {
        let witnessed = |(peer, known)| {
            let (peer, Known { witnessed, contradicted_by, .. }): (&PeerId, &Known) = (peer, known);
            let witnessed = (*witnessed)?;
            contradicted_by.filter(|shown| shown.key == witnessed.key).map(|_| (peer, witnessed))
        };
        self.known.iter().filter_map(witnessed)
    }

    pub(super) fn connected(&mut self, peer: &PeerId) -> Option<Finding> {
        self.known_or_new(peer)?.is_connected = true;
        self.judge(peer)
    }

    pub(super) fn disconnected(&mut self, peer: &PeerId) {
        if let Some(known) = self.known.get_mut(peer) {
            (known.is_connected, known.is_last) = (false, false);
        }
    }

    pub(super) fn disconnect_all(&mut self) {
        self.known.values_mut().for_each(|known| (known.is_connected, known.is_last) = (false, false));
    }

    /// All that the peer has was brought in, what it said last among it.
    pub(super) fn synced(&mut self, with: &PeerId) {
        if let Some(known) = self.known.get_mut(with) {
            known.is_last = known.heard.is_some();
        }
    }

    pub(super) fn hear(&mut self, peer: &PeerId, head: TrailHead) -> Option<Finding> {
        let known = self.known_or_new(peer)?;
        (known.heard, known.is_last, known.silences) = (Some(head), false, 0);
        self.judge(peer)
    }

    fn known_or_new(&mut self, peer: &PeerId) -> Option<&mut Known> {
        if !self.known.contains_key(peer) && self.known.len() >= MAX_KNOWN {
            let is_little = |known: &Known| known.witnessed.is_none() && !known.is_connected;
            let first = self.known.iter().find(|(_, known)| is_little(known)).map(|(peer, _)| peer.clone());
            self.known.remove(&first?);
        }
        Some(self.known.entry(peer.clone()).or_default())
    }

    /// What can be told without asking.
    fn judge(&mut self, peer: &PeerId) -> Option<Finding> {
        let has_room = || self.known.values().filter(|it| it.witnessed.is_some()).count() < MAX_WITNESSED;
        let is_first = self.known.get(peer)?.witnessed.is_none();
        if !self.is_loaded || is_first && !has_room() {
            return None;
        }
        let known = self.known.get_mut(peer)?;
        let shown = known.heard?;
        let Some(witnessed) = known.witnessed else {
            return known.is_connected.then(|| known.keep(peer, shown));
        };
        if known.is_caught() {
            known.heard = None;
            return None;
        }
        match relation(&witnessed, &shown) {
            Relation::Same if known.contradicted_by.is_none() => {
                known.settle();
                None
            }
            // It is asked.
            Relation::Same | Relation::Further | Relation::LessFar => None,
            Relation::OtherKey => known.contradict(peer, shown, "it is signed by another key"),
            Relation::Fork => known.contradict(peer, shown, "it has another root at the same place"),
        }
    }

    /// Those that are due, which are under way from now on.
    pub(super) fn questions(&mut self, now: Instant) -> Vec<Question> {
        let asked = self.known.values().filter(|known| known.is_asked).count();
        let is_due = |known: &Known| {
            known.is_connected && !known.is_asked && known.not_before.is_none_or(|at| now >= at)
        };
        let due = self.known.iter_mut().filter(|(_, known)| is_due(known)).filter_map(|(peer, known)| {
            let question = known.question(peer)?;
            Some((question, known))
        });
        let due = due.take(MAX_ASKED.saturating_sub(asked));
        due.map(|(question, known)| {
            known.is_asked = true;
            question
        })
        .collect()
    }

    pub(super) fn answered(&mut self, question: &Question, answer: Answer, now: Instant) -> Option<Finding> {
        let Question { peer, from, to, shown } = question;
        let known = self.known.get_mut(peer)?;
        known.is_asked = false;
        // It was caught meanwhile.
        if known.is_caught() || known.witnessed != Some(*from) {
            return None;
        }
        if answer == Answer::Holds {
            return known.prove(peer, to);
        }
        let is_for_growth = from != to;
        if !is_for_growth && (known.contradicted_by.is_some() || known.heard != Some(*shown)) {
            // It stays contradicted; or it has said something else meanwhile.
            known.heard = known.heard.filter(|heard| heard != shown);
            return None;
        }
        known.asked_in_vain(answer == Answer::Refused, now);
        known.silences += u32::from(!is_for_growth && answer == Answer::Silent);
        let why = match answer {
            Answer::DoesNotHold(why) => format!("what it gave as proof does not hold: {why}"),
            Answer::Refused if !is_for_growth || known.refused >= MAX_REFUSALS => {
                "it says that it can't prove to have the earlier one".to_owned()
            }
            Answer::Silent if !is_for_growth && known.silences >= MAX_SILENCES => {
                "its trail is shorter, and it does not say that it has the longer one".to_owned()
            }
            Answer::Holds | Answer::Refused | Answer::Silent => return None,
        };
        known.contradict(peer, *shown, &why)
    }

    /// Counts how long proofs are waited for.
    pub(super) fn look(&mut self, now: Instant) -> Vec<Finding> {
        let passed = self.looked_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.looked_at = Some(now);
        let waiting = |(peer, known): (&PeerId, &mut Known)| {
            if !known.is_connected || known.question(peer).is_none() {
                return None;
            }
            known.unproven += passed;
            let is_long = known.unproven >= UNPROVEN_FOR && known.in_vain >= UNPROVEN_AFTER;
            (is_long && !std::mem::replace(&mut known.is_called_unproven, true))
                .then(|| Finding::Unproven(peer.clone()))
        };
        self.known.iter_mut().filter_map(waiting).collect()
    }
}

impl Known {
    /// It signed two histories: whatever it shows now proves nothing. Not so one that only was shorter: a node that was
    /// given an old copy of its data gets well with the newer one.
    fn is_caught(&self) -> bool {
        let is_shorter = |shown: &TrailHead| {
            self.witnessed.is_some_and(|witnessed| relation(&witnessed, shown) == Relation::LessFar)
        };
        self.contradicted_by.as_ref().is_some_and(|shown| !is_shorter(shown))
    }

    fn question(&self, peer: &PeerId) -> Option<Question> {
        let (from, shown) = (self.witnessed?, self.heard?);
        let is_shorter = self.contradicted_by.is_some();
        let to = match relation(&from, &shown) {
            Relation::Further => shown,
            Relation::LessFar if self.is_last && !is_shorter => from,
            Relation::Same if is_shorter => from,
            Relation::Same | Relation::LessFar | Relation::OtherKey | Relation::Fork => return None,
        };
        Some(Question { peer: peer.clone(), from, to, shown })
    }

    fn keep(&mut self, peer: &PeerId, head: TrailHead) -> Finding {
        self.witnessed = Some(head);
        self.settle();
        Finding::Proven(peer.clone())
    }

    /// Nothing is open about what was heard.
    fn settle(&mut self) {
        (self.heard, self.is_last, self.not_before) = (None, false, None);
        (self.in_vain, self.refused, self.silences, self.unproven) = (0, 0, 0, Duration::ZERO);
        self.is_called_unproven = false;
    }

    fn prove(&mut self, peer: &PeerId, to: &TrailHead) -> Option<Finding> {
        let witnessed = self.witnessed.replace(*to);
        let is_changed = self.contradicted_by.take().is_some() || witnessed != self.witnessed;
        // What it has said meanwhile is looked at next.
        let later = self.heard.filter(|heard| relation(to, heard) == Relation::Further);
        self.settle();
        self.heard = later;
        is_changed.then(|| Finding::Proven(peer.clone()))
    }

    fn asked_in_vain(&mut self, is_refused: bool, now: Instant) {
        let doubled = FIRST_PAUSE.saturating_mul(1 << self.in_vain.min(10));
        self.not_before = Some(now + doubled.min(LONGEST_PAUSE));
        self.in_vain = self.in_vain.saturating_add(1);
        self.refused = if is_refused { self.refused + 1 } else { 0 };
    }

    fn contradict(&mut self, peer: &PeerId, shown: TrailHead, why: &str) -> Option<Finding> {
        let witnessed = self.witnessed?;
        self.contradicted_by = Some(shown);
        self.settle();
        let (peer, why) = (peer.clone(), why.to_owned());
        Some(Finding::Contradicted(Box::new(Contradicted { peer, witnessed, shown, why })))
    }
}

fn relation(witnessed: &TrailHead, shown: &TrailHead) -> Relation {
    let (earlier, later) = (witnessed.mark, shown.mark);
    let is_other_key = earlier.segment == later.segment && witnessed.segment_key != shown.segment_key;
    if witnessed.key != shown.key || is_other_key {
        return Relation::OtherKey;
    }
    match later.place().cmp(&earlier.place()) {
        std::cmp::Ordering::Less => Relation::LessFar,
        std::cmp::Ordering::Greater => Relation::Further,
        std::cmp::Ordering::Equal if earlier.root == later.root => Relation::Same,
        std::cmp::Ordering::Equal => Relation::Fork,
    }
}
