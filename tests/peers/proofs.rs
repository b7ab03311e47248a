//! Audit trails over the wire: heads that are said, and proofs that are asked for.

use std::sync::Arc;

use bzzz::ed25519;
use bzzz::swarm::trail::{Request, Response};
use bzzz::swarm::{Options, Prover};
use bzzz_actors::ports::journal::JournalError;
use bzzz_actors::ports::swarm::{Heard, Said, SwarmError};
use bzzz_actors::trail::{Bytes, Growth, Mark, Node, TrailHead, Tree};
use libp2p::identity::Keypair;
use libp2p::identity::ed25519::Keypair as AuditKey;
use serde::Serialize;

use super::bee::{Bee, Nest, SWARM, numbered, pair_with};
use super::raw::{Answer, Manners, Raw, Seen};

/// A trail of one segment, by which blocks it has.
struct Trail {
    key: AuditKey,
    tree: Tree,
}

impl Trail {
    fn new(key: &AuditKey, blocks: impl IntoIterator<Item = &'static str>) -> Self {
        let mut tree = Tree::default();
        blocks.into_iter().for_each(|block| tree.push(Node::of_block(block.as_bytes())));
        Self { key: key.clone(), tree }
    }

    fn head(&self, length: u64) -> TrailHead {
        let key = Bytes(self.key.public().to_bytes());
        let mark = Mark { segment: 0, length, root: self.tree.peaks(length).unwrap().root() };
        let signature = Bytes(self.key.sign(&mark.signed_bytes()).try_into().unwrap());
        TrailHead { key, segment_key: key, mark, signature }
    }
}

impl Prover for Trail {
    fn growth(&self, from: Mark, to: Mark) -> Result<Option<Growth>, JournalError> {
        let leads_to = |mark: &Mark| self.tree.peaks(mark.length).is_some_and(|it| it.root() == mark.root);
        let leads_to_both = leads_to(&from) && leads_to(&to);
        Ok(leads_to_both.then(|| Growth::new(&self.tree, from.length, to.length, vec![])).flatten())
    }
}

/// A node that hears a client, which proves its trail as it likes.
async fn scene(proof: Answer) -> (Bee, Bee, Raw) {
    let key = Keypair::generate_ed25519();
    let (mut a, b) = pair_with(&[key.public().to_peer_id()]).await;
    let mut raw = Raw::connect(key, Manners { proof, ..Manners::default() }, &[a.bootstrap().await]);
    raw.until(Seen::Listens(a.nest.peer)).await;
    a.until_connected(&raw.name()).await;
    (a, b, raw)
}

fn cbor(value: &impl Serialize) -> Vec<u8> {
    cbor4ii::serde::to_vec(Vec::new(), value).unwrap()
}

#[tokio::test]
async fn a_node_proves_its_growth_to_those_of_its_swarm() {
    let trail = Arc::new(Trail::new(&AuditKey::generate(), ["header", "one", "two", "three"]));
    let (a, b) = (Nest::new(), Nest::new());
    let allow = [a.peer, b.peer];
    let (of_a, of_b) = (a.options(&allow), b.options(&allow));
    let mut a = a.open(Options { prover: Some(trail.clone()), ..of_a }).await;
    let mut b = b.open(Options { bootstrap: vec![a.bootstrap().await], ..of_b }).await;
    a.until_synced(&b.me()).await;
    b.until_synced(&a.me()).await;

    let (from, to) = (trail.head(2), trail.head(4));
    let growth = b.voice.ask_growth(&a.me(), from.mark, to.mark).await.unwrap();
    assert_eq!(growth.check(&from, &to, &ed25519::verify), Ok(()));
    let strange = Mark { root: Bytes([7; 32]), ..from.mark };
    assert_eq!(b.voice.ask_growth(&a.me(), strange, to.mark).await, Err(SwarmError::NoProof));
    // Without anything to prove it with it does not answer, which is no answer of no.
    let unanswered = a.voice.ask_growth(&b.me(), from.mark, to.mark).await;
    assert!(matches!(unanswered, Err(SwarmError::NoAnswer(_))), "{unanswered:?}");
    let nobody = b.voice.ask_growth(&Nest::new().name(), from.mark, to.mark).await;
    assert!(matches!(nobody, Err(SwarmError::NoAnswer(_))), "{nobody:?}");
}

#[tokio::test]
async fn a_head_that_does_not_go_on_from_the_one_before_is_caught() {
    let key = AuditKey::generate();
    let (trail, anew) =
        (Trail::new(&key, ["header", "one", "two"]), Trail::new(&key, ["header", "another", "two", "three"]));
    let (from, to) = (trail.head(2), anew.head(4));
    let growth = Growth::new(&anew.tree, 2, 4, vec![]);
    let proof = Answer::Bytes(cbor(&Response { v: 1, growth }));
    let (mut a, _b, raw) = scene(proof).await;
    for (seq, head) in [(1, from), (2, to)] {
        raw.publish(raw.sealed(seq, &Said::AuditHead(head))).await;
        let wanted = Heard::Said { author: raw.name(), said: Said::AuditHead(head) };
        a.until("the head", |heard| *heard == wanted).await;
    }
    let growth = a.voice.ask_growth(&raw.name(), from.mark, to.mark).await.unwrap();
    assert!(growth.check(&from, &to, &ed25519::verify).is_err());
}

#[tokio::test]
async fn who_says_heads_that_nobody_signed_is_shut_out() {
    let (a, _b, mut raw) = scene(Answer::Never).await;
    let head = Trail::new(&AuditKey::generate(), ["header", "one"]).head(2);
    for (seq, byte) in [(1, 0), (2, 7), (3, 63)] {
        let mut forged = head;
        forged.signature.0[byte] ^= 1;
        raw.publish(raw.sealed(seq, &Said::AuditHead(forged))).await;
    }
    raw.until(Seen::Disconnected(a.nest.peer)).await;
}

#[tokio::test]
async fn what_is_no_proof_is_no_answer_and_who_gives_it_is_shut_out() {
    let mut wide = Growth { peaks: vec![], length: 1, added: vec![Node::of_block(b""); 1000], then: vec![] };
    let oversized = cbor(&Response { v: 1, growth: Some(wide.clone()) });
    (wide.added, wide.length) = (vec![], u64::MAX);
    let absurd = cbor(&Response { v: 1, growth: Some(wide) });
    let head = Trail::new(&AuditKey::generate(), ["header", "one"]).head(2);
    for answer in [b"\xa1\x61v\x63one".to_vec(), oversized, absurd] {
        let (a, _b, mut raw) = scene(Answer::Bytes(answer)).await;
        for _ in 0..3 {
            let answer = a.voice.ask_growth(&raw.name(), head.mark, head.mark).await;
            assert!(matches!(answer, Err(SwarmError::NoAnswer(_))), "{answer:?}");
        }
        raw.until(Seen::Disconnected(a.nest.peer)).await;
    }
}

#[tokio::test]
async fn an_answer_without_an_end_is_not_read_to_it_and_silence_is_borne() {
    let head = Trail::new(&AuditKey::generate(), ["header", "one"]).head(2);
    // A text of 16 MB, as it says.
    let endless = [b"\xa2\x61v\x01\x66growth\x7a\x01\x00\x00\x00".as_slice(), &vec![b'x'; 16 << 20]].concat();
    for answer in [Answer::Bytes(endless), Answer::Never] {
        let (mut a, _b, raw) = scene(answer).await;
        let answer = a.voice.ask_growth(&raw.name(), head.mark, head.mark).await;
        assert!(matches!(answer, Err(SwarmError::NoAnswer(_))), "{answer:?}");
        raw.publish(raw.sealed(1, &numbered(1))).await;
        a.until_said(&raw.name(), 1).await;
    }
}

#[tokio::test]
async fn who_asks_for_proofs_again_and_again_is_shut_out() {
    let (a, _b, mut raw) = scene(Answer::Never).await;
    let mark = Mark { segment: 0, length: 1, root: Bytes([0; 32]) };
    let question = cbor(&Request { v: 1, swarm: SWARM.to_owned(), from: mark, to: mark });
    loop {
        raw.ask_for_proof(a.nest.peer, question.clone());
        if raw.until_either(Seen::Disconnected(a.nest.peer), Seen::Answered).await {
            break;
        }
    }
}

#[tokio::test]
async fn a_node_that_comes_back_is_told_what_it_said_of_its_trail() {
    let head = Trail::new(&AuditKey::generate(), ["header", "one"]).head(2);
    let (mut a, b) = pair_with(&[]).await;
    b.voice.say(Said::AuditHead(head)).await.unwrap();
    let said = Heard::Said { author: b.me(), said: Said::AuditHead(head) };
    a.until("the head", |heard| *heard == said).await;
    let options = b.nest.options(&[a.nest.peer, b.nest.peer]);
    b.network.close().await;
    let mut b = b.nest.open(Options { bootstrap: vec![a.bootstrap().await], ..options }).await;
    // As a node does that has just opened its network.
    b.say(1).await;
    b.until("its own head", |heard| *heard == Heard::OwnHead { head }).await;
}
