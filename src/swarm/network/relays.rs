//! Being reached through relays, and carrying others.

use libp2p::core::ConnectedPoint;
use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, StreamProtocol, relay};
use tokio::time::Instant;
use tracing::{debug, info};

use super::super::addresses::{is_loopback, is_relayed, without_peer};
use super::Network;

impl Network {
    /// What a peer speaks tells whether it is a relay.
    pub(super) fn note_relay(&mut self, peer: PeerId, protocols: &[StreamProtocol]) {
        self.slots.offers(peer, protocols.contains(&relay::HOP_PROTOCOL_NAME));
    }

    /// Asks for places while this node is not reached otherwise, and gives them back when it is.
    pub(super) fn mind_slots(&mut self, now: Instant) {
        let is_reached = self.swarm.external_addresses().any(|address| !is_relayed(address));
        for listener in self.slots.give_back(is_reached) {
            debug!("reached from outside: a place on a relay is given back");
            self.swarm.remove_listener(listener);
        }
        for relay in self.slots.due(is_reached, now) {
            let asked = self.way_to(&relay).map(|way| self.swarm.listen_on(way));
            match asked {
                Some(Ok(listener)) => {
                    debug!(%relay, "asks for a place on a relay");
                    self.slots.asked(relay, listener);
                }
                problem => {
                    debug!(%relay, ?problem, "no place can be asked for");
                    self.slots.refused(relay, now);
                }
            }
        }
    }

    /// Where others find the relay, and through it this node.
    fn way_to(&self, relay: &PeerId) -> Option<Multiaddr> {
        let endpoints = self.links.get(relay)?.connections.values().filter(|endpoint| !endpoint.is_relayed());
        let dialled =
            endpoints.filter(|endpoint| endpoint.is_dialer()).map(ConnectedPoint::get_remote_address);
        let dialled = dialled.cloned().map(without_peer).next();
        let told = || self.dialer.addresses(relay).into_iter().find(|address| !is_relayed(address));
        Some(dialled.or_else(told)?.with(Protocol::P2p(*relay)).with(Protocol::P2pCircuit))
    }

    pub(super) fn on_relay(&mut self, event: relay::client::Event) {
        debug!(?event, "a relay");
        if let relay::client::Event::ReservationReqAccepted { relay_peer_id: relay, renewal: false, .. } =
            event
        {
            info!(%relay, "not reached from outside: others reach this node through a relay");
            // Those that were out of reach so far may be there by now.
            self.has_new_peers = true;
        }
    }

    /// Whether it was a place on a relay.
    pub(super) fn on_slot_ended(&mut self, listener: ListenerId) -> bool {
        let ended = self.slots.ended(listener, Instant::now());
        if let Some(relay) = ended {
            info!(%relay, "the place on a relay has ended");
        }
        ended.is_some()
    }

    /// A relay is one because its operator says so: it is reached where it listens, if `announce` does not say it better.
    pub(super) fn lend_address(&mut self, address: &Multiaddr) {
        if self.is_lent(address) {
            self.swarm.add_external_address(address.clone());
        }
    }

    /// It does not listen there any more.
    pub(super) fn take_back_address(&mut self, address: &Multiaddr) {
        if self.is_lent(address) {
            self.swarm.remove_external_address(address);
        }
    }

    fn is_lent(&self, address: &Multiaddr) -> bool {
        let is_lent = self.options.relay && self.options.announce.is_empty();
        is_lent && !is_loopback(address) && !is_relayed(address)
    }

    /// Says that a connection without a relay has come up beside one through it.
    pub(super) fn note_direct(&self, peer: PeerId, endpoint: &ConnectedPoint) {
        let has_relayed = || {
            self.links
                .get(&peer)
                .is_some_and(|link| link.connections.values().any(ConnectedPoint::is_relayed))
        };
        if !endpoint.is_relayed() && has_relayed() {
            info!(%peer, "a direct connection takes the place of the one through a relay");
        }
    }

    /// What a relay carries between two that are connected without it is for nothing. Not in the moment in which the direct
    /// connection is made: the other end may not have seen it.
    pub(super) fn leave_relays(&mut self) {
        for link in self.links.values() {
            if link.connections.values().all(ConnectedPoint::is_relayed) {
                continue;
            }
            for (connection, _) in link.connections.iter().filter(|(_, endpoint)| endpoint.is_relayed()) {
                self.swarm.close_connection(*connection);
            }
        }
    }
}
