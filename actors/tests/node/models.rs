//! Which model is asked, on which server, and in which form.

use std::sync::{Arc, Mutex};

use bzzz_actors::ports::model::{ModelError, ModelSelection};
use bzzz_actors::reasoner_actor::{ModelRole, ModelRoute};
use bzzz_actors::task::TaskEvent;

use crate::world::*;
use crate::{DONE, LOOK, PLAN, WRITE};

const SCRIPT: [&str; 5] = [PLAN, LOOK, WRITE, DONE, DONE];

fn models_asked(script: &Script) -> Vec<String> {
    script.requests().into_iter().map(|request| request.model).collect()
}

fn route(role: Option<ModelRole>, label: Option<&str>, name: &str) -> ModelRoute {
    ModelRoute { role, label: label.map(str::to_owned), names: vec![name.to_owned()] }
}

#[test]
fn each_part_of_the_work_goes_to_the_model_that_it_is_routed_to() {
    in_virtual_time(async {
        let mut world = World::new(&SCRIPT);
        world.model.has(&["coder", "planner", "critic"]);
        let routes = [(ModelRole::Plan, "planner"), (ModelRole::Review, "critic")];
        world.config.choice.routes =
            routes.into_iter().map(|(role, name)| route(Some(role), None, name)).collect();
        let node = world.start();
        Story::of(&node).until_kind("pull_request_opened").await;
        assert_eq!(models_asked(&world.model), ["planner", "coder", "coder", "coder", "critic"]);
        node.stop().await;
    });
}

#[test]
fn a_label_of_the_issue_decides() {
    in_virtual_time(async {
        let mut world = World::new(&SCRIPT);
        world.model.has(&["coder", "writer"]);
        world.config.choice.routes =
            vec![route(None, Some("no such label"), "none"), route(None, Some("bzzz-task"), "writer")];
        let node = world.start();
        Story::of(&node).until_kind("pull_request_opened").await;
        assert_eq!(models_asked(&world.model), ["writer"; 5]);
        node.stop().await;
    });
}

#[test]
fn a_server_that_fails_costs_no_step_while_another_has_the_model() {
    in_virtual_time(async {
        let mut world = World::new(&SCRIPT);
        let second = Arc::new(Script::new(&SCRIPT));
        world.further_models.push(second.clone());
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("plan_drafted").await;
        world.model.fail(vec![ModelError::Unavailable("it is gone".into()); 100]);
        story.until_kind("pull_request_opened").await;
        let (first, second) = (world.model.requests().len(), second.requests().len());
        // The next question may have been under way.
        assert!(first <= 2 && first + second == 5, "{first} and {second}");
        assert!(!story.kinds.contains(&"stalled"), "{:?}", story.kinds);
        node.stop().await;
    });
}

#[test]
fn the_server_that_has_the_model_is_asked_and_only_it() {
    in_virtual_time(async {
        let mut world = World::new(&SCRIPT);
        world.model.has(&["other"]);
        let second = Arc::new(Script::new(&SCRIPT));
        world.further_models.push(second.clone());
        let node = world.start();
        Story::of(&node).until_kind("pull_request_opened").await;
        assert_eq!((world.model.requests().len(), second.requests().len()), (0, 5));
        node.stop().await;
    });
}

#[test]
fn a_model_whose_only_server_is_away_for_a_moment_is_waited_for_and_not_called_missing() {
    in_virtual_time(async {
        let mut world = World::new(&SCRIPT);
        let second = Arc::new(Script::new(&SCRIPT));
        second.has(&["other"]);
        world.further_models.push(second.clone());
        world.model.fail(vec![ModelError::Unavailable("it restarts".into()); 5]);
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("pull_request_opened").await;
        assert!(story.kinds.contains(&"stalled") && !story.kinds.contains(&"gave_up"), "{:?}", story.kinds);
        assert_eq!((world.model.requests().len(), second.requests().len()), (5, 0));
        node.stop().await;
    });
}

#[test]
fn two_tasks_are_spread_over_two_servers() {
    in_virtual_time(async {
        let mut world = World::new(&SCRIPT);
        world.forge.have_issues(2);
        let second = Arc::new(Script::new(&SCRIPT));
        world.further_models.push(second.clone());
        let node = world.start();
        let mut story = Story::of(&node);
        story.until_kind("pull_request_opened").await;
        story.until_kind("pull_request_opened").await;
        let (first, second) = (world.model.requests().len(), second.requests().len());
        assert_eq!(first + second, 10);
        assert!(first >= 4 && second >= 4, "{first} and {second}");
        node.stop().await;
    });
}

/// Selects this, and remembers what it was asked.
struct Selects(Result<&'static str, &'static str>, Mutex<Vec<(Vec<String>, String)>>);

#[async_trait::async_trait]
impl ModelSelection for Selects {
    async fn select(&self, models: &[String], prompt: &str) -> Result<String, String> {
        self.1.lock().unwrap().push((models.to_vec(), prompt.to_owned()));
        self.0.map(str::to_owned).map_err(str::to_owned)
    }
}

#[test]
fn a_selection_counts_if_it_names_one_of_the_models_and_is_asked_once_for_each_role() {
    for (answer, asked) in [
        (Ok("small"), "small"),
        (Ok("gigantic"), "coder"),
        (Err("it is away"), "coder"),
        (Ok("absent"), "coder"),
    ] {
        in_virtual_time(async move {
            let mut world = World::new(&SCRIPT);
            world.model.has(&["coder", "small"]);
            world.config.choice.names = ["coder", "absent", "small"].map(str::to_owned).to_vec();
            let selects = Arc::new(Selects(answer, Mutex::default()));
            world.selection = Some(selects.clone());
            let node = world.start();
            Story::of(&node).until_kind("pull_request_opened").await;
            assert_eq!(models_asked(&world.model), [asked; 5], "{answer:?}");
            let questions = selects.1.lock().unwrap().clone();
            assert_eq!(questions.len(), 3, "for the plan, the work and the review: {questions:?}");
            assert_eq!(questions[0].0, ["coder", "small"], "those that are there");
            assert!(questions[0].1.contains("rocket"), "{questions:?}");
            node.stop().await;
        });
    }
}

#[test]
fn a_model_of_json_is_told_its_form_and_held_to_its_schema() {
    in_virtual_time(async {
        let step = |step: &str| format!("{{\"reasoning\": \"So.\", \"step\": {step}}}");
        let done = step(r#"{"done": "Fuel the rocket", "body": "It had none."}"#);
        let replies = [PLAN.to_owned(), step("{}"), step(r#"{"sh": "write fuel"}"#), done.clone(), done];
        let mut world = World::new(&replies.each_ref().map(String::as_str));
        world.config.choice.json = vec!["coder".into()];
        let node = world.start();
        let mut story = Story::of(&node);
        let TaskEvent::PullRequestOpened { .. } = story.until_kind("pull_request_opened").await else {
            unreachable!()
        };
        assert_eq!(world.sandboxes.times("write fuel"), 1);
        let requests = world.model.requests();
        assert_eq!(
            requests.iter().map(|it| it.schema.is_some()).collect::<Vec<_>>(),
            [false, true, true, true, true]
        );
        for request in &requests {
            let rules = &request.messages[0].content;
            assert!(rules.contains("one JSON object") && !rules.contains("```sh"), "{rules}");
        }
        let told = &requests[2].messages.last().unwrap().content;
        assert!(told.contains("exactly one of") && told.contains("one JSON object whose `step`"), "{told}");
        node.stop().await;
    });
}
