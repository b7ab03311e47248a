//! A node that goes down and comes back, again and again.

use std::time::Duration;

use crate::world::*;
use crate::{DONE, PLAN, WRITE};
use bzzz_actors::ports::sandbox::Purpose;
use bzzz_actors::task::TaskEvent;

#[test]
fn a_task_during_which_the_node_goes_down_every_time_is_given_up() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE]);
        let node = world.start();
        Story::of(&node).until_kind("command_finished").await;
        node.stop().await;
        for life in 1..=10 {
            let node = world.start();
            let mut story = Story::of(&node);
            story.until_kind("taken_up").await;
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert!(!world.journal.kinds().contains(&"gave_up"), "in life {life}");
            node.stop().await;
        }
        let node = world.start();
        let mut story = Story::of(&node);
        let TaskEvent::GaveUp { reason } = story.until_kind("gave_up").await else { unreachable!() };
        assert!(reason.contains("went down more than 10 times while thinking"), "{reason}");
        story.until_kind("cleaned_up").await;
        node.stop().await;
    });
}

#[test]
fn a_node_may_go_down_often_while_a_person_is_waited_for_and_between_steps() {
    in_virtual_time(async {
        let help = "```help\nWhich fuel?\n```";
        let world = World::new(&[PLAN, help, WRITE, DONE, DONE]);
        let node = world.start();
        Story::of(&node).until_kind("escalated").await;
        node.stop().await;
        for _ in 0..15 {
            let node = world.start();
            Story::of(&node).until_kind("taken_up").await;
            tokio::time::sleep(Duration::from_secs(5)).await;
            node.stop().await;
        }
        let node = world.start();
        let mut story = Story::of(&node);
        tokio::time::sleep(MINUTE).await;
        world.forge.say("ann", "Kerosene.");
        story.until_kind("pull_request_opened").await;
        node.stop().await;
    });
}

#[test]
fn the_time_limit_of_a_task_does_not_begin_anew_with_the_node() {
    in_virtual_time(async {
        let world = World::new(&[PLAN]);
        let node = world.start();
        Story::of(&node).until_kind("plan_settled").await;
        tokio::time::sleep(70 * MINUTE).await;
        node.stop().await;
        tokio::time::sleep(600 * MINUTE).await;

        let node = world.start();
        let began = tokio::time::Instant::now();
        let mut story = Story::of(&node);
        let TaskEvent::GaveUp { reason } = story.until_kind("gave_up").await else { unreachable!() };
        assert!(reason.contains("time limit of 120 minutes"), "{reason}");
        let minutes = began.elapsed().as_secs() / 60;
        assert!((45..=56).contains(&minutes), "70 minutes were used up before, then {minutes}");
        node.stop().await;
    });
}

#[test]
fn a_task_may_be_interrupted_by_more_stops_of_the_node_than_sandboxes_may_be_lost() {
    in_virtual_time(async {
        let step = "```sh\nhang\n```";
        let world = World::new(&[PLAN, step, step, step, step, step, step, WRITE, DONE, DONE]);
        for life in 0..6 {
            let node = world.start();
            Story::of(&node).until_kind("replied").await;
            node.stop().await;
            world.sandboxes.kill(Purpose::Work);
            assert!(!world.journal.kinds().contains(&"gave_up"), "in life {life}");
        }
        let node = world.start();
        Story::of(&node).until_kind("pull_request_opened").await;
        node.stop().await;
    });
}

#[test]
fn the_wait_for_a_persons_answer_does_not_begin_anew_with_the_node() {
    in_virtual_time(async {
        let mut world = World::new(&[PLAN, "```help\nWhich fuel?\n```"]);
        world.config.max_wait_for_human = 300 * MINUTE;
        let node = world.start();
        Story::of(&node).until_kind("escalated").await;
        tokio::time::sleep(100 * MINUTE).await;
        node.stop().await;
        tokio::time::sleep(100 * MINUTE).await;

        let node = world.start();
        let began = tokio::time::Instant::now();
        let TaskEvent::GaveUp { reason } = Story::of(&node).until_kind("gave_up").await else {
            unreachable!()
        };
        assert!(reason.contains("nobody answered"), "{reason}");
        let minutes = began.elapsed().as_secs() / 60;
        assert!((90..=100).contains(&minutes), "200 minutes were waited before, then {minutes}");
        node.stop().await;
    });
}
