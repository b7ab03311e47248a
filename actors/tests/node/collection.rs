//! The claims of closed issues are deleted, and no other.

use bzzz_actors::node::Node;
use bzzz_actors::ports::forge::PullRequestState;
use tokio::time::{Instant, sleep};

use crate::world::*;
use crate::{DONE, PLAN, WRITE, one};

const HOUR: std::time::Duration = MINUTE.saturating_mul(60);

/// The task's pull request was merged, which the node has noticed, and the issue is still open.
async fn merged(world: &World) -> Node {
    let node = world.start();
    let mut story = Story::of(&node);
    story.until_kind("pull_request_opened").await;
    world.forge.end_pull_request(PullRequestState::Merged);
    story.until_kind("cleaned_up").await;
    // Without its label it is not among those that are listed as open.
    world.forge.set_labels(&[]);
    node
}

fn world() -> World {
    World::new(&[PLAN, WRITE, DONE, DONE, PLAN, WRITE, DONE, DONE])
}

/// How long the claim stays, a day at most.
async fn stays(world: &World) -> Option<std::time::Duration> {
    let began = Instant::now();
    while began.elapsed() < 24 * HOUR {
        if !world.git.has_claim(&one()) {
            return Some(began.elapsed());
        }
        sleep(MINUTE).await;
    }
    None
}

#[test]
fn a_claim_stays_while_its_issue_is_open_and_goes_when_it_is_closed() {
    in_virtual_time(async {
        let world = world();
        let node = merged(&world).await;
        assert_eq!(stays(&world).await, None);
        world.forge.close_issue();
        assert!(stays(&world).await.unwrap() <= 2 * HOUR);

        // Opened again, it is a task like any other.
        world.forge.set_labels(&["bzzz-task"]);
        world.forge.reopen_issue();
        Story::of(&node).until_kind("claimed").await;
        assert_eq!(world.git.record(&one()).unwrap().epoch.0, 2);
        node.stop().await;
    });
}

#[test]
fn a_claim_that_moves_stays_though_its_issue_is_closed() {
    in_virtual_time(async {
        let world = world();
        let node = merged(&world).await;
        world.forge.close_issue();
        for _ in 0..100 {
            world.git.steal(&one());
            sleep(10 * MINUTE).await;
        }
        assert!(world.git.has_claim(&one()), "another node renews it");
        let stayed = stays(&world).await.unwrap();
        assert!(stayed >= 7 * MINUTE, "ttl and grace are counted from its last move: {stayed:?}");
        node.stop().await;
    });
}

#[test]
fn who_claims_in_the_moment_of_the_deletion_keeps_its_claim() {
    in_virtual_time(async {
        let world = world();
        let node = merged(&world).await;
        world.git.steal_before_delete();
        world.forge.close_issue();
        while world.git.record(&one()).unwrap().node.as_str() != "thief" {
            sleep(MINUTE).await;
        }
        sleep(15 * MINUTE).await;
        assert!(world.git.has_claim(&one()));
        node.stop().await;
    });
}

#[test]
fn what_is_no_lease_is_left_alone() {
    in_virtual_time(async {
        let world = world();
        let node = merged(&world).await;
        world.git.put_unreadable(&one());
        world.forge.close_issue();
        assert_eq!(stays(&world).await, None);
        node.stop().await;
    });
}

#[test]
fn of_two_nodes_that_delete_at_once_none_is_troubled() {
    in_virtual_time(async {
        let world = world();
        let node = merged(&world).await;
        let two = world.start_as(config("node-2"), std::sync::Arc::new(MemoryJournal::default()));
        world.forge.close_issue();
        assert!(stays(&world).await.is_some());
        sleep(3 * HOUR).await;
        assert!(!world.git.has_claim(&one()));
        node.stop().await;
        two.stop().await;
    });
}

#[test]
fn a_trap_in_the_collection_costs_a_round() {
    for call in ["list", "delete"] {
        in_virtual_time(async {
            let world = world();
            let node = merged(&world).await;
            world.git.traps.set(call, 0..1);
            world.forge.close_issue();
            assert!(stays(&world).await.is_some(), "{call}");
            assert!(world.git.traps.calls(call) >= 2, "{call}");
            node.stop().await;
        });
    }
}
