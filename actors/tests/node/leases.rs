//! Exactly one owner a task, whatever the git server and the other nodes do.

use crate::world::git::Fault;
use crate::world::*;
use crate::{DONE, PLAN, WRITE, one};
use bzzz_actors::task::TaskEvent;

#[test]
fn a_stolen_lease_stops_the_task_and_publishes_nothing() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE]);
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("command_finished").await;
        world.git.steal(&one());
        story.until_kind("lease_lost").await;
        story.until_kind("cleaned_up").await;
        assert_eq!(world.git.record(&one()).unwrap().node.as_str(), "thief");
        assert_eq!(world.git.branch(&one()), None);
        assert_eq!(world.sandboxes.standing(), 0);
        node.stop().await;
    });
}

#[test]
fn a_lease_stolen_just_before_the_push_fences_it() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, DONE, DONE]);
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("checks_finished").await;
        world.git.steal(&one());
        story.until_kind("cleaned_up").await;
        assert!(story.kinds.contains(&"lease_lost"), "{:?}", story.kinds);
        assert_eq!(world.git.branch(&one()), None);
        assert!(world.forge.pull_requests().is_empty());
        node.stop().await;
    });
}

#[test]
fn a_lost_answer_of_the_git_server_is_looked_into() {
    for faults in [vec![Fault::LostAfter], vec![Fault::LostBefore, Fault::LostBefore, Fault::LostAfter]] {
        in_virtual_time(async {
            let world = World::new(&[PLAN, WRITE, DONE, DONE]);
            world.git.fail_swaps(faults);
            let node = world.start();
            let mut story = Story::of(&node);
            story.until_kind("checks_finished").await;
            world.git.fail_swaps([Fault::LostAfter]);
            story.until_kind("pull_request_opened").await;
            assert!(!story.kinds.contains(&"claim_lost"), "{:?}", story.kinds);
            node.stop().await;
        });
    }
}

#[test]
fn a_long_task_renews_its_lease_and_a_silent_git_server_ends_it() {
    in_virtual_time(async {
        let world = World::new(&[PLAN]);
        let node = world.start();
        let mut story = Story::of(&node);
        for _ in 0..3 {
            story.until_kind("lease_renewed").await;
        }
        world.git.fail_swaps([Fault::LostBefore; 10_000]);
        let began = tokio::time::Instant::now();
        story.until_kind("lease_lost").await;
        assert!(
            began.elapsed() <= 15 * MINUTE,
            "others may take it after ttl and grace: {:?}",
            began.elapsed()
        );
        node.stop().await;
    });
}

#[test]
fn two_nodes_make_one_pull_request() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, DONE, DONE]);
        let other_journal = std::sync::Arc::new(MemoryJournal::default());
        let one = world.start();
        let two = world.start_as(config("node-2"), other_journal.clone());
        let (mut first, mut second) = (Story::of(&one), Story::of(&two));
        tokio::select! {
            _ = first.until_kind("pull_request_opened") => {}
            _ = second.until_kind("pull_request_opened") => {}
        }
        tokio::time::sleep(60 * MINUTE).await;
        assert_eq!(world.forge.pull_requests().len(), 1);
        let published = [world.journal.kinds(), other_journal.kinds()].concat();
        assert_eq!(published.iter().filter(|kind| **kind == "published").count(), 1);
        one.stop().await;
        two.stop().await;
    });
}

#[test]
fn a_dead_nodes_task_is_taken_over_after_its_lease_ran_out() {
    in_virtual_time(async {
        let world = World::new(&[PLAN]);
        let one_node = world.start();
        Story::of(&one_node).until_kind("plan_settled").await;
        one_node.stop().await;
        let two = world.start_as(config("node-2"), std::sync::Arc::new(MemoryJournal::default()));
        let began = tokio::time::Instant::now();
        let TaskEvent::Claimed { epoch, .. } = Story::of(&two).until_kind("claimed").await else {
            unreachable!()
        };
        assert_eq!(epoch.0, 2);
        assert!(began.elapsed() >= 17 * MINUTE, "{:?}", began.elapsed());
        two.stop().await;
    });
}
