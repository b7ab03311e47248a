//! The protocols that a node speaks, in the order in which they are asked about a connection.

use std::num::NonZeroUsize;
use std::time::Duration;

use libp2p::identity::Keypair;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::request_response::{self, ProtocolSupport, cbor};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{
    StreamProtocol, autonat, connection_limits, dcutr, identify, kad, mdns, memory_connection_limits, ping,
    relay,
};
use tracing::warn;

use super::admission::Admission;
use super::exchange::{self, Request, Response};
use super::gossip::{self, Gossip};
use super::options::{Options, SwarmSetupError};
use super::trail;

/// One, a second while both ends dialled at once, and a third while a direct one takes the place of those through a relay.
const MAX_CONNECTIONS_PER_PEER: u32 = 3;
/// Connections whose other end is not known yet. Of more, the newest are refused.
const MAX_PENDING: u32 = 64;
/// With more of the machine's memory in this process no connection is taken any more.
const MAX_MEMORY_SHARE: f64 = 0.8;
/// A cut link is noticed after about both together.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Questions of one peer that are answered at a time.
const MAX_EXCHANGES: usize = 16;
/// What a relay carries for one connection: gossip of a day. Direct connections take its place where they can.
const RELAYED_BYTES: u64 = 64 << 20;
const RELAYED_FOR: Duration = Duration::from_secs(24 * 60 * 60);
const KADEMLIA_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
pub(super) struct Behaviour {
    pub(super) admission: Admission,
    limits: connection_limits::Behaviour,
    memory: memory_connection_limits::Behaviour,
    pub(super) identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub(super) gossip: Gossip,
    pub(super) exchange: cbor::Behaviour<Request, Response>,
    pub(super) trail: cbor::Behaviour<trail::Request, trail::Response>,
    pub(super) kademlia: kad::Behaviour<MemoryStore>,
    pub(super) mdns: Toggle<mdns::tokio::Behaviour>,
    relay: Toggle<relay::Behaviour>,
    relayed: relay::client::Behaviour,
    punch: dcutr::Behaviour,
    reachable: autonat::v2::client::Behaviour,
    probes: Toggle<autonat::v2::server::Behaviour>,
}

pub(super) fn build(
    options: &Options,
    key: &Keypair,
    relayed: relay::client::Behaviour,
) -> Result<Behaviour, SwarmSetupError> {
    let me = key.public().to_peer_id();
    let limits = connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(MAX_PENDING))
        .with_max_pending_outgoing(Some(MAX_PENDING))
        .with_max_established_per_peer(Some(MAX_CONNECTIONS_PER_PEER));
    let identify = identify::Config::new(options.spoken(), key.public())
        .with_agent_version(concat!("bzzz/", env!("CARGO_PKG_VERSION")).to_owned())
        .with_push_listen_addr_updates(true);
    let ping = ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT);
    let is_relay = options.relay;
    Ok(Behaviour {
        admission: Admission::new(options),
        limits: connection_limits::Behaviour::new(limits),
        memory: memory_connection_limits::Behaviour::with_max_percentage(MAX_MEMORY_SHARE),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping),
        gossip: gossip::build().map_err(SwarmSetupError::Gossip)?,
        exchange: exchange_protocol(options),
        trail: trail_protocol(options),
        kademlia: kademlia(options, me)?,
        mdns: options.mdns.then(|| neighbours(me)).flatten().into(),
        relay: is_relay.then(|| lent(me, options)).into(),
        relayed,
        punch: dcutr::Behaviour::new(me),
        reachable: autonat::v2::client::Behaviour::default(),
        // It dials whom it is asked to: only where the operator lends the node to others anyway.
        probes: is_relay.then(autonat::v2::server::Behaviour::default).into(),
    })
}

fn exchange_protocol(options: &Options) -> cbor::Behaviour<Request, Response> {
    let codec = cbor::codec::Codec::default()
        .set_request_size_maximum(exchange::MAX_REQUEST_BYTES)
        .set_response_size_maximum(exchange::MAX_RESPONSE_BYTES);
    let config = request_response::Config::default()
        .with_request_timeout(options.pace.answer)
        .with_max_concurrent_streams(MAX_EXCHANGES);
    let protocol = StreamProtocol::new(exchange::PROTOCOL);
    request_response::Behaviour::with_codec(codec, [(protocol, ProtocolSupport::Full)], config)
}

fn trail_protocol(options: &Options) -> cbor::Behaviour<trail::Request, trail::Response> {
    let codec = cbor::codec::Codec::default()
        .set_request_size_maximum(trail::MAX_REQUEST_BYTES)
        .set_response_size_maximum(trail::MAX_RESPONSE_BYTES);
    let config = request_response::Config::default()
        .with_request_timeout(options.pace.answer)
        .with_max_concurrent_streams(MAX_EXCHANGES);
    let protocol = StreamProtocol::new(trail::PROTOCOL);
    request_response::Behaviour::with_codec(codec, [(protocol, ProtocolSupport::Full)], config)
}

/// Only for finding peers: it keeps nothing for anybody.
fn kademlia(options: &Options, me: libp2p::PeerId) -> Result<kad::Behaviour<MemoryStore>, SwarmSetupError> {
    let nothing = MemoryStoreConfig {
        max_records: 0,
        max_value_bytes: 0,
        max_providers_per_key: 0,
        max_provided_keys: 0,
    };
    let mut config = kad::Config::new(options.kademlia_protocol()?);
    config
        .set_query_timeout(KADEMLIA_TIMEOUT)
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_replication_factor(NonZeroUsize::MIN.saturating_add(19))
        .set_periodic_bootstrap_interval(None)
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(None);
    let mut kademlia = kad::Behaviour::with_config(me, MemoryStore::with_config(me, nothing), config);
    // Whether it is reached from outside is seldom known, and inside a network it always is.
    kademlia.set_mode(Some(kad::Mode::Server));
    Ok(kademlia)
}

pub(super) fn neighbours(me: libp2p::PeerId) -> Option<mdns::tokio::Behaviour> {
    let built = mdns::tokio::Behaviour::new(mdns::Config::default(), me);
    built
        .inspect_err(
            |problem| warn!(%problem, "mDNS can't be used: nodes nearby are not found by themselves"),
        )
        .ok()
}

/// It does not wait until others have reached it: its operator says that they do.
fn lent(me: libp2p::PeerId, options: &Options) -> relay::Behaviour {
    let mut relay = relay::Behaviour::new(me, relay_limits(options));
    relay.set_status(Some(relay::Status::Enable));
    relay
}

fn relay_limits(options: &Options) -> relay::Config {
    relay::Config {
        max_reservations: options.max_peers,
        max_circuits: options.max_peers,
        max_circuit_bytes: RELAYED_BYTES,
        max_circuit_duration: RELAYED_FOR,
        ..relay::Config::default()
    }
}
