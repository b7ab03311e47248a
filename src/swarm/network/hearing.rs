//! What other nodes say, and what is done with it: judged once, kept if it is news, passed on if it is good.

use bzzz_actors::ports::swarm::{Heard, Said};
use libp2p::PeerId;
use libp2p::gossipsub::{Message, MessageAcceptance, MessageId};
use tokio::time::Instant;
use tracing::{debug, error, warn};

use super::super::board::{Taken, Way};
use super::super::envelope::{self, Fault, Letter, Place};
use super::super::gossip::COORDINATION;
use super::super::names;
use super::super::standing::Offence;
use super::{Network, Topic};
use crate::wall_clock::now_ms;

/// A clock that is off by more is said. It decides nothing.
const MAX_SKEW_MS: u64 = 60_000;

/// What became of a message that somebody brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    News,
    Known,
    /// Good, but not for this node now.
    NotNow,
    Bad(Fault),
}

impl Network {
    pub(super) fn on_gossip(&mut self, from: PeerId, id: &MessageId, message: &Message) {
        let acceptance = match self.hear_gossip(from, &message.data) {
            Outcome::News => MessageAcceptance::Accept,
            Outcome::Known | Outcome::NotNow => MessageAcceptance::Ignore,
            Outcome::Bad(fault) if fault.is_honest() => MessageAcceptance::Ignore,
            Outcome::Bad(fault) => {
                debug!(peer = %from, %fault, "a bad message");
                self.offend(from, Offence::BadMessage, "it passes on messages that are none");
                MessageAcceptance::Reject
            }
        };
        self.swarm.behaviour_mut().gossip.report_message_validation_result(id, &from, acceptance);
    }

    fn hear_gossip(&mut self, from: PeerId, bytes: &[u8]) -> Outcome {
        let now = Instant::now();
        if !self.peer_rates.allows(&from, now) {
            if !self.peer_floods.allows(&from, now) {
                self.offend(from, Offence::Flood, "it passes on more than a swarm says");
            }
            return Outcome::NotNow;
        }
        let letter = match self.read(bytes) {
            Ok(letter) => letter,
            Err(fault) => return Outcome::Bad(fault),
        };
        if !self.author_rates.allows(&letter.author, now) {
            if names::peer(&letter.author) == Some(from) && !self.author_floods.allows(&from, now) {
                self.offend(from, Offence::Flood, "it says more than a node has to say");
            }
            return Outcome::NotNow;
        }
        self.look_at_clock(&letter);
        self.hear(letter, Way::Gossip)
    }

    pub(super) fn read(&self, bytes: &[u8]) -> Result<Letter, Fault> {
        let place = Place { swarm: &self.options.name, topic: COORDINATION };
        envelope::open(bytes, place, names::SIGNATURES)
    }

    pub(super) fn hear(&mut self, letter: Letter, way: Way) -> Outcome {
        if letter.author == self.own.me {
            self.look_at_own(&letter);
            return Outcome::Known;
        }
        let now = Instant::now();
        let Some(author) = names::peer(&letter.author) else { return Outcome::NotNow };
        let may_speak = self.swarm.behaviour().admission.may_speak(&author);
        if !may_speak || self.standings.is_shut_out(&author, now) {
            return Outcome::NotNow;
        }
        // Somebody is here to whom there is no way yet; the peers know one.
        self.has_new_peers |= !self.links.contains_key(&author) && !self.board.knows(&letter.author);
        match self.board.take(&letter, way, now) {
            Taken::New => {
                let bytes = letter.bytes.len();
                self.outlet.push(Heard::Said { author: letter.author, said: letter.said }, bytes);
                Outcome::News
            }
            Taken::Old | Taken::Expired => Outcome::Known,
        }
    }

    /// Another machine with this node's key signs what this one did not. What an earlier life said of its audit trail is for
    /// the node to remember.
    fn look_at_own(&mut self, letter: &Letter) {
        let is_foreign =
            letter.boot > self.own.boot || letter.boot == self.own.boot && letter.seq > self.own.seq();
        if is_foreign && self.is_first_time(Topic::Twin, self.me) {
            error!(
                peer = %self.me,
                "another node speaks with this node's key: the two don't see each other, and others hear only one; remove \
                 the file swarm/identity of a data folder that was copied"
            );
        }
        if let Said::AuditHead(head) = letter.said
            && (is_foreign || letter.boot != self.own.boot)
        {
            self.outlet.push(Heard::OwnHead { head }, letter.bytes.len());
        }
    }

    fn look_at_clock(&mut self, letter: &Letter) {
        let skew_ms = now_ms().abs_diff(letter.at_ms);
        let author = names::peer(&letter.author);
        if skew_ms > MAX_SKEW_MS && author.is_some_and(|author| self.is_first_time(Topic::Skew, author)) {
            let skew_s = skew_ms / 1000;
            warn!(author = %letter.author, skew_s, "this node's clock and a peer's differ; nothing depends on it");
        }
    }
}
