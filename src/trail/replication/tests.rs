//! What a peer that does not keep to the protocol achieves: nothing.

use std::sync::Arc;
use std::time::Duration;

use hypercore::{Hypercore, HypercoreBuilder, PartialKeypair, Storage};
use hypercore_schema::{DataBlock, Proof, RequestBlock, RequestUpgrade};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::transport::{Side, Transport};
use super::wire::{self, Incoming, Message, Request};
use super::{Limits, Served, ServedSegments, Server, discovery_key};

const PATIENCE: Duration = Duration::from_secs(20);
const BLOCKS: u64 = 20;

struct Owner {
    core: Hypercore,
    segments: Arc<ServedSegments>,
    server: Server,
}

async fn owner(limits: Limits) -> Owner {
    let core = HypercoreBuilder::new(Storage::new_memory().await.unwrap()).build().await.unwrap();
    core.append_batch((0..BLOCKS as u8).map(|it| vec![it; 9]).collect::<Vec<_>>()).await.unwrap();
    let segments = Arc::<ServedSegments>::default();
    segments.add(Served::new(core.clone()));
    let server = Server::listen("127.0.0.1:0", segments.clone(), limits).await.unwrap();
    Owner { core, segments, server }
}

impl Owner {
    fn key(&self) -> [u8; 32] {
        self.core.key_pair().public.to_bytes()
    }

    async fn connect(&self) -> Transport {
        let stream = TcpStream::connect(self.server.address()).await.unwrap();
        Transport::open(stream, Side::Initiator, 1 << 20).await.unwrap()
    }

    /// A channel to the core, number 1 here and there.
    async fn open(&self) -> Transport {
        self.try_open().await.unwrap()
    }

    /// `None` when there is no place.
    async fn try_open(&self) -> Option<Transport> {
        let stream = TcpStream::connect(self.server.address()).await.unwrap();
        let mut peer = Transport::open(stream, Side::Initiator, 1 << 20).await.ok()?;
        let capability = peer.capability(&self.key()).unwrap();
        peer.write(wire::open_frame(1, &discovery_key(&self.key()), &capability)).await.ok()?;
        peer.flush().await.ok()?;
        let opened = hear(&mut peer).await?;
        assert!(matches!(opened, Incoming::Open { channel: 1, .. }), "{opened:?}");
        Some(peer)
    }

    /// Who left may still have its place for a moment.
    async fn assert_has_a_place(&self) {
        let served = async { while self.try_open().await.is_none() {} };
        timeout(PATIENCE, served).await.unwrap();
    }

    /// The owner appends as before, and an honest peer reads it.
    async fn assert_is_well(&self) {
        let length = self.core.append(b"and on").await.unwrap().length;
        let mut peer = self.open().await;
        let block = Some(RequestBlock { index: length - 1, nodes: 0 });
        let upgrade = Some(RequestUpgrade { start: 0, length });
        say(&mut peer, wire::request_frame(1, &request(block, upgrade))).await;
        loop {
            match hear(&mut peer).await {
                Some(Incoming::Message { message: Message::Data { proof, .. }, .. }) => {
                    assert_eq!(proof.block.unwrap().value, b"and on");
                    break;
                }
                Some(_) => {}
                None => panic!("it was closed"),
            }
        }
    }
}

fn request(block: Option<RequestBlock>, upgrade: Option<RequestUpgrade>) -> Request {
    Request { id: 7, fork: 0, block, upgrade, asks_for_more: false }
}

async fn say(peer: &mut Transport, frame: Vec<u8>) {
    peer.write(frame).await.unwrap();
    peer.flush().await.unwrap();
}

/// `None` once it is closed.
async fn hear(peer: &mut Transport) -> Option<Incoming> {
    loop {
        let frame = timeout(PATIENCE, peer.read()).await.unwrap().ok().flatten()?;
        if let Some(first) = wire::read(&frame).unwrap().into_iter().next() {
            return Some(first);
        }
    }
}

async fn until_closed(peer: &mut Transport) {
    while hear(peer).await.is_some() {}
}

#[tokio::test]
async fn a_request_that_does_not_fit_is_answered_with_no_data() {
    let owner = owner(Limits::default()).await;
    let mut peer = owner.open().await;
    let block = |index, nodes| Some(RequestBlock { index, nodes });
    let upgrade = |start, length| Some(RequestUpgrade { start, length });
    let requests = [
        request(None, None),
        request(block(BLOCKS, 0), None),
        request(block(u64::MAX, 0), None),
        request(block(3, u64::MAX), None),
        // Beyond the upgrade that it comes with: in the crate a panic that no one survives.
        request(block(9, 0), upgrade(0, 3)),
        request(None, upgrade(u64::MAX, 2)),
        request(None, upgrade(0, BLOCKS + 1)),
        request(None, upgrade(4, 0)),
        Request { fork: 3, ..request(block(1, 0), None) },
    ];
    for asked in requests {
        say(&mut peer, wire::request_frame(1, &asked)).await;
        loop {
            match hear(&mut peer).await {
                Some(Incoming::Message { message: Message::NoData { request: 7 }, .. }) => break,
                Some(Incoming::Message { message: Message::Synchronize(_) | Message::Other, .. }) => {}
                other => panic!("{asked:?}: {other:?}"),
            }
        }
    }
    owner.assert_is_well().await;
}

#[tokio::test]
async fn data_of_a_peer_is_not_taken() {
    // Signed by the owner's own key, in another life that went on from here.
    let owner = owner(Limits::default()).await;
    let keys = PartialKeypair { ..owner.core.key_pair() };
    let twin =
        HypercoreBuilder::new(Storage::new_memory().await.unwrap()).key_pair(keys).build().await.unwrap();
    twin.append_batch((0..BLOCKS as u8 + 1).map(|it| vec![it; 9]).collect::<Vec<_>>()).await.unwrap();
    let upgrade = Some(RequestUpgrade { start: BLOCKS, length: 1 });
    let proof = twin.create_proof(None, None, None, upgrade).await.unwrap().unwrap();
    let mut peer = owner.open().await;
    say(&mut peer, wire::data_frame(1, 1, &proof)).await;
    say(&mut peer, wire::request_frame(1, &request(None, None))).await;
    while !matches!(hear(&mut peer).await, Some(Incoming::Message { message: Message::NoData { .. }, .. })) {}
    assert_eq!(owner.core.info().length, BLOCKS);
    owner.assert_is_well().await;
}

#[tokio::test]
async fn who_does_not_know_the_key_gets_nothing() {
    let owner = owner(Limits::default()).await;
    let mut peer = owner.connect().await;
    let capability = peer.capability(&[9; 32]).unwrap();
    say(&mut peer, wire::open_frame(1, &discovery_key(&owner.key()), &capability)).await;
    assert_eq!(hear(&mut peer).await, None);

    let mut peer = owner.connect().await;
    say(&mut peer, wire::open_frame(5, &discovery_key(&[9; 32]), &capability)).await;
    assert_eq!(hear(&mut peer).await, Some(Incoming::Rejected { channel: 5 }));
    owner.assert_is_well().await;
}

#[tokio::test]
async fn a_channel_may_have_any_number_but_not_two_owners() {
    let owner = owner(Limits { segments: 2, ..Limits::default() }).await;
    let mut peer = owner.connect().await;
    let capability = peer.capability(&owner.key()).unwrap();
    let name = discovery_key(&owner.key());
    for channel in [u64::MAX, 1 << 40] {
        say(&mut peer, wire::open_frame(channel, &name, &capability)).await;
    }
    say(&mut peer, wire::close_frame(u64::MAX)).await;
    say(&mut peer, wire::open_frame(1 << 40, &name, &capability)).await;
    until_closed(&mut peer).await;
    owner.assert_is_well().await;
}

#[tokio::test]
async fn who_asks_for_too_many_segments_is_let_go() {
    let owner = owner(Limits { segments: 2, ..Limits::default() }).await;
    let mut peer = owner.connect().await;
    let capability = peer.capability(&owner.key()).unwrap();
    let name = discovery_key(&owner.key());
    for channel in [1, 2] {
        say(&mut peer, wire::open_frame(channel, &name, &capability)).await;
        while !matches!(hear(&mut peer).await.unwrap(), Incoming::Open { .. }) {}
    }
    say(&mut peer, wire::close_frame(1)).await;
    say(&mut peer, wire::open_frame(3, &name, &capability)).await;
    while !matches!(hear(&mut peer).await.unwrap(), Incoming::Open { .. }) {}
    say(&mut peer, wire::open_frame(4, &name, &capability)).await;
    until_closed(&mut peer).await;
    owner.assert_is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_any_kind_end_the_connection_at_most() {
    let owner = owner(Limits::default()).await;
    let mut runner = TestRunner::deterministic();
    let bytes = prop::collection::vec(any::<u8>(), 0..300);
    for _ in 0..200 {
        let mut peer = owner.open().await;
        for _ in 0..3 {
            let frame = bytes.new_tree(&mut runner).unwrap().current();
            // It may have been closed after the one before.
            let _ = peer.write(frame).await;
            let _ = peer.flush().await;
        }
    }
    for _ in 0..20 {
        let mut bare = TcpStream::connect(owner.server.address()).await.unwrap();
        let _ = bare.write_all(&bytes.new_tree(&mut runner).unwrap().current()).await;
    }
    owner.assert_has_a_place().await;
    owner.assert_is_well().await;
}

#[tokio::test]
async fn a_peer_that_asks_and_does_not_read_holds_up_nobody() {
    let owner = owner(Limits::default()).await;
    owner.core.append(&vec![0; 60_000]).await.unwrap();
    let mut peer = owner.open().await;
    let ask = wire::request_frame(1, &request(Some(RequestBlock { index: BLOCKS, nodes: 0 }), None));
    // Answers of 60 MB, which fit into no connection.
    for _ in 0..1000 {
        peer.write(ask.clone()).await.unwrap();
    }
    peer.flush().await.unwrap();
    owner.assert_is_well().await;
}

#[tokio::test]
async fn a_block_of_the_largest_size_is_served_with_its_whole_proof() {
    let owner = owner(Limits::default()).await;
    let length = owner.core.append(&vec![0; super::MAX_BLOCK]).await.unwrap().length;
    let mut peer = owner.open().await;
    let block = Some(RequestBlock { index: BLOCKS, nodes: 0 });
    let upgrade = Some(RequestUpgrade { start: 0, length });
    say(&mut peer, wire::request_frame(1, &request(block, upgrade))).await;
    let proof = loop {
        let incoming = hear(&mut peer).await.expect("it was closed");
        if let Incoming::Message { message: Message::Data { proof, .. }, .. } = incoming {
            break proof;
        }
    };
    assert_eq!(proof.block.unwrap().value.len(), super::MAX_BLOCK);
}

#[tokio::test]
async fn who_asks_without_end_hears_of_other_segments_too() {
    const REQUESTS: usize = 1000;
    let owner = owner(Limits::default()).await;
    let other = HypercoreBuilder::new(Storage::new_memory().await.unwrap()).build().await.unwrap();
    owner.segments.add(Served::new(other.clone()));
    let mut peer = owner.open().await;
    let key = other.key_pair().public.to_bytes();
    let capability = peer.capability(&key).unwrap();
    say(&mut peer, wire::open_frame(2, &discovery_key(&key), &capability)).await;
    while !matches!(hear(&mut peer).await, Some(Incoming::Open { .. })) {}
    // All of it is there before the session gets its turn.
    let ask = wire::request_frame(1, &request(Some(RequestBlock { index: 3, nodes: 0 }), None));
    for _ in 0..REQUESTS {
        peer.write(ask.clone()).await.unwrap();
    }
    peer.flush().await.unwrap();
    other.append(b"news").await.unwrap();
    let mut answers = 0;
    loop {
        match hear(&mut peer).await.expect("it was closed") {
            Incoming::Message { channel: 2, message: Message::Synchronize(it) } if it.length == 1 => break,
            Incoming::Message { message: Message::Data { .. }, .. } => answers += 1,
            _ => {}
        }
    }
    assert!(answers < REQUESTS, "after all of its answers");
}

async fn assert_is_closed(bare: &mut TcpStream) {
    let read = timeout(PATIENCE, bare.read(&mut [0; 8])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test]
async fn who_finds_no_place_is_turned_away() {
    // Nobody is turned away for being silent.
    let handshake = PATIENCE * 100;
    let owner = owner(Limits { connections: 2, handshake, ..Limits::default() }).await;
    let connect = || async { TcpStream::connect(owner.server.address()).await.unwrap() };
    let first = [connect().await, connect().await];
    assert_is_closed(&mut connect().await).await;
    drop(first);
    owner.assert_has_a_place().await;
}

#[tokio::test]
async fn who_does_not_say_who_it_is_is_turned_away() {
    let handshake = Duration::from_millis(300);
    let owner = owner(Limits { connections: 2, handshake, ..Limits::default() }).await;
    for _ in 0..3 {
        assert_is_closed(&mut TcpStream::connect(owner.server.address()).await.unwrap()).await;
    }
    owner.assert_has_a_place().await;
}

#[tokio::test]
async fn who_is_silent_for_long_is_let_go() {
    let owner = owner(Limits { idle: Duration::from_millis(300), ..Limits::default() }).await;
    let mut peer = owner.connect().await;
    until_closed(&mut peer).await;
}

#[tokio::test]
async fn who_reads_a_core_that_another_took_the_place_of_is_let_go() {
    let owner = owner(Limits::default()).await;
    let mut peer = owner.open().await;
    owner.segments.add(Served::new(owner.core.clone()));
    until_closed(&mut peer).await;
    owner.assert_is_well().await;
}

#[test]
fn a_block_of_the_largest_size_fits_into_a_follower_s_frame() {
    let nodes = (0..16).map(|at| hypercore_schema::Node::new(at, vec![1; 32], 1 << 31)).collect();
    let block = DataBlock { index: 30_000, value: vec![0; super::MAX_BLOCK], nodes };
    let proof = Proof { fork: 0, block: Some(block), hash: None, seek: None, upgrade: None };
    let sealed = wire::data_frame(1, u64::MAX, &proof).len() + 64;
    assert!(sealed < super::LARGEST_FRAME, "{sealed}");
}
