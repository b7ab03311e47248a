//! What a node gives back when a part that it can't be without keeps failing, and who goes on with it.

use crate::world::*;
use crate::{DONE, PLAN, WRITE, one};
use bzzz_actors::ports::claims::LeaseState;
use bzzz_actors::task::TaskEvent;

/// A node that works on the issue until its poller has failed too often. From then on the forge is well.
async fn give_back(world: &World) {
    let mut node = world.start();
    Story::of(&node).until_kind("command_finished").await;
    world.forge.traps.set("open_issues", 0..1000);
    assert_eq!(node.failed().await, "task poller");
    assert_eq!(node.surrender().await, 1);
    world.forge.traps.set("open_issues", 0..0);
}

#[test]
fn a_node_whose_core_keeps_failing_gives_its_leases_back_and_another_takes_the_tasks_at_once() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE]);
        give_back(&world).await;
        assert_eq!(world.git.record(&one()).unwrap().state, LeaseState::Released);

        world.forge.remove_label("in-progress");
        let two = world.start_as(config("node-2"), std::sync::Arc::new(MemoryJournal::default()));
        let began = tokio::time::Instant::now();
        let TaskEvent::Claimed { epoch, .. } = Story::of(&two).until_kind("claimed").await else {
            unreachable!()
        };
        assert_eq!(epoch.0, 2);
        assert!(began.elapsed() <= 2 * MINUTE, "{:?}", began.elapsed());
        two.stop().await;
    });
}

#[test]
fn a_node_that_comes_back_to_the_lease_that_it_gave_back_goes_on() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE]);
        give_back(&world).await;
        world.model.say_more(&[WRITE, WRITE, DONE, DONE]);
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("pull_request_opened").await;
        assert!(!world.journal.kinds().contains(&"lease_lost"), "{:?}", world.journal.kinds());
        assert_eq!(world.git.record(&one()).unwrap().epoch.0, 1);
        node.stop().await;
    });
}

#[test]
fn a_node_that_comes_back_to_the_lease_that_it_gave_back_and_another_took_stops() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE]);
        give_back(&world).await;
        world.git.steal(&one());

        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("lease_lost").await;
        story.until_kind("cleaned_up").await;
        assert_eq!(world.git.record(&one()).unwrap().node.as_str(), "thief");
        node.stop().await;
    });
}

/// The writer of the journal is what failed: then the leases run out by themselves, and the node still ends.
#[test]
fn a_node_whose_journal_keeps_failing_still_ends() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE]);
        let mut node = world.start();
        Story::of(&node).until_kind("prepared").await;
        world.journal.traps.set("append", 0..100_000);
        assert_eq!(node.failed().await, "audit logger");
        assert_eq!(node.surrender().await, 0);
    });
}
