//! Exactly one owner a task, whatever the git server and the other nodes do.

use crate::world::git::Fault;
use crate::world::*;
use crate::{DONE, HANG, PLAN, WRITE, one};
use bzzz_actors::ports::claims::LeaseState;
use bzzz_actors::ports::forge::ForgeError;
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
    for faults in [
        vec![Fault::LostAfter],
        vec![Fault::RefusedAfter],
        vec![Fault::LostBefore, Fault::LostBefore, Fault::LostAfter],
    ] {
        in_virtual_time(async {
            let world = World::new(&[PLAN, WRITE, DONE, DONE]);
            let last = [*faults.last().unwrap()];
            world.git.fail_swaps(faults);
            let node = world.start();
            let mut story = Story::of(&node);
            story.until_kind("checks_finished").await;
            world.git.fail_swaps(last);
            story.until_kind("pull_request_opened").await;
            let lost = ["claim_lost", "lease_lost"];
            assert!(!story.kinds.iter().any(|kind| lost.contains(kind)), "{:?}", story.kinds);
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

#[test]
fn a_question_whose_lease_is_lost_keeps_nobody_from_the_issue() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, "```help\nWhich fuel?\n```", WRITE, DONE, DONE]);
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("escalated").await;
        world.git.fail_swaps([Fault::LostBefore; 10_000]);
        story.until_kind("cleaned_up").await;
        world.git.end_faults();
        story.until_kind("claimed").await;
        node.stop().await;
    });
}

#[test]
fn a_task_that_is_given_up_while_its_push_waits_publishes_nothing() {
    in_virtual_time(async {
        let mut world = World::new(&[PLAN, WRITE, DONE, DONE]);
        world.config.pace.wall_time = 5 * MINUTE;
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("checks_finished").await;
        world.git.fail_swaps([Fault::LostBefore; 26]);
        story.until_kind("cleaned_up").await;
        tokio::time::sleep(15 * MINUTE).await;
        let is_published = world.git.branch(&one()).is_some();
        let state = world.git.record(&one()).unwrap().state;
        let expected = if is_published { LeaseState::Done } else { LeaseState::Released };
        assert_eq!(state, expected);
        let said = world.forge.bodies().pop().unwrap();
        assert!(!said.contains("Nothing was published") || !is_published, "{said}");
        node.stop().await;
    });
}

#[test]
fn a_node_that_is_to_stop_claims_nothing_more() {
    in_virtual_time(async {
        let mut world = World::new(&[PLAN, WRITE, HANG, DONE, DONE]);
        world.config.max_tasks = 4;
        world.forge.have_issues(12);
        let no_labels =
            ForgeError::Forbidden { call: String::new(), permission: String::new(), message: String::new() };
        world.forge.fail_labels(Some(no_labels));
        let mut node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("command_finished").await;
        let claimed = || world.journal.kinds().iter().filter(|it| **it == "claimed").count();
        assert_eq!(claimed(), 4);
        assert!(node.drain(30 * MINUTE).await);
        assert_eq!(claimed(), 4);
        node.stop().await;
    });
}
