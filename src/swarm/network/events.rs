//! What libp2p reports.

use std::ops::ControlFlow;

use bzzz_actors::ports::swarm::Heard;
use libp2p::core::ConnectedPoint;
use libp2p::swarm::{ConnectionDenied, ConnectionError, ConnectionId, DialError, ListenError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, autonat, gossipsub, identify};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::super::addresses::{ip, is_loopback, is_relayed};
use super::super::admission::Refusal;
use super::super::behaviour::BehaviourEvent;
use super::super::names;
use super::{Link, Network, Topic, chance};

impl Network {
    pub(super) fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) -> ControlFlow<()> {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_connected(peer_id, connection_id, &endpoint)
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, cause, .. } => {
                self.on_disconnected(peer_id, cause.as_ref());
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } => {
                if let Some(link) = self.links.get_mut(&peer_id) {
                    link.connections.remove(&connection_id);
                }
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), connection_id, error } => {
                if self.dialling.remove(&connection_id) {
                    self.look_elsewhere(peer);
                }
                self.on_not_reached(peer, error);
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, peer_id, .. } => {
                self.on_not_let_in(peer_id, &send_back_addr, error);
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                debug!(%address, "listens");
                self.lend_address(&address);
                self.publish_addresses();
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.take_back_address(&address);
                self.publish_addresses();
            }
            SwarmEvent::ExternalAddrConfirmed { .. } | SwarmEvent::ExternalAddrExpired { .. } => {
                self.publish_addresses()
            }
            SwarmEvent::ListenerClosed { listener_id, addresses, reason }
                if self.listeners.contains(&listener_id) =>
            {
                error!(?addresses, ?reason, "the swarm's network no longer listens");
                return ControlFlow::Break(());
            }
            SwarmEvent::ListenerClosed { listener_id, reason, .. } if self.on_slot_ended(listener_id) => {
                debug!(?reason, "why it has ended");
                self.publish_addresses();
            }
            SwarmEvent::ListenerError { error, .. } => debug!(%error, "a connection could not be taken"),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Gossip(event) => self.on_gossip_event(event),
            BehaviourEvent::Exchange(event) => self.on_exchange(event),
            BehaviourEvent::Trail(event) => self.on_trail(event),
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.on_identified(peer_id, info);
            }
            BehaviourEvent::Mdns(event) => self.on_mdns(event),
            BehaviourEvent::Kademlia(event) => self.on_kademlia(event),
            BehaviourEvent::Ping(libp2p::ping::Event { peer, connection, result: Err(problem) }) => {
                debug!(%peer, %problem, "a link is dead");
                self.swarm.close_connection(connection);
            }
            BehaviourEvent::Punch(event) => debug!(?event, "hole punching"),
            BehaviourEvent::Relayed(event) => self.on_relay(event),
            BehaviourEvent::Reachable(autonat::v2::client::Event { tested_addr, result, .. }) => {
                debug!(address = %tested_addr, ?result, "a peer tried to reach this node");
                if result.is_err() {
                    self.slots.out_of_reach();
                }
            }
            _ => {}
        }
    }

    fn on_gossip_event(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                self.on_gossip(propagation_source, &message_id, &message);
            }
            gossipsub::Event::Subscribed { .. } => self.send_unsent(),
            gossipsub::Event::SlowPeer { peer_id, failed_messages } => {
                debug!(peer = %peer_id, ?failed_messages, "a peer is too slow for what is said: the exchange brings it");
            }
            gossipsub::Event::GossipsubNotSupported { peer_id } => {
                self.turn_away(peer_id, "it does not speak gossip");
            }
            gossipsub::Event::Unsubscribed { .. } => {}
        }
    }

    fn on_connected(&mut self, peer: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        let now = Instant::now();
        self.dialling.remove(&connection);
        let link = self.links.entry(peer).or_insert_with(|| {
            debug!(%peer, address = %endpoint.get_remote_address(), "connected");
            Link::new(now)
        });
        link.connections.insert(connection, endpoint.clone());
        self.note_direct(peer, endpoint);
        if let ConnectedPoint::Dialer { address, .. } = endpoint {
            self.learn(peer, address.clone(), now);
        }
        self.make_room_for(peer, now);
    }

    fn on_disconnected(&mut self, peer: PeerId, cause: Option<&ConnectionError>) {
        let Some(link) = self.links.remove(&peer) else { return };
        debug!(%peer, ?cause, "disconnected");
        self.slots.disconnected(&peer);
        let now = Instant::now();
        self.dialer.lost(&peer, now.saturating_duration_since(link.since), chance(), now);
        if link.is_known
            && let Some(peer) = names::name(&peer)
        {
            self.board.see_link(&peer, false);
            self.outlet.push(Heard::Disconnected { peer }, 0);
        }
    }

    fn on_identified(&mut self, peer: PeerId, info: identify::Info) {
        if info.protocol_version != self.options.spoken() {
            return self.turn_away(peer, "it is of another swarm, or no node at all");
        }
        let Some(link) = self.links.get_mut(&peer) else { return };
        let is_new = !std::mem::replace(&mut link.is_known, true);
        self.note_addresses(peer, info.listen_addrs);
        self.note_relay(peer, &info.protocols);
        if is_new {
            info!(%peer, "a node of the swarm is connected");
            self.dialer.connected(&peer);
            if let Some(peer) = names::name(&peer) {
                self.board.see_link(&peer, true);
                self.outlet.push(Heard::Connected { peer }, 0);
            }
            self.ask(peer);
        }
    }

    fn on_not_reached(&mut self, peer: PeerId, error: DialError) {
        match error {
            DialError::DialPeerConditionFalse(_) => return,
            DialError::LocalPeerId { address } => return self.look_at_twin(&address),
            DialError::WrongPeerId { obtained, address } if self.is_first_time(Topic::Refused, peer) => {
                warn!(wanted = %peer, %obtained, %address, "another peer answers at an address than the one that is named");
            }
            DialError::Denied { cause } => self.say_refusal(peer, cause),
            other => debug!(%peer, problem = %other, "not reached"),
        }
        self.dialer.failed(&peer, chance(), Instant::now());
    }

    fn on_not_let_in(&mut self, peer: Option<PeerId>, address: &Multiaddr, error: ListenError) {
        match (error, peer) {
            (ListenError::LocalPeerId { .. }, _) => self.look_at_twin(address),
            (ListenError::Denied { cause }, Some(peer)) => self.say_refusal(peer, cause),
            // With a pre-shared key this is how one without it is seen.
            (problem, _) => debug!(%address, %problem, "a connection came to nothing"),
        }
    }

    fn say_refusal(&mut self, peer: PeerId, cause: ConnectionDenied) {
        match cause.downcast::<Refusal>() {
            Ok(why) if self.is_first_time(Topic::Refused, peer) => info!(%peer, %why, "a peer is refused"),
            Ok(why) => debug!(%peer, %why, "a peer is refused"),
            Err(cause) => debug!(%peer, %cause, "a connection is refused"),
        }
    }

    /// A node may well dial itself, by a list that is the same on all nodes. Elsewhere it can't be.
    fn look_at_twin(&mut self, address: &Multiaddr) {
        let at = ip(address);
        let is_here = is_loopback(address) || self.swarm.listeners().any(|own| ip(own) == at);
        if !is_here && self.is_first_time(Topic::Twin, self.me) {
            warn!(
                %address, peer = %self.me,
                "a node at an address that is not this machine's has this node's key, or reaches this node by it: if a data \
                 folder was copied, remove swarm/identity in one of them"
            );
        }
    }

    fn publish_addresses(&self) {
        let mut addresses: Vec<&Multiaddr> =
            self.swarm.external_addresses().chain(self.swarm.listeners()).collect();
        addresses.sort_by_key(|address| (is_loopback(address), is_relayed(address)));
        let mut texts: Vec<String> = Vec::new();
        for address in addresses {
            let text = match address.clone().with_p2p(self.me) {
                Ok(with_peer) => with_peer.to_string(),
                Err(as_it_is) => as_it_is.to_string(),
            };
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        self.addresses.send_replace(texts);
    }
}
