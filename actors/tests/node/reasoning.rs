//! A model that is small, slow of understanding, or goes in circles.

use bzzz_actors::task::{Ending, Step, TaskEvent};

use crate::world::*;
use crate::{DONE, LOOK, PLAN, WRITE};

/// Twenty commands, each other than the one before.
fn many_commands() -> Vec<String> {
    (1..=20).map(|n| format!("I look further.\n```sh\nlook {n} {}\n```", "at it ".repeat(100))).collect()
}

#[test]
fn a_prompt_that_overflows_is_summarised_and_asked_again() {
    in_virtual_time(async {
        let commands = many_commands();
        let script: Vec<&str> = [PLAN]
            .into_iter()
            .chain(commands.iter().map(String::as_str))
            .chain([WRITE, DONE, DONE])
            .collect();
        let world = World::new(&script);
        // Less than the node believes.
        world.model.with_room_for(9000);
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("pull_request_opened").await;
        let summaries = story.kinds.iter().filter(|kind| **kind == "compacted").count();
        assert!((1..=6).contains(&summaries), "{:?}", story.kinds);
        for n in 1..=20 {
            assert_eq!(world.sandboxes.times(format!("look {n} {}", "at it ".repeat(100)).trim_end()), 1);
        }
        node.stop().await;

        // Another life reads the same conversation from the journal.
        let last = world.model.requests().last().unwrap().messages.clone();
        assert!(last[3].content.contains("To save room"), "{:?}", last[3]);
    });
}

#[test]
fn an_issue_that_fills_the_window_by_itself_ends_the_task_with_a_reason() {
    in_virtual_time(async {
        let world = World::new(&[PLAN, LOOK, DONE, DONE]);
        world.model.with_room_for(100);
        let node = world.start();
        let mut story = Story::of(&node);
        let TaskEvent::GaveUp { reason } = story.until_kind("gave_up").await else { unreachable!() };
        assert!(reason.contains("longer than the model's window"), "{reason}");
        node.stop().await;
    });
}

#[test]
fn a_model_that_goes_in_circles_is_told_and_then_a_person_is_asked() {
    in_virtual_time(async {
        let mut script = vec![PLAN];
        script.extend([LOOK; 8]);
        let world = World::new(&script);
        let node = world.start();
        let mut story = Story::of(&node);
        let TaskEvent::Escalated { question, .. } = story.until_kind("escalated").await else {
            unreachable!()
        };
        assert!(question.contains("The model repeats itself"), "{question}");
        assert_eq!(story.kinds.iter().filter(|kind| **kind == "command_finished").count(), 8);
        let told = |request: usize| {
            let requests = world.model.requests();
            requests[request].messages.last().unwrap().content.contains("You repeat yourself")
        };
        // The plan was the first request.
        assert!(told(5) && !told(4) && !told(6));
        node.stop().await;
    });
}

#[test]
fn a_command_has_as_much_time_as_it_asked_for_within_the_operators_limit() {
    for (asked_s, given_s) in [(300, 300), (90_000, 900)] {
        in_virtual_time(async move {
            let long = format!("It takes long.\n```sh timeout={asked_s}\nhang\n```");
            let world = World::new(&[PLAN, &long, WRITE, DONE, DONE]);
            let node = world.start();
            let mut story = Story::of(&node);
            let is_long = |event: &TaskEvent| {
                matches!(event, TaskEvent::Replied { step: Step::Run { timeout_s: Some(_), .. }, .. })
            };
            story.until(is_long).await;
            let began = tokio::time::Instant::now();
            let TaskEvent::CommandFinished { outcome, .. } = story.until_kind("command_finished").await
            else {
                unreachable!()
            };
            assert_eq!(outcome.ending, Ending::TimedOut { after_ms: given_s * 1000 });
            assert_eq!(began.elapsed().as_secs(), given_s);
            story.until_kind("pull_request_opened").await;
            node.stop().await;
        });
    }
}
