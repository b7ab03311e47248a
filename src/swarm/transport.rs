//! How bytes get from one node to another: TCP and QUIC, encrypted, by names, and through relays.

use std::io;
use std::time::Duration;

use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::core::transport::{Boxed, OptionalTransport};
use libp2p::core::upgrade::Version;
use libp2p::futures::future::Either;
use libp2p::identity::Keypair;
use libp2p::pnet::{PnetConfig, PreSharedKey};
use libp2p::{PeerId, Transport, dns, noise, quic, relay, tcp, yamux};

/// From the first byte to a connection that can be used. Who takes longer is tried again later. Longer than libp2p waits for
/// the answer of a peer that tries whether this node is reached (10 s): what did not work is never said.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);

/// With a pre-shared key QUIC is off: it has no place for it.
pub(super) fn build(
    key: &Keypair,
    shared: Option<PreSharedKey>,
    relayed: relay::client::Transport,
) -> io::Result<Boxed<(PeerId, StreamMuxerBox)>> {
    let noise = noise::Config::new(key).map_err(io::Error::other)?;
    let tcp = tcp::tokio::Transport::new(tcp::Config::new().nodelay(true));
    let tcp = tcp.and_then(move |stream, _| async move {
        match shared {
            Some(shared) => {
                PnetConfig::new(shared).handshake(stream).await.map(Either::Left).map_err(io::Error::other)
            }
            None => Ok(Either::Right(stream)),
        }
    });
    let tcp = tcp.upgrade(Version::V1Lazy).authenticate(noise.clone()).multiplex(yamux::Config::default());
    let tcp = tcp.map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
    let quic = match shared {
        Some(_) => OptionalTransport::none(),
        None => OptionalTransport::some(quic::tokio::Transport::new(quic::Config::new(key))),
    };
    let quic = quic.map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
    let direct = tcp.or_transport(quic).map(|either, _| either.into_inner());
    let named = dns::tokio::Transport::system(direct)?;
    let relayed = relayed.upgrade(Version::V1Lazy).authenticate(noise).multiplex(yamux::Config::default());
    let relayed = relayed.map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
    let all = relayed.or_transport(named).map(|either, _| either.into_inner());
    Ok(TransportTimeout::new(all, CONNECT_TIMEOUT).boxed())
}
