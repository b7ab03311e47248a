//! Repositories whose labels are not the nodes' to set: what became of an issue is told by what they left there.

use std::sync::Arc;

use bzzz_actors::node::Node;
use bzzz_actors::ports::claims::LeaseState;
use bzzz_actors::ports::forge::PullRequestState;

use crate::world::*;
use crate::{DONE, PLAN, WRITE, one};

/// Longer than a lease, the grace, and every pause between tries.
const HOURS: std::time::Duration = MINUTE.saturating_mul(180);

fn other(world: &World) -> (Node, Arc<MemoryJournal>) {
    let journal = Arc::new(MemoryJournal::default());
    (world.start_as(config("node-2"), journal.clone()), journal)
}

fn claims(journal: &MemoryJournal) -> usize {
    journal.kinds().iter().filter(|it| **it == "claimed").count()
}

#[test]
fn what_people_have_closed_is_left_until_somebody_hands_it_over_again() {
    for end in [PullRequestState::Closed, PullRequestState::Merged] {
        in_virtual_time(async {
            let world = World::new(&[PLAN, WRITE, DONE, DONE]);
            world.forge.be_of_others();
            let node = world.start();
            Story::of(&node).until_kind("pull_request_opened").await;
            world.forge.end_pull_request(end);
            let (second, journal) = other(&world);
            tokio::time::sleep(HOURS).await;
            assert_eq!((claims(&world.journal), claims(&journal)), (1, 0), "{end:?}");
            assert!(world.forge.labels().contains("bzzz-task"), "nobody took it off");
            node.stop().await;
            world.forge.set_label_anew();
            Story::of(&second).until_kind("claimed").await;
            second.stop().await;
        });
    }
}

#[test]
fn a_task_that_one_node_gave_up_is_not_tried_by_all_of_them() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, "hello", "hello", "hello"]);
        world.forge.be_of_others();
        let (second, journal) = other(&world);
        let node = world.start();
        tokio::time::sleep(HOURS).await;
        assert_eq!(claims(&world.journal) + claims(&journal), 1);
        let gave_up = world.forge.bodies().iter().filter(|it| it.contains("gave up")).count();
        assert_eq!(gave_up, 1);
        assert_eq!(world.git.record(&one()).unwrap().state, LeaseState::Held, "it ran out");

        // Nor after a restart.
        node.stop().await;
        second.stop().await;
        let (node, (second, _)) = (world.start(), other(&world));
        tokio::time::sleep(HOURS).await;
        assert_eq!(world.forge.bodies().iter().filter(|it| it.contains("gave up")).count(), 1);
        world.forge.set_label_anew();
        let (mut one, mut two) = (Story::of(&node), Story::of(&second));
        tokio::select! {
            _ = one.until_kind("claimed") => {}
            _ = two.until_kind("claimed") => {}
        }
        node.stop().await;
        second.stop().await;
    });
}
