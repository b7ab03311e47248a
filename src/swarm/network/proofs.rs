//! Proofs of audit trails, as asked and as asking.

use bzzz_actors::ports::journal::JournalError;
use bzzz_actors::ports::swarm::{PeerId as Name, SwarmError};
use bzzz_actors::trail::{Growth, Mark};
use libp2p::PeerId;
use libp2p::request_response::{Event, Message, OutboundFailure, OutboundRequestId, ResponseChannel};
use tokio::sync::oneshot;
use tokio::task::JoinError;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::super::names;
use super::super::rate::Rate;
use super::super::standing::Offence;
use super::super::trail::{self, Request, Response};
use super::Network;
use super::exchanges::is_rubbish;

/// Proofs that a peer may ask for: one for each head that this node says, each second at most, and some more.
pub(super) const PROOF_RATE: Rate = Rate { a_second: 1.5, at_once: 20.0 };
/// Proofs that are made at a time, each of which reads from the disk. Who asks for more gets no answer, and asks again.
const MAX_PROVING: usize = 4;

pub(super) type AnswerTo = oneshot::Sender<Result<Growth, SwarmError>>;
/// A proof that was made, and for whom.
pub(super) type Proved = Result<(ResponseChannel<Response>, Option<Growth>), JournalError>;

impl Network {
    pub(super) fn on_trail(&mut self, event: Event<Request, Response>) {
        match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
                self.prove(peer, request, channel);
            }
            Event::Message { peer, message: Message::Response { request_id, response }, .. } => {
                self.on_proof(peer, request_id, response);
            }
            Event::OutboundFailure { peer, request_id, error, .. } => {
                self.on_no_proof(peer, request_id, &error);
            }
            Event::InboundFailure { peer, error, .. } => {
                debug!(%peer, %error, "a proof that a peer asked for did not reach it");
            }
            Event::ResponseSent { .. } => {}
        }
    }

    pub(super) fn ask_growth(&mut self, name: &Name, from: Mark, to: Mark, answer: AnswerTo) {
        let is_known = |peer: &PeerId| self.links.get(peer).is_some_and(|link| link.is_known);
        let Some(peer) = names::peer(name).filter(is_known) else {
            let _ = answer.send(Err(SwarmError::NoAnswer("it is not connected".to_owned())));
            return;
        };
        let request = trail::request(&self.options.name, from, to);
        let id = self.swarm.behaviour_mut().trail.send_request(&peer, request);
        self.proofs_asked.insert(id, answer);
    }

    /// Without an answer the peer's own time-out ends it.
    fn prove(&mut self, peer: PeerId, request: Request, channel: ResponseChannel<Response>) {
        if !self.proof_rates.allows(&peer, Instant::now()) {
            self.offend(peer, Offence::Flood, "it asks for proofs again and again");
            return;
        }
        if !trail::is_question(&request, &self.options.name) {
            return self.offend(peer, Offence::BadExchange, "it asks for a proof of what no trail is");
        }
        let Some(prover) = self.options.prover.clone().filter(|_| self.proving.len() < MAX_PROVING) else {
            return;
        };
        self.proving
            .spawn_blocking(move || prover.growth(request.from, request.to).map(|growth| (channel, growth)));
    }

    pub(super) fn on_proved(&mut self, proved: Result<Proved, JoinError>) {
        match proved {
            Ok(Ok((channel, growth))) => {
                let response = trail::response(growth);
                if !trail::is_sound(&response) {
                    return debug!("this node's own proof is larger than others read");
                }
                let _ = self.swarm.behaviour_mut().trail.send_response(channel, response);
            }
            Ok(Err(problem)) => warn!(%problem, "a peer asked for a proof of the trail, which can't be read"),
            Err(problem) => debug!(%problem, "a proof could not be made"),
        }
    }

    fn on_proof(&mut self, peer: PeerId, id: OutboundRequestId, response: Response) {
        let Some(answer) = self.proofs_asked.remove(&id) else { return };
        let proof = if trail::is_sound(&response) {
            response.growth.ok_or(SwarmError::NoProof)
        } else {
            self.offend(peer, Offence::BadExchange, "its proof of its trail keeps no rule");
            Err(SwarmError::NoAnswer("it answers with what is no proof".to_owned()))
        };
        // Nobody may wait any more.
        let _ = answer.send(proof);
    }

    /// Not to answer is no offence: a node of an earlier version can't, and a busy one does not.
    fn on_no_proof(&mut self, peer: PeerId, id: OutboundRequestId, failure: &OutboundFailure) {
        debug!(%peer, %failure, "a peer did not prove its trail");
        match failure {
            OutboundFailure::Io(problem) if is_rubbish(problem.kind()) => {
                self.offend(peer, Offence::BadExchange, "its proof of its trail can't be read");
            }
            OutboundFailure::Io(_)
            | OutboundFailure::Timeout
            | OutboundFailure::DialFailure
            | OutboundFailure::ConnectionClosed
            | OutboundFailure::UnsupportedProtocols => {}
        }
        if let Some(answer) = self.proofs_asked.remove(&id) {
            let _ = answer.send(Err(SwarmError::NoAnswer(failure.to_string())));
        }
    }
}
