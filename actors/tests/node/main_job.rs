//! From the labelled issue to the pull request, and the ways out of it that are no trouble of the node.

use std::sync::Arc;

use crate::world::*;
use crate::{DONE, HANG, LOOK, PLAN, WRITE, one};
use bzzz_actors::ports::claims::LeaseState;
use bzzz_actors::ports::forge::{CiState, ForgeError, PullRequestState};
use bzzz_actors::task::Step;
use bzzz_actors::task::TaskEvent;

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
                "checkpointed",
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

/// The node dies after the forge has opened the pull request and before the journal says so.
#[test]
fn a_pull_request_that_was_merged_before_the_node_heard_of_it_is_not_opened_again() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, DONE, DONE]);
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("pull_request_opened").await;
        node.stop().await;
        world.forge.end_pull_request(PullRequestState::Merged);

        let before_it = world.journal.prefix(story.kinds.len() - 1);
        let node = world.start_as(world.config.clone(), Arc::new(before_it));
        let mut story = Story::of(&node);
        story.until_kind("cleaned_up").await;
        assert_eq!(story.kinds, ["taken_up", "pull_request_opened", "pull_request_merged", "cleaned_up"]);
        assert_eq!(world.forge.pull_requests().len(), 1);
        node.stop().await;
    });
}

/// Someone replaces the token while the work waits for review.
#[test]
fn a_refused_token_ends_nothing_that_is_under_way() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, DONE, DONE]);
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("pull_request_opened").await;
        let refused = || ForgeError::Unauthorized { call: "get the pull request".into() };
        world.forge.fail(std::iter::repeat_with(refused).take(20));
        tokio::time::sleep(30 * MINUTE).await;
        world.forge.end_pull_request(PullRequestState::Merged);
        story.until_kind("cleaned_up").await;
        let told = story.kinds.iter().filter(|it| **it == "stalled").count();
        assert!(story.kinds.contains(&"pull_request_merged") && told == 1, "{:?}", story.kinds);
        tokio::time::sleep(30 * MINUTE).await;
        assert!(world.forge.labels().contains("completed"));
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
        story.until(|event| matches!(event, TaskEvent::Replied { step: Step::Run { command, .. }, .. } if command == "hang")).await;
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

#[test]
fn what_continuous_integration_says_stands_in_the_journal_once() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, WRITE, DONE, DONE]);
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("pull_request_opened").await;
        tokio::time::sleep(5 * MINUTE).await;
        world.forge.report_ci("lint", CiState::Failed);
        world.forge.report_ci("test", CiState::Passed);
        let TaskEvent::CiFinished { commit, failed } = story.until_kind("ci_finished").await else {
            unreachable!()
        };
        assert_eq!((Some(commit), failed), (world.git.branch(&one()), vec!["lint".to_owned()]));
        node.stop().await;
        let node = world.start();
        tokio::time::sleep(5 * MINUTE).await;
        assert_eq!(world.journal.kinds().iter().filter(|kind| **kind == "ci_finished").count(), 1);
        node.stop().await;
    });
}
