//! A task that was another node's goes on from what that one had pushed.

use std::sync::Arc;

use bzzz_actors::node::Node;
use bzzz_actors::ports::claims::LeaseState;
use bzzz_actors::ports::forge::PullRequestState;
use bzzz_actors::task::{Inherited, TaskEvent};

use crate::world::*;
use crate::{DONE, HANG, PLAN, WRITE, one};

fn second(world: &World) -> Node {
    world.start_as(config("node-2"), Arc::new(MemoryJournal::default()))
}

/// A node has pushed its work, and is gone before it could open a pull request.
async fn gone_after_the_push(world: &World) {
    world.forge.fail_opens(u32::MAX);
    let node = world.start();
    Story::of(&node).until_kind("published").await;
    node.stop().await;
    world.forge.fail_opens(0);
    assert_eq!(world.git.record(&one()).unwrap().state, LeaseState::Done);
    assert!(world.forge.pull_requests().is_empty());
}

async fn prepared(story: &mut Story) -> (String, Option<Inherited>) {
    let TaskEvent::Prepared { base, inherited, .. } = story.until_kind("prepared").await else {
        unreachable!()
    };
    (base.commit.to_string(), inherited.map(|it| *it))
}

/// What the model was told before its plan.
fn asked_for_plan(world: &World) -> String {
    let requests = world.model.requests();
    let first = requests.iter().rev().find(|request| request.messages.len() == 2).unwrap();
    first.messages[1].content.clone()
}

#[test]
fn work_that_was_pushed_and_not_proposed_is_gone_on_from() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, DONE, DONE]);
        gone_after_the_push(&world).await;
        let pushed = world.git.branch(&one()).unwrap();
        let node = second(&world);
        let mut story = Story::of(&node);
        let TaskEvent::Found { taken_over, .. } = story.until_kind("found").await else { unreachable!() };
        assert_eq!(taken_over.unwrap().as_str(), "node-1");
        let (base, inherited) = prepared(&mut story).await;
        let Some(Inherited::Taken { commit, produced }) = inherited else { panic!("{inherited:?}") };
        assert_eq!((base, commit, produced.insertions), ("a".repeat(40), pushed, 1));
        story.until_kind("pull_request_opened").await;
        assert!(asked_for_plan(&world).contains("Somebody else began with this task"));
        // One command of each: the second's work holds the first's.
        let head = world.git.branch(&one()).unwrap();
        assert!(head.as_str().starts_with("c0c") && head.as_str().ends_with("02"), "{head}");
        let proposed = world.forge.pull_requests();
        assert_eq!((proposed.len(), proposed[0].head_sha.as_str()), (1, head.as_str()));
        node.stop().await;
    });
}

#[test]
fn work_that_is_right_as_it_was_pushed_is_proposed_after_its_checks() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, DONE, DONE]);
        gone_after_the_push(&world).await;
        let pushed = world.git.branch(&one());
        let mut world = world;
        world.model = Arc::new(Script::new(&[PLAN, DONE, DONE]));
        let node = second(&world);
        let mut story = Story::of(&node);
        story.until_kind("checks_finished").await;
        story.until_kind("pull_request_opened").await;
        assert_eq!(world.git.branch(&one()), pushed);
        assert_eq!(world.git.record(&one()).unwrap().epoch.0, 2);
        node.stop().await;
    });
}

#[test]
fn a_sandbox_that_is_lost_begins_again_with_what_was_inherited() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, DONE, DONE]);
        gone_after_the_push(&world).await;
        let mut world = world;
        world.model = Arc::new(Script::new(&[PLAN, "```sh\nhang\n```", DONE, DONE]));
        let node = second(&world);
        let mut story = Story::of(&node);
        story.until_kind("replied").await;
        world.sandboxes.kill(bzzz_actors::ports::sandbox::Purpose::Work);
        let (base, inherited) = prepared(&mut story).await;
        assert_eq!((base, inherited), ("a".repeat(40), None), "it is had already");
        story.until_kind("pull_request_opened").await;
        let head = world.git.branch(&one()).unwrap();
        assert!(head.as_str().ends_with("01"), "{head}");
        node.stop().await;
    });
}

#[test]
fn work_that_can_not_be_used_is_left_and_the_reason_recorded() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, DONE, DONE]);
        gone_after_the_push(&world).await;
        world.git.let_branches_be_unusable("it has no commit in common with main");
        let node = second(&world);
        let mut story = Story::of(&node);
        let (base, inherited) = prepared(&mut story).await;
        assert_eq!(base, "b".repeat(40), "the newest");
        let Some(Inherited::Left { why, .. }) = inherited else { panic!("{inherited:?}") };
        assert_eq!(why, "it has no commit in common with main");
        story.until_kind("pull_request_opened").await;
        assert!(!asked_for_plan(&world).contains("Somebody else"));
        let head = world.git.branch(&one()).unwrap();
        assert!(head.as_str().ends_with("01"), "{head}");
        node.stop().await;
    });
}

#[test]
fn what_people_have_closed_is_not_gone_on_from() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, DONE, DONE]);
        let node = world.start();
        Story::of(&node).until_kind("pull_request_opened").await;
        node.stop().await;
        world.forge.end_pull_request(PullRequestState::Closed);
        world.forge.set_labels(&["bzzz-task"]);
        let node = second(&world);
        let mut story = Story::of(&node);
        assert_eq!(prepared(&mut story).await, ("b".repeat(40), None));
        node.stop().await;
    });
}

#[test]
fn a_task_whose_node_died_at_work_begins_anew() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, HANG, DONE, DONE]);
        let node = world.start();
        Story::of(&node).until_kind("command_finished").await;
        node.stop().await;
        let node = second(&world);
        let mut story = Story::of(&node);
        let TaskEvent::Found { taken_over, .. } = story.until_kind("found").await else { unreachable!() };
        assert!(taken_over.is_some());
        assert_eq!(prepared(&mut story).await, ("b".repeat(40), None));
        story.until_kind("pull_request_opened").await;
        node.stop().await;
    });
}
