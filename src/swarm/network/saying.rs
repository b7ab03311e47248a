//! What this node says.

use bzzz_actors::ports::swarm::{Said, SwarmError};
use libp2p::gossipsub::PublishError;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::super::board::Way;
use super::super::envelope::Letter;
use super::super::gossip;
use super::Network;

impl Network {
    pub(super) fn say(&mut self, said: Said) -> Result<(), SwarmError> {
        let now = Instant::now();
        let key = said.key();
        let Some(letter) = self.own.seal(said, now) else {
            warn!(key, "not said: it is longer than other nodes read");
            return Err(SwarmError::Unavailable(format!("{key:?} is longer than other nodes read")));
        };
        self.board.take(&letter, Way::Gossip, now);
        self.publish(letter);
        match self.links.values().any(|link| link.is_known) {
            true => Ok(()),
            false => Err(SwarmError::Alone),
        }
    }

    fn publish(&mut self, letter: Letter) {
        let key = letter.said.key();
        match self.swarm.behaviour_mut().gossip.publish(gossip::topic(), letter.bytes) {
            Ok(_) | Err(PublishError::Duplicate) => {}
            // Nobody listens yet, or nobody can take it: it is on the board, and is tried again.
            Err(PublishError::NoPeersSubscribedToTopic | PublishError::AllQueuesFull(_)) => {
                self.own.unsent(key)
            }
            Err(problem) => warn!(%problem, key, "not said"),
        }
    }

    /// What found nobody, as soon as there may be somebody, in portions.
    pub(super) fn send_unsent(&mut self) {
        if self.links.is_empty() {
            return;
        }
        for key in self.own.take_unsent() {
            let Some(bytes) = self.board.entry(&self.own.me, &key) else { continue };
            match self.swarm.behaviour_mut().gossip.publish(gossip::topic(), bytes) {
                Ok(_) | Err(PublishError::Duplicate) => debug!(key, "said what had found nobody"),
                Err(_) => self.own.unsent(key),
            }
        }
    }

    /// Others forget what is not said again.
    pub(super) fn repeat(&mut self, now: Instant) {
        for said in self.own.to_repeat(now) {
            // Being alone is no reason to stop.
            let _ = self.say(said);
        }
    }
}
