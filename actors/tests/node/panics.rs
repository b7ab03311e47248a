//! A panic in any adapter, at any of its calls, is a panic of the actor that called it: it costs one message, and neither
//! the node nor the task.

use crate::world::*;
use crate::{DONE, LOOK, PLAN, WRITE, one};
use bzzz_actors::ports::claims::LeaseState;
use bzzz_actors::ports::forge::PullRequestState;
use bzzz_actors::task::TaskEvent;

/// A sandbox that goes down takes what was in it along: the model writes twice.
///
/// From the issue to the end, with the adapter that `traps` names panicking in its call number `call`. Says whether
/// there was such a call.
fn is_survived(name: &str, traps: impl Fn(&World) -> &Traps, call: usize) -> bool {
    let mut is_called = false;
    in_virtual_time(async {
        let world = World::new(&[PLAN, LOOK, WRITE, DONE, WRITE, DONE, DONE, DONE]);
        world.git.set_policy("checks = ['launch --dry-run']");
        traps(&world).set("*", call..call + 1);
        let mut node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("pull_request_opened").await;
        world.forge.end_pull_request(PullRequestState::Merged);
        story.until_kind("cleaned_up").await;
        tokio::time::sleep(5 * MINUTE).await;
        let at = format!("{name}, call {call}: {:?}", world.journal.kinds());
        assert_eq!(world.forge.pull_requests().len(), 1, "{at}");
        assert_eq!(world.journal.kinds().iter().filter(|kind| **kind == "published").count(), 1, "{at}");
        assert!(!world.journal.kinds().contains(&"gave_up"), "{at}");
        assert_eq!(world.git.record(&one()).unwrap().state, LeaseState::Done, "{at}");
        assert_eq!(world.sandboxes.standing(), 0, "{at}");
        let labels = world.forge.labels();
        assert!(labels.contains("completed") && !labels.contains("in-progress"), "{labels:?} {at}");
        assert!(futures_util::poll!(std::pin::pin!(node.failed())).is_pending(), "{at}");
        is_called = traps(&world).calls("*") > call;
        node.stop().await;
    });
    is_called
}

/// Every call of a whole life, up to so many: a poll now and then goes on for ever.
fn each_call(name: &str, traps: impl Fn(&World) -> &Traps + Copy) {
    const MOST: usize = 60;
    let survived = (0..MOST).take_while(|call| is_survived(name, traps, *call)).count();
    assert!(survived >= 5, "only {survived} calls of {name}");
}

#[test]
fn the_journal_may_panic_in_any_call() {
    each_call("journal", |world| &world.journal.traps);
}

#[test]
fn the_forge_may_panic_in_any_call() {
    each_call("forge", |world| &world.forge.traps);
}

#[test]
fn git_may_panic_in_any_call() {
    each_call("git", |world| &world.git.traps);
}

#[test]
fn the_sandboxes_may_panic_in_any_call() {
    each_call("sandboxes", |world| &world.sandboxes.traps);
}

#[test]
fn the_model_may_panic_in_any_call() {
    each_call("model", |world| &world.model.traps);
}

#[test]
fn a_node_whose_core_keeps_failing_gives_its_leases_back_and_another_takes_the_tasks_at_once() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE]);
        let mut node = world.start();
        Story::of(&node).until_kind("command_finished").await;
        world.forge.traps.set("open_issues", 0..1000);
        assert_eq!(node.failed().await, "task poller");
        assert_eq!(node.surrender().await, 1);
        assert_eq!(world.git.record(&one()).unwrap().state, LeaseState::Released);

        world.forge.traps.set("open_issues", 0..0);
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
        let mut node = world.start();
        Story::of(&node).until_kind("command_finished").await;
        world.forge.traps.set("open_issues", 0..1000);
        node.failed().await;
        node.surrender().await;

        world.forge.traps.set("open_issues", 0..0);
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
        let mut node = world.start();
        Story::of(&node).until_kind("command_finished").await;
        world.forge.traps.set("open_issues", 0..1000);
        node.failed().await;
        node.surrender().await;
        world.git.steal(&one());

        world.forge.traps.set("open_issues", 0..0);
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
