//! Sandboxes that come and go.

use std::time::Duration;

use bzzz_actors::ports::sandbox::{Purpose, SandboxError, SandboxSpec};
use bzzz_actors::task::{Ending, Epoch};

use crate::place::{Place, output, request, run, text};

crate::on_each_backend! {
    a_destroyed_sandbox_is_gone_for_good,
    a_left_over_of_the_same_spec_is_replaced,
    strays_are_removed_and_what_is_wanted_is_kept,
    an_actor_that_starts_anew_finds_its_sandbox,
    a_command_that_nobody_waits_for_is_killed_and_its_outcome_says_so,
}

const PATIENCE: Duration = Duration::from_secs(30);

async fn a_destroyed_sandbox_is_gone_for_good(place: &Place) {
    let sandbox = place.start().await;
    output(&*sandbox, 1, "touch /work/mark").await;
    sandbox.destroy().await.unwrap();
    sandbox.destroy().await.unwrap();
    let Err(SandboxError::Lost(why)) = run(&*sandbox, 2, "true").await else { panic!("it still runs") };
    assert!(why.contains("ended") || why.contains("gone") || why.contains("killed"), "{why}");
    assert!(place.sandboxes.adopt(&place.spec(Purpose::Work)).await.unwrap().is_none());
    assert_eq!(output(&*place.start().await, 1, "ls /work").await, "repo\n");
}

async fn a_left_over_of_the_same_spec_is_replaced(place: &Place) {
    let first = place.start().await;
    output(&*first, 1, "touch /work/mark").await;
    let second = place.start().await;
    assert_eq!(output(&*second, 1, "ls /work").await, "repo\n");
    assert!(matches!(run(&*first, 2, "true").await, Err(SandboxError::Lost(_))));
    assert_eq!(place.sandboxes.remove_strays(&place.node, &|_| false).await.unwrap(), 1);
}

async fn strays_are_removed_and_what_is_wanted_is_kept(place: &Place) {
    let sandboxes = &place.sandboxes;
    let work = place.start().await;
    let check = sandboxes.start(&place.spec(Purpose::Check)).await.unwrap();
    let old = SandboxSpec { epoch: Epoch(9), ..place.spec(Purpose::Work) };
    sandboxes.start(&old).await.unwrap();

    let other = "another-node".parse().unwrap();
    assert_eq!(sandboxes.remove_strays(&other, &|_| false).await.unwrap(), 0);
    let wanted = place.spec(Purpose::Work);
    assert_eq!(sandboxes.remove_strays(&place.node, &|spec| *spec == wanted).await.unwrap(), 2);
    assert_eq!(output(&*work, 1, "echo kept").await, "kept\n");
    assert!(matches!(run(&*check, 1, "true").await, Err(SandboxError::Lost(_))));
    assert_eq!(sandboxes.remove_strays(&place.node, &|_| false).await.unwrap(), 1);
    assert_eq!(sandboxes.remove_strays(&place.node, &|_| false).await.unwrap(), 0);
}

/// As after a panic: the node lives, and what held the sandbox is gone.
async fn an_actor_that_starts_anew_finds_its_sandbox(place: &Place) {
    let spec = place.spec(Purpose::Work);
    assert!(place.sandboxes.adopt(&spec).await.unwrap().is_none());
    let first = place.start().await;
    output(&*first, 1, "mkdir -p /work/repo; echo mine > mark").await;
    drop(first);
    let second = place.sandboxes.adopt(&spec).await.unwrap().expect("it stands");
    let recalled = second.recall(1, PATIENCE).await.unwrap();
    assert_eq!(recalled.map(|outcome| outcome.ending), Some(Ending::Exited { code: 0 }));
    assert_eq!(output(&*second, 2, "cat mark").await, "mine\n");
    assert!(place.sandboxes.adopt(&place.spec(Purpose::Check)).await.unwrap().is_none());
}

async fn a_command_that_nobody_waits_for_is_killed_and_its_outcome_says_so(place: &Place) {
    let sandbox = place.start().await;
    let command = request(1, "echo begun; sleep 1000", PATIENCE);
    let gone = tokio::time::timeout(Duration::from_secs(4), sandbox.run(&command)).await;
    assert!(gone.is_err(), "{gone:?}");
    let recalled = sandbox.recall(1, PATIENCE).await.unwrap().unwrap();
    assert_eq!((recalled.ending, text(&recalled).as_str()), (Ending::Unknown, "begun\n"));
    assert!(!output(&*sandbox, 2, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").await.contains("sleep 1000"));
}
