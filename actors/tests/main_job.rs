//! A whole node in virtual time, from the labelled issue to the pull request, and what comes in between.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod world;

use bzzz_actors::ports::claims::LeaseState;
use bzzz_actors::ports::forge::{ForgeError, PullRequestState};
use bzzz_actors::ports::model::ModelError;
use bzzz_actors::ports::sandbox::Purpose;
use bzzz_actors::task::{Step, TaskEvent};
use world::git::Fault;
use world::*;

const PLAN: &str = "1. Fuel it.";
const WRITE: &str = "I fuel it.\n```sh\nwrite fuel\n```";
const LOOK: &str = "I look.\n```sh\nls\n```";
const DONE: &str = "```done\nFuel the rocket\n\nIt had none.\n```";
const HANG: &str = "```sh\nhang\n```";

fn one() -> bzzz_actors::task::TaskId {
    task("acme/rocket#1")
}

#[test]
fn a_labelled_issue_becomes_a_pull_request() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, LOOK, WRITE, DONE, DONE]);
        world.git.set_policy("checks = ['launch --dry-run']");
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("pull_request_opened").await;
        assert_eq!(
            story.kinds,
            [
                "found",
                "claim_intended",
                "claimed",
                "prepared",
                "plan_drafted",
                "plan_settled",
                "replied",
                "command_finished",
                "replied",
                "command_finished",
                "replied",
                "work_produced",
                "checks_finished",
                "replied",
                "work_produced",
                "lease_intended",
                "published",
                "pull_request_opened",
            ]
        );
        assert_eq!(world.git.record(&one()).unwrap().state, LeaseState::Done);
        assert!(world.git.branch(&one()).is_some());
        assert_eq!(world.forge.pull_requests().len(), 1);

        world.forge.end_pull_request(PullRequestState::Merged);
        story.until_kind("cleaned_up").await;
        assert_eq!(world.sandboxes.standing(), 0);
        let labels = world.forge.labels();
        assert!(labels.contains("completed") && !labels.contains("in-progress"), "{labels:?}");
        node.stop().await;
    });
}

#[test]
fn the_prompt_only_ever_grows_at_its_end() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, LOOK, "nonsense", WRITE, DONE, DONE]);
        let node = world.start();
        Story::of(&node).until_kind("pull_request_opened").await;
        let prompts: Vec<String> = world
            .model
            .requests()
            .iter()
            .map(|request| request.messages.iter().map(|it| format!("{:?}{}", it.role, it.content)).collect())
            .collect();
        for pair in prompts.windows(2) {
            assert!(pair[1].starts_with(&pair[0]), "{}\n---\n{}", pair[0], pair[1]);
        }
        assert_eq!(prompts.len(), 6);
        node.stop().await;
    });
}

#[test]
fn a_closed_issue_or_a_removed_label_stops_the_task_and_publishes_nothing() {
    for close in [true, false] {
        in_virtual_time(async {
            let world = World::new(&[PLAN, WRITE]);
            let node = world.start();
            let mut story = Story::of(&node);
            story.until_kind("command_finished").await;
            match close {
                true => world.forge.close_issue(),
                false => world.forge.remove_label("bzzz-task"),
            }
            story.until_kind("cancelled").await;
            let TaskEvent::CleanedUp { diff } = story.until_kind("cleaned_up").await else { unreachable!() };
            assert!(diff.is_some(), "what was made is kept");
            assert_eq!(world.sandboxes.standing(), 0);
            assert_eq!(world.git.branch(&one()), None);
            assert_eq!(world.git.record(&one()).unwrap().state, LeaseState::Released);
            assert!(world.forge.pull_requests().is_empty());
            node.stop().await;
        });
    }
}

#[test]
fn a_command_under_way_does_not_outlive_the_wish_for_it() {
    in_virtual_time(async {
        let mut world = World::new(&[PLAN, WRITE, HANG]);
        world.config.pace.command_timeout = 50 * MINUTE;
        let node = world.start();
        let mut story = Story::of(&node);
        story.until(|event| matches!(event, TaskEvent::Replied { step: Step::Run { command }, .. } if command == "hang")).await;
        world.forge.close_issue();
        story.until_kind("cancelled").await;
        let began = tokio::time::Instant::now();
        let TaskEvent::CleanedUp { diff } = story.until_kind("cleaned_up").await else { unreachable!() };
        assert!(began.elapsed() < MINUTE, "{:?}", began.elapsed());
        assert!(diff.is_some() && world.sandboxes.standing() == 0);
        node.stop().await;
    });
}

#[test]
fn an_issue_closed_while_the_work_is_being_published_is_not_published() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, DONE, DONE]);
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("checks_finished").await;
        world.forge.close_issue();
        story.until_kind("cleaned_up").await;
        assert!(world.forge.pull_requests().is_empty());
        assert_eq!(world.git.branch(&one()), None);
        node.stop().await;
    });
}

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
    for faults in [vec![Fault::LostAfter], vec![Fault::LostBefore, Fault::LostBefore, Fault::LostAfter]] {
        in_virtual_time(async {
            let world = World::new(&[PLAN, WRITE, DONE, DONE]);
            world.git.fail_swaps(faults);
            let node = world.start();
            let mut story = Story::of(&node);
            story.until_kind("checks_finished").await;
            world.git.fail_swaps([Fault::LostAfter]);
            story.until_kind("pull_request_opened").await;
            assert!(!story.kinds.contains(&"claim_lost"), "{:?}", story.kinds);
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
fn failed_checks_go_back_to_the_model_and_too_many_end_the_task_with_its_diff_kept() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, DONE, WRITE, DONE, DONE]);
        world.git.set_policy("checks = ['launch']");
        world.sandboxes.fail_checks(1);
        let node = world.start();
        Story::of(&node).until_kind("pull_request_opened").await;
        let told = world.model.requests()[3].messages.last().unwrap().content.clone();
        assert!(told.contains("Check FAILED: launch (exit status 1)"), "{told}");
        node.stop().await;

        let world = World::new(&[PLAN, WRITE, DONE, DONE, DONE, DONE, DONE]);
        world.git.set_policy("checks = ['launch']");
        world.sandboxes.fail_checks(100);
        let node = world.start();
        let TaskEvent::CleanedUp { diff } = Story::of(&node).until_kind("cleaned_up").await else {
            unreachable!()
        };
        assert!(diff.is_some());
        assert!(world.forge.pull_requests().is_empty());
        node.stop().await;
    });
}

#[test]
fn a_killed_sandbox_is_replaced_and_the_model_is_told() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, HANG, WRITE, DONE, DONE]);
        let node = world.start();
        let mut story = Story::of(&node);
        story.until(|event| matches!(event, TaskEvent::Replied { step: Step::Run { command }, .. } if command == "hang")).await;
        world.sandboxes.kill(Purpose::Work);
        story.until_kind("sandbox_lost").await;
        story.until_kind("prepared").await;
        story.until_kind("pull_request_opened").await;
        let told = world.model.requests()[3].messages.last().unwrap().content.clone();
        assert!(told.contains("nobody knows what it did"), "{told}");
        node.stop().await;
    });
}

#[test]
fn a_panic_in_an_adapter_costs_one_sandbox_and_nothing_else() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, "```sh\npanic\n```", WRITE, DONE, DONE]);
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("pull_request_opened").await;
        assert_eq!(story.kinds.iter().filter(|kind| **kind == "sandbox_lost").count(), 1);
        node.stop().await;
    });
}

#[test]
fn a_question_is_asked_of_the_peers_then_of_a_person_whose_comment_goes_back_to_the_model() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, "```help\nWhich fuel?\n```", WRITE, DONE, DONE]);
        let node = world.start();
        let mut story = Story::of(&node);
        let TaskEvent::Escalated { question, saved } = story.until_kind("escalated").await else {
            unreachable!()
        };
        assert_eq!(question, "Which fuel?");
        assert!(saved.is_some());
        assert!(story.kinds.contains(&"advised"));
        assert_eq!(world.sandboxes.standing(), 0, "nothing is held while a person thinks");
        tokio::time::sleep(MINUTE).await;
        assert!(world.forge.labels().contains("needs-human"));
        world.forge.say("ann", "Kerosene.");
        story.until_kind("pull_request_opened").await;
        let told = world.model.requests()[3].messages.last().unwrap().content.clone();
        assert!(told.contains("Kerosene."), "{told}");
        tokio::time::sleep(MINUTE).await;
        assert!(!world.forge.labels().contains("needs-human"));
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
fn a_repository_that_can_not_be_pushed_to_is_not_worked_on() {
    in_virtual_time(async {
        let world = World::new(&[PLAN]);
        world.forge.forbid_push();
        let node = world.start();
        tokio::time::sleep(60 * MINUTE).await;
        assert!(world.journal.kinds().is_empty());
        assert_eq!(world.git.swaps(), 0);
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

/// A node that stops after any of its events and starts again on the same journal makes the same pull request.
#[test]
fn a_node_that_went_down_after_any_event_goes_on() {
    let whole_run = {
        let world = World::new(&[PLAN, LOOK, WRITE, DONE, DONE]);
        in_virtual_time(async {
            let node = world.start();
            Story::of(&node).until_kind("pull_request_opened").await;
            node.stop().await;
        });
        world.journal.kinds().len()
    };
    assert!(whole_run >= 17);
    for count in 1..whole_run {
        in_virtual_time(async {
            let world = World::new(&[PLAN, LOOK, WRITE, DONE, WRITE, DONE, WRITE, DONE, WRITE, DONE, DONE]);
            let node = world.start();
            let mut story = Story::of(&node);
            for _ in 0..count {
                story.until(|_| true).await;
            }
            node.stop().await;
            let node = world.start();
            let mut story = Story::of(&node);
            if !world.journal.kinds().contains(&"pull_request_opened") {
                story.until_kind("pull_request_opened").await;
            }
            let kinds = world.journal.kinds();
            assert_eq!(world.forge.pull_requests().len(), 1, "after {count}: {kinds:?}");
            assert_eq!(
                kinds.iter().filter(|kind| **kind == "published").count(),
                1,
                "after {count}: {kinds:?}"
            );
            assert_eq!(
                kinds.iter().filter(|kind| **kind == "plan_drafted").count(),
                1,
                "after {count}: {kinds:?}"
            );
            node.stop().await;
        });
    }
}
