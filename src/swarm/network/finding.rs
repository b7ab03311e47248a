//! Finding other nodes, and parting with those that are none.

use std::collections::HashMap;

use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId, kad, mdns};
use tokio::time::{Duration, Instant};
use tracing::{debug, info, warn};

use super::super::addresses::{is_loopback, is_private, without_peer};
use super::super::behaviour;
use super::super::dialer::IsNamed;
use super::super::names;
use super::super::options::Options;
use super::super::standing::SHUT_OUT;
use super::{EXCHANGE_OF_PEERS, Link, Network, Topic, UNKNOWN_FOR, chance};

/// Others are asked for the peers they know at least as often.
const SEARCH_INTERVAL: Duration = Duration::from_secs(60);
/// And not more often while new ones come. Longer: nodes that start together and miss each other at their common peer are
/// without each other for as long.
const SEARCH_PAUSE: Duration = Duration::from_millis(300);
/// Addresses of one peer that are believed at a time.
const MAX_ADDRESSES: usize = 16;
/// With fewer peers a swarm may fall into parts.
const ENOUGH: usize = 8;
/// Of one peer, told to others that search: twenty peers have to fit into 16 KiB.
const MAX_FINDABLE: usize = 8;
/// Addresses that mDNS may find. Each has to be looked through at every event.
const MAX_FOUND_NEAR: usize = 4096;

impl Network {
    pub(super) fn on_mdns(&mut self, event: mdns::Event) {
        let now = Instant::now();
        match event {
            mdns::Event::Discovered(found) => {
                for (peer, address) in found.into_iter().filter(|(_, address)| is_private(address)) {
                    self.swarm.behaviour_mut().admission.found_near(peer);
                    self.learn(peer, address, now);
                    // It says that it is there only once, though it is for long.
                    self.dialer.see_near(&peer, true);
                }
            }
            mdns::Event::Expired(gone) => {
                for (peer, _) in gone {
                    self.swarm.behaviour_mut().admission.gone_from_near(&peer);
                    self.dialer.see_near(&peer, false);
                }
            }
        }
    }

    /// Whoever sends made-up neighbours fills its memory, and all of it is looked through at each event.
    pub(super) fn begin_anew_with_mdns(&mut self) {
        let found = self.swarm.behaviour().mdns.as_ref().map_or(0, |mdns| mdns.discovered_nodes().len());
        if found > MAX_FOUND_NEAR {
            warn!(found, "mDNS finds more nodes than any network has: what it has found is forgotten");
            self.swarm.behaviour_mut().mdns = behaviour::neighbours(self.me).into();
        }
    }

    pub(super) fn learn(&mut self, peer: PeerId, address: Multiaddr, now: Instant) {
        let address = without_peer(address);
        if self.swarm.behaviour().admission.judge(&peer, &address).is_ok() {
            self.dialer.learn(peer, address, now);
        }
    }

    pub(super) fn next_dial(&self) -> Option<Instant> {
        let has_room = self.swarm.behaviour().admission.has_room();
        has_room.then(|| self.dialer.next_due(wanted(&self.links, &self.options))).flatten()
    }

    pub(super) fn dial(&mut self) {
        let now = Instant::now();
        let room = self.options.max_peers.saturating_sub(self.links.len());
        let wanted = wanted(&self.links, &self.options);
        for (peer, addresses) in self.dialer.due(now, room, wanted) {
            let options = DialOpts::peer_id(peer)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .addresses(addresses)
                .build();
            let connection = options.connection_id();
            if let Err(problem) = self.swarm.dial(options) {
                debug!(%peer, %problem, "not dialled");
                self.dialer.failed(&peer, chance(), now);
            } else {
                self.dialling.insert(connection);
            }
        }
    }

    /// A full node lets another one go: that one knows more peers than the one that has just come.
    pub(super) fn make_room_for(&mut self, newcomer: PeerId, now: Instant) {
        if self.links.len() <= self.options.max_peers {
            return;
        }
        self.next_newcomer = now + EXCHANGE_OF_PEERS;
        self.swarm.behaviour_mut().admission.may_replace(false);
        let may_go = |peer: &&PeerId| **peer != newcomer && !self.dialer.is_named(peer);
        let others: Vec<PeerId> = self.links.keys().filter(may_go).copied().collect();
        let place = (chance() * others.len() as f64) as usize;
        if let Some(peer) = others.get(place.min(others.len().saturating_sub(1))) {
            debug!(%peer, %newcomer, "parting with a peer for one that has just come");
            self.swarm.behaviour_mut().admission.part_with(*peer, now);
            let _ = self.swarm.disconnect_peer_id(*peer);
        }
    }

    /// It is not where this node looked for it, but others hear it: they may know another way, such as through a relay.
    pub(super) fn look_elsewhere(&mut self, peer: PeerId) {
        self.has_new_peers |= names::name(&peer).is_some_and(|name| self.board.knows(&name));
    }

    /// When the peers are asked again: the first at once, since a new node finds all others by it.
    pub(super) fn next_search(&self) -> Option<Instant> {
        let is_known = self.links.values().any(|link| link.is_known);
        let pause = if self.has_new_peers { SEARCH_PAUSE } else { SEARCH_INTERVAL };
        is_known.then(|| self.last_search.map_or_else(Instant::now, |last| last + pause))
    }

    /// Asks the peers for the peers that they know.
    pub(super) fn search(&mut self) {
        self.has_new_peers = false;
        self.last_search = Some(Instant::now());
        debug!("asks the peers for others");
        self.swarm.behaviour_mut().kademlia.get_closest_peers(self.me);
    }

    pub(super) fn on_kademlia(&mut self, event: kad::Event) {
        let kad::Event::OutboundQueryProgressed { result: kad::QueryResult::GetClosestPeers(found), .. } =
            event
        else {
            return;
        };
        let peers = match found {
            Ok(kad::GetClosestPeersOk { peers, .. }) => peers,
            Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
        };
        let now = Instant::now();
        for kad::PeerInfo { peer_id, addrs } in peers {
            for address in addrs.into_iter().take(MAX_ADDRESSES) {
                self.learn(peer_id, address, now);
            }
        }
    }

    /// Where a peer says that it is to be found.
    pub(super) fn note_addresses(&mut self, peer: PeerId, listen: Vec<Multiaddr>) {
        let now = Instant::now();
        if !self.identify_rates.allows(&peer, now) {
            return;
        }
        let is_local =
            self.dialer.addresses(&peer).iter().any(is_loopback) || self.listens_on_loopback_only();
        // Its loopback is another machine's, unless it is on this one.
        let is_of_use = |address: &Multiaddr| is_local || !is_loopback(address);
        let listen = listen.into_iter().take(MAX_ADDRESSES).map(without_peer).filter(is_of_use);
        let listen: Vec<Multiaddr> = listen.collect();
        for address in &listen {
            self.learn(peer, address.clone(), now);
        }
        self.tell_of(peer, listen);
        let known = self.dialer.addresses(&peer);
        self.remembered.met(&peer, &known);
        self.has_new_peers = true;
    }

    /// What others are told of a peer: what it said last. More of many peers than one answer of the search holds brings them
    /// nobody at all.
    fn tell_of(&mut self, peer: PeerId, mut addresses: Vec<Multiaddr>) {
        addresses.truncate(MAX_FINDABLE);
        let Some(link) = self.links.get_mut(&peer) else { return };
        if link.findable == addresses {
            return;
        }
        let kademlia = &mut self.swarm.behaviour_mut().kademlia;
        kademlia.remove_peer(&peer);
        for address in &addresses {
            kademlia.add_address(&peer, address.clone());
        }
        link.findable = addresses;
    }

    fn listens_on_loopback_only(&self) -> bool {
        self.swarm.listeners().all(is_loopback)
    }

    /// It is no node of this swarm, and does not become one soon.
    pub(super) fn turn_away(&mut self, peer: PeerId, why: &str) {
        if self.is_first_time(Topic::Stranger, peer) {
            info!(%peer, why, "parting with a peer");
        }
        self.dialer.forget(&peer);
        self.swarm.behaviour_mut().admission.shut_out(peer, Instant::now() + SHUT_OUT);
        let _ = self.swarm.disconnect_peer_id(peer);
    }

    pub(super) fn part_with_unknown(&mut self, now: Instant) {
        let is_late = |since: Instant| now.saturating_duration_since(since) >= UNKNOWN_FOR;
        let unknown = self.links.iter().filter(|(_, link)| !link.is_known && is_late(link.since));
        for peer in unknown.map(|(peer, _)| *peer).collect::<Vec<_>>() {
            debug!(%peer, "parting with a peer that does not say what it is");
            self.dialer.failed(&peer, chance(), now);
            let _ = self.swarm.disconnect_peer_id(peer);
        }
    }
}

/// Whom to dial. Of the peers that it may have, a node looks for a part: in a large swarm all would be full else, and nobody
/// could join. Those that are named are the way to all others.
fn wanted(links: &HashMap<PeerId, Link>, options: &Options) -> impl Fn(&PeerId, IsNamed) -> bool {
    let enough = (options.max_peers / 3).max(ENOUGH.min(options.max_peers));
    let has_enough = links.len() >= enough;
    move |peer, is_named| !links.contains_key(peer) && (is_named || !has_enough)
}
