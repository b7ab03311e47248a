//! Actors and nodes that come back: what was under way is found again, whatever goes wrong meanwhile.

use crate::world::git::Fault;
use crate::world::*;
use crate::{DONE, HANG, PLAN, WRITE, one};
use bzzz_actors::ports::claims::LeaseState;
use bzzz_actors::task::TaskEvent;

#[test]
fn a_push_whose_record_was_lost_is_not_taken_for_a_lost_lease() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, DONE, DONE]);
        world.journal.panic_on("published");
        let node = world.start();
        Story::of(&node).until_kind("pull_request_opened").await;
        assert_eq!(world.git.record(&one()).unwrap().state, LeaseState::Done);
        node.stop().await;
    });
}

#[test]
fn a_publish_waits_until_the_manager_of_claims_has_come_back() {
    in_virtual_time(async {
        for faults in [0, 4] {
            let world = World::new(&[PLAN, WRITE, DONE, DONE]);
            let node = world.start();
            let mut story = Story::of(&node);
            story.until_kind("checks_finished").await;
            world.git.panic_in_draft();
            world.git.fail_swaps((0..faults).map(|_| Fault::LostBefore));
            let is_end = |event: &TaskEvent| matches!(event.kind(), "pull_request_opened" | "cleaned_up");
            assert_eq!(story.until(is_end).await.kind(), "pull_request_opened", "{:?}", story.kinds);
            assert_eq!(world.git.record(&one()).unwrap().state, LeaseState::Done);
            node.stop().await;
        }
    });
}

#[test]
fn a_repository_that_is_gone_keeps_no_other_task_from_coming_back() {
    in_virtual_time(async {
        let mut world = World::new(&[PLAN, WRITE, HANG]);
        world.config.repositories = vec!["acme/gone".parse().unwrap(), "acme/rocket".parse().unwrap()];
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("command_finished").await;
        story.until_kind("command_finished").await;
        node.stop().await;
        let before = world.journal.kinds_of("acme/rocket#1").len();
        world.git.deny(Some("acme/gone"));
        let node = world.start();
        Story::of(&node).until_kind("command_finished").await;
        tokio::time::sleep(MINUTE).await;
        let new = world.journal.kinds_of("acme/rocket#1").split_off(before);
        assert!(new.contains(&"lease_renewed") && new.contains(&"command_finished"), "{new:?}");
        node.stop().await;
    });
}

#[test]
fn a_journal_that_can_not_be_read_at_once_loses_no_task() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, HANG, WRITE, DONE, DONE]);
        let node = world.start();
        Story::of(&node).until_kind("plan_settled").await;
        node.stop().await;
        world.journal.fail_unfinished(2);
        let node = world.start();
        Story::of(&node).until_kind("pull_request_opened").await;
        node.stop().await;
    });
}

#[test]
fn a_lease_found_lost_while_its_manager_comes_back_stops_the_task() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, HANG]);
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("command_finished").await;
        world.git.steal(&one());
        world.git.panic_in_draft();
        story.until_kind("cleaned_up").await;
        assert_eq!(world.sandboxes.standing(), 0);
        assert!(!story.kinds.contains(&"gave_up"), "{:?}", story.kinds);
        node.stop().await;
    });
}

#[test]
fn the_nodes_own_write_is_not_taken_for_anothers() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, HANG]);
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("command_finished").await;
        world.git.fail_swaps([Fault::LostAfter]);
        world.git.deny(Some("acme/rocket"));
        story.until_kind("lease_intended").await;
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        world.git.deny(None);
        let is_known = |event: &TaskEvent| matches!(event.kind(), "lease_renewed" | "lease_lost");
        assert_eq!(story.until(is_known).await.kind(), "lease_renewed");
        node.stop().await;
    });
}
