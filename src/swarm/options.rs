//! What the network is made with: typed, and checked before the first socket opens.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use libp2p::multiaddr::Multiaddr;
use libp2p::pnet::PreSharedKey;
use libp2p::{PeerId, StreamProtocol};

use super::addresses::{self, BadAddress, Bootstrap};
use super::identity::IdentityError;
use super::preshared::{self, PreSharedError};
use super::trail::Prover;
use crate::settings;

/// Why there can be no network with these settings.
#[derive(Debug, thiserror::Error)]
pub enum SwarmSetupError {
    #[error(transparent)]
    Address(#[from] BadAddress),
    #[error("swarm.key_file: {0}")]
    Key(#[from] PreSharedError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("swarm.name: {0:?} can't be part of a protocol's name")]
    Name(String),
    #[error("swarm.listen: with swarm.key_file there must be a TCP address; QUIC can't be fenced by a key")]
    OnlyQuic,
    #[error("gossip can't be set up: {0}")]
    Gossip(String),
}

#[derive(Clone)]
pub struct Options {
    pub data_dir: PathBuf,
    /// Of the swarm: nodes of another one are strangers.
    pub name: String,
    pub listen: Vec<Multiaddr>,
    pub announce: Vec<Multiaddr>,
    pub mdns: bool,
    pub bootstrap: Vec<Bootstrap>,
    pub allow: HashSet<PeerId>,
    pub key: Option<PreSharedKey>,
    pub relay: bool,
    pub max_peers: usize,
    pub pace: Pace,
    /// Proves this node's audit trail to peers. Without it they are not answered.
    pub prover: Option<Arc<dyn Prover>>,
}

/// How often things are done that nobody asked for.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Between two exchanges of state with a random peer, give or take a third.
    pub exchange: Duration,
    /// The shortest time before a peer that was lost or could not be reached is dialled again.
    pub redial: Duration,
    /// How long an answer to a question for state may take.
    pub answer: Duration,
    /// Between two times that marks and peers are written to disk: what is newer is lost with a node that is killed.
    pub keep: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            exchange: Duration::from_secs(30),
            redial: Duration::from_millis(500),
            answer: Duration::from_secs(10),
            keep: Duration::from_secs(10),
        }
    }
}

impl Options {
    /// A node that listens on `listen` and looks for nobody.
    pub fn new(data_dir: &Path, name: &str, listen: Vec<Multiaddr>) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            name: name.to_owned(),
            listen,
            announce: Vec::new(),
            mdns: false,
            bootstrap: Vec::new(),
            allow: HashSet::new(),
            key: None,
            relay: false,
            max_peers: 64,
            pace: Pace::default(),
            prover: None,
        }
    }

    /// # Errors
    /// The first thing that is wrong.
    pub fn of_settings(data_dir: &Path, swarm: &settings::Swarm) -> Result<Self, SwarmSetupError> {
        let parsed = |texts: &[String], parse: fn(&str) -> Result<Multiaddr, BadAddress>| {
            texts.iter().map(|text| parse(text)).collect::<Result<Vec<_>, _>>()
        };
        let allow = swarm.allow.iter().map(|id| addresses::allowed(id.as_str()));
        let bootstrap = swarm.bootstrap.iter().map(|text| addresses::bootstrap(text));
        Ok(Self {
            data_dir: data_dir.to_owned(),
            name: swarm.name.clone(),
            listen: parsed(&swarm.listen, addresses::listen)?,
            announce: parsed(&swarm.announce, addresses::announce)?,
            mdns: swarm.mdns,
            bootstrap: bootstrap.collect::<Result<_, _>>()?,
            allow: allow.collect::<Result<_, _>>()?,
            key: swarm.key_file.as_deref().map(preshared::read).transpose()?,
            relay: swarm.relay,
            max_peers: usize::try_from(swarm.max_peers).unwrap_or(usize::MAX),
            pace: Pace::default(),
            prover: None,
        })
    }

    /// Refuses what would only fail once the network is opened.
    pub(super) fn check(&self) -> Result<(), SwarmSetupError> {
        if self.key.is_some() && self.listen_in_use().is_empty() {
            return Err(SwarmSetupError::OnlyQuic);
        }
        self.kademlia_protocol().map(drop)
    }

    /// QUIC has no place for the key.
    pub fn listen_in_use(&self) -> Vec<Multiaddr> {
        let is_used = |address: &&Multiaddr| self.key.is_none() || !addresses::is_quic(address);
        self.listen.iter().filter(is_used).cloned().collect()
    }

    /// What nodes of one swarm tell each other that they speak.
    pub(super) fn spoken(&self) -> String {
        format!("bzzz/{}/1", self.name)
    }

    /// Tables of different swarms must not mix.
    pub(super) fn kademlia_protocol(&self) -> Result<StreamProtocol, SwarmSetupError> {
        let name = format!("/bzzz/{}/kad/1", self.name);
        StreamProtocol::try_from_owned(name).map_err(|_| SwarmSetupError::Name(self.name.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_a_key_only_tcp_is_used() {
        let listen = |text: &str| text.parse::<Multiaddr>().unwrap();
        let (tcp, quic) = (listen("/ip4/127.0.0.1/tcp/0"), listen("/ip4/127.0.0.1/udp/0/quic-v1"));
        let mut options = Options::new(Path::new("/nowhere"), "test", vec![tcp.clone(), quic.clone()]);
        assert_eq!(options.listen_in_use(), [tcp.clone(), quic.clone()]);
        options.key = Some(PreSharedKey::new([7; 32]));
        assert_eq!(options.listen_in_use(), [tcp]);
        options.listen = vec![quic];
        assert!(matches!(options.check(), Err(SwarmSetupError::OnlyQuic)));
    }
}
