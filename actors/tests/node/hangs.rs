//! Work that never ends although every mailbox moves.

use std::sync::atomic::Ordering;

use crate::world::*;
use crate::{DONE, PLAN, WRITE};
use bzzz_actors::task::TaskEvent;

const STUCK: &str = "```sh\nstuck\n```";

#[test]
fn a_command_that_outlives_its_sandboxs_own_limit_is_given_up_and_never_run_again() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, STUCK, WRITE, DONE, DONE]);
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("replied").await;
        let began = tokio::time::Instant::now();
        let TaskEvent::SandboxLost { why } = story.until_kind("sandbox_lost").await else { unreachable!() };
        assert!(why.contains("command 1 was given up"), "{why}");
        assert!(
            began.elapsed() <= 7 * MINUTE,
            "one minute is the command's own limit: {:?}",
            began.elapsed()
        );
        story.until_kind("pull_request_opened").await;
        assert_eq!(story.kinds.iter().filter(|kind| **kind == "sandbox_lost").count(), 1);
        node.stop().await;
    });
}

#[test]
fn a_model_that_never_finishes_is_asked_again_and_keeps_no_other_task_waiting() {
    in_virtual_time(async {
        let mut world = World::new(&[PLAN]);
        world.config.choice.call_limit = 30 * MINUTE;
        let node = world.start();
        let mut story = Story::of(&node);
        let TaskEvent::Stalled { what, problem } = story.until_kind("stalled").await else { unreachable!() };
        assert_eq!(what, "ask the model");
        assert!(problem.contains("1800 s"), "{problem}");
        world.model.say_more(&[WRITE, DONE, DONE]);
        story.until_kind("pull_request_opened").await;
        node.stop().await;
    });
}

#[test]
fn a_journal_that_hangs_ends_the_node_and_the_next_one_goes_on() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, WRITE, DONE, DONE]);
        let mut node = world.start();
        Story::of(&node).until_kind("prepared").await;
        world.journal.hangs.store(true, Ordering::Relaxed);
        let began = tokio::time::Instant::now();
        assert_eq!(node.failed().await, "journal");
        assert!(began.elapsed() <= 3 * MINUTE);
        node.surrender().await;
        assert!(began.elapsed() <= 4 * MINUTE, "the end does not hang on it: {:?}", began.elapsed());

        world.journal.hangs.store(false, Ordering::Relaxed);
        let node = world.start();
        Story::of(&node).until_kind("pull_request_opened").await;
        node.stop().await;
    });
}
