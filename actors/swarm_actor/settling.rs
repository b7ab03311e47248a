//! When enough is known of the others that claims may begin: pure, on the monotonic clock. A node that begins earlier
//! races for tasks that others have already.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::ports::swarm::PeerId;

/// With the state of so many peers a node knows what the swarm knows: one alone may have been cut off itself.
const ENOUGH_PEERS: usize = 2;
/// More peers may be about to come, and to say who they are. Shorter: nodes that start together race.
const QUIET_FOR: Duration = Duration::from_secs(1);
/// A node that finds fewer, or that has no quiet, begins after this time. Shorter: it races with peers that it would have
/// found. Longer: a lone node with a swarm configured stands idle at each start.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Settling {
    synced: BTreeSet<PeerId>,
    last_synced: Instant,
    until: Instant,
    is_settled: bool,
}

impl Settling {
    pub(super) fn new(is_settled: bool, now: Instant) -> Self {
        Self { synced: BTreeSet::new(), last_synced: now, until: now + LONGEST_WAIT, is_settled }
    }

    /// Nobody is there to wait for.
    pub(super) fn give_up(&mut self) {
        self.is_settled = true;
    }

    pub(super) fn synced(&mut self, with: PeerId, now: Instant) {
        if !self.is_settled && self.synced.insert(with) {
            self.last_synced = now;
        }
    }

    /// `all_are_known`: those that are there have said who they are. Once it has been said, it stays so.
    pub(super) fn is_settled(&mut self, all_are_known: bool, now: Instant) -> bool {
        let is_quiet = now >= self.last_synced + QUIET_FOR;
        let is_enough = self.synced.len() >= ENOUGH_PEERS && is_quiet && all_are_known;
        self.is_settled |= is_enough || now >= self.until;
        self.is_settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_peers_and_quiet_or_ten_seconds() {
        let start = Instant::now();
        let after = |ms: u64| start + Duration::from_millis(ms);
        let peer = |name: &str| name.parse::<PeerId>().unwrap();
        let mut settling = Settling::new(false, start);
        settling.synced(peer("a"), after(100));
        settling.synced(peer("a"), after(200));
        assert!(!settling.is_settled(true, after(9000)), "one is not enough");
        settling.synced(peer("b"), after(9100));
        assert!(!settling.is_settled(true, after(9500)), "more may come");
        settling.synced(peer("b"), after(9950));
        assert!(!settling.is_settled(true, after(9999)), "the quiet has not lasted");
        let mut settling = Settling::new(false, start);
        ["a", "b"].into_iter().for_each(|name| settling.synced(peer(name), after(100)));
        assert!(!settling.is_settled(false, after(1100)), "somebody is a stranger yet");
        assert!(settling.is_settled(true, after(1100)));
        let mut alone = Settling::new(false, start);
        assert!(!alone.is_settled(true, after(9999)));
        assert!(alone.is_settled(false, after(10_000)));
        assert!(alone.is_settled(false, start), "it stays so");
    }
}
