//! A node that comes back finds its sandboxes and its commands, or makes what is lost anew from what was saved.

use crate::world::*;
use crate::{DONE, LOOK, PLAN, WRITE};
use bzzz_actors::ports::sandbox::Purpose;
use bzzz_actors::task::{Ending, Step, TaskEvent};

const SLOW: &str = "```sh\nslow write\n```";

async fn until_runs(story: &mut Story, wanted: &str) {
    let runs = |event: &TaskEvent| matches!(event, TaskEvent::Replied { step: Step::Run { command, .. }, .. } if command == wanted);
    story.until(runs).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
}

/// What the model was told last.
fn told(world: &World) -> String {
    world.model.requests().last().unwrap().messages.last().unwrap().content.clone()
}

async fn the_next_outcome(story: &mut Story) -> Ending {
    let TaskEvent::CommandFinished { outcome, .. } = story.until_kind("command_finished").await else {
        unreachable!()
    };
    outcome.ending
}

#[test]
fn a_command_under_way_is_waited_for_and_not_run_again() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, SLOW, DONE, DONE]);
        world.sandboxes.let_commands_go_on();
        let node = world.start();
        until_runs(&mut Story::of(&node), "slow write").await;
        node.stop().await;

        let node = world.start();
        let mut story = Story::of(&node);
        assert_eq!(the_next_outcome(&mut story).await, Ending::Exited { code: 0 });
        story.until_kind("pull_request_opened").await;
        assert_eq!((world.sandboxes.times("slow write"), world.sandboxes.started()), (1, 1));
        assert!(!story.kinds.contains(&"sandbox_lost"), "{:?}", story.kinds);
        assert_eq!(world.forge.pull_requests().len(), 1);
        node.stop().await;
    });
}

#[test]
fn a_command_that_ended_while_the_node_was_away_is_recalled() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, SLOW, DONE, DONE]);
        world.sandboxes.let_commands_go_on();
        let node = world.start();
        until_runs(&mut Story::of(&node), "slow write").await;
        node.stop().await;
        tokio::time::sleep(2 * MINUTE).await;

        let node = world.start();
        let mut story = Story::of(&node);
        assert_eq!(the_next_outcome(&mut story).await, Ending::Exited { code: 0 });
        story.until_kind("pull_request_opened").await;
        assert_eq!((world.sandboxes.times("slow write"), world.sandboxes.started()), (1, 1));
        node.stop().await;
    });
}

#[test]
fn an_outcome_that_nobody_knows_is_told_as_that_and_the_sandbox_keeps_the_work() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, SLOW, LOOK, DONE, DONE]);
        world.sandboxes.let_commands_go_on();
        let node = world.start();
        until_runs(&mut Story::of(&node), "slow write").await;
        node.stop().await;
        tokio::time::sleep(2 * MINUTE).await;
        world.sandboxes.forget_outcomes();

        let node = world.start();
        let mut story = Story::of(&node);
        assert_eq!(the_next_outcome(&mut story).await, Ending::Unknown);
        let TaskEvent::Checkpointed { produced } = story.until_kind("checkpointed").await else {
            unreachable!()
        };
        assert_eq!(produced.insertions, 1, "what the command did is there");
        assert!(told(&world).contains("Command 1: its outcome is unknown"), "{}", told(&world));
        story.until_kind("pull_request_opened").await;
        assert_eq!((world.sandboxes.times("slow write"), world.sandboxes.started()), (1, 1));
        node.stop().await;
    });
}

/// A machine that was restarted has no containers.
#[test]
fn a_sandbox_that_is_gone_is_made_anew_with_the_work_of_every_command_that_ended() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, WRITE, SLOW, DONE, DONE]);
        let node = world.start();
        until_runs(&mut Story::of(&node), "slow write").await;
        node.stop().await;
        world.sandboxes.kill(Purpose::Work);

        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("sandbox_lost").await;
        let TaskEvent::WorkProduced { produced } = story.until_kind("work_produced").await else {
            unreachable!()
        };
        assert_eq!(produced.insertions, 2, "both, and not the one that was under way");
        assert_eq!((world.sandboxes.times("slow write"), world.sandboxes.times("write fuel")), (1, 2));
        assert_eq!(world.sandboxes.started(), 2);
        let request = &world.model.requests()[4];
        let told = &request.messages.last().unwrap().content;
        assert!(told.contains("as they were saved after command 2"), "{told}");
        node.stop().await;
    });
}

#[test]
fn a_sandbox_that_may_be_half_prepared_is_not_taken_over() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, DONE, DONE]);
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("prepared").await;
        node.stop().await;
        // The sandbox stands, and the journal does not know that the code is in it.
        let before = world.journal.prefix(story.kinds.len() - 1);
        let node = world.start_as(world.config.clone(), std::sync::Arc::new(before));
        let mut story = Story::of(&node);
        story.until_kind("pull_request_opened").await;
        assert_eq!(world.sandboxes.started(), 2);
        node.stop().await;
    });
}

/// The lease is lost while the node is away: nobody asks for the sandbox any more.
#[test]
fn what_an_earlier_life_left_is_removed_when_the_task_ends() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE]);
        let node = world.start();
        Story::of(&node).until_kind("checkpointed").await;
        node.stop().await;
        assert_eq!(world.sandboxes.standing(), 1);
        world.git.steal(&crate::one());
        let node = world.start();
        Story::of(&node).until_kind("cleaned_up").await;
        assert_eq!((world.sandboxes.standing(), world.sandboxes.started()), (0, 1));
        node.stop().await;
    });
}

#[test]
fn a_panic_of_the_sandboxes_actor_keeps_the_sandbox() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, "```sh\npanic\n```", DONE, DONE]);
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("command_finished").await;
        assert_eq!(the_next_outcome(&mut story).await, Ending::Unknown);
        story.until_kind("pull_request_opened").await;
        assert_eq!((world.sandboxes.times("panic"), world.sandboxes.started()), (1, 1));
        node.stop().await;
    });
}

#[test]
fn only_a_command_that_may_have_changed_something_is_followed_by_a_look_at_the_work() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, LOOK, WRITE, LOOK, DONE, DONE]);
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("pull_request_opened").await;
        assert_eq!(
            story.kinds.iter().filter(|kind| **kind == "checkpointed").count(),
            1,
            "{:?}",
            story.kinds
        );
        // Once after each command, and for each `done`.
        assert_eq!(world.sandboxes.exports(), 5);
        node.stop().await;
    });
}

/// The journal has no room for a long output at the moment when the command ends.
#[test]
fn a_command_whose_outcome_can_not_be_kept_yet_is_not_run_again() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, "```sh\nwrite binary\n```", DONE, DONE]);
        world.journal.fail_blobs(3);
        let node = world.start();
        let mut story = Story::of(&node);
        assert_eq!(the_next_outcome(&mut story).await, Ending::Exited { code: 0 });
        story.until_kind("pull_request_opened").await;
        assert!(story.kinds.contains(&"stalled"), "{:?}", story.kinds);
        assert_eq!(world.sandboxes.times("write binary"), 1);
        node.stop().await;
    });
}

#[test]
fn a_connection_that_breaks_while_a_command_runs_costs_nothing() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, SLOW, WRITE, DONE, DONE]);
        world.sandboxes.let_commands_go_on();
        let node = world.start();
        let mut story = Story::of(&node);
        until_runs(&mut story, "slow write").await;
        world.sandboxes.go_away();
        story.until_kind("stalled").await;
        tokio::time::sleep(5 * MINUTE).await;
        world.sandboxes.come_back();
        assert_eq!(the_next_outcome(&mut story).await, Ending::Exited { code: 0 });
        story.until_kind("pull_request_opened").await;
        assert_eq!((world.sandboxes.times("slow write"), world.sandboxes.started()), (1, 1));
        assert!(!story.kinds.contains(&"sandbox_lost"), "{:?}", story.kinds);
        node.stop().await;
    });
}

#[test]
fn a_connection_that_breaks_while_the_model_thinks_is_made_again() {
    in_virtual_time(async {
        let mut world = World::new(&[PLAN, WRITE]);
        world.config.choice.call_limit = 10 * MINUTE;
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("command_finished").await;
        tokio::time::sleep(MINUTE).await;
        world.sandboxes.go_away();
        world.sandboxes.come_back();
        world.model.say_more(&[LOOK, DONE, DONE]);
        story.until_kind("pull_request_opened").await;
        assert_eq!(world.sandboxes.started(), 1);
        assert!(!story.kinds.contains(&"sandbox_lost"), "{:?}", story.kinds);
        node.stop().await;
    });
}
