//! Rendezvous hashing: who comes first for something, so that all who know the same nodes name the same one without
//! asking, and the going of one node moves only what was its.

use crate::ports::swarm::PeerId;

/// Bits of the hash that are used: as many as a float holds exactly.
const BITS: u32 = 53;

/// The higher, the earlier. Of nodes with a weight of 2 and of 1 the former comes first two times of three.
pub(crate) fn score(thing: &str, peer: &PeerId, weight: f64) -> f64 {
    if weight <= 0.0 {
        return 0.0;
    }
    weight / -chance(thing, peer).ln()
}

/// A number between 0 and 1, both left out, that is the same on all nodes.
pub(crate) fn chance(thing: &str, peer: &PeerId) -> f64 {
    let mut hasher = blake3::Hasher::new();
    // A peer's id has no spaces.
    hasher.update(peer.as_str().as_bytes()).update(b" ").update(thing.as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    let number = u64::from_le_bytes(bytes) >> (u64::BITS - BITS);
    #[allow(clippy::cast_precision_loss, reason = "it has no more bits than a float holds")]
    let number = number as f64;
    (number + 0.5) / 2f64.powi(BITS.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u32) -> PeerId {
        format!("peer{number}").parse().unwrap()
    }

    fn first(thing: &str, peers: &[(PeerId, f64)]) -> PeerId {
        let scored = peers.iter().map(|(peer, weight)| (score(thing, peer, *weight), peer));
        scored.max_by(|one, other| one.0.total_cmp(&other.0)).unwrap().1.clone()
    }

    #[test]
    fn each_has_its_share_by_weight() {
        let peers = [(peer(1), 1.0), (peer(2), 1.0), (peer(3), 2.0), (peer(4), 0.0)];
        let firsts: Vec<PeerId> = (0..4000).map(|number| first(&format!("a/b#{number}"), &peers)).collect();
        let share = |of: u32| firsts.iter().filter(|it| **it == peer(of)).count();
        assert!((900..1100).contains(&share(1)), "{}", share(1));
        assert!((900..1100).contains(&share(2)), "{}", share(2));
        assert!((1850..2150).contains(&share(3)), "{}", share(3));
        assert_eq!(share(4), 0);
    }

    #[test]
    fn who_goes_takes_nothing_of_the_others_along() {
        let all: Vec<(PeerId, f64)> = (0..10).map(|number| (peer(number), 1.0)).collect();
        for number in 0..500 {
            let thing = format!("a/b#{number}");
            let before = first(&thing, &all);
            if before != peer(9) {
                assert_eq!(first(&thing, &all[..9]), before);
            }
        }
    }
}
