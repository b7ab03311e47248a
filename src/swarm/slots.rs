//! Places on relays that this node asks for, so that others reach it where nothing from outside does. Pure: time is handed in.
//!
//! Which relays there are is told by what the connected peers speak. A node asks when it was found to be out of reach, or when
//! nobody has reached it within a while, and gives its places back once it is reached without them. libp2p renews a place until
//! the connection to the relay ends; then another relay is asked.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use libp2p::PeerId;
use tokio::time::{Duration, Instant};

/// With one more, a relay that goes away cuts nobody off. Of more, every relay carries what one could.
const MAX_SLOTS: usize = 2;
/// Longer than it takes to be found reachable by a connected peer that tries it. Longer: nodes behind routers are found as much
/// later where no peer tries.
const REACHED_WITHIN: Duration = Duration::from_secs(10);
/// A relay that refused, or let go, is not asked again before. Shorter: a full relay is asked again and again.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// `L` names what listens at a relay.
#[derive(Debug)]
pub(super) struct Slots<L> {
    opened: Instant,
    was_out_of_reach: bool,
    relays: BTreeSet<PeerId>,
    held: HashMap<L, PeerId>,
    not_before: HashMap<PeerId, Instant>,
}

impl<L: Hash + Eq + Copy> Slots<L> {
    pub(super) fn new(now: Instant) -> Self {
        let (relays, held, not_before) = Default::default();
        Self { opened: now, was_out_of_reach: false, relays, held, not_before }
    }

    /// A connected peer says whether it is a relay.
    pub(super) fn offers(&mut self, peer: PeerId, is_relay: bool) {
        match is_relay {
            true => self.relays.insert(peer),
            false => self.relays.remove(&peer),
        };
    }

    pub(super) fn disconnected(&mut self, peer: &PeerId) {
        self.relays.remove(peer);
    }

    /// A peer tried to reach this node, and could not.
    pub(super) fn out_of_reach(&mut self) {
        self.was_out_of_reach = true;
    }

    /// The relays to ask now.
    pub(super) fn due(&mut self, is_reached: bool, now: Instant) -> Vec<PeerId> {
        let is_needed = !is_reached && (self.was_out_of_reach || now >= self.opened + REACHED_WITHIN);
        if !is_needed {
            return Vec::new();
        }
        self.not_before.retain(|_, not_before| *not_before > now);
        let held: BTreeSet<PeerId> = self.held.values().copied().collect();
        let room = MAX_SLOTS.saturating_sub(held.len());
        let free =
            self.relays.iter().filter(|relay| !held.contains(relay) && !self.not_before.contains_key(relay));
        free.take(room).copied().collect()
    }

    pub(super) fn asked(&mut self, relay: PeerId, listener: L) {
        self.held.insert(listener, relay);
    }

    pub(super) fn refused(&mut self, relay: PeerId, now: Instant) {
        self.not_before.insert(relay, now + ASKED_AGAIN_AFTER);
    }

    /// The relay whose place this was, if it was one.
    pub(super) fn ended(&mut self, listener: L, now: Instant) -> Option<PeerId> {
        let relay = self.held.remove(&listener)?;
        // One that is gone is asked when it is back; one that is there has refused.
        if self.relays.contains(&relay) {
            self.refused(relay, now);
        }
        Some(relay)
    }

    /// The places that are not needed any more.
    pub(super) fn give_back(&mut self, is_reached: bool) -> Vec<L> {
        if !is_reached {
            return Vec::new();
        }
        self.was_out_of_reach = false;
        self.held.drain().map(|(listener, _)| listener).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relays(slots: &mut Slots<u32>, count: usize) -> Vec<PeerId> {
        let mut relays: Vec<PeerId> = (0..count).map(|_| PeerId::random()).collect();
        relays.sort_unstable();
        relays.iter().for_each(|relay| slots.offers(*relay, true));
        relays
    }

    #[test]
    fn who_is_out_of_reach_asks_two_relays_and_another_when_one_goes() {
        let now = Instant::now();
        let mut slots = Slots::new(now);
        let relays = relays(&mut slots, 3);
        assert_eq!(slots.due(false, now), [], "it may yet be reached");
        slots.out_of_reach();
        assert_eq!(slots.due(true, now), [], "it is reached by another address");
        assert_eq!(slots.due(false, now), relays[..2]);
        slots.asked(relays[0], 1);
        slots.asked(relays[1], 2);
        assert_eq!(slots.due(false, now), []);
        slots.disconnected(&relays[0]);
        assert_eq!(slots.ended(1, now), Some(relays[0]));
        assert_eq!(slots.ended(7, now), None, "no place of ours");
        assert_eq!(slots.due(false, now), relays[2..]);
        slots.offers(relays[0], true);
        assert_eq!(slots.due(false, now), relays[..1], "it is back");
    }

    #[test]
    fn a_relay_that_refuses_is_left_alone_for_a_while() {
        let now = Instant::now();
        let mut slots = Slots::new(now);
        let relays = relays(&mut slots, 1);
        let later = now + REACHED_WITHIN;
        assert_eq!(slots.due(false, later), relays, "nobody has reached it");
        slots.asked(relays[0], 1);
        slots.ended(1, later);
        assert_eq!(slots.due(false, later), []);
        assert_eq!(slots.due(false, later + ASKED_AGAIN_AFTER), relays);
        slots.offers(relays[0], false);
        assert_eq!(slots.due(false, later + ASKED_AGAIN_AFTER), [], "it is none any more");
    }

    #[test]
    fn who_is_reached_gives_its_places_back() {
        let now = Instant::now();
        let mut slots = Slots::new(now);
        let relays = relays(&mut slots, 1);
        slots.out_of_reach();
        slots.asked(relays[0], 1);
        assert!(slots.give_back(false).is_empty());
        assert_eq!(slots.give_back(true), [1]);
        assert_eq!(slots.ended(1, now), None);
        assert_eq!(slots.due(false, now), [], "the finding does not count any more");
    }
}
