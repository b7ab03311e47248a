//! Who may be here.
//!
//! A list of ids is the authority. Without one, whoever has the pre-shared key; without either, the peers that are named
//! in `bootstrap` and those that mDNS found, at private addresses. Beside that: a cap on peers, and those that are shut
//! out. It stands in front of all other protocols: a peer that may not be here gets no answer but the encryption's.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::fmt;
use std::task::{Context, Poll};

use libp2p::PeerId;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Multiaddr;
use libp2p::swarm::{
    ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm, dummy,
};
use tokio::time::{Duration, Instant};

use super::addresses::is_private;
use super::options::Options;

/// Peers that mDNS may name. More are no neighbours but a flood.
const MAX_NEIGHBOURS: usize = 4096;
/// Peers that are shut out at a time.
const MAX_SHUT_OUT: usize = 4096;

/// Peers that are remembered for having been let go, and for how long.
const MAX_PARTED: usize = 4096;
const PARTED_FOR: Duration = Duration::from_secs(10 * 60);

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    NotOnTheList,
    NotANeighbour,
    ShutOut,
    Full,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotOnTheList => "it is not in swarm.allow",
            Self::NotANeighbour => {
                "without swarm.allow or swarm.key_file only peers found by mDNS at private addresses and those in \
                 swarm.bootstrap may join"
            }
            Self::ShutOut => "it is shut out for a while",
            Self::Full => "there are swarm.max_peers already",
        })
    }
}

impl std::error::Error for Refusal {}

#[derive(Debug, PartialEq, Eq)]
enum Rule {
    List(HashSet<PeerId>),
    Key,
    Near { named: HashSet<PeerId>, neighbours: HashSet<PeerId> },
}

pub(super) struct Admission {
    rule: Rule,
    max_peers: usize,
    shut_out: HashMap<PeerId, Instant>,
    connections: HashMap<PeerId, u32>,
    may_replace: bool,
    /// Who was let go for another one, and until when it does not come back in the same way.
    parted: HashMap<PeerId, Instant>,
}

impl Admission {
    pub(super) fn new(options: &Options) -> Self {
        let rule = if !options.allow.is_empty() {
            Rule::List(options.allow.clone())
        } else if options.key.is_some() {
            Rule::Key
        } else {
            let named = options.bootstrap.iter().map(|it| it.peer).collect();
            Rule::Near { named, neighbours: HashSet::new() }
        };
        let max_peers = options.max_peers;
        let (shut_out, connections, parted) = Default::default();
        Self { rule, max_peers, shut_out, connections, may_replace: false, parted }
    }

    /// For the log, at the start.
    pub(super) fn who(&self, options: &Options) -> String {
        let fence = if options.key.is_some() { ", if they have the pre-shared key" } else { "" };
        match &self.rule {
            Rule::List(list) => format!("the {} peers of swarm.allow{fence}", list.len()),
            Rule::Key => "whoever has the pre-shared key".to_owned(),
            Rule::Near { named, .. } => {
                let near =
                    if options.mdns { "any peer that mDNS finds at a private address" } else { "nobody" };
                match named.len() {
                    0 => format!("{near}; swarm.allow or swarm.key_file say it better"),
                    count => format!(
                        "{near}, and the {count} peers of swarm.bootstrap; swarm.allow or swarm.key_file say it better"
                    ),
                }
            }
        }
    }

    /// mDNS found it at a private address.
    pub(super) fn found_near(&mut self, peer: PeerId) {
        if let Rule::Near { neighbours, .. } = &mut self.rule {
            if neighbours.len() >= MAX_NEIGHBOURS {
                let idle = neighbours.iter().find(|it| !self.connections.contains_key(it)).copied();
                idle.map(|idle| neighbours.remove(&idle));
            }
            neighbours.insert(peer);
        }
    }

    /// mDNS does not see it any more. A connection that there is stays.
    pub(super) fn gone_from_near(&mut self, peer: &PeerId) {
        if let Rule::Near { neighbours, .. } = &mut self.rule
            && !self.connections.contains_key(peer)
        {
            neighbours.remove(peer);
        }
    }

    /// Whether one more may come than there may be, for whom another one is let go.
    pub(super) fn may_replace(&mut self, may: bool) {
        self.may_replace = may;
    }

    pub(super) fn shut_out(&mut self, peer: PeerId, until: Instant) {
        if self.shut_out.len() >= MAX_SHUT_OUT {
            let now = Instant::now();
            self.shut_out.retain(|_, until| *until > now);
        }
        if self.shut_out.len() < MAX_SHUT_OUT {
            self.shut_out.insert(peer, until);
        }
    }

    /// Whether its messages count, whoever brings them.
    pub(super) fn may_speak(&self, peer: &PeerId) -> bool {
        match &self.rule {
            Rule::List(list) => list.contains(peer),
            // They are as good as the peers that pass them on.
            Rule::Key | Rule::Near { .. } => true,
        }
    }

    /// Whether there may be a connection between it and us, by this address.
    pub(super) fn judge(&self, peer: &PeerId, address: &Multiaddr) -> Result<(), Refusal> {
        match &self.rule {
            Rule::List(list) if !list.contains(peer) => return Err(Refusal::NotOnTheList),
            Rule::Near { named, neighbours } => {
                let is_near = neighbours.contains(peer) && is_private(address);
                if !is_near && !named.contains(peer) {
                    return Err(Refusal::NotANeighbour);
                }
            }
            Rule::List(_) | Rule::Key => {}
        }
        if self.shut_out.get(peer).is_some_and(|until| *until > Instant::now()) {
            return Err(Refusal::ShutOut);
        }
        match self.connections.contains_key(peer) || self.has_room() {
            true => Ok(()),
            false => Err(Refusal::Full),
        }
    }

    /// It knows other peers by now. Without this, those that were let go and those that come would take turns.
    pub(super) fn part_with(&mut self, peer: PeerId, now: Instant) {
        if self.parted.len() >= MAX_PARTED {
            self.parted.retain(|_, until| *until > now);
        }
        if self.parted.len() < MAX_PARTED {
            self.parted.insert(peer, now + PARTED_FOR);
        }
    }

    fn judge_newcomer(&self, peer: &PeerId, address: &Multiaddr) -> Result<(), Refusal> {
        let was_here = self.parted.get(peer).is_some_and(|until| *until > Instant::now());
        let may_replace = self.may_replace && !was_here && self.connections.len() == self.max_peers;
        match self.judge(peer, address) {
            Err(Refusal::Full) if may_replace => Ok(()),
            judged => judged,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.connections.len() < self.max_peers
    }
}

impl NetworkBehaviour for Admission {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote_addr: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.judge_newcomer(&peer, remote_addr).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.judge(&peer, address).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(established) => {
                *self.connections.entry(established.peer_id).or_default() += 1;
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, remaining_established, .. }) => {
                match u32::try_from(remaining_established) {
                    Ok(0) => drop(self.connections.remove(&peer_id)),
                    remaining => drop(self.connections.insert(peer_id, remaining.unwrap_or(u32::MAX))),
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use libp2p::pnet::PreSharedKey;

    use super::super::addresses::Bootstrap;
    use super::*;

    fn options() -> Options {
        Options::new(Path::new("/nowhere"), "test", vec![])
    }

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_list_is_the_authority_also_with_a_key() {
        let (friend, stranger) = (PeerId::random(), PeerId::random());
        let (near, far) = (address("/ip4/10.0.0.1/tcp/1"), address("/ip4/192.0.2.1/tcp/1"));
        let key = Some(PreSharedKey::new([1; 32]));
        let mut admission = Admission::new(&Options { allow: HashSet::from([friend]), key, ..options() });
        admission.found_near(stranger);
        assert_eq!(admission.judge(&friend, &far), Ok(()));
        assert_eq!(admission.judge(&stranger, &near), Err(Refusal::NotOnTheList));
        assert!(admission.may_speak(&friend) && !admission.may_speak(&stranger));
        let admission = Admission::new(&Options { key, ..options() });
        assert_eq!(admission.judge(&stranger, &far), Ok(()));
    }

    #[test]
    fn without_list_and_key_only_neighbours_and_named_peers_may_join() {
        let (named, neighbour, stranger) = (PeerId::random(), PeerId::random(), PeerId::random());
        let (near, far) = (address("/ip4/10.0.0.1/tcp/1"), address("/ip4/192.0.2.1/tcp/1"));
        let bootstrap = vec![Bootstrap { peer: named, address: far.clone() }];
        let mut admission = Admission::new(&Options { bootstrap, ..options() });
        admission.found_near(neighbour);
        assert_eq!(admission.judge(&named, &far), Ok(()));
        assert_eq!(admission.judge(&neighbour, &near), Ok(()));
        assert_eq!(admission.judge(&neighbour, &far), Err(Refusal::NotANeighbour));
        assert_eq!(admission.judge(&stranger, &near), Err(Refusal::NotANeighbour));
    }

    #[test]
    fn who_is_shut_out_stays_out_until_its_time() {
        let peer = PeerId::random();
        let near = address("/ip4/10.0.0.1/tcp/1");
        let mut admission = Admission::new(&Options { allow: HashSet::from([peer]), ..options() });
        admission.shut_out(peer, Instant::now() + Duration::from_secs(600));
        assert_eq!(admission.judge(&peer, &near), Err(Refusal::ShutOut));
        admission.shut_out(peer, Instant::now());
        assert_eq!(admission.judge(&peer, &near), Ok(()));
    }

    #[test]
    fn there_is_a_cap_on_peers() {
        let peers = [PeerId::random(), PeerId::random()];
        let near = address("/ip4/10.0.0.1/tcp/1");
        let mut admission = Admission::new(&Options { allow: peers.into(), max_peers: 1, ..options() });
        admission.connections.insert(peers[0], 1);
        assert_eq!(admission.judge(&peers[0], &near), Ok(()), "it is counted already");
        assert_eq!(admission.judge(&peers[1], &near), Err(Refusal::Full));
        assert!(!admission.has_room());
        admission.may_replace(true);
        assert_eq!(admission.judge(&peers[1], &near), Err(Refusal::Full), "nobody is dialled for that");
        assert_eq!(admission.judge_newcomer(&peers[1], &near), Ok(()));
        admission.part_with(peers[1], Instant::now());
        assert_eq!(admission.judge_newcomer(&peers[1], &near), Err(Refusal::Full), "it had its turn");
        admission.connections.insert(peers[1], 1);
        let third = PeerId::random();
        admission.rule = Rule::Key;
        assert_eq!(admission.judge_newcomer(&third, &near), Err(Refusal::Full), "one at a time");
    }

    #[test]
    fn made_up_neighbours_keep_nobody_out() {
        let mut admission = Admission::new(&options());
        let near = address("/ip4/10.0.0.1/tcp/1");
        let connected = PeerId::random();
        admission.found_near(connected);
        admission.connections.insert(connected, 1);
        for _ in 0..2 * MAX_NEIGHBOURS {
            admission.found_near(PeerId::random());
        }
        let last = PeerId::random();
        admission.found_near(last);
        for peer in [connected, last] {
            assert_eq!(admission.judge(&peer, &near), Ok(()));
        }
        admission.gone_from_near(&last);
        assert_eq!(admission.judge(&last, &near), Err(Refusal::NotANeighbour));
    }
}
