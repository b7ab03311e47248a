//! Whether other nodes can be found, and this one reached.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use super::{Finding, Health};
use crate::settings::{Settings, Swarm};
use crate::swarm::{Options, addresses, identity};

pub(super) fn examine(settings: &Settings) -> Vec<Finding> {
    let swarm = &settings.swarm;
    if !swarm.enabled {
        return vec![Finding::new("swarm", Health::Well, "off: the node works alone")];
    }
    let options = match Options::of_settings(&settings.node.data_dir, swarm) {
        Ok(options) => options,
        Err(problem) => return vec![Finding::new("swarm", Health::Ill, problem)],
    };
    let name = match identity::peer_id(&settings.node.data_dir) {
        Some(peer) => format!("{:?}, as {peer}", swarm.name),
        None => format!("{:?}; the node gets its key at the first start", swarm.name),
    };
    let mut findings = vec![Finding::new("swarm", Health::Well, name)];
    findings.extend(options.listen_in_use().iter().filter_map(addresses::socket).map(port));
    findings.extend(swarm.mdns.then(|| neighbours(if_addrs::get_if_addrs(), swarm)));
    findings
}

/// Tried for a moment.
fn port((socket, is_quic): (SocketAddr, bool)) -> Finding {
    let part = format!("swarm port {socket}/{}", if is_quic { "udp" } else { "tcp" });
    let bound = match is_quic {
        true => UdpSocket::bind(socket).map(drop),
        false => TcpListener::bind(socket).map(drop),
    };
    match bound {
        Ok(()) if socket.port() == 0 => {
            Finding::new(part, Health::Well, "any free one: others must be told which")
        }
        Ok(()) => Finding::new(part, Health::Well, "free"),
        Err(problem) if problem.kind() == io::ErrorKind::AddrInUse => Finding::new(
            part,
            Health::Doubtful,
            "in use: by this node if it runs, else by another program; then choose another in swarm.listen",
        ),
        Err(problem) => Finding::new(part, Health::Ill, format!("{problem}: see swarm.listen")),
    }
}

/// mDNS by IPv4, on all interfaces but the loopback.
fn neighbours(interfaces: io::Result<Vec<if_addrs::Interface>>, swarm: &Swarm) -> Finding {
    const PART: &str = "swarm neighbours";
    let interfaces = match interfaces {
        Ok(interfaces) => interfaces,
        Err(problem) => {
            return Finding::new(PART, Health::Doubtful, format!("the interfaces can't be read: {problem}"));
        }
    };
    let serves = |ip: IpAddr| ip.is_ipv4() && !ip.is_loopback();
    let names: Vec<String> = interfaces
        .iter()
        .filter(|interface| serves(interface.ip()))
        .map(|interface| format!("{} ({})", interface.name, interface.ip()))
        .collect();
    match names.is_empty() {
        true if swarm.bootstrap.is_empty() => Finding::new(
            PART,
            Health::Doubtful,
            "no interface with an IPv4 address but the loopback, which mDNS never serves: name others in swarm.bootstrap",
        ),
        true => Finding::new(
            PART,
            Health::Well,
            "no interface serves mDNS; swarm.bootstrap names the way to others",
        ),
        false => Finding::new(PART, Health::Well, format!("mDNS looks on {}", names.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_said() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let found = port((taken.local_addr().unwrap(), false));
        assert_eq!(found.health, Health::Doubtful, "{found:?}");
        assert!(found.text.contains("swarm.listen"));
        let found = port(("127.0.0.1:0".parse().unwrap(), true));
        assert_eq!(found.health, Health::Well, "{found:?}");
    }
}
