//! Exchanges of state with other nodes, as asked and as asking.

use bzzz_actors::ports::swarm::{Heard, PeerId as Name};
use libp2p::PeerId;
use libp2p::request_response::{
    Event, InboundRequestId, Message, OutboundFailure, OutboundRequestId, ResponseChannel,
};
use std::io::ErrorKind;
use tokio::time::Instant;
use tracing::{debug, info};

use super::super::board::Way;
use super::super::exchange::{self, Asked, Request, Response};
use super::super::names;
use super::super::standing::Offence;
use super::hearing::Outcome;
use super::{Network, chance};

impl Network {
    pub(super) fn on_exchange(&mut self, event: Event<Request, Response>) {
        match event {
            Event::Message { peer, message: Message::Request { request, channel, request_id }, .. } => {
                self.answer(peer, request, channel, request_id);
            }
            Event::Message { peer, message: Message::Response { request_id, response }, .. } => {
                self.on_answer(peer, request_id, &response);
            }
            Event::OutboundFailure { peer, request_id, error, .. } => {
                self.on_no_answer(peer, request_id, &error)
            }
            Event::InboundFailure { peer, error, .. } => {
                debug!(%peer, %error, "an exchange that a peer asked for failed")
            }
            Event::ResponseSent { .. } => {}
        }
    }

    /// With a random peer, for what gossip lost.
    pub(super) fn exchange_at_intervals(&mut self, now: Instant) {
        if now < self.next_exchange {
            return;
        }
        self.next_exchange = now + self.options.pace.exchange.mul_f64(2.0 / 3.0 + chance() * 2.0 / 3.0);
        let mut known: Vec<PeerId> =
            self.links.iter().filter(|(_, link)| link.is_known).map(|(peer, _)| *peer).collect();
        known.sort_unstable();
        let at = (chance() * known.len() as f64) as usize;
        if let Some(peer) = known.get(at.min(known.len().saturating_sub(1))).copied() {
            self.ask(peer);
        }
    }

    /// Asks a peer for what this node has not.
    pub(super) fn ask(&mut self, peer: PeerId) {
        match self.links.get_mut(&peer) {
            Some(link) if link.is_known && !link.is_asked => link.is_asked = true,
            _ => return,
        }
        self.ask_for_part(peer, exchange::asked_first());
    }

    fn ask_for_part(&mut self, peer: PeerId, asked: Asked) {
        let mut request = exchange::request(&self.options.name, &self.board, asked.after.clone());
        // The first time it is told what it said itself in an earlier life, as long as the peer remembers that.
        if self.links.get(&peer).is_some_and(|link| !link.is_synced) {
            request.heads.retain(|head| head.author != self.own.me);
        }
        let id = self.swarm.behaviour_mut().exchange.send_request(&peer, request);
        self.asked.insert(id, (peer, asked));
    }

    fn answer(
        &mut self,
        peer: PeerId,
        request: Request,
        channel: ResponseChannel<Response>,
        _: InboundRequestId,
    ) {
        let now = Instant::now();
        if !self.ask_rates.allows(&peer, now) {
            self.offend(peer, Offence::Flood, "it asks for state again and again");
            return;
        }
        let name = names::name(&peer);
        let asks_of_itself = |asks: &Name| !request.heads.iter().any(|head| head.author == *asks);
        let reminded = name.filter(|asks| request.after.is_none() && asks_of_itself(asks));
        // Without an answer the peer's own time-out ends it.
        if let Some(mut response) = exchange::answer(&self.options.name, &self.board, request, now) {
            if let Some(asks) = reminded {
                exchange::remind(&mut response, &self.board, &asks, now);
            }
            let _ = self.swarm.behaviour_mut().exchange.send_response(channel, response);
        }
    }

    fn on_answer(&mut self, peer: PeerId, id: OutboundRequestId, response: &Response) {
        let Some((_, mut asked)) = self.asked.remove(&id) else { return };
        if !exchange::is_sound(response, asked.after.as_ref()) {
            return self.give_up(
                peer,
                Offence::BadExchange,
                "its answer in an exchange of state keeps no rule",
            );
        }
        for kept in &response.entries {
            match self.read(&kept.envelope).map(|letter| self.hear(letter, Way::Exchange { age: kept.age() }))
            {
                Ok(Outcome::News) => asked.news += 1,
                Ok(_) => {}
                Err(fault) if fault.is_honest() => {}
                Err(_) => return self.give_up(peer, Offence::BadExchange, "it keeps messages that are none"),
            }
        }
        match &response.next {
            Some(next) if asked.parts < exchange::MAX_PARTS => {
                asked.after = Some(next.clone());
                asked.parts += 1;
                self.ask_for_part(peer, asked);
            }
            _ => self.end_exchange(peer, asked.news),
        }
    }

    fn end_exchange(&mut self, peer: PeerId, news: usize) {
        let Some(link) = self.links.get_mut(&peer) else { return };
        link.is_asked = false;
        let was_synced = std::mem::replace(&mut link.is_synced, true);
        match (was_synced, news) {
            (_, 0) => {}
            (false, _) => debug!(%peer, news, "brought in what a peer has"),
            (true, _) => info!(%peer, news, "brought in messages that gossip had lost"),
        }
        if let Some(with) = names::name(&peer) {
            self.outlet.push(Heard::Synced { with }, 0);
        }
    }

    fn give_up(&mut self, peer: PeerId, offence: Offence, what: &str) {
        if let Some(link) = self.links.get_mut(&peer) {
            link.is_asked = false;
        }
        self.offend(peer, offence, what);
    }

    fn on_no_answer(&mut self, peer: PeerId, id: OutboundRequestId, failure: &OutboundFailure) {
        self.asked.remove(&id);
        debug!(%peer, %failure, "an exchange of state failed");
        match failure {
            OutboundFailure::Timeout => self.give_up(peer, Offence::NoAnswer, "it does not answer"),
            // Cut off in the middle, perhaps by a lost connection.
            OutboundFailure::Io(problem) if problem.kind() == ErrorKind::UnexpectedEof => {
                self.give_up(peer, Offence::NoAnswer, "it does not answer to the end");
            }
            OutboundFailure::Io(problem) if is_rubbish(problem.kind()) => {
                self.give_up(peer, Offence::BadExchange, "its answer in an exchange of state can't be read");
            }
            OutboundFailure::UnsupportedProtocols => {
                self.turn_away(peer, "it does not speak the swarm's protocols")
            }
            OutboundFailure::Io(_) | OutboundFailure::DialFailure | OutboundFailure::ConnectionClosed => {
                if let Some(link) = self.links.get_mut(&peer) {
                    link.is_asked = false;
                }
            }
        }
    }
}

/// What decoding makes of bytes that are no answer.
pub(super) fn is_rubbish(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::InvalidData | ErrorKind::Unsupported | ErrorKind::Other)
}
