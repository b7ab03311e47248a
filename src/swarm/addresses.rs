//! Addresses in libp2p's form, and which of them are good for what.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use libp2p::PeerId;
use libp2p::multiaddr::{Multiaddr, Protocol};

use crate::settings::Swarm;

/// Where a node can be met that is known beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bootstrap {
    pub peer: PeerId,
    pub address: Multiaddr,
}

/// What is wrong with a value of a setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {what}; {allowed}")]
pub struct BadAddress {
    pub key: &'static str,
    pub what: String,
    pub allowed: &'static str,
}

const LISTEN: &str = "allowed: addresses of this machine such as \"/ip4/0.0.0.0/tcp/4411\" or \
                      \"/ip4/0.0.0.0/udp/4411/quic-v1\"";
const ANNOUNCE: &str =
    "allowed: addresses such as \"/ip4/192.0.2.1/tcp/4411\" or \"/dns/bee.example.org/tcp/4411\"";
const BOOTSTRAP: &str = "allowed: addresses with the peer's id at the end, such as \
                         \"/ip4/192.0.2.1/tcp/4411/p2p/12D3KooW…\" (`bzzz peers` prints a node's own)";
const ALLOW: &str = "allowed: ids of peers such as \"12D3KooW…\" (`bzzz peers` prints a node's own)";

/// Everything that is wrong with the settings' addresses and ids.
pub fn problems(settings: &Swarm) -> Vec<BadAddress> {
    let of_list = |texts: &[String], check: fn(&str) -> Result<(), BadAddress>| -> Vec<BadAddress> {
        texts.iter().filter_map(|text| check(text).err()).collect()
    };
    let mut problems = of_list(&settings.listen, |text| listen(text).map(drop));
    problems.extend(of_list(&settings.announce, |text| announce(text).map(drop)));
    problems.extend(of_list(&settings.bootstrap, |text| bootstrap(text).map(drop)));
    problems.extend(settings.allow.iter().filter_map(|id| allowed(id.as_str()).err()));
    problems
}

/// An address to listen on.
///
/// # Errors
/// When it is none.
pub fn listen(text: &str) -> Result<Multiaddr, BadAddress> {
    let bad = |what: &str| bad("swarm.listen", text, what, LISTEN);
    let address = parse(text).map_err(|what| bad(&what))?;
    match kind(&address) {
        Some(Kind { is_name: false, has_peer: false, .. }) => Ok(address),
        Some(Kind { is_name: true, .. }) => Err(bad("has a name in place of an IP address")),
        Some(_) => Err(bad("names a peer")),
        None => Err(bad("is neither TCP nor QUIC at an IP address")),
    }
}

/// An address by which others reach this node.
///
/// # Errors
/// When it is none.
pub fn announce(text: &str) -> Result<Multiaddr, BadAddress> {
    let bad = |what: &str| bad("swarm.announce", text, what, ANNOUNCE);
    let address = parse(text).map_err(|what| bad(&what))?;
    match kind(&address) {
        Some(Kind { has_peer: true, .. }) => Err(bad("names a peer: it is this node")),
        Some(Kind { port: 0, .. }) => Err(bad("has port 0, which nobody can reach")),
        Some(_) if is_unspecified(&address) => Err(bad("is no address of one machine")),
        Some(_) => Ok(address),
        None => Err(bad("is neither TCP nor QUIC at an IP address or a name")),
    }
}

/// An address of a peer that is known beforehand.
///
/// # Errors
/// When it is none, or does not say whose it is.
pub fn bootstrap(text: &str) -> Result<Bootstrap, BadAddress> {
    let bad = |what: &str| bad("swarm.bootstrap", text, what, BOOTSTRAP);
    let mut address = parse(text).map_err(|what| bad(&what))?;
    let Some(Protocol::P2p(peer)) = address.iter().last() else {
        return Err(bad("does not end with the peer's id: without it anybody could answer there"));
    };
    address.pop();
    let is_relayed = address.iter().any(|part| part == Protocol::P2pCircuit);
    match kind(&address) {
        Some(Kind { port: 0, .. }) => Err(bad("has port 0, which nobody can reach")),
        Some(Kind { has_peer: false, .. }) if !is_unspecified(&address) => Ok(Bootstrap { peer, address }),
        None if is_relayed => Ok(Bootstrap { peer, address }),
        _ => Err(bad("is neither TCP nor QUIC at an IP address or a name")),
    }
}

/// The id of a peer that may join.
///
/// # Errors
/// When it is none.
pub fn allowed(text: &str) -> Result<PeerId, BadAddress> {
    text.parse().map_err(|_| bad("swarm.allow", text, "is not the id of a peer", ALLOW))
}

fn bad(key: &'static str, text: &str, what: &str, allowed: &'static str) -> BadAddress {
    const SHOWN: usize = 200;
    let shown: String = text.chars().take(SHOWN).collect();
    BadAddress { key, what: format!("{shown:?} {what}"), allowed }
}

fn parse(text: &str) -> Result<Multiaddr, String> {
    text.parse().map_err(|problem| format!("is not an address ({problem})"))
}

/// What a plain address is: a host, a transport, and perhaps whose it is.
struct Kind {
    is_name: bool,
    is_quic: bool,
    has_peer: bool,
    port: u16,
}

fn kind(address: &Multiaddr) -> Option<Kind> {
    let mut parts = address.iter();
    let is_name = match parts.next()? {
        Protocol::Ip4(_) | Protocol::Ip6(_) => false,
        Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) => true,
        _ => return None,
    };
    let (is_quic, port) = match parts.next()? {
        Protocol::Tcp(port) => (false, port),
        Protocol::Udp(port) if parts.next() == Some(Protocol::QuicV1) => (true, port),
        _ => return None,
    };
    let has_peer = match parts.next() {
        None => false,
        Some(Protocol::P2p(_)) if parts.next().is_none() => true,
        Some(_) => return None,
    };
    Some(Kind { is_name, is_quic, has_peer, port })
}

pub(super) fn is_quic(address: &Multiaddr) -> bool {
    kind(address).is_some_and(|kind| kind.is_quic)
}

/// The address without the id of whose it is.
pub(super) fn without_peer(mut address: Multiaddr) -> Multiaddr {
    if let Some(Protocol::P2p(_)) = address.iter().last() {
        address.pop();
    }
    address
}

/// Whether it is worth dialling, on somebody's word.
pub(super) fn is_dialable(address: &Multiaddr) -> bool {
    let is_plain = kind(address).is_some_and(|kind| kind.port != 0) && !is_unspecified(address);
    is_plain || is_relayed(address)
}

pub(super) fn is_relayed(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

pub(super) fn ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.to_ipv4_mapped().map_or(ip.into(), IpAddr::from)),
        _ => None,
    }
}

/// What a socket would be bound to; `None` for an address of another kind.
pub fn socket(address: &Multiaddr) -> Option<(SocketAddr, bool)> {
    let Kind { is_quic, port, .. } = kind(address)?;
    Some((SocketAddr::new(ip(address)?, port), is_quic))
}

fn is_unspecified(address: &Multiaddr) -> bool {
    ip(address).is_some_and(|ip| ip.is_unspecified())
}

pub(super) fn is_loopback(address: &Multiaddr) -> bool {
    ip(address).is_some_and(|ip| ip.is_loopback())
}

/// An address that is reached without crossing the internet. What goes through a relay may come from anywhere.
pub(super) fn is_private(address: &Multiaddr) -> bool {
    let is_near = |ip| match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local() || ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || is_link_local(ip),
    };
    !is_relayed(address) && ip(address).is_some_and(is_near)
}

fn is_link_local(ip: Ipv6Addr) -> bool {
    ip.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooWGRUVh8aXPiDLnUVmcZxwFbcTyLMxN3PMJbGqfZDsbGqf";

    fn some_peer() -> String {
        libp2p::identity::Keypair::generate_ed25519().public().to_peer_id().to_string()
    }

    #[test]
    fn each_kind_of_address_is_told_from_the_others() {
        for good in ["/ip4/0.0.0.0/tcp/0", "/ip6/::/tcp/4411", "/ip4/10.0.0.1/udp/4411/quic-v1"] {
            assert!(listen(good).is_ok(), "{good}");
        }
        let peer = some_peer();
        let with_peer = format!("/ip4/127.0.0.1/tcp/1/p2p/{peer}");
        for bad in
            ["", "4411", "0.0.0.0:4411", "/dns/a.example/tcp/1", "/ip4/1.2.3.4/udp/1", "/unix/a", &with_peer]
        {
            let error = listen(bad).unwrap_err().to_string();
            assert!(error.starts_with("swarm.listen: ") && error.contains(&format!("{bad:?}")), "{error}");
        }
        for good in ["/ip4/192.0.2.1/tcp/4411", "/dns/a.example/udp/4411/quic-v1"] {
            assert!(announce(good).is_ok(), "{good}");
        }
        for bad in ["/ip4/0.0.0.0/tcp/4411", "/ip4/192.0.2.1/tcp/0", with_peer.as_str()] {
            assert!(announce(bad).is_err(), "{bad}");
        }
        let read = bootstrap(&with_peer).unwrap();
        assert_eq!(read.peer.to_string(), peer);
        assert_eq!(read.address.to_string(), "/ip4/127.0.0.1/tcp/1");
        let relayed = format!("/ip4/192.0.2.1/tcp/1/p2p/{peer}/p2p-circuit/p2p/{}", some_peer());
        assert!(bootstrap(&relayed).is_ok());
        for bad in
            [&format!("/ip4/127.0.0.1/tcp/0/p2p/{peer}"), "/ip4/127.0.0.1/tcp/1", &format!("/p2p/{peer}")]
        {
            assert!(bootstrap(bad).is_err(), "{bad}");
        }
        assert!(allowed(&peer).is_ok());
        assert!(allowed(&PEER[1..]).is_err());
    }

    #[test]
    fn what_crosses_the_internet_is_not_private() {
        let address = |text: &str| text.parse::<Multiaddr>().unwrap();
        for near in
            ["/ip4/10.1.2.3/tcp/1", "/ip4/127.0.0.1/tcp/1", "/ip6/fd00::1/tcp/1", "/ip6/fe80::1/tcp/1"]
        {
            assert!(is_private(&address(near)), "{near}");
        }
        let relayed = format!("/ip4/10.1.2.3/tcp/1/p2p/{}/p2p-circuit", some_peer());
        for far in ["/ip4/192.0.2.1/tcp/1", "/ip6/2001:db8::1/tcp/1", "/dns/a.example/tcp/1", &relayed] {
            assert!(!is_private(&address(far)), "{far}");
        }
        assert!(!is_dialable(&address("/ip4/0.0.0.0/tcp/1")));
        assert!(!is_dialable(&address("/ip4/10.0.0.1/tcp/0")));
    }
}
