//! Honest nodes: they find each other, hear each other, and come back.

use bzzz::swarm::{Libp2p, Options, preshared};
use bzzz_actors::ports::swarm::{Availability, Heard, Misdeed, Said, Swarm, SwarmError, TasksSeen};

use super::bee::{Bee, Nest, numbered, pair, pair_with};

#[tokio::test]
async fn two_nodes_hear_each_other() {
    let (mut a, mut b) = pair().await;
    a.say(1).await;
    b.say(2).await;
    b.until_said(&a.me(), 1).await;
    a.until_said(&b.me(), 2).await;
}

#[tokio::test]
async fn a_lone_node_is_told_so_and_is_heard_by_those_that_come_later() {
    let (a, b) = (Nest::new(), Nest::new());
    let allow = [a.peer, b.peer];
    let (of_a, of_b) = (a.options(&allow), b.options(&allow));
    let a = a.open(of_a).await;
    assert_eq!(a.voice.say(numbered(1)).await, Err(SwarmError::Alone));
    let mut b = b.open(Options { bootstrap: vec![a.bootstrap().await], ..of_b }).await;
    b.until_said(&a.me(), 1).await;
}

#[tokio::test]
async fn who_comes_later_is_told_the_last_of_everything_by_any_node() {
    let late = Nest::new();
    let (mut a, b) = pair_with(&[late.peer]).await;
    b.say(1).await;
    b.say(2).await;
    let free = Said::Availability(Availability { free_slots: 3, tasks: vec![] });
    b.voice.say(free.clone()).await.unwrap();
    let is_free = |heard: &Heard| matches!(heard, Heard::Said { said, .. } if *said == free);
    a.until("b's availability", is_free).await;
    if !a.has_heard(&b.me(), 2) {
        a.until_said(&b.me(), 2).await;
    }
    // Its author is gone when the late one comes.
    b.network.close().await;
    let options =
        Options { bootstrap: vec![a.bootstrap().await], ..late.options(&[a.nest.peer, b.nest.peer]) };
    let mut late = late.open(options).await;
    late.until_synced(&a.me()).await;
    assert!(late.has_heard(&b.me(), 2) && late.so_far.iter().any(is_free), "{:?}", late.so_far);
    assert!(!late.has_heard(&b.me(), 1), "it is told what was replaced");
}

#[tokio::test]
async fn what_gossip_loses_in_a_burst_the_exchange_brings() {
    let (a, mut b) = pair().await;
    // More at once than anybody takes from one author.
    for number in 0..500 {
        let seen = TasksSeen {
            repo: format!("acme/r{number}").parse().unwrap(),
            free: vec![1],
            called: vec![],
            other: vec![],
            next_in_s: 60,
            labels: Default::default(),
            language: None,
        };
        a.voice.say(Said::TasksSeen(seen)).await.unwrap();
    }
    let is_seen = |heard: &Heard| matches!(heard, Heard::Said { said: Said::TasksSeen(_), .. });
    while b.so_far.iter().filter(|heard| is_seen(heard)).count() < 500 {
        b.until("one more", is_seen).await;
    }
}

#[tokio::test]
async fn nodes_find_those_that_their_bootstrap_peer_knows() {
    let nests: Vec<Nest> = (0..4).map(|_| Nest::new()).collect();
    let allow: Vec<_> = nests.iter().map(|nest| nest.peer).collect();
    let names: Vec<_> = nests.iter().map(Nest::name).collect();
    let mut bees = Vec::new();
    let mut bootstrap = Vec::new();
    for nest in nests {
        let options = Options { bootstrap: bootstrap.clone(), ..nest.options(&allow) };
        let bee = nest.open(options).await;
        if bootstrap.is_empty() {
            bootstrap.push(bee.bootstrap().await);
        }
        bees.push(bee);
    }
    for bee in &mut bees {
        let me = bee.me();
        for name in names.iter().filter(|name| **name != me) {
            let connected = Heard::Connected { peer: name.clone() };
            if !bee.so_far.contains(&connected) {
                bee.until_connected(name).await;
            }
        }
    }
}

#[tokio::test]
async fn a_newcomer_finds_its_way_into_a_swarm_whose_nodes_have_all_the_peers_they_may_have() {
    let nests: Vec<Nest> = (0..6).map(|_| Nest::new()).collect();
    let allow: Vec<_> = nests.iter().map(|nest| nest.peer).collect();
    let (mut bees, mut bootstrap): (Vec<Bee>, _) = (Vec::new(), Vec::new());
    for nest in nests {
        let options = Options { bootstrap: bootstrap.clone(), max_peers: 3, ..nest.options(&allow) };
        let mut bee = nest.open(options).await;
        bee.say(1).await;
        if bootstrap.is_empty() {
            bootstrap.push(bee.bootstrap().await);
        }
        for earlier in &mut bees {
            if !bee.has_heard(&earlier.me(), 1) {
                bee.until_said(&earlier.me(), 1).await;
            }
            earlier.until_said(&bee.me(), 1).await;
        }
        bees.push(bee);
    }
}

#[tokio::test]
async fn a_network_that_ended_is_opened_again_at_the_same_port() {
    let (mut a, mut b) = pair().await;
    let address = a.bootstrap().await;
    // As an actor that is restarted lets go of it.
    drop(std::mem::replace(&mut a.heard, tokio::sync::mpsc::channel(1).1));
    let me = a.me();
    b.until("the end of a", |heard| *heard == Heard::Disconnected { peer: me.clone() }).await;
    assert_ne!(a.voice.say(numbered(1)).await, Ok(()));
    a.network.close().await;
    let mut options = a.nest.options(&[a.nest.peer, b.nest.peer]);
    options.listen = vec![address.address.clone()];
    let mut a = a.nest.open(options).await;
    // It comes back by itself: `b` dials.
    b.until_connected(&a.me()).await;
    for _ in 0..3 {
        let open = a.network.open().await.unwrap();
        a.heard = open.heard;
        a.voice = open.voice;
        assert_eq!(a.bootstrap().await.address, address.address);
        b.until_connected(&a.me()).await;
    }
    a.say(2).await;
    b.until_said(&a.me(), 2).await;
}

#[tokio::test]
async fn what_can_not_be_listened_on_is_said() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let nest = Nest::new();
    let mut options = nest.options(&[]);
    options.listen = vec![format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()];
    let network = Libp2p::new(options).unwrap();
    let error = network.open().await.err().unwrap().to_string();
    assert!(error.contains(&format!("/tcp/{port}")) && error.contains("swarm.listen"), "{error}");
    drop(taken);
    assert!(network.open().await.is_ok(), "the next opening finds it free");
}

#[tokio::test]
async fn peers_are_remembered() {
    let (a, b) = pair().await;
    let address = a.bootstrap().await;
    let (of_a, of_b) =
        (a.nest.options(&[a.nest.peer, b.nest.peer]), b.nest.options(&[a.nest.peer, b.nest.peer]));
    a.network.close().await;
    b.network.close().await;
    let listen = vec![address.address];
    let mut a = a.nest.open(Options { listen, ..of_a }).await;
    // Nobody tells `b` of `a` this time.
    let b = b.nest.open(Options { bootstrap: vec![], ..of_b }).await;
    a.until_connected(&b.me()).await;
}

#[tokio::test]
async fn a_shared_key_lets_in_who_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let key = preshared::make(&folder.path().join("key")).unwrap();
    let (a, b) = (Nest::new(), Nest::new());
    let (of_a, of_b) = (a.options(&[]), b.options(&[]));
    let mut a = a.open(Options { key: Some(key), ..of_a }).await;
    let bootstrap = vec![a.bootstrap().await];
    let mut b = b.open(Options { key: Some(key), bootstrap, ..of_b }).await;
    b.until_connected(&a.me()).await;
    b.say(1).await;
    a.until_said(&b.me(), 1).await;
}

#[tokio::test]
async fn quic_carries_it_too() {
    let (a, b) = (Nest::new(), Nest::new());
    let allow = [a.peer, b.peer];
    let (of_a, of_b) = (a.options(&allow), b.options(&allow));
    let quic = || vec!["/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()];
    let mut a = a.open(Options { listen: quic(), ..of_a }).await;
    let bootstrap = vec![a.bootstrap().await];
    let b = b.open(Options { listen: quic(), bootstrap, ..of_b }).await;
    a.until_connected(&b.me()).await;
    b.say(1).await;
    a.until_said(&b.me(), 1).await;
}

#[tokio::test]
async fn who_is_blamed_again_and_again_is_not_heard_for_a_while() {
    let (mut a, mut b) = pair().await;
    for _ in 0..4 {
        a.voice.blame(&b.me(), Misdeed::FalseClaim).await;
    }
    let (me, other) = (a.me(), b.me());
    a.until("the end of b", |heard| *heard == Heard::Disconnected { peer: other.clone() }).await;
    b.until("the end of a", |heard| *heard == Heard::Disconnected { peer: me.clone() }).await;
}
