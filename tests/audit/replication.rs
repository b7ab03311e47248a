//! JavaScript's Hypercore against what is served here.

use bzzz::trail::replication::{Limits, Server};

use crate::javascript::{self, Follower};
use crate::trail::{Trail, key};

async fn serve(trail: &Trail) -> Server {
    Server::listen("127.0.0.1:0", trail.served(), Limits::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn javascript_reads_and_verifies_the_files_of_a_segment() {
    let mut trail = Trail::begin().await;
    trail.append_entries(300).await;
    trail.seal().await;
    for segment in 0..2 {
        let read = javascript::read(&trail.folder_of(segment)).await;
        assert_eq!(read.blocks, trail.blocks[segment as usize]);
        assert_eq!(read.key, key(segment).to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn javascript_receives_every_block_while_more_are_appended() {
    let mut trail = Trail::begin().await;
    trail.append_entries(500).await;
    let server = serve(&trail).await;
    let mut follower = Follower::start(server.address().port(), &[key(0)]);
    assert_eq!(follower.next().await, (key(0), 0, trail.blocks[0][0].clone()));
    // One by one and in groups, as a node's entries come, while it receives what came before.
    let mut received = 1;
    for round in 0..60 {
        trail.append_entries(if round % 3 == 0 { 20 } else { 1 }).await;
        for _ in 0..5 {
            assert_eq!(follower.next().await, (key(0), received as u64, trail.blocks[0][received].clone()));
            received += 1;
        }
    }
    for (index, block) in trail.blocks[0].iter().enumerate().skip(received) {
        assert_eq!(follower.next().await, (key(0), index as u64, block.clone()));
    }
    // Caught up, it hears of each.
    for _ in 0..5 {
        trail.append_entries(1).await;
        let (_, _, block) = follower.next().await;
        assert_eq!(Some(&block), trail.blocks[0].last());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn javascript_receives_several_segments_over_one_connection() {
    let mut trail = Trail::begin().await;
    for _ in 0..2 {
        trail.append_entries(100).await;
        trail.seal().await;
    }
    let server = serve(&trail).await;
    let mut follower = Follower::start(server.address().port(), &[key(0), key(1), key(2)]);
    let mut received = vec![Vec::new(); 3];
    while received != trail.blocks {
        let (of, index, block) = follower.next().await;
        let blocks = &mut received[(0..3).find(|segment| key(*segment) == of).unwrap() as usize];
        assert_eq!(index, blocks.len() as u64);
        blocks.push(block);
    }
}
