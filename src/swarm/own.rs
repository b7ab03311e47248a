//! What this node said, as long as it stands: signed, and said again before others forget it.

use std::collections::{BTreeMap, BTreeSet};

use bzzz_actors::ports::swarm::{PeerId, Said};
use libp2p::identity::Keypair;
use tokio::time::{Duration, Instant};

use super::envelope::{self, Letter, Place, Stamp};
use super::gossip::COORDINATION;
use crate::wall_clock::now_ms;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A second. Fewer than others take from one author in that time.
const UNSENT_AT_ONCE: usize = 10;

pub(super) struct Own {
    key: Keypair,
    swarm: String,
    pub(super) me: PeerId,
    pub(super) boot: u64,
    seq: u64,
    standing: BTreeMap<String, (Said, Instant)>,
    /// Keys whose last message found nobody who listens.
    unsent: BTreeSet<String>,
}

impl Own {
    pub(super) fn new(key: Keypair, swarm: String, me: PeerId, boot: u64) -> Self {
        Self { key, swarm, me, boot, seq: 0, standing: BTreeMap::new(), unsent: BTreeSet::new() }
    }

    /// `None` when it is longer than anybody reads.
    pub(super) fn seal(&mut self, said: Said, now: Instant) -> Option<Letter> {
        let stamp = Stamp {
            boot: self.boot,
            seq: self.seq + 1,
            at_ms: now_ms(),
            ttl_s: u32::try_from(ttl(&said).as_secs()).unwrap_or(u32::MAX),
        };
        let place = Place { swarm: &self.swarm, topic: COORDINATION };
        let letter = envelope::seal(place, &self.me, stamp, &said, |bytes| self.key.sign(bytes).ok())?;
        self.seq += 1;
        match stands(&said) {
            true => drop(self.standing.insert(said.key(), (said, now))),
            false => drop(self.standing.remove(&said.key())),
        }
        Some(letter)
    }

    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// What others would soon forget although it still holds.
    pub(super) fn to_repeat(&self, now: Instant) -> Vec<Said> {
        let is_old = |said: &Said, at: Instant| now.saturating_duration_since(at) >= ttl(said) / 2;
        let old = self.standing.values().filter(|(said, at)| is_old(said, *at));
        old.map(|(said, _)| said.clone()).collect()
    }

    pub(super) fn unsent(&mut self, key: String) {
        self.unsent.insert(key);
    }

    /// Some of them: others take a node that says all at once for one that floods.
    pub(super) fn take_unsent(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.unsent.pop_first()).take(UNSENT_AT_ONCE).collect()
    }
}

/// How long it is told to those that come later. What is said at intervals outlives several of them.
fn ttl(said: &Said) -> Duration {
    match said {
        Said::Availability(_) => 31 * MINUTE,
        Said::Progress(_) => 30 * MINUTE,
        Said::Task(_) => 2 * HOUR,
        Said::TasksSeen(_) => DAY,
        Said::Capabilities(_) | Said::AuditHead(_) | Said::Contradiction(_) => DAY,
    }
}

/// Whether it holds until something else is said.
fn stands(said: &Said) -> bool {
    match said {
        Said::Capabilities(_) | Said::AuditHead(_) | Said::Contradiction(_) => true,
        Said::Availability(_) | Said::Progress(_) | Said::Task(_) | Said::TasksSeen(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use bzzz_actors::ports::swarm::{Availability, Capabilities};

    use super::super::names;
    use super::*;

    #[test]
    fn what_stands_is_repeated_before_it_is_forgotten() {
        let key = Keypair::generate_ed25519();
        let me = names::name(&key.public().to_peer_id()).unwrap();
        let mut own = Own::new(key, "s".to_owned(), me, 7);
        let now = Instant::now();
        let capabilities = Said::Capabilities(Capabilities {
            node: "bee".parse().unwrap(),
            version: "0.1.0".to_owned(),
            labels: vec![],
            languages: vec![],
            models: vec![],
            max_tasks: 2,
            repositories: vec![],
        });
        let first = own.seal(capabilities.clone(), now).unwrap();
        let second = own.seal(Said::Availability(Availability::default()), now).unwrap();
        assert_eq!((first.boot, first.seq, second.seq), (7, 1, 2));
        let place = Place { swarm: "s", topic: COORDINATION };
        assert_eq!(envelope::open(&first.bytes, place, names::SIGNATURES), Ok(first));
        assert_eq!(own.to_repeat(now + HOUR), []);
        assert_eq!(own.to_repeat(now + DAY / 2), [capabilities]);
    }
}
