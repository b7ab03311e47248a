//! Peers that keep no rule: refused, scored down, and without effect on the honest two beside them.

use std::time::Duration;

use bzzz::swarm::exchange::{Kept, Request, Response};
use bzzz::swarm::{Options, preshared};
use libp2p::PeerId;
use libp2p::identity::Keypair;
use serde::Serialize;
use serde_bytes::ByteBuf;

use super::bee::{Bee, Nest, SWARM, numbered, pair_with};
use super::raw::{Answer, Manners, Raw, Seen};

/// Two honest nodes, and a client that is on their list.
struct Scene {
    a: Bee,
    b: Bee,
    raw: Raw,
}

impl Scene {
    async fn new(manners: Manners) -> Self {
        let key = Keypair::generate_ed25519();
        let (a, b) = pair_with(&[key.public().to_peer_id()]).await;
        let raw = Raw::connect(key, manners, &[a.bootstrap().await]);
        Self { a, b, raw }
    }

    fn a_peer(&self) -> PeerId {
        self.a.nest.peer
    }

    /// The client is connected, and what it says is passed on.
    async fn heard(manners: Manners) -> Self {
        let mut scene = Self::new(manners).await;
        let a = scene.a_peer();
        scene.raw.until(Seen::Listens(a)).await;
        let first = scene.raw.sealed(1, &numbered(1));
        scene.raw.publish(first).await;
        let raw = scene.raw.name();
        scene.a.until_said(&raw, 1).await;
        scene.b.until_said(&raw, 1).await;
        scene
    }

    /// As if nothing had been.
    async fn the_honest_hear_each_other(&mut self) {
        self.a.say(1001).await;
        self.b.say(1002).await;
        self.b.until_said(&self.a.me(), 1001).await;
        self.a.until_said(&self.b.me(), 1002).await;
    }

    async fn is_shut_out(&mut self) {
        let a = self.a_peer();
        self.raw.until(Seen::Disconnected(a)).await;
    }
}

#[tokio::test]
async fn who_passes_on_garbage_is_shut_out() {
    let mut scene = Scene::heard(Manners::default()).await;
    for number in 0..3u8 {
        scene.raw.publish(vec![number; 100]).await;
    }
    scene.is_shut_out().await;
    scene.the_honest_hear_each_other().await;
}

#[tokio::test]
async fn nobody_speaks_for_another() {
    let mut scene = Scene::heard(Manners::default()).await;
    let victim = scene.b.me();
    for seq in 100..103 {
        let forged = scene.raw.sealed_as(&victim, seq, &numbered(666));
        scene.raw.publish(forged).await;
    }
    scene.is_shut_out().await;
    scene.the_honest_hear_each_other().await;
    assert!(!scene.a.has_heard(&victim, 666) && !scene.b.has_heard(&victim, 666));
}

#[tokio::test]
async fn what_is_too_long_is_not_read() {
    let mut scene = Scene::heard(Manners::default()).await;
    scene.raw.publish(vec![7; 200 << 10]).await;
    scene.the_honest_hear_each_other().await;
}

#[tokio::test]
async fn what_is_not_known_is_no_offence() {
    let mut scene = Scene::heard(Manners::default()).await;
    for seq in 2..20 {
        let poem = scene.raw.sealed_body(seq, vec![0x65, b'b', b'u', b'z', b'z', b'!']);
        scene.raw.publish(poem).await;
    }
    let sound = scene.raw.sealed(20, &numbered(20));
    scene.raw.publish(sound).await;
    let raw = scene.raw.name();
    scene.a.until_said(&raw, 20).await;
    scene.b.until_said(&raw, 20).await;
}

#[tokio::test]
async fn what_was_heard_in_an_earlier_life_is_not_heard_again() {
    let scene = Scene::heard(Manners::default()).await;
    let replayed = scene.raw.sealed(1, &numbered(1));
    let bootstrap = scene.a.bootstrap().await;
    let mut options = scene.a.nest.options(&[scene.a.nest.peer, scene.b.nest.peer, scene.raw.peer()]);
    options.listen = vec![bootstrap.address.clone()];
    scene.a.network.close().await;
    // Without `b`, who could tell it what was said.
    scene.b.network.close().await;
    let mut a = scene.a.nest.open(options).await;
    let key = scene.raw.key.clone();
    drop(scene.raw);
    let mut raw = Raw::connect(key, Manners::default(), &[bootstrap]);
    raw.until(Seen::Listens(a.nest.peer)).await;
    raw.publish(replayed).await;
    let next = raw.sealed(2, &numbered(2));
    raw.publish(next).await;
    a.until_said(&raw.name(), 2).await;
    assert!(!a.has_heard(&raw.name(), 1));
}

#[tokio::test]
async fn who_says_more_than_a_node_has_to_say_is_shut_out() {
    let mut scene = Scene::heard(Manners::default()).await;
    let shut_out = Seen::Disconnected(scene.a_peer());
    let flood = async {
        let mut seq = 2;
        while !scene.raw.has_seen(shut_out.clone()) {
            scene.raw.try_publish(scene.raw.sealed(seq, &numbered(seq))).await;
            seq += 1;
        }
    };
    tokio::time::timeout(Duration::from_secs(240), flood).await.expect("it was not shut out");
    scene.the_honest_hear_each_other().await;
}

#[tokio::test]
async fn who_is_not_on_the_list_does_not_get_in() {
    let (mut a, mut b) = pair_with(&[]).await;
    let key = Keypair::generate_ed25519();
    let stranger = key.public().to_peer_id();
    let mut raw = Raw::connect(key, Manners::default(), &[a.bootstrap().await]);
    raw.until(Seen::Disconnected(a.nest.peer)).await;
    a.say(1).await;
    b.until_said(&a.me(), 1).await;
    b.say(2).await;
    a.until_said(&b.me(), 2).await;
    let is_stranger =
        |heard: &bzzz_actors::ports::swarm::Heard| format!("{heard:?}").contains(&stranger.to_string());
    assert!(!a.so_far.iter().any(is_stranger), "{:?}", a.so_far);
}

#[tokio::test]
async fn a_wrong_key_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let keys = ["right", "wrong"].map(|name| preshared::make(&folder.path().join(name)).unwrap());
    let (a, b) = (Nest::new(), Nest::new());
    let (of_a, of_b) = (a.options(&[]), b.options(&[]));
    let a = a.open(Options { key: Some(keys[0]), ..of_a }).await;
    let bootstrap = a.bootstrap().await;
    for key in [Some(keys[1]), None] {
        let manners = Manners { key, ..Manners::default() };
        let mut raw = Raw::connect(Keypair::generate_ed25519(), manners, std::slice::from_ref(&bootstrap));
        raw.until(Seen::NotLetIn).await;
    }
    let mut b = b.open(Options { key: Some(keys[0]), bootstrap: vec![bootstrap], ..of_b }).await;
    b.until_connected(&a.me()).await;
}

#[tokio::test]
async fn a_node_of_another_swarm_is_parted_with() {
    let mut scene = Scene::new(Manners { spoken: "bzzz/desert/1".to_owned(), ..Manners::default() }).await;
    scene.is_shut_out().await;
    scene.the_honest_hear_each_other().await;
}

#[tokio::test]
async fn thousands_of_topics_disturb_nobody() {
    let topics = (0..5000).map(|number| format!("bzzz/noise/{number}")).collect();
    let mut scene = Scene::new(Manners { topics, ..Manners::default() }).await;
    let raw = scene.raw.name();
    scene.a.until_connected(&raw).await;
    scene.the_honest_hear_each_other().await;
}

fn cbor(value: &impl Serialize) -> Vec<u8> {
    cbor4ii::serde::to_vec(Vec::new(), value).unwrap()
}

fn answering(entries: Vec<Kept>) -> Manners {
    let answer = Answer::Bytes(cbor(&Response { v: 1, entries, next: None }));
    Manners { answer, ..Manners::default() }
}

#[tokio::test]
async fn who_answers_with_rubbish_is_shut_out() {
    let rubbish = Answer::Bytes(b"\xa1\x61v\x63one".to_vec());
    let mut scene = Scene::new(Manners { answer: rubbish, ..Manners::default() }).await;
    scene.is_shut_out().await;
    scene.the_honest_hear_each_other().await;
}

#[tokio::test]
async fn who_answers_with_more_than_may_be_is_shut_out() {
    let kept = Kept { age_ms: 0, envelope: ByteBuf::from(vec![1]) };
    let mut scene = Scene::new(answering(vec![kept; 10_000])).await;
    scene.is_shut_out().await;
    scene.the_honest_hear_each_other().await;
}

#[tokio::test]
async fn who_keeps_forged_messages_is_shut_out() {
    let key = Keypair::generate_ed25519();
    let (a, b) = pair_with(&[key.public().to_peer_id()]).await;
    let forger = Raw::connect(key.clone(), Manners::default(), &[]);
    let forged = forger.sealed_as(&b.me(), 5000, &numbered(666));
    let kept = Kept { age_ms: 0, envelope: ByteBuf::from(forged) };
    let raw = Raw::connect(key, answering(vec![kept]), &[a.bootstrap().await]);
    let mut scene = Scene { a, b, raw };
    scene.is_shut_out().await;
    scene.the_honest_hear_each_other().await;
    assert!(!scene.a.has_heard(&scene.b.me(), 666));
}

#[tokio::test]
async fn what_is_old_stays_old_however_young_it_is_said_to_be() {
    let key = Keypair::generate_ed25519();
    let (mut a, b) = pair_with(&[key.public().to_peer_id()]).await;
    let author = Raw::connect(key.clone(), Manners::default(), &[]);
    let [old, new] = [1, 2].map(|seq| ByteBuf::from(author.sealed(seq, &numbered(seq))));
    let entries = vec![Kept { age_ms: 0, envelope: new }, Kept { age_ms: 0, envelope: old }];
    let raw = Raw::connect(key, answering(entries), &[a.bootstrap().await]);
    a.until_synced(&raw.name()).await;
    assert!(a.has_heard(&raw.name(), 2) && !a.has_heard(&raw.name(), 1), "{:?}", a.so_far);
    drop(b);
}

#[tokio::test]
async fn who_never_answers_holds_up_nobody() {
    let late = Nest::new();
    let key = Keypair::generate_ed25519();
    let (a, b) = pair_with(&[key.public().to_peer_id(), late.peer]).await;
    let nodes = [a.bootstrap().await, b.bootstrap().await];
    let mut raw = Raw::connect(key, Manners::default(), &nodes);
    // In whichever order.
    let (first, second) = (Seen::Listens(nodes[0].peer), Seen::Listens(nodes[1].peer));
    let other = if raw.until_either(first, second).await { nodes[1].peer } else { nodes[0].peer };
    raw.until(Seen::Listens(other)).await;
    a.say(1).await;
    let options =
        Options { bootstrap: nodes.to_vec(), ..late.options(&[a.nest.peer, b.nest.peer, raw.peer()]) };
    let mut late = late.open(options).await;
    late.until_said(&a.me(), 1).await;
}

#[tokio::test]
async fn who_asks_again_and_again_is_shut_out() {
    let mut scene = Scene::heard(Manners::default()).await;
    let question = cbor(&Request { v: 1, swarm: SWARM.to_owned(), heads: vec![], after: None });
    let a = scene.a_peer();
    loop {
        scene.raw.ask(a, question.clone());
        if scene.raw.until_either(Seen::Disconnected(a), Seen::Answered).await {
            break;
        }
    }
    scene.the_honest_hear_each_other().await;
}
