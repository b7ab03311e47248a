//! Nodes behind routers, which only what they began themselves gets through: a third, whom all reach, brings them together.

use std::time::Instant;

use bzzz::node::peers::Picture;

use crate::colony::{Colony, PORT};
use crate::net::{Ports, can_run};

const DIRECT: &str = "a direct connection takes the place of the one through a relay";

/// One that all reach and that lends itself to others, two behind routers of their own, and one that is merely elsewhere.
async fn colony(ports: Ports) -> Colony {
    let mut colony = Colony::new(3);
    colony.repository("rocket", &[]).await;
    let key = colony.swarm_key();
    colony.settings.extend(["swarm.mdns = false".to_owned(), format!("swarm.key_file = {key:?}")]);
    colony.add("ada", 0);
    colony.nodes[0].settings.push("swarm.relay = true".to_owned());
    colony.start(0);
    let is_up = async |colony: &Colony| {
        picture(colony, 0).is_some_and(|picture| picture.peer_id.is_some() && !picture.addresses.is_empty())
    };
    colony.until("ada listens", is_up).await;
    let id = picture(&colony, 0).unwrap().peer_id.unwrap();
    for (host, network) in [("ben", 1), ("cleo", 2), ("dan", 2)] {
        let index = match host {
            "dan" => colony.add(host, network),
            _ => colony.add_behind_router(host, network, ports),
        };
        let bootstrap = format!("swarm.bootstrap = [\"/ip4/10.77.0.2/tcp/{PORT}/p2p/{id}\"]");
        colony.nodes[index].settings.push(bootstrap);
        colony.start(index);
    }
    colony
}

fn picture(colony: &Colony, index: usize) -> Option<Picture> {
    Picture::read(&colony.nodes[index].data_dir()).unwrap()
}

/// Prints how long it took from the start of the last one.
async fn until_all_see_all(colony: &Colony) {
    let started = Instant::now();
    let others = colony.nodes.len() - 1;
    for (index, node) in colony.nodes.iter().enumerate() {
        let sees_all = async |colony: &Colony| {
            let connected = |picture: Picture| picture.peers.iter().filter(|peer| peer.is_connected).count();
            picture(colony, index).map(connected) == Some(others)
        };
        colony.until(&format!("{} sees all others", node.name), sees_all).await;
    }
    println!("nodes behind routers know each other after {:.2} s", started.elapsed().as_secs_f64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_routers_that_give_every_connection_another_port_nodes_meet_through_a_relay() {
    if !can_run() {
        return;
    }
    let mut colony = colony(Ports::Random).await;
    until_all_see_all(&colony).await;
    let through = format!(
        "/ip4/10.77.0.2/tcp/{PORT}/p2p/{}/p2p-circuit/",
        picture(&colony, 0).unwrap().peer_id.unwrap()
    );
    for index in [1, 2] {
        let is_reached = async |colony: &Colony| {
            let picture = picture(colony, index).unwrap();
            picture.addresses.iter().any(|address| address.starts_with(&through))
        };
        colony.until("who is behind a router has a place at the relay", is_reached).await;
    }
    // Both had to decide before those that waited for their places were found.
    for index in [0, 3] {
        let is_reached_without = async |colony: &Colony| {
            let picture = picture(colony, index).unwrap();
            !picture.addresses.iter().any(|address| address.contains("p2p-circuit"))
        };
        colony.until("who is reached without keeps no place", is_reached_without).await;
    }
    colony.stop_all();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_routers_that_keep_ports_nodes_make_a_direct_connection() {
    if !can_run() {
        return;
    }
    let mut colony = colony(Ports::Kept).await;
    let started = Instant::now();
    let id = picture(&colony, 0).unwrap().peer_id.unwrap();
    for index in [1, 2] {
        let line = colony.nodes[index].until_line(DIRECT);
        assert!(!line.contains(&id.to_string()), "{line}");
    }
    println!("they reach each other without the relay after {:.2} s", started.elapsed().as_secs_f64());
    // What goes through the relay ends with it.
    colony.kill(0);
    let is_met = async |colony: &Colony| {
        [1, 2].into_iter().all(|index| {
            let peers = picture(colony, index).map(|picture| picture.peers).unwrap_or_default();
            let is_met = |other: usize| {
                peers.iter().any(|peer| peer.is_connected && peer.node.as_str() == colony.nodes[other].name)
            };
            is_met(3 - index) && peers.iter().all(|peer| peer.peer_id != id)
        })
    };
    colony.until("the two are connected without the relay", is_met).await;
    colony.stop_all();
}
