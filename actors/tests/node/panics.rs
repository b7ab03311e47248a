//! A panic in any adapter, at any of its calls, is a panic of the actor that called it: it costs one message, and neither
//! the node nor the task.

use crate::world::*;
use crate::{DONE, LOOK, PLAN, WRITE, one};
use bzzz_actors::ports::claims::LeaseState;
use bzzz_actors::ports::forge::PullRequestState;

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
