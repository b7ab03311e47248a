//! Whom this node tries to reach, where, and when. Pure: time and chance are handed in.
//!
//! Of two nodes that learn of each other the one with the lower id dials; the other waits a moment, for nodes that see
//! each other in one direction only. Who can't be reached is tried again after a time that doubles.

use std::collections::HashMap;

use libp2p::PeerId;
use libp2p::multiaddr::Multiaddr;
use tokio::time::{Duration, Instant};

use super::addresses::{Bootstrap, is_dialable, without_peer};

/// Peers that are known. Of more, new ones are not learnt: those that are named and met stay.
const MAX_PEERS: usize = 1024;
/// Of one peer. A new one takes the place of the oldest.
const MAX_ADDRESSES: usize = 8;
/// Time that the node with the higher id gives the other to dial. Longer: one that the other does not hear of is found as much
/// later. Shorter: both dial, and one of the two connections was for nothing.
const HIGHER_WAITS: Duration = Duration::from_millis(250);
/// The longest time between two attempts. A node that is back is found within it, if it does not dial itself.
const MAX_PAUSE: Duration = Duration::from_secs(5 * 60);
/// For those that are named in the settings: they are the way to all others.
const MAX_PAUSE_NAMED: Duration = Duration::from_secs(30);
/// A connection that ends sooner was as good as none: who takes and drops them is not dialled ever again at once.
const SHORT: Duration = Duration::from_secs(10);
/// Attempts at one that was never met and is not named. It is learnt anew when somebody speaks of it.
const MAX_ATTEMPTS: u32 = 6;

/// Whether a peer stands in the settings.
pub(super) type IsNamed = bool;

#[derive(Debug, Clone)]
struct Known {
    addresses: Vec<Multiaddr>,
    is_named: bool,
    was_met: bool,
    /// mDNS says that it is there.
    is_near: bool,
    failures: u32,
    next: Instant,
}

#[derive(Debug)]
pub(super) struct Dialer {
    me: PeerId,
    redial: Duration,
    peers: HashMap<PeerId, Known>,
}

impl Dialer {
    pub(super) fn new(me: PeerId, named: &[Bootstrap], redial: Duration, now: Instant) -> Self {
        let mut dialer = Self { me, redial, peers: HashMap::new() };
        for Bootstrap { peer, address } in named {
            dialer.learn(*peer, address.clone(), now);
            if let Some(known) = dialer.peers.get_mut(peer) {
                known.is_named = true;
                // It may not know of this node at all.
                known.next = now;
            }
        }
        dialer
    }

    /// Somebody says that the peer is there.
    pub(super) fn learn(&mut self, peer: PeerId, address: Multiaddr, now: Instant) {
        let address = without_peer(address);
        if peer == self.me || !is_dialable(&address) {
            return;
        }
        if !self.peers.contains_key(&peer) && self.peers.len() >= MAX_PEERS && !self.make_room() {
            return;
        }
        let next = if self.me < peer { now } else { now + HIGHER_WAITS };
        let known = self.peers.entry(peer).or_insert(Known {
            addresses: Vec::new(),
            is_named: false,
            was_met: false,
            is_near: false,
            failures: 0,
            next,
        });
        if !known.addresses.contains(&address) {
            // A new address is a reason to try sooner.
            known.next = known.next.min(next.max(now));
            if known.addresses.len() == MAX_ADDRESSES {
                known.addresses.remove(0);
            }
            known.addresses.push(address);
        }
    }

    /// Lets go of one that could not be reached so far, if there is one.
    fn make_room(&mut self) -> bool {
        let may_go = |known: &Known| !known.is_named && !known.was_met && known.failures > 0;
        let others = self.peers.iter().filter(|(_, known)| may_go(known));
        let worst = others.max_by_key(|(_, known)| known.failures).map(|(peer, _)| *peer);
        worst.is_some_and(|peer| self.peers.remove(&peer).is_some())
    }

    pub(super) fn see_near(&mut self, peer: &PeerId, is_near: bool) {
        if let Some(known) = self.peers.get_mut(peer) {
            known.is_near = is_near;
        }
    }

    pub(super) fn is_named(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|known| known.is_named)
    }

    /// It was there in an earlier life of this node.
    pub(super) fn remember(&mut self, peer: PeerId, address: Multiaddr, now: Instant) {
        self.learn(peer, address, now);
        if let Some(known) = self.peers.get_mut(&peer) {
            known.was_met = true;
        }
    }

    pub(super) fn connected(&mut self, peer: &PeerId) {
        if let Some(known) = self.peers.get_mut(peer) {
            known.was_met = true;
        }
    }

    /// The connection that there was `lasted` for so long. `chance` is between 0 and 1: nodes that lost each other must
    /// not meet in the same moment for ever.
    pub(super) fn lost(&mut self, peer: &PeerId, lasted: Duration, chance: f64, now: Instant) {
        if lasted < SHORT {
            return self.failed(peer, chance, now);
        }
        let wait = if self.me < *peer { Duration::ZERO } else { HIGHER_WAITS };
        if let Some(known) = self.peers.get_mut(peer) {
            known.failures = 0;
            known.next = now + self.redial.mul_f64(0.5 + chance) + wait;
        }
    }

    pub(super) fn failed(&mut self, peer: &PeerId, chance: f64, now: Instant) {
        let redial = self.redial;
        let Some(known) = self.peers.get_mut(peer) else { return };
        known.failures += 1;
        if known.failures >= MAX_ATTEMPTS && !known.is_named && !known.was_met && !known.is_near {
            self.peers.remove(peer);
            return;
        }
        let longest = if known.is_named { MAX_PAUSE_NAMED } else { MAX_PAUSE };
        let pause = redial.saturating_mul(1 << known.failures.min(20)).min(longest);
        known.next = now + pause.mul_f64(0.5 + chance / 2.0);
    }

    /// It is no node of this swarm.
    pub(super) fn forget(&mut self, peer: &PeerId) {
        if self.peers.get(peer).is_some_and(|known| !known.is_named) {
            self.peers.remove(peer);
        }
    }

    /// Whom to dial now. They are not due again before it is known what came of it, or much later.
    pub(super) fn due(
        &mut self,
        now: Instant,
        room: usize,
        is_wanted: impl Fn(&PeerId, IsNamed) -> bool,
    ) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let mut due: Vec<(&PeerId, &mut Known)> = self
            .peers
            .iter_mut()
            .filter(|(peer, known)| known.next <= now && is_wanted(peer, known.is_named))
            .collect();
        due.sort_by_key(|(peer, known)| (!known.is_named, known.next, **peer));
        due.into_iter()
            .take(room)
            .map(|(peer, known)| {
                known.next = now + MAX_PAUSE_NAMED;
                (*peer, known.addresses.clone())
            })
            .collect()
    }

    pub(super) fn next_due(&self, is_wanted: impl Fn(&PeerId, IsNamed) -> bool) -> Option<Instant> {
        let wanted = self.peers.iter().filter(|(peer, known)| is_wanted(peer, known.is_named));
        wanted.map(|(_, known)| known.next).min()
    }

    pub(super) fn addresses(&self, peer: &PeerId) -> Vec<Multiaddr> {
        self.peers.get(peer).map(|known| known.addresses.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (PeerId, PeerId) {
        let (a, b) = (PeerId::random(), PeerId::random());
        (a.min(b), a.max(b))
    }

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap()
    }

    const REDIAL: Duration = Duration::from_millis(500);

    #[test]
    fn the_lower_dials_at_once_and_the_higher_if_the_other_does_not() {
        let (low, high) = pair();
        let now = Instant::now();
        let mut lower = Dialer::new(low, &[], REDIAL, now);
        lower.learn(high, address(1), now);
        assert_eq!(lower.due(now, 9, |_, _| true), [(high, vec![address(1)])]);
        assert_eq!(lower.due(now, 9, |_, _| true), [], "not twice");
        let mut higher = Dialer::new(high, &[], REDIAL, now);
        higher.learn(low, address(1), now);
        assert_eq!(higher.due(now, 9, |_, _| true), []);
        assert_eq!(higher.next_due(|_, _| true), Some(now + HIGHER_WAITS));
        assert_eq!(higher.due(now + HIGHER_WAITS, 9, |_, _| false), [], "it is connected meanwhile");
        assert_eq!(higher.due(now + HIGHER_WAITS, 9, |_, _| true), [(low, vec![address(1)])]);
    }

    #[test]
    fn the_named_come_first_and_are_never_given_up() {
        let (low, high) = pair();
        let now = Instant::now();
        let named = [Bootstrap { peer: low, address: address(1) }];
        let mut dialer = Dialer::new(high, &named, REDIAL, now);
        let other = PeerId::random();
        dialer.remember(other, address(2), now);
        dialer.learn(PeerId::random(), address(3), now);
        let mut now = now + HIGHER_WAITS;
        assert_eq!(dialer.due(now, 1, |_, _| true), [(low, vec![address(1)])]);
        for _ in 0..50 {
            now += MAX_PAUSE;
            for (peer, _) in dialer.due(now, 9, |_, _| true) {
                dialer.failed(&peer, 0.5, now);
            }
        }
        assert_eq!(dialer.peers.len(), 2, "one that was never met is given up");
        dialer.failed(&low, 1.0, now);
        assert!(dialer.next_due(|peer, _| *peer == low).unwrap() <= now + MAX_PAUSE_NAMED);
        dialer.forget(&low);
        dialer.forget(&other);
        assert_eq!(dialer.peers.keys().copied().collect::<Vec<_>>(), [low]);
    }

    #[test]
    fn what_is_learnt_is_bounded_and_of_use() {
        let (low, high) = pair();
        let now = Instant::now();
        let mut dialer = Dialer::new(low, &[], REDIAL, now);
        dialer.learn(low, address(1), now);
        dialer.learn(high, "/ip4/0.0.0.0/tcp/1".parse().unwrap(), now);
        assert!(dialer.peers.is_empty());
        for port in 1..100 {
            dialer.learn(high, address(port), now);
        }
        assert_eq!(dialer.addresses(&high).len(), MAX_ADDRESSES);
        for _ in 0..2 * MAX_PEERS {
            dialer.learn(PeerId::random(), address(1), now);
        }
        assert_eq!(dialer.peers.len(), MAX_PEERS);
    }

    #[test]
    fn one_that_mdns_says_is_there_is_not_given_up_and_makes_no_others_unknown() {
        let (low, high) = pair();
        let now = Instant::now();
        let mut dialer = Dialer::new(low, &[], REDIAL, now);
        dialer.learn(high, address(1), now);
        dialer.see_near(&high, true);
        for _ in 0..2 * MAX_ATTEMPTS {
            dialer.failed(&high, 0.5, now);
        }
        assert!(dialer.next_due(|_, _| true).unwrap() <= now + MAX_PAUSE);
        for _ in 0..MAX_PEERS {
            dialer.learn(PeerId::random(), address(1), now);
        }
        assert_eq!(dialer.peers.len(), MAX_PEERS);
        assert!(!dialer.peers.contains_key(&high), "it made room, since it never could be reached");

        let mut dialer = Dialer::new(low, &[], REDIAL, now);
        dialer.learn(high, address(1), now);
        for _ in 0..MAX_ATTEMPTS {
            dialer.failed(&high, 0.5, now);
        }
        assert_eq!(dialer.next_due(|_, _| true), None);
    }
}
