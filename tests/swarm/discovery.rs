//! How nodes on hosts of their own find each other.

use std::process::Command;
use std::time::Instant;

use bzzz::node::peers::Picture;

use crate::colony::{Colony, HOSTS, PORT};
use crate::net::can_run;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_one_network_nodes_find_each_other_by_themselves() {
    if !can_run() {
        return;
    }
    let mut colony = Colony::new(1);
    colony.repository("rocket", &[]).await;
    for host in HOSTS {
        colony.add(host, 0);
    }
    let started = Instant::now();
    colony.start_all();
    until_all_see_all(&colony, "by mDNS", started).await;

    let shown = peers(&colony, 0, &[]);
    for node in &colony.nodes[1..] {
        assert!(shown.contains(&node.name), "{}: {shown}", node.name);
    }
    assert!(shown.contains(&format!("/ip4/10.77.0.2/tcp/{PORT}/p2p/")), "{shown}");
    colony.stop_all();
    let stopped = peers(&colony, 0, &[]);
    assert!(stopped.contains("does not run"), "{stopped}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_two_networks_they_do_by_the_address_of_one() {
    if !can_run() {
        return;
    }
    let mut colony = Colony::new(2);
    colony.repository("rocket", &[]).await;
    let key = colony.swarm_key();
    colony.settings.extend(["swarm.mdns = false".to_owned(), format!("swarm.key_file = {key:?}")]);
    for (index, host) in HOSTS.into_iter().enumerate() {
        colony.add(host, u8::from(index > 1));
    }
    colony.start(0);
    let first = until_up(&colony, 0).await;
    let id = first.peer_id.unwrap();
    let bootstrap = format!("swarm.bootstrap = [\"/ip4/10.77.0.2/tcp/{PORT}/p2p/{id}\"]");
    let started = Instant::now();
    for index in 1..HOSTS.len() {
        colony.nodes[index].settings.push(bootstrap.clone());
        colony.start(index);
    }
    until_all_see_all(&colony, "by a bootstrap address", started).await;
    colony.stop_all();
}

/// Prints how long it took from the start of their processes, and from the moment at which the last one's network was up.
async fn until_all_see_all(colony: &Colony, how: &str, started: Instant) {
    for index in 0..colony.nodes.len() {
        until_up(colony, index).await;
    }
    let all_up = Instant::now();
    let others = colony.nodes.len() - 1;
    for node in &colony.nodes {
        let sees_all = async |_: &Colony| {
            let picture = Picture::read(&node.data_dir()).unwrap();
            picture.is_some_and(|picture| {
                picture.peers.iter().filter(|peer| peer.is_connected).count() == others
            })
        };
        colony.until(&format!("{} sees {others} others", node.name), sees_all).await;
    }
    let [from_start, from_up] = [started, all_up].map(|since| since.elapsed().as_secs_f64());
    let count = colony.nodes.len();
    println!(
        "{count} nodes know each other {how} after {from_start:.2} s, {from_up:.2} s after the last one is up"
    );
}

async fn until_up(colony: &Colony, index: usize) -> Picture {
    let node = &colony.nodes[index];
    let read = || Picture::read(&node.data_dir()).unwrap().filter(|picture| picture.peer_id.is_some());
    colony.until(&format!("the network of {} is up", node.name), async |_: &Colony| read().is_some()).await;
    read().unwrap()
}

/// What `bzzz peers` prints beside the node.
fn peers(colony: &Colony, index: usize, further: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_bzzz"))
        .args(["peers", "--config"])
        .arg(colony.nodes[index].config())
        .args(further)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}
