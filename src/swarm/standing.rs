//! What peers did that honest ones don't, and who is not spoken with for a while.
//!
//! Pure: time is handed in. Points fade; at [`TOO_MANY`] the peer is shut out, by whatever it got them.

use std::collections::HashMap;

use libp2p::PeerId;
use tokio::time::{Duration, Instant};

/// So many points shut a peer out.
const TOO_MANY: f64 = 100.0;
/// All points are gone after as long.
const FADE: Duration = Duration::from_secs(10 * 60);
/// How long one is shut out. A node with a fault that is mended is back after it.
pub(super) const SHUT_OUT: Duration = Duration::from_secs(10 * 60);
/// Peers that are remembered for what they did. Of more, those with the fewest points are forgotten.
const MAX_PEERS: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offence {
    /// Another node found out that what it said is not so.
    Blamed,
    /// It passed on what no honest node passes on.
    BadMessage,
    /// Its part in an exchange was rubbish, or more than was asked for.
    BadExchange,
    /// It did not answer.
    NoAnswer,
    /// It said or asked more than it may.
    Flood,
}

impl Offence {
    fn points(self) -> f64 {
        match self {
            // Four times within a few minutes.
            Self::Blamed => 30.0,
            // Three times is no accident: honest nodes look at what they pass on.
            Self::BadExchange | Self::BadMessage => 40.0,
            // A slow node is no enemy: three of them a minute would not shut it out.
            Self::NoAnswer => 2.0,
            Self::Flood => 1.0,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Standing {
    points: f64,
    at: Instant,
    shut_out_until: Option<Instant>,
}

#[derive(Debug, Default)]
pub(super) struct Standings {
    peers: HashMap<PeerId, Standing>,
}

/// What follows from an offence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Verdict {
    /// For the peer's score in gossip.
    pub(super) score: f64,
    /// It is shut out from now on, and was not before.
    pub(super) is_shut_out: bool,
}

impl Standings {
    pub(super) fn count(&mut self, peer: PeerId, offence: Offence, now: Instant) -> Verdict {
        self.make_room(&peer, now);
        let standing =
            self.peers.entry(peer).or_insert(Standing { points: 0.0, at: now, shut_out_until: None });
        let points = faded(standing, now) + offence.points();
        let was_shut_out = standing.shut_out_until.is_some_and(|until| until > now);
        let is_shut_out = points >= TOO_MANY && !was_shut_out;
        *standing = Standing {
            points: points.min(TOO_MANY),
            at: now,
            shut_out_until: if is_shut_out { Some(now + SHUT_OUT) } else { standing.shut_out_until },
        };
        Verdict { score: -points.min(TOO_MANY), is_shut_out }
    }

    pub(super) fn is_shut_out(&self, peer: &PeerId, now: Instant) -> bool {
        self.peers.get(peer).and_then(|it| it.shut_out_until).is_some_and(|until| until > now)
    }

    /// The scores of those that did something, as they are now.
    pub(super) fn scores(&mut self, now: Instant) -> Vec<(PeerId, f64)> {
        self.peers.retain(|_, it| faded(it, now) > 0.0 || it.shut_out_until.is_some_and(|until| until > now));
        self.peers.iter().map(|(peer, it)| (*peer, -faded(it, now))).collect()
    }

    fn make_room(&mut self, peer: &PeerId, now: Instant) {
        if self.peers.len() >= MAX_PEERS && !self.peers.contains_key(peer) {
            let by_points = |a: &Standing, b: &Standing| faded(a, now).total_cmp(&faded(b, now));
            let least = self.peers.iter().min_by(|a, b| by_points(a.1, b.1)).map(|(peer, _)| *peer);
            self.peers.retain(|peer, _| Some(*peer) != least);
        }
    }
}

fn faded(standing: &Standing, now: Instant) -> f64 {
    let passed = now.saturating_duration_since(standing.at).as_secs_f64() / FADE.as_secs_f64();
    (standing.points - TOO_MANY * passed).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_goes_on_is_shut_out_for_a_while() {
        let (mut standings, peer, now) = (Standings::default(), PeerId::random(), Instant::now());
        for _ in 0..3 {
            assert!(!standings.count(peer, Offence::Blamed, now).is_shut_out);
        }
        assert!(!standings.is_shut_out(&peer, now));
        assert_eq!(standings.count(peer, Offence::Blamed, now), Verdict { score: -100.0, is_shut_out: true });
        assert!(!standings.count(peer, Offence::Blamed, now).is_shut_out, "it is already");
        assert!(standings.is_shut_out(&peer, now));
        assert!(!standings.is_shut_out(&peer, now + SHUT_OUT));
        assert!(!standings.is_shut_out(&PeerId::random(), now));
    }

    #[test]
    fn points_fade() {
        let (mut standings, peer, now) = (Standings::default(), PeerId::random(), Instant::now());
        for minute in 0..60 {
            let now = now + Duration::from_secs(60 * minute);
            assert!(!standings.count(peer, Offence::NoAnswer, now).is_shut_out);
        }
        assert_eq!(standings.scores(now + 7 * FADE), []);
    }

    #[test]
    fn nobody_fills_the_list() {
        let (mut standings, peer, now) = (Standings::default(), PeerId::random(), Instant::now());
        for _ in 0..4 {
            standings.count(peer, Offence::Blamed, now);
        }
        for _ in 0..MAX_PEERS + 10 {
            standings.count(PeerId::random(), Offence::Flood, now);
        }
        assert!(standings.peers.len() <= MAX_PEERS);
        assert!(standings.is_shut_out(&peer, now));
    }
}
