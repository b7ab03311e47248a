//! Models, sandboxes, adapters, disks and forges that fail: the task suffers, the node does not.

use crate::world::*;
use crate::{DONE, HANG, PLAN, WRITE};
use bzzz_actors::ports::forge::ForgeError;
use bzzz_actors::ports::model::ModelError;
use bzzz_actors::ports::sandbox::Purpose;
use bzzz_actors::task::Step;
use bzzz_actors::task::TaskEvent;

#[test]
fn a_model_that_talks_nonsense_fails_the_task_and_a_person_is_told() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, "hello", "", "{\"tool\": \"bash\"}"]);
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("cleaned_up").await;
        let TaskEvent::Replied { step: Step::Malformed { problem }, .. } =
            world.journal.events().into_iter().rfind(|event| event.kind() == "replied").unwrap()
        else {
            panic!()
        };
        assert!(problem.contains("no fenced block"));
        tokio::time::sleep(MINUTE).await;
        assert!(world.forge.labels().contains("needs-human"));
        assert!(world.forge.bodies().iter().any(|it| it.contains("3 replies in a row were not usable")));
        assert!(world.forge.pull_requests().is_empty());
        tokio::time::sleep(60 * MINUTE).await;
        assert_eq!(world.journal.kinds().iter().filter(|it| **it == "claimed").count(), 1, "not taken again");
        world.forge.remove_label("needs-human");
        story.until_kind("claimed").await;
        node.stop().await;
    });
}

/// The label that keeps nodes away comes from the outbox: late, or never.
#[test]
fn a_failed_task_is_not_tried_again_before_its_label_was_there_and_removed() {
    let refused = ForgeError::Forbidden {
        call: "add labels".into(),
        permission: "issues: write".into(),
        message: String::new(),
    };
    let away = ForgeError::Unavailable { call: "add labels".into(), problem: "502".into() };
    for failure in [refused, away] {
        in_virtual_time(async {
            let world = World::new(&[PLAN, "hello", "hello", "hello"]);
            let claims = || world.journal.kinds().iter().filter(|it| **it == "claimed").count();
            world.forge.fail_labels(Some(failure.clone()));
            let node = world.start();
            let mut story = Story::of(&node);
            story.until_kind("cleaned_up").await;
            tokio::time::sleep(60 * MINUTE).await;
            assert_eq!(claims(), 1, "{failure}");
            node.stop().await;
            if !failure.is_retryable() {
                return;
            }
            // The label is still on its way when the node comes back.
            let node = world.start();
            tokio::time::sleep(60 * MINUTE).await;
            assert_eq!(claims(), 1);
            world.forge.fail_labels(None);
            tokio::time::sleep(5 * MINUTE).await;
            assert!(world.forge.labels().contains("needs-human"));
            world.forge.remove_label("needs-human");
            Story::of(&node).until_kind("claimed").await;
            node.stop().await;
        });
    }
}

#[test]
fn a_killed_sandbox_is_replaced_and_the_model_is_told() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, HANG, WRITE, DONE, DONE]);
        let node = world.start();
        let mut story = Story::of(&node);
        story.until(|event| matches!(event, TaskEvent::Replied { step: Step::Run { command, .. }, .. } if command == "hang")).await;
        world.sandboxes.kill(Purpose::Work);
        story.until_kind("sandbox_lost").await;
        story.until_kind("prepared").await;
        story.until_kind("pull_request_opened").await;
        let told = world.model.requests()[3].messages.last().unwrap().content.clone();
        assert!(told.contains("saved after command 1") && told.contains("it is not run again"), "{told}");
        node.stop().await;
    });
}

#[test]
fn a_panic_in_an_adapter_costs_one_command_and_nothing_else() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, "```sh\npanic\n```", WRITE, DONE, DONE]);
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("pull_request_opened").await;
        assert_eq!(story.kinds.iter().filter(|kind| **kind == "sandbox_lost").count(), 0);
        node.stop().await;
    });
}

#[test]
fn what_is_away_for_a_while_stalls_the_task_and_the_journal_says_so_once() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, DONE, DONE]);
        world.model.fail(vec![ModelError::Unavailable("connection refused".into()); 5]);
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("checks_finished").await;
        let away = |_| ForgeError::Unavailable { call: "get issue".into(), problem: "502".into() };
        world.forge.fail((0..20).map(away));
        story.until_kind("pull_request_opened").await;
        assert_eq!(
            world.journal.kinds().iter().filter(|it| **it == "stalled").count(),
            2,
            "{:?}",
            story.kinds
        );
        assert_eq!(world.forge.pull_requests().len(), 1);
        node.stop().await;
    });
}

#[test]
fn a_full_disk_under_the_journal_stops_the_task_until_there_is_room() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, DONE, DONE]);
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("prepared").await;
        world.journal.fail_appends(5);
        story.until_kind("pull_request_opened").await;
        assert_eq!(world.journal.kinds().iter().filter(|it| **it == "plan_drafted").count(), 1);
        node.stop().await;
    });
}

#[test]
fn a_task_that_takes_too_long_fails_with_its_diff_kept() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE]);
        let node = world.start();
        let mut story = Story::of(&node);
        let TaskEvent::GaveUp { reason } = story.until_kind("gave_up").await else { unreachable!() };
        assert!(reason.contains("time limit of 120 minutes"), "{reason}");
        let TaskEvent::CleanedUp { diff } = story.until_kind("cleaned_up").await else { unreachable!() };
        assert!(diff.is_some());
        node.stop().await;
    });
}

#[test]
fn a_sandbox_that_is_lost_while_it_is_prepared_is_made_again() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, DONE, DONE]);
        world.sandboxes.lose_imports(2);
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("pull_request_opened").await;
        assert_eq!(story.kinds.iter().filter(|it| **it == "sandbox_lost").count(), 2);
        node.stop().await;
    });
}
